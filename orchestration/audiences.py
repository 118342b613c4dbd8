"""Audiences on the platform's data: reads marts, policy and registers, and hands them to ``ml.audiences``.

Only the register below ``<home>/campaigns`` is ever written. No Dagster in here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ml.errors import InsufficientDataError
from orchestration.marts import MartsNotPublishedError, MartsVersion, current_marts
from orchestration.settings import PlatformSettings

if TYPE_CHECKING:
    import polars as pl

    from ml.audiences.definition import AudienceDefinition
    from ml.audiences.measurement import Effect
    from ml.audiences.register import CampaignRegister
    from ml.audiences.selection import Selection

PORTRAIT = "customer_portrait"
PORTRAIT_HISTORY = "customer_portrait_history"
CONTACT_STATUS = "customer_contact_status"
PROGRAMMES = "customer_programmes"
OUTCOMES = "customer_credit_outcomes"

_OLD_DAYS = 35


@dataclass(frozen=True, slots=True)
class AudienceReport:
    """A selection, kept or only looked at.

    Attributes:
        campaign_id: The campaign.
        is_kept: Whether the register holds it.
        treated_count: Customers to contact.
        control_count: Customers held out.
        sentences: The selection in words.
    """

    campaign_id: str
    is_kept: bool
    treated_count: int
    control_count: int
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a campaign changed.

    Attributes:
        outcome: What was measured.
        month: Month that it was measured for.
        effect: The difference.
        sentences: The result in words.
    """

    outcome: str
    month: date
    effect: "Effect"
    sentences: tuple[str, ...]


def campaign_register(settings: PlatformSettings) -> "CampaignRegister":
    """Return the campaign register of the platform."""
    from ml.audiences.register import CampaignRegister

    return CampaignRegister(settings.campaigns_dir)


def portrait_columns(settings: PlatformSettings) -> Mapping[str, tuple[str, str]]:
    """Return the columns that an audience may ask: kind, and the values where they are few."""
    from ml.audiences.definition import listed_values, queryable_columns

    portrait = _read(_marts(settings), PORTRAIT)
    return {
        name: (kind, ", ".join(listed_values(portrait, name) or ()) if kind == "text" else "")
        for name, kind in queryable_columns(portrait).items()
    }


def preview_audience(settings: PlatformSettings, path: Path, *, today: date) -> AudienceReport:
    """Count whom a definition would select today; nothing is kept.

    Raises:
        KilowiseError: A mistake that a person can correct; the message says how.
    """
    from ml.audiences.definition import load_definition

    definition = load_definition(path)
    campaign_register(settings).drawn_before(definition)
    drawn = _draw(settings, definition, today)
    return drawn.report(is_kept=False)


def select_audience(settings: PlatformSettings, path: Path, *, recorded_by: str, today: date) -> AudienceReport:
    """Draw a campaign and keep it; one that was drawn before is returned as it was drawn.

    Raises:
        KilowiseError: A mistake that a person can correct; the message says how.
    """
    from ml.audiences.definition import load_definition

    definition = load_definition(path)
    register = campaign_register(settings)
    before = register.drawn_before(definition)
    if before is not None:
        sentence = (
            f"The campaign {before.campaign_id} was selected on {before.recorded_at:%Y-%m-%d} and stays as drawn: "
            f"{before.treated_count:,} to contact, {before.control_count:,} held out."
        )
        return AudienceReport(before.campaign_id, True, before.treated_count, before.control_count, (sentence,))
    if definition.contact_until < today:
        raise InsufficientDataError(
            f"contact_until {definition.contact_until} is over; a campaign is selected before its contacts."
        )
    drawn = _draw(settings, definition, today)
    if min(drawn.selection.treated_count, drawn.selection.control_count) == 0:
        raise InsufficientDataError(
            " ".join([*drawn.sentences(), "An arm would be empty, so nothing was kept. Ask for more customers."])
        )
    register.record(
        definition,
        drawn.selection,
        policy_version=drawn.policy_version,
        as_of_month=drawn.as_of_month,
        marts_version=drawn.marts.name,
        recorded_by=recorded_by,
        after_records_count=drawn.records_count,
    )
    return drawn.report(is_kept=True)


