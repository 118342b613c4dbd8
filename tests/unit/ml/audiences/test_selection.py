"""Who is left out and why, and a control group that stays what it is."""

from datetime import date

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audiences.contact_policy import load_contact_policy
from ml.audiences.selection import CONTROL, EXCLUSIONS, TREATED, Selection, draw_arms, select_customers
from tests.unit.ml.audiences.campaigns import DAY, campaign, contact_status, key, no_contacts, portrait

POLICY = load_contact_policy(DAY)


def _select(status: pl.DataFrame, customers: int = 400, **changes: object) -> Selection:
    return select_customers(
        campaign(**changes), portrait(customers), status, POLICY, contacts_by_customer=no_contacts(), day=DAY
    )


def _with(column: str, value: object) -> pl.DataFrame:
    """Return a status in which the first customer, who is commercial, and the second differ."""
    status = contact_status()
    concerned = pl.col("customer_key").is_in([key(0), key(1)])
    return status.with_columns(pl.when(concerned).then(pl.lit(value)).otherwise(pl.col(column)).alias(column))


def test_members_and_exclusions_add_up_to_whom_the_definition_means() -> None:
    selection = _select(_with("overdue_amount", 12.5))

    assert selection.matched_count == 300
    assert selection.excluded_counts == {**dict.fromkeys(EXCLUSIONS, 0), "dunning": 1}
    assert selection.treated_count + selection.control_count == selection.members.height == 299
    assert selection.members.get_column("customer_key").is_sorted()


def test_each_situation_leaves_a_customer_out_under_its_reason() -> None:
    cases = {
        "closed": ("closed_date", date(2026, 9, 30)),
        "no_consent": ("sms_consent_date", None),
        "open_complaint": ("open_complaints_count", 1),
        "open_dispute": ("open_disputes_count", 1),
        "dunning": ("overdue_amount", 0.01),
    }
    for reason, (column, value) in cases.items():
        selection = _select(_with(column, value))
        assert selection.excluded_counts[reason] == 1, reason
        assert key(1) not in selection.members["customer_key"]


def test_without_a_consent_nobody_is_contacted() -> None:
    assert _select(contact_status(), channel="phone").members.height == 0
    assert _select(contact_status().head(0)).excluded_counts["no_consent"] == 300


def test_a_consent_given_after_the_day_of_selection_does_not_count() -> None:
    assert _select(_with("sms_consent_date", date(2026, 10, 6))).excluded_counts["no_consent"] == 1


def test_a_waiting_appeal_is_a_dispute() -> None:
    selection = select_customers(
        campaign(),
        portrait(),
        contact_status(),
        POLICY,
        contacts_by_customer=no_contacts(),
        disputing=frozenset([key(1), key(2)]),
        day=DAY,
    )

    assert selection.excluded_counts["open_dispute"] == 2


def test_contacts_of_all_campaigns_and_of_this_one_stay_within_the_limit() -> None:
    others = pl.DataFrame({"customer_key": [key(1), key(2)], "contacts_count": [2, 1]})

    def left_out(contacts_count: int) -> int:
        selection = select_customers(
            campaign(contacts_count=contacts_count),
            portrait(),
            contact_status(),
            POLICY,
            contacts_by_customer=others,
            day=DAY,
        )
        return selection.excluded_counts["contact_limit"]

    assert (left_out(1), left_out(2), left_out(3)) == (1, 2, 300)


def test_who_has_left_by_the_last_contact_is_left_out() -> None:
    assert _select(_with("closed_date", date(2026, 10, 20))).excluded_counts["closed"] == 1
    assert _select(_with("closed_date", date(2026, 10, 23))).excluded_counts["closed"] == 0


def test_the_draw_does_not_depend_on_order_run_or_further_customers() -> None:
    first = _select(contact_status())
    shuffled = select_customers(
        campaign(),
        portrait().sample(fraction=1, shuffle=True, seed=1),
        contact_status().reverse(),
        POLICY,
        contacts_by_customer=no_contacts(),
        day=DAY,
    )
    grown = _select(contact_status(500), customers=500).members

    assert shuffled.members.equals(first.members)
    assert grown.join(first.members, on=["customer_key", "arm"], how="semi").height == first.members.height


def test_another_campaign_draws_another_control_group() -> None:
    keys = [key(n) for n in range(5000)]
    first, second = (draw_arms(keys, campaign_id, 0.2) for campaign_id in ("first", "second"))
    both = sum(one == other == CONTROL for one, other in zip(first, second, strict=True))

    # Of two independent draws of a fifth, a twenty-fifth is in both: 200 of 5,000, four standard errors are 55.
    assert 145 < both < 255


@given(share=st.floats(0.05, 0.5), number=st.integers(0, 10**6))
@settings(max_examples=30)
def test_a_larger_control_group_holds_the_smaller_one(share: float, number: int) -> None:
    keys = [key(number + n) for n in range(20)]
    smaller, larger = (draw_arms(keys, "campaign", size) for size in (share / 2, share))

    assert all(now == CONTROL for before, now in zip(smaller, larger, strict=True) if before == CONTROL)


def test_the_control_group_has_the_share_that_was_asked() -> None:
    arms = draw_arms([key(n) for n in range(5000)], "campaign", 0.2)

    # Four standard errors of a share of 0.2 among 5,000.
    assert abs(arms.count(CONTROL) / 5000 - 0.2) < 0.023
    assert set(arms) == {TREATED, CONTROL}
    # Pinned: another draw would move customers between the groups of campaigns that run.
    pinned = draw_arms([key(n) for n in range(6)], "evening_tariff", 0.5)
    assert pinned == [CONTROL, TREATED, CONTROL, TREATED, CONTROL, TREATED]
