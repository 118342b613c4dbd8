"""The campaign register: who was selected for which campaign in which arm; only ever added to.

A line per selection or withdrawal in ``register.jsonl``, and per campaign the table of its members, which never
changes. It makes the limits on contacts hold over all campaigns, and a campaign is drawn once: asked for again, the
register answers with what was drawn. Customers appear by key only. The one exception from "only added to" is the
erasure of a customer.
"""

import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import polars as pl
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, RootModel, ValidationError

from ml.append_only import append_line, exclusive, replace_private
from ml.audiences.definition import AudienceDefinition, CampaignId
from ml.audiences.outcomes import OutcomeName
from ml.audiences.selection import Selection
from ml.columns import CUSTOMER_KEY
from ml.errors import KilowiseError

REGISTER_NAME = "register.jsonl"
MEMBERS_NAME = "members.parquet"
EXPORT_FOLDER = "export"
_CONTACTS_SCHEMA = {CUSTOMER_KEY: pl.String, "contacts_count": pl.Int64}


ExportFormat = Literal["csv", "parquet"]


class CampaignRegisterError(KilowiseError):
    """A campaign cannot be recorded or is not there, or the register is damaged; the message says what to change."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    campaign_id: CampaignId
    recorded_at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))
    recorded_by: str = Field(pattern=r"^[\w .@-]{1,80}$", description="Member of staff or desk that recorded it")


class Selected(_Record):
    """A campaign was drawn.

    Attributes:
        channel: Way of contact.
        contact_from: First day of contact.
        contact_until: Last day of contact.
        contacts_count: Contacts per customer.
        control_share_pct: Share held out.
        outcome: What it shall change.
        definition: The whole definition, as it was given.
        policy_version: Contact policy that applied.
        as_of_month: Month of the portrait that was asked.
        marts_version: Version of the marts that was asked.
        matched_count: Customers whom the definition means.
        excluded_counts: Customers left out, by reason.
        treated_count: Customers to contact.
        control_count: Customers held out.
    """

    kind: Literal["selected"] = "selected"
    channel: str
    contact_from: date
    contact_until: date
    contacts_count: int
    control_share_pct: float
    outcome: OutcomeName
    definition: dict[str, Any]
    policy_version: str
    as_of_month: date
    marts_version: str
    matched_count: int
    excluded_counts: dict[str, int]
    treated_count: int
    control_count: int


class Withdrawn(_Record):
    """A campaign does not take place; its customers count as not contacted."""

    kind: Literal["withdrawn"] = "withdrawn"


class _Line(RootModel[Selected | Withdrawn]):
    """One line of the register."""

    root: Annotated[Selected | Withdrawn, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class CampaignRegister:
    """The register below a folder.

    Attributes:
        folder: Folder with the register and one folder per campaign.
    """

    folder: Path

    @property
    def path(self) -> Path:
        """The file of records."""
        return self.folder / REGISTER_NAME

    def campaigns(self) -> list[Selected]:
        """Return every campaign that was drawn, oldest first, withdrawn ones included.

        Raises:
            CampaignRegisterError: A line is damaged; nothing of it is guessed.
        """
        return [record for record in self._records() if isinstance(record, Selected)]

    def withdrawn(self) -> frozenset[str]:
        """Return the ids of the campaigns that do not take place."""
        return frozenset(record.campaign_id for record in self._records() if isinstance(record, Withdrawn))

    @property
    def records_count(self) -> int:
        """How many records there are; what was selected with fewer did not know of all contacts."""
        return sum(1 for _ in self._records())

    def find(self, campaign_id: str) -> Selected | None:
        """Return a campaign, or ``None`` when it was never drawn."""
        return next((record for record in self.campaigns() if record.campaign_id == campaign_id), None)

    def campaign(self, campaign_id: str) -> Selected:
        """Return a campaign.

        Raises:
            CampaignRegisterError: It was never drawn.
        """
        found = self.find(campaign_id)
        if found is None:
            known = ", ".join(record.campaign_id for record in self.campaigns()) or "none"
            raise CampaignRegisterError(f"No campaign {campaign_id!r} was selected; there are: {known}")
        return found

    def members(self, campaign_id: str) -> pl.DataFrame:
        """Return the customers of a campaign with their arms, as drawn; erased customers are gone."""
        self.campaign(campaign_id)
        return pl.read_parquet(self.folder / campaign_id / MEMBERS_NAME)

    def drawn_before(self, definition: AudienceDefinition) -> Selected | None:
        """Return the campaign of a definition if it was drawn.

        Raises:
            CampaignRegisterError: A campaign of this id was drawn from another definition.
        """
        found = self.find(definition.campaign_id)
        if found is not None and found.definition != _document(definition):
            raise CampaignRegisterError(
                f"The campaign {found.campaign_id} was selected on {found.recorded_at:%Y-%m-%d} by another definition, "
                "and its groups are not drawn twice. Give the changed audience a campaign_id of its own."
            )
        return found

    def contacts_near(self, first: date, last: date, days: int, *, without: str = "") -> pl.DataFrame:
        """Return how often each customer is contacted by campaigns that share a stretch of days with the given ones.

        Both arms count: if only the treated used up the limit, they would get fewer other offers than their control
        group, and the difference between the groups would no longer be that of one campaign.

        Args:
            first: First day of the contacts to come.
            last: Last day.
            days: Length of the stretch in which contacts are limited.
            without: Campaign that does not count.

        Returns:
            ``customer_key`` and ``contacts_count``; customers without a contact have no row.
        """
        reach = timedelta(days=days - 1)
        gone = self.withdrawn() | {without}
        near = [
            self.members(record.campaign_id).select(
                CUSTOMER_KEY, contacts_count=pl.lit(record.contacts_count, dtype=pl.Int64)
            )
            for record in self.campaigns()
            if record.campaign_id not in gone
            and record.contact_from <= last + reach
            and record.contact_until >= first - reach
        ]
        everything = pl.concat([pl.DataFrame(schema=_CONTACTS_SCHEMA), *near])
        return everything.group_by(CUSTOMER_KEY).agg(pl.col("contacts_count").sum()).sort(CUSTOMER_KEY)

    def record(
        self,
        definition: AudienceDefinition,
        selection: Selection,
        *,
        policy_version: str,
        as_of_month: date,
        marts_version: str,
        recorded_by: str,
        after_records_count: int,
    ) -> Selected:
        """Keep a selection for good; it is on the disk when this returns.

        Args:
            definition: The campaign.
            selection: What was drawn.
            policy_version: Contact policy that applied.
            as_of_month: Month of the portrait that was asked.
            marts_version: Version of the marts that was asked.
            recorded_by: Who selects.
            after_records_count: Records that the register held when the contacts of other campaigns were counted.

        Raises:
            CampaignRegisterError: Another campaign was recorded since, so the limits may be passed, or who records it
                is not named properly.
        """
        try:
            record = Selected(
                campaign_id=definition.campaign_id,
                recorded_by=recorded_by,
                channel=definition.channel,
                contact_from=definition.contact_from,
                contact_until=definition.contact_until,
                contacts_count=definition.contacts_count,
                control_share_pct=definition.control_share_pct,
                outcome=definition.outcome,
                definition=_document(definition),
                policy_version=policy_version,
                as_of_month=as_of_month,
                marts_version=marts_version,
                matched_count=selection.matched_count,
                excluded_counts=selection.excluded_counts,
                treated_count=selection.treated_count,
                control_count=selection.control_count,
            )
        except ValidationError as error:
            raise _refusal(error) from error
        with exclusive(self.path):
            if self.records_count != after_records_count:
                raise CampaignRegisterError(
                    "Somebody else recorded a campaign meanwhile, which may contact the same customers; nothing was "
                    "kept. Select again."
                )
            folder = self.folder / record.campaign_id
            folder.mkdir(mode=0o700, exist_ok=True)
            # The line makes the campaign; members without one are of a selection that did not finish.
            replace_private(folder / MEMBERS_NAME, _parquet(selection.members))
            append_line(self.path, record.model_dump_json())
        return record

    def withdraw(self, campaign_id: str, *, recorded_by: str) -> Withdrawn:
        """Record that a campaign does not take place.

        Raises:
            CampaignRegisterError: It was never drawn or is withdrawn already.
        """
        try:
            record = Withdrawn(campaign_id=campaign_id, recorded_by=recorded_by)
        except ValidationError as error:
            raise _refusal(error) from error
        with exclusive(self.path):
            self.campaign(campaign_id)
            if campaign_id in self.withdrawn():
                raise CampaignRegisterError(f"The campaign {campaign_id} is withdrawn already.")
            append_line(self.path, record.model_dump_json())
        return record

    def erase(self, customer_key: str) -> int:
        """Remove a customer from every campaign; return from how many. Counts of past selections stay as they were."""
        if not self.path.exists():
            return 0
        changed = 0
        with exclusive(self.path):
            for path in sorted(self.folder.glob(f"*/{MEMBERS_NAME}")):
                members = pl.read_parquet(path)
                kept = members.filter(pl.col(CUSTOMER_KEY) != customer_key)
                if kept.height < members.height:
                    replace_private(path, _parquet(kept))
                    # An export is made anew from the members whenever it is asked for.
                    shutil.rmtree(path.parent / EXPORT_FOLDER, ignore_errors=True)
                    changed += 1
        return changed

    def export(self, campaign_id: str, file_format: str = "csv") -> Path:
        """Write who takes part in a campaign for the tool that contacts; the same bytes on every call.

        Args:
            campaign_id: The campaign.
            file_format: ``csv`` or ``parquet``.

        Returns:
            The file, which only its owner may read: one row per customer with pseudonymous id, arm, campaign, channel
            and days. It holds no personal data; who contacts the treated finds them by their key.

        Raises:
            CampaignRegisterError: The campaign was never drawn or is withdrawn, or the format is another.
        """
        if file_format not in get_args(ExportFormat):
            raise CampaignRegisterError(f"{file_format!r} is no format; there are: {', '.join(get_args(ExportFormat))}")
        record = self.campaign(campaign_id)
        if campaign_id in self.withdrawn():
            raise CampaignRegisterError(f"The campaign {campaign_id} is withdrawn; nobody may be contacted for it.")
        frame = export_frame(record, self.members(campaign_id))
        path = self.folder / campaign_id / EXPORT_FOLDER / f"{campaign_id}.{file_format}"
        path.parent.mkdir(mode=0o700, exist_ok=True)
        replace_private(path, frame.write_csv().encode() if file_format == "csv" else _parquet(frame))
        return path

    def _records(self) -> Iterator[Selected | Withdrawn]:
        if not self.path.exists():
            return
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                yield _Line.model_validate_json(line).root
            except ValidationError as error:
                raise CampaignRegisterError(
                    f"{self.path}, line {number}: no record of the campaign register ({str(error).splitlines()[0]}). "
                    "Restore the file from a backup; nothing was changed."
                ) from error


def export_frame(record: Selected, members: pl.DataFrame) -> pl.DataFrame:
    """Return what a campaign tool gets: pseudonymous ids with arm, campaign, channel and days, by key."""
    return members.select(
        CUSTOMER_KEY,
        campaign_id=pl.lit(record.campaign_id),
        arm="arm",
        channel=pl.lit(record.channel),
        contact_from=pl.lit(record.contact_from),
        contact_until=pl.lit(record.contact_until),
    )


def _document(definition: AudienceDefinition) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(definition.model_dump_json(by_alias=True, exclude_none=True))
    return document


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def _refusal(error: ValidationError) -> CampaignRegisterError:
    problems = [f"{problem['loc'][0]}: {problem['msg']}" for problem in error.errors(include_url=False)]
    return CampaignRegisterError("Nothing was recorded. " + "; ".join(problems))
