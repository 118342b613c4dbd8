"""From the customers whom a definition means to those who may be contacted, and the draw of the control group.

The control group is drawn from the customers who could have been contacted, so that both groups differ by the contact
and by chance only. The draw is a hash of campaign and customer: the same on every run, in any order, on any machine,
and no customer changes the group because others are added.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from ml.audiences.contact_policy import ContactPolicy
from ml.audiences.definition import AudienceDefinition, matching
from ml.columns import CUSTOMER_KEY
from ml.splits import hash_shares
from ml.wording import Bilingual

TREATED = "treated"
CONTROL = "control"

EXCLUSIONS: dict[str, Bilingual] = {
    "closed": Bilingual(en="the supply has ended", zh="已销户"),
    "no_consent": Bilingual(en="there is no consent for the channel", zh="未同意该渠道营销"),
    "open_complaint": Bilingual(en="a complaint is open", zh="投诉未办结"),
    "open_dispute": Bilingual(en="a dispute or appeal is open", zh="账单争议或申诉未办结"),
    "dunning": Bilingual(en="a bill is past its due date", zh="存在逾期欠费"),
    "contact_limit": Bilingual(en="other campaigns contact them often enough", zh="已达触达次数上限"),
}
"""Reasons to leave a customer out, in the order in which they are looked at; each customer counts under the first."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Who takes part in a campaign.

    Attributes:
        members: One row per customer: ``customer_key`` and ``arm`` (``treated`` or ``control``), by key.
        matched_count: Customers whom the definition means.
        excluded_counts: Customers left out, by reason of `EXCLUSIONS`; with the members they add up to the matched.
    """

    members: pl.DataFrame
    matched_count: int
    excluded_counts: dict[str, int]

    @property
    def treated_count(self) -> int:
        """Customers to contact."""
        return self.members.filter(pl.col("arm") == TREATED).height

    @property
    def control_count(self) -> int:
        """Customers held out."""
        return self.members.filter(pl.col("arm") == CONTROL).height


def select_customers(
    definition: AudienceDefinition,
    portrait: pl.DataFrame,
    contact_status: pl.DataFrame,
    policy: ContactPolicy,
    *,
    contacts_by_customer: pl.DataFrame,
    disputing: frozenset[str] = frozenset(),
    day: date,
) -> Selection:
    """Return the customers of a campaign with their arms, and how many were left out and why.

    Args:
        definition: Whom the campaign means.
        portrait: One row per customer; may be asked by any of its columns.
        contact_status: The mart ``customer_contact_status``; a customer without a row has no consent.
        policy: Rules of the day of selection.
        contacts_by_customer: ``customer_key`` and ``contacts_count`` of other campaigns near this one's days.
        disputing: Keys of customers with an appeal that waits, beside the disputes of the contact status.
        day: Day of the selection; a consent given later does not count.

    Raises:
        AudienceError: The definition asks what the portrait cannot answer.
    """
    matched = matching(definition, portrait).select(CUSTOMER_KEY).unique()
    known = (
        matched.join(contact_status, on=CUSTOMER_KEY, how="left")
        .join(contacts_by_customer.select(CUSTOMER_KEY, "contacts_count"), on=CUSTOMER_KEY, how="left")
        .with_columns(
            is_disputing=pl.col(CUSTOMER_KEY).is_in(sorted(disputing)) | (pl.col("open_disputes_count") > 0),
            all_contacts=pl.col("contacts_count").fill_null(0) + definition.contacts_count,
        )
    )
    tests = {
        "closed": pl.col("closed_date").is_not_null() & (pl.col("closed_date") < definition.contact_until),
        "no_consent": pl.col(definition.consent_column).is_null() | (pl.col(definition.consent_column) > day),
        "open_complaint": pl.lit(policy.open_complaint.leave_alone) & (pl.col("open_complaints_count") > 0),
        "open_dispute": pl.lit(policy.open_dispute.leave_alone) & pl.col("is_disputing"),
        "dunning": pl.lit(policy.dunning.leave_alone) & (pl.col("overdue_amount") > 0),
        "contact_limit": pl.col("all_contacts") > policy.limit.contacts_count,
    }
    reason = pl.coalesce(*(pl.when(test.fill_null(value=False)).then(pl.lit(name)) for name, test in tests.items()))
    judged = known.select(CUSTOMER_KEY, reason=reason)
    counts = dict(judged.drop_nulls("reason").group_by("reason").len().iter_rows())
    chosen = judged.filter(pl.col("reason").is_null()).get_column(CUSTOMER_KEY).sort()
    arms = draw_arms(chosen.to_list(), definition.campaign_id, definition.control_share)
    return Selection(
        members=pl.DataFrame({CUSTOMER_KEY: chosen, "arm": pl.Series(arms, dtype=pl.String)}),
        matched_count=matched.height,
        excluded_counts={name: counts.get(name, 0) for name in EXCLUSIONS},
    )


def draw_arms(customer_keys: Sequence[str], campaign_id: str, control_share: float) -> list[str]:
    """Return the arm of each customer in a campaign.

    A hash of campaign and key, as a number from 0 to 1, falls below the share or not. The key is itself an HMAC, so
    nobody without the platform's key can choose a customer's arm.
    """
    shares = hash_shares(customer_keys, f"campaign {campaign_id}")
    return [CONTROL if share < control_share else TREATED for share in shares]
