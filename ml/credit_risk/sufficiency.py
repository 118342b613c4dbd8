"""Whether bills, payments and outcomes can support a credit-risk model, in words."""

import pandas as pd

from ml.columns import CUSTOMER_KEY, names
from ml.credit_risk.config import CreditRiskConfig
from ml.credit_risk.labels import LABEL, LabelledRows, cut, labelled_rows, thin_parts
from ml.credit_risk.schema import FEATURES
from ml.errors import SchemaMismatchError
from ml.sufficiency import Finding, SufficiencyReport
from ml.wording import exclusion_title

USE_CASE = "credit_risk"


_UNUSUAL_ROWS: dict[tuple[str, str], str] = {
    ("bills", "credit_note_or_empty"): "of zero or less (credit notes)",
    ("bills", "without_payment"): "due without a payment",
    ("bills", "paid_in_parts"): "paid in parts",
    ("bills", "overpaid"): "overpaid or paid twice",
    ("bills", "payment_taken_back"): "with a payment taken back",
    ("bills", "settled_without_money"): "settled without money",
    ("bills", "in_future"): "dated in the future",
    ("bills", "refused"): "refused",
    ("payments", "without_bill"): "for no bill of a positive amount",
    ("payments", "early"): "before the bill",
    ("payments", "negative"): "of money given or taken back",
    ("payments", "in_future"): "dated in the future",
    ("payments", "refused"): "refused",
    ("customers", "one_bill"): "with a single bill",
    ("customers", "no_class"): "without customer_class",
}
"""What is said of the rows of each subject and case of ``marts.credit_unusual_input``."""


def check_sufficiency(
    features: pd.DataFrame,
    outcomes: pd.DataFrame,
    config: CreditRiskConfig | None = None,
    *,
    unusual_input: pd.DataFrame | None = None,
) -> SufficiencyReport:
    """Say whether a model can be trained, and if not, what is missing.

    Args:
        features: Rows of ``marts.customer_credit_features``.
        outcomes: Rows of ``marts.customer_credit_outcomes``.
        config: Demands on the data.
        unusual_input: Rows of ``marts.credit_unusual_input``, which are told and stop nothing.
    """
    config = config or CreditRiskConfig()
    missing = [name for name in names(FEATURES) if name not in features.columns]
    if missing:
        raise SchemaMismatchError(f"marts.customer_credit_features lacks the columns {', '.join(missing)}")
    labelled = labelled_rows(features, outcomes)
    findings = [_bills(features), _payments(features)]
    unusual = [_unusual_input(features)]
    if unusual_input is not None:
        unusual += [_unusual_rows(unusual_input, subject) for subject in ("bills", "payments", "customers")]
    if all(finding.passed for finding in findings):
        findings += _outcomes(labelled, config)
    if all(finding.passed for finding in findings):
        findings.append(_parts(labelled, config))
    return SufficiencyReport.of(USE_CASE, [*findings, *unusual])


def _bills(features: pd.DataFrame) -> Finding:
    billed = int((features["bills_12m_count"].fillna(0) > 0).sum())
    return Finding.at_least(
        "bills",
        billed,
        1,
        missing="There are no bills, so nothing can be late: deliver the entity bills with issued_date and due_date.",
        met=f"{billed:,} snapshots have bills behind them.",
    )


def _payments(features: pd.DataFrame) -> Finding:
    """Without payments every bill looks unpaid; a share of zero in every snapshot tells it."""
    columns = ["recovery_rate_due_12m_pct", "recovery_rate_30d_12m_pct", "on_time_share_12m_pct"]
    paid = int((features[columns].fillna(0) > 0).any(axis=1).sum())
    return Finding.at_least(
        "payments",
        paid,
        1,
        missing="There are no payments, so it is not known which bills were paid: deliver the entity payments with "
        "bill_id, paid_date and amount.",
        met=f"{paid:,} snapshots have payments behind them.",
    )


def _unusual_input(features: pd.DataFrame) -> Finding:
    """Count what is lawful and rare in good data; it stops nothing, and much of it says that a mapping is wrong."""
    billed = features["bills_12m_count"].fillna(0)
    counts = {
        "have no bill of a positive amount in 12 months": billed == 0,
        "rest on a single bill": billed == 1,
        "have bills due and no money for them": features["money_received_12m_pct"] == 0,
        "have bills that were paid in several parts": features["partial_payments_12m_count"].fillna(0) > 0,
        "have bills that were settled without money, or are unpaid": features["money_received_12m_pct"] < 100,
        "are of customers without customer_class": features["customer_class"].isna(),
    }
    told = [f"{int(rows.sum()):,} {words}" for words, rows in counts.items() if rows.any()]
    return Finding(
        check="unusual_input",
        found="; ".join(told) or "nothing",
        required="known, not limited",
        passed=True,
        message=f"Of {len(features):,} snapshots {', '.join(told)}." if told else "No snapshot rests on unusual input.",
    )


