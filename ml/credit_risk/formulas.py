"""What each feature of credit risk is computed from, as formulae, and the table of the features for the documentation.

Bills have a positive amount and are known at the as-of instant; the last day of the as-of month is *E*.

- ``D3, D6, D12``: bills due on or before *E* in the last 3, 6, 12 months; ``I12``: bills issued in the last 12 months.
- ``amount``: what was billed. ``paid(d)``: what was paid towards a bill by the end of day *d* and not taken back, at
  most its amount. ``settled``: the same as known today. ``money``: ``settled`` without what was carried over to a later
  bill.
- ``late``: a bill for which ``paid(due) < amount``. ``days_late``: days from the due date to the day since which a bill
  is covered, or to *E* while it is not; 0 when paid in time.
- ``mean_bill``: ``sum(amount) / count`` over ``I12``.
"""

from ml.columns import Column
from ml.credit_risk.schema import DIMENSIONS, FEATURES

FORMULAS = {
    "recovery_rate_due_3m_pct": "100 · Σ paid(due) / Σ amount over D3",
    "recovery_rate_due_6m_pct": "100 · Σ paid(due) / Σ amount over D6",
    "recovery_rate_due_12m_pct": "100 · Σ paid(due) / Σ amount over D12",
    "recovery_rate_30d_6m_pct": "100 · Σ paid(due + 30 d) / Σ amount over D6 with due + 30 d ≤ E",
    "recovery_rate_30d_12m_pct": "100 · Σ paid(due + 30 d) / Σ amount over D12 with due + 30 d ≤ E",
    "money_received_3m_pct": "100 · Σ money / Σ amount over D3",
    "money_received_6m_pct": "100 · Σ money / Σ amount over D6",
    "money_received_12m_pct": "100 · Σ money / Σ amount over D12",
    "lowest_money_received_12m_pct": "min(100 · money / amount) over D12",
    "unpaid_balance_ratio": "Σ (amount − settled) over bills due by E / mean_bill",
    "open_balance_ratio": "Σ (amount − settled) over all bills / mean_bill",
    "on_time_share_12m_pct": "100 · (count − count late) / count over D12",
    "late_bills_3m_count": "count late over D3",
    "late_bills_6m_count": "count late over D6",
    "late_bills_12m_count": "count late over D12",
    "months_since_late_bill_months": "min(months from due to E) over late bills of D12",
    "mean_days_late_3m_days": "Σ days_late / count over D3",
    "mean_days_late_6m_days": "Σ days_late / count over D6",
    "mean_days_late_12m_days": "Σ days_late / count over D12",
    "max_days_late_3m_days": "max(days_late) over D3",
    "max_days_late_6m_days": "max(days_late) over D6",
    "max_days_late_12m_days": "max(days_late) over D12",
    "oldest_debt_days": "max(E − due) over bills due by E with settled < amount, else 0",
    "days_late_trend_days": "mean(days_late) over D3 − mean(days_late) over D12",
    "partial_payments_3m_count": "count over D3 with more than one payment",
    "partial_payments_6m_count": "count over D6 with more than one payment",
    "partial_payments_12m_count": "count over D12 with more than one payment",
    "monthly_kwh_cv_3m": "standard deviation / mean of monthly energy, 3 months",
    "monthly_kwh_cv_6m": "standard deviation / mean of monthly energy, 6 months",
    "monthly_kwh_cv_12m": "standard deviation / mean of monthly energy, 12 months",
    "kwh_change_yoy_pct": "100 · (energy of 3 months / energy of the same months a year before − 1)",
    "load_factor_3m": "mean power / peak power, 3 months",
    "load_factor_6m": "mean power / peak power, 6 months",
    "load_factor_12m": "mean power / peak power, 12 months",
    "zero_load_days_3m_count": "count of days with readings and no energy, 3 months",
    "zero_load_days_6m_count": "count of days with readings and no energy, 6 months",
    "zero_load_days_12m_count": "count of days with readings and no energy, 12 months",
    "capacity_utilisation_3m_pct": "100 · peak power of 3 months / contracted capacity",
    "capacity_utilisation_6m_pct": "100 · peak power of 6 months / contracted capacity",
    "capacity_utilisation_12m_pct": "100 · peak power of 12 months / contracted capacity",
    "overdue_30d_bills_3m_count": "count over D3 with due + 30 d ≤ E and paid(due + 30 d) < amount",
    "overdue_30d_bills_6m_count": "count over D6 with due + 30 d ≤ E and paid(due + 30 d) < amount",
    "overdue_30d_bills_12m_count": "count over D12 with due + 30 d ≤ E and paid(due + 30 d) < amount",
    "months_since_overdue_30d_months": "min(months from due + 30 d to E, up to 11) where paid(due + 30 d) < amount",
    "credit_limit_utilisation_pct": "100 · Σ (amount − settled) over all bills / credit limit",
    "mean_bill_to_credit_limit_pct": "100 · mean_bill / credit limit",
    "returned_payments_3m_count": "count of payments taken back after which less than amount was paid, over D3",
    "returned_payments_6m_count": "count of payments taken back after which less than amount was paid, over D6",
    "returned_payments_12m_count": "count of payments taken back after which less than amount was paid, over D12",
    "confirmed_breaches_24m_count": "count of inspections with outcome theft or tampering, 24 months",
    "tenure_months": "as-of month − month of registered_date",
    "contacts_3m_count": "count of service contacts opened, 3 months",
    "contacts_6m_count": "count of service contacts opened, 6 months",
    "contacts_12m_count": "count of service contacts opened, 12 months",
    "billing_contacts_3m_count": "count of those with a topic of `billing_topics` in `dbt_project.yml`, 3 months",
    "billing_contacts_6m_count": "count of those with a topic of `billing_topics` in `dbt_project.yml`, 6 months",
    "billing_contacts_12m_count": "count of those with a topic of `billing_topics` in `dbt_project.yml`, 12 months",
    "mean_satisfaction_12m": "mean of satisfaction over contacts with an answer, 12 months",
    "customer_class": "as delivered",
    "mean_bill_12m_amount": "mean_bill",
    "bills_12m_count": "count over I12",
    "contract_capacity_kva": "as delivered",
    "credit_limit_amount": "as delivered",
}
"""Formula by name of the column; the symbols are those of this module's docstring."""

_DIRECTIONS = {1: "rises", -1: "falls", 0: "either"}


def feature_table() -> str:
    """Return the features as one Markdown table per dimension.

    Direction says what the probability of default may do when the value rises.
    """
    return "\n\n".join(_table_of(dimension) for dimension in DIMENSIONS)


def _table_of(dimension: str) -> str:
    title, title_zh = DIMENSIONS[dimension]
    rows = [_row(column) for column in FEATURES if column.dimension == dimension]
    return "\n".join(
        [
            f"**{title[0].upper()}{title[1:]}** ({title_zh})",
            "",
            "| feature | formula | unit | risk |",
            "| --- | --- | --- | --- |",
            *rows,
        ]
    )


def _row(column: Column) -> str:
    unit = column.unit or ("" if column.kind == "categorical" else "1")
    return f"| `{column.name}` | {FORMULAS[column.name]} | {unit} | {_DIRECTIONS[column.monotone]} |"
