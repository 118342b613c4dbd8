"""Customers and records for tests of the credit policy."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from ml.columns import CUSTOMER_CLASSES
from ml.credit_risk.policy import CustomerCase
from ml.credit_risk.policy_schema import FACTS, STATUSES, CreditPolicy, load_policies, policy_on
from ml.credit_risk.register import (
    AppealDecision,
    AppealRecord,
    CustomerStanding,
    ListEntry,
    Register,
    StatusRecord,
)
from ml.credit_risk.schema import RATINGS

DAY = date(2026, 9, 4)
KEY = "0123456789abcdef0123456789abcdef"
OTHER_KEY = "f" * 32
RECORDED_AT = datetime(2026, 9, 1, 8, tzinfo=UTC)
POLICIES = {policy.policy_id: policy for policy in load_policies()}
CHINA = POLICIES["cn_local"]

BAD_PAYER: dict[str, Any] = {
    "late_bills_12m_count": 6.0,
    "late_bills_3m_count": 3.0,
    "overdue_30d_bills_12m_count": 3.0,
    "unpaid_balance_ratio": 3.2,
    "confirmed_breaches_24m_count": 0.0,
    "tenure_months": 40.0,
    "bills_12m_count": 12.0,
}
GOOD_PAYER: dict[str, Any] = {
    "late_bills_12m_count": 0.0,
    "late_bills_3m_count": 0.0,
    "overdue_30d_bills_12m_count": 0.0,
    "unpaid_balance_ratio": 0.0,
    "confirmed_breaches_24m_count": 0.0,
    "tenure_months": 40.0,
    "bills_12m_count": 12.0,
}


def case(facts: dict[str, Any], **changes: Any) -> CustomerCase:
    """Return a commercial customer rated D with charges of 1,000 a month."""
    values: dict[str, Any] = {
        "probability": 0.4,
        "rating": "D",
        "exposure_amount": 5200.0,
        "monthly_charges_amount": 1000.0,
        "customer_class": "commercial",
        "facts": facts,
        "standing": CustomerStanding(),
    }
    return CustomerCase(**(values | changes))


def with_status(*statuses: str) -> CustomerStanding:
    """Return the standing of a customer with these statuses."""
    return CustomerStanding(statuses=frozenset(statuses))


def register_of(*records: StatusRecord | ListEntry | AppealRecord | AppealDecision) -> Register:
    """Return a register with records of one customer."""
    return Register({KEY: list(records)})


def black_entry(**changes: Any) -> ListEntry:
    """Return an entry on the black list, noticed on the first of July 2026."""
    values: dict[str, Any] = {
        "recorded_at": RECORDED_AT - timedelta(days=62),
        "recorded_by": "desk",
        "entry_id": "entry-1",
        "customer_key": KEY,
        "list_name": "black",
        "policy_version": CHINA.version,
        "rule_ids": ("veto_arrears",),
        "notified_on": date(2026, 7, 1),
        "effective_on": date(2026, 7, 16),
        "review_on": date(2026, 10, 14),
        "expires_on": date(2027, 7, 16),
    }
    return ListEntry(**(values | changes))


def appeal(*rule_ids: str, **changes: Any) -> AppealRecord:
    """Return an appeal that was filed on the first of September 2026."""
    values: dict[str, Any] = {
        "recorded_at": RECORDED_AT,
        "recorded_by": "desk",
        "appeal_id": "appeal-1",
        "customer_key": KEY,
        "policy_version": CHINA.version,
        "rule_ids": rule_ids,
        "filed_on": date(2026, 9, 1),
        "ground": "facts_wrong",
    }
    return AppealRecord(**(values | changes))


def decision(outcome: str, **changes: Any) -> AppealDecision:
    """Return the decision of the third of September 2026 on that appeal."""
    values: dict[str, Any] = {
        "recorded_at": RECORDED_AT + timedelta(days=2),
        "recorded_by": "head of desk",
        "appeal_id": "appeal-1",
        "customer_key": KEY,
        "decided_on": date(2026, 9, 3),
        "decision": outcome,
        "expires_on": date(2027, 9, 3) if outcome == "upheld" else None,
    }
    return AppealDecision(**(values | changes))


def policies() -> st.SearchStrategy[CreditPolicy]:
    """Return any built-in policy as it applies on the day."""
    return st.sampled_from([policy_on(list(POLICIES.values()), name, DAY) for name in sorted(POLICIES)])


def cases() -> st.SearchStrategy[CustomerCase]:
    """Return any customer, with gaps in what is known."""
    fact = st.none() | st.floats(0, 12).map(lambda value: round(value, 2))
    return st.builds(
        CustomerCase,
        probability=st.floats(0, 1),
        rating=st.sampled_from(RATINGS),
        exposure_amount=st.floats(0, 1e6),
        monthly_charges_amount=st.none() | st.floats(0, 1e5),
        customer_class=st.none() | st.sampled_from(CUSTOMER_CLASSES),
        facts=st.fixed_dictionaries(dict.fromkeys(FACTS, fact)),
        standing=st.builds(CustomerStanding, statuses=st.frozensets(st.sampled_from(sorted(STATUSES)), max_size=4)),
    )