def _unusual_rows(counts: pd.DataFrame, subject: str) -> Finding:
    """Say how many rows of a subject are unusual, and name the cases that do not occur."""
    found = {
        (row["subject"], row["case_code"]): (
            int(row["rows_count"]),
            int(row["customers_count"]),
            int(row["of_rows_count"]),
        )
        for row in counts.to_dict("records")
    }
    told, absent, looked_at = [], [], 0
    for case, words in _UNUSUAL_ROWS.items():
        if case[0] != subject:
            continue
        rows, customers, of_rows = found.get(case, (0, 0, 0))
        looked_at = max(looked_at, of_rows)
        if rows:
            of_customers = f" (customers: {customers:,})" if customers and subject != "customers" else ""
            told.append(f"{rows:,} {words}{of_customers}")
        else:
            absent.append(words)
    message = f"Of {looked_at:,} {subject}: {', '.join(told) or 'none is unusual'}."
    if told and absent:
        message += f" None: {', '.join(absent)}."
    return Finding(
        check=f"unusual_{subject}",
        found="; ".join(told) or "nothing",
        required="known, not limited",
        passed=True,
        message=message,
    )


def _outcomes(labelled: LabelledRows, config: CreditRiskConfig) -> list[Finding]:
    rows = labelled.rows
    months = labelled.months
    span = f"{months[0]:%Y-%m} to {months[-1]:%Y-%m}" if months else "none"
    findings = [
        Finding.at_least(
            "mature_months",
            len(months),
            1,
            missing=f"No snapshot has a known outcome yet: {labelled.immature:,} are waiting for the end of their "
            f"outcome window{_exclusions(labelled)}. Deliver more months of bills and payments.",
            met=f"{len(months)} as-of months have known outcomes ({span}); {labelled.immature:,} snapshots are still "
            f"waiting for theirs{_exclusions(labelled)}.",
        )
    ]
    if not months:
        return findings
    customers = rows[CUSTOMER_KEY].nunique()
    findings.append(
        Finding.at_least(
            "customers",
            customers,
            config.minimum_customers,
            missing=f"Only {customers:,} customers have a known outcome; {config.minimum_customers:,} are needed.",
        )
    )
    findings.append(
        Finding.at_least(
            "labelled_snapshots",
            len(rows),
            config.minimum_labelled_rows,
            missing=f"Only {len(rows):,} snapshots have a known outcome; {config.minimum_labelled_rows:,} are needed.",
        )
    )
    for name, word, chosen in (
        ("defaults", "defaults", rows[rows[LABEL]]),
        ("good_payers", "snapshots without a default", rows[~rows[LABEL]]),
    ):
        people = chosen[CUSTOMER_KEY].nunique()
        enough = people >= config.minimum_class_customers
        counted = f"{len(chosen):,} {word} of {people:,} customers"
        needed = f"{config.minimum_class_rows:,} of at least {config.minimum_class_customers:,} customers"
        lead = f"There are no {word}" if chosen.empty else f"There are only {counted}"
        findings.append(
            Finding(
                check=name,
                found=counted,
                required=f"at least {needed}",
                passed=enough and len(chosen) >= config.minimum_class_rows,
                message=f"There are {counted}."
                if enough and len(chosen) >= config.minimum_class_rows
                else f"{lead} among {len(rows):,} snapshots; {needed} are needed, because a model learns from both "
                "outcomes.",
            )
        )
    return findings


def _parts(labelled: LabelledRows, config: CreditRiskConfig) -> Finding:
    made = cut(labelled.rows, config)
    short = thin_parts(made.parts, config)
    return Finding(
        check="parts",
        found=short or f"cut by {made.kind}",
        required=f"{config.minimum_part_class_rows} snapshots of each outcome in every part",
        passed=not short,
        message=f"Cut into parts, too little remains: {short}." if short else made.sentence(),
    )


def _exclusions(labelled: LabelledRows) -> str:
    if not labelled.excluded:
        return ""
    excluded = labelled.excluded.items()
    return ", " + ", ".join(f"{count:,} are excluded ({exclusion_title(reason).en})" for reason, count in excluded)