def export_audience(settings: PlatformSettings, campaign_id: str, file_format: str) -> Path:
    """Write who takes part in a campaign; the same file on every call."""
    return campaign_register(settings).export(campaign_id, file_format)


def measure_campaign(
    settings: PlatformSettings, campaign_id: str, *, outcome: str = "", month: date | None = None, change: bool = False
) -> Measurement:
    """Return the difference between the treated and the control group of a campaign.

    Args:
        settings: Settings of the platform.
        campaign_id: The campaign.
        outcome: What to measure; by default what its definition names.
        month: As-of month of the outcome. By default the latest, and for defaults the month before the contacts.
        change: Measure the change of a portrait's number since the month before the contacts.

    Raises:
        KilowiseError: A mistake that a person can correct; the message says how.
    """
    from ml.audiences.measurement import measure_effect
    from ml.audiences.outcomes import OutcomeError, default_outcome, joining_outcome, portrait_outcome, split_outcome
    from ml.splits import add_months, month_start

    register = campaign_register(settings)
    record = register.campaign(campaign_id)
    members = register.members(campaign_id)
    name = outcome or record.outcome
    try:
        source, column = split_outcome(name)
    except ValueError as error:
        raise OutcomeError(str(error)) from error
    before = add_months(month_start(record.contact_from), -1)
    marts = _marts(settings)
    if source == "portrait":
        history = _read(marts, PORTRAIT_HISTORY)
        month = month or _latest(history, "as_of_month")
        outcomes = portrait_outcome(history, column, month, change_from=before if change else None)
    elif source == "credit":
        month = month or before
        outcomes = default_outcome(_read(current_marts(settings.marts_dir), OUTCOMES), month)
    else:
        month = month or month_start(_latest(_read(marts, CONTACT_STATUS), "known_on_date"))
        outcomes = joining_outcome(members, _read(marts, PROGRAMMES), column, record.contact_from)
    effect = measure_effect(members, outcomes)
    about = f"{name}{' (change)' if change else ''} of campaign {campaign_id}, {month:%Y-%m}."
    sentences = [about, effect.sentence()]
    if source != "credit" and month < month_start(record.contact_until):
        sentences.append("The contacts were not over in that month, so this is no result yet.")
    if campaign_id in register.withdrawn():
        sentences.append("The campaign was withdrawn: a difference can only be chance.")
    return Measurement(name, month, effect, tuple(sentences))


@dataclass(frozen=True, slots=True)
class _Draw:
    definition: "AudienceDefinition"
    selection: "Selection"
    policy_version: str
    records_count: int
    as_of_month: date
    known_on: date
    marts: MartsVersion
    today: date
    detectable: str

    def report(self, *, is_kept: bool) -> AudienceReport:
        """Return the selection for a reader."""
        counts = self.selection.treated_count, self.selection.control_count
        return AudienceReport(self.definition.campaign_id, is_kept, *counts, tuple(self.sentences()))

    def sentences(self) -> list[str]:
        """Return the selection in words."""
        from ml.audiences.measurement import SMALLEST_ARM
        from ml.audiences.selection import EXCLUSIONS

        selection = self.selection
        left_out = [
            f"{count:,} because {EXCLUSIONS[reason].en}" for reason, count in selection.excluded_counts.items() if count
        ]
        lines = [
            f"{self.definition.campaign_id}: {selection.matched_count:,} customers match in the portrait of "
            f"{self.as_of_month:%Y-%m}.",
            f"Left out by the contact policy {self.policy_version}: {'; '.join(left_out) or 'nobody'}.",
            f"{selection.treated_count:,} to contact by {self.definition.channel}, {selection.control_count:,} held "
            "out as control group.",
            self.detectable,
        ]
        if min(selection.treated_count, selection.control_count) < SMALLEST_ARM:
            lines.append(f"An arm has fewer than {SMALLEST_ARM} customers, so the campaign cannot be measured.")
        if (self.today - self.known_on).days > _OLD_DAYS:
            lines.append(
                f"Consents and complaints are those of {self.known_on}, {(self.today - self.known_on).days} days ago: "
                "land the latest deliveries before customers are contacted."
            )
        return lines


def _draw(settings: PlatformSettings, definition: "AudienceDefinition", today: date) -> _Draw:
    from ml.audiences.contact_policy import BUILT_IN_POLICY, load_contact_policy
    from ml.audiences.selection import select_customers
    from ml.credit_risk.register import Register

    marts = _marts(settings)
    portrait = _read(marts, PORTRAIT)
    as_of_month = _latest(portrait, "as_of_month")
    status = _read(marts, CONTACT_STATUS)
    policy = load_contact_policy(today, settings.contact_policy or BUILT_IN_POLICY)
    register = campaign_register(settings)
    records_count = register.records_count
    selection = select_customers(
        definition,
        portrait,
        status,
        policy,
        contacts_by_customer=register.contacts_near(
            definition.contact_from, definition.contact_until, policy.limit.days, without=definition.campaign_id
        ),
        disputing=Register.read(settings.credit_register_path).disputing(today),
        day=today,
    )
    return _Draw(
        definition=definition,
        selection=selection,
        policy_version=policy.version,
        records_count=records_count,
        as_of_month=as_of_month,
        known_on=_latest(status, "known_on_date"),
        marts=marts,
        today=today,
        detectable=_detectable(settings, definition, selection, portrait),
    )


def _detectable(
    settings: PlatformSettings, definition: "AudienceDefinition", selection: "Selection", portrait: "pl.DataFrame"
) -> str:
    """Return what difference the campaign could show, from how much the outcome varies among its customers today."""
    import polars as pl

    from ml.audiences.measurement import smallest_detectable_difference
    from ml.audiences.outcomes import OutcomeError, split_outcome
    from ml.columns import CUSTOMER_KEY

    source, column = split_outcome(definition.outcome)
    keys = selection.members.get_column(CUSTOMER_KEY).to_list()
    is_share = True
    if source == "portrait":
        dtype = portrait.schema.get(column)
        if dtype is None or not (dtype.is_numeric() or dtype == pl.Boolean):
            raise OutcomeError(f"outcome: the portrait has no column {column!r} of numbers or of true and false")
        is_share = dtype == pl.Boolean
        found = portrait.filter(pl.col(CUSTOMER_KEY).is_in(keys)).get_column(column)
    elif source == "credit":
        mature = _read(current_marts(settings.marts_dir), OUTCOMES).filter("is_mature", pl.col("exclusion").is_null())
        latest = mature.filter(pl.col("as_of_month") == pl.col("as_of_month").max())
        found = latest.filter(pl.col(CUSTOMER_KEY).is_in(keys)).get_column("is_default")
    else:
        year = timedelta(days=365)
        programmes = _read(_marts(settings), PROGRAMMES).filter(
            pl.col("programme") == column, pl.col("joined_date") > definition.contact_from - year
        )
        joined = set(programmes.get_column(CUSTOMER_KEY))
        found = pl.Series([key in joined for key in keys], dtype=pl.Boolean)
    values = found.drop_nulls().cast(pl.Float64).to_numpy()
    if values.size == 0 or values.std() == 0 or 0 in (selection.treated_count, selection.control_count):
        return f"What difference of {definition.outcome} it could show cannot be said: it does not vary among them now."
    size = smallest_detectable_difference(selection.treated_count, selection.control_count, float(values.std()))
    shown = f"{100 * size:.3g} percentage points" if is_share else f"{size:.4g} (mean today {values.mean():.4g})"
    return (
        f"With these groups a true difference of {definition.outcome} of {shown} is found in four of five cases "
        "(95 % interval); a smaller one may stay within chance."
    )


def _marts(settings: PlatformSettings) -> MartsVersion:
    return current_marts(settings.after_models_marts_dir)


def _read(marts: MartsVersion, mart: str) -> "pl.DataFrame":
    import polars as pl

    path = marts.path(mart)
    if not path.exists():
        raise MartsNotPublishedError(f"The mart {mart} is not published yet. Run the job refresh_data (or `make run`).")
    return pl.read_parquet(path)


def _latest(frame: "pl.DataFrame", column: str) -> date:
    """Return the latest day of a column.

    Raises:
        InsufficientDataError: There is none: no month of the data is over yet.
    """
    latest = frame.get_column(column).max()
    if not isinstance(latest, date):
        raise InsufficientDataError(
            "The portrait knows no customer in a complete month yet, so there is nobody to select."
        )
    return latest
