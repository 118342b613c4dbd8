"""The dry run of a policy over past months: who would have been affected, how often wrongly, and at what cost.

Every customer and month is decided as the policy would have decided then, with what was known then. A measure is new
when the customer had none of its kind that still held. Whether it was right is told by what happened afterwards, where
that is known: a burden on a customer who then paid is a false alarm, a place on the red list of one who did not is too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from ml.columns import AS_OF_MONTH, CUSTOMER_KEY
from ml.credit_risk.labels import LABEL
from ml.credit_risk.policy import case_of, decide
from ml.credit_risk.policy_schema import HARSHNESS, CreditPolicy
from ml.credit_risk.rating import rating_of
from ml.credit_risk.register import NOTHING_ON_RECORD, CustomerStanding
from ml.errors import InsufficientDataError, SchemaMismatchError
from ml.evaluation import bootstrap, weighted_mean
from ml.splits import month_start

HANDLING_COST_AMOUNTS: Mapping[str, float] = {
    "red_list": 2.0,
    "reminder": 0.5,
    "instalment_plan": 10.0,
    "deposit": 20.0,
    "prepayment": 20.0,
    "black_list": 50.0,
}
"""What one new measure costs the supplier in work: an assumption, shown with the result."""

GROUP_COLUMNS = ("customer_class", "district")
_MEASURE_COLUMNS = (
    "kind",
    "customers_count",
    "customers_share",
    "new_count",
    "in_default_count",
    "judged_count",
    "wrong_count",
    "wrong_share",
    "wrong_share_lower",
    "wrong_share_upper",
    "asked_amount",
    "asked_of_payers_amount",
    "defaulted_exposure_amount",
    "handling_cost_amount",
)
_REQUIRED = (CUSTOMER_KEY, AS_OF_MONTH, "default_probability", "credit_rating")
_REPLICATES = 200

IN_DEFAULT = "is_in_default"
"""Whether a bill was unpaid past the limit already: then nothing is left to predict, and the measure is not judged."""

StandingOf = Callable[[str, date], CustomerStanding]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a policy would have done.

    Attributes:
        policy: The policy.
        months: As-of months, oldest first.
        customers_count: Customers in these months.
        measures: One row per kind of measure: customers and measures, false alarms with their interval, money, cost.
        rules: One row per rule: customers and how many of the judged paid.
        groups: One row per group (class, district): share of customers with a burden, and false alarms among them.
        monthly: One row per month: customers, new measures by kind.
        withheld: One row per kind and reason: how often a protection, an appeal or a lack of data spared a customer.
        rows: One row per customer, month and measure.
        missed: Defaulters without any burden: ``snapshots``, ``defaults``, ``missed`` and ``missed_amount``.
        trained_until: Last month on which the model was trained; its scores up to there are flattering.
    """

    policy: CreditPolicy
    months: tuple[date, ...]
    customers_count: int
    measures: pd.DataFrame
    rules: pd.DataFrame
    groups: pd.DataFrame
    monthly: pd.DataFrame
    withheld: pd.DataFrame
    rows: pd.DataFrame
    missed: Mapping[str, float]
    trained_until: date | None


def rehearse(
    policy: CreditPolicy,
    snapshots: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    standing_of: StandingOf = lambda _key, _day: NOTHING_ON_RECORD,
    trained_until: date | None = None,
    handling_cost_amounts: Mapping[str, float] = HANDLING_COST_AMOUNTS,
    seed: int = 0,
) -> Rehearsal:
    """Decide every snapshot as the policy would have, and judge the measures by what happened.

    Args:
        policy: The policy; its version of today is applied to every month.
        snapshots: Features with ``default_probability``, ``credit_rating`` and, where the months before are known,
            ``rating_in_force``; one row per customer and month.
        outcomes: Rows of ``marts.customer_credit_outcomes``.
        standing_of: What is on record of a customer on a day.
        trained_until: Last month on which the model was trained.
        handling_cost_amounts: Cost of the work of one new measure by kind.
        seed: Seed of the intervals.

    Raises:
        InsufficientDataError: There is no snapshot.
        SchemaMismatchError: A column is missing.
    """
    missing = [name for name in _REQUIRED if name not in snapshots.columns]
    if missing:
        raise SchemaMismatchError(f"The scored snapshots lack the columns {', '.join(missing)}.")
    if snapshots.empty:
        raise InsufficientDataError("No month holds a scored customer, so there is nothing to rehearse a policy on.")
    decided = _decided(policy, _labelled(snapshots, outcomes), standing_of)
    months = tuple(sorted(set(decided.snapshots[AS_OF_MONTH])))
    return Rehearsal(
        policy=policy,
        months=months,
        customers_count=int(decided.snapshots[CUSTOMER_KEY].nunique()),
        measures=_by_kind(decided.rows, decided.snapshots, handling_cost_amounts, seed),
        rules=_by_rule(policy, decided.rules),
        groups=_by_group(decided.rows, decided.snapshots),
        monthly=_by_month(decided.rows, decided.snapshots),
        withheld=_withheld(decided.withheld),
        rows=decided.rows,
        missed=_missed(decided.rows, decided.snapshots),
        trained_until=trained_until,
    )


@dataclass(frozen=True, slots=True)
class _Decided:
    snapshots: pd.DataFrame
    rows: pd.DataFrame
    rules: pd.DataFrame
    withheld: pd.DataFrame


def _labelled(snapshots: pd.DataFrame, outcomes: pd.DataFrame) -> pd.DataFrame:
    """Return the snapshots with ``is_default`` where the outcome is known and nothing excludes the customer."""
    is_known = outcomes["is_mature"].eq(True) & outcomes["exclusion"].isna()
    labels = pd.DataFrame(
        {
            CUSTOMER_KEY: outcomes[CUSTOMER_KEY],
            AS_OF_MONTH: [month_start(month) for month in outcomes[AS_OF_MONTH]],
            LABEL: outcomes[LABEL].astype("boolean").where(is_known),
            IN_DEFAULT: outcomes["exclusion"].eq("in_default").fillna(False).astype(bool),
        }
    )
    rows = snapshots.drop(columns=[LABEL], errors="ignore").copy()
    rows[AS_OF_MONTH] = [month_start(month) for month in rows[AS_OF_MONTH]]
    rows = rows.merge(labels, on=[CUSTOMER_KEY, AS_OF_MONTH], how="left", validate="one_to_one")
    rows[IN_DEFAULT] = rows[IN_DEFAULT].eq(True)
    return rows.sort_values([AS_OF_MONTH, CUSTOMER_KEY], kind="stable", ignore_index=True)


def _decided(policy: CreditPolicy, snapshots: pd.DataFrame, standing_of: StandingOf) -> _Decided:
    held_until: dict[tuple[str, str], date] = {}
    rows: list[dict[str, Any]] = []
    fired: list[dict[str, Any]] = []
    spared: list[dict[str, Any]] = []
    exposures: list[float] = []
    for record in snapshots.to_dict("records"):
        features = {str(name): value for name, value in record.items()}
        key, day = str(features[CUSTOMER_KEY]), _as_of_day(features)
        case = case_of(
            features,
            probability=float(features["default_probability"]),
            rating=rating_of(features),
            policy=policy,
            as_of=day,
            standing=standing_of(key, day),
        )
        exposures.append(case.exposure_amount)
        outcome = decide(policy, case, day)
        context = {
            CUSTOMER_KEY: key,
            AS_OF_MONTH: features[AS_OF_MONTH],
            "customer_class": features.get("customer_class"),
            "district": features.get("district"),
            LABEL: features[LABEL],
            IN_DEFAULT: features[IN_DEFAULT],
            "exposure_amount": case.exposure_amount,
        }
        for one in outcome.measures:
            is_new = day >= held_until.get((key, one.kind), date.min)
            if is_new:
                held_until[key, one.kind] = one.expires_on
            rows.append(
                {
                    **context,
                    "kind": one.kind,
                    "is_new": is_new,
                    "amount": one.amount,
                    "expires_on": one.expires_on,
                    "rule_ids": ",".join(one.rule_ids),
                }
            )
        fired += [{**context, "rule_id": rule.rule_id} for rule in outcome.rules]
        spared += [{**context, "kind": one.kind, "reason_code": one.reason_code} for one in outcome.withheld]
    context_columns = [CUSTOMER_KEY, AS_OF_MONTH, "customer_class", "district", LABEL, IN_DEFAULT, "exposure_amount"]
    return _Decided(
        snapshots=snapshots.assign(exposure_amount=exposures),
        rows=_frame(rows, [*context_columns, "kind", "is_new", "amount", "expires_on", "rule_ids"]),
        rules=_frame(fired, [*context_columns, "rule_id"]),
        withheld=_frame(spared, [*context_columns, "kind", "reason_code"]),
    )


def _frame(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=columns)
    # Without a row every column would be of objects, by which nothing can be chosen.
    return frame.astype({LABEL: "boolean", IN_DEFAULT: "bool"} | ({"is_new": "bool"} if "is_new" in columns else {}))


def _as_of_day(features: Mapping[str, Any]) -> date:
    """Return the day on which the snapshot was known; without one, the first day after its month."""
    instant = features.get("as_of_at")
    if isinstance(instant, pd.Timestamp):
        return instant.date()
    month: date = features[AS_OF_MONTH]
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def _by_kind(rows: pd.DataFrame, snapshots: pd.DataFrame, costs: Mapping[str, float], seed: int) -> pd.DataFrame:
    customers = snapshots[CUSTOMER_KEY].nunique()
    table = []
    for kind in sorted(HARSHNESS, key=lambda name: -HARSHNESS[name]):
        own = rows[rows["kind"] == kind]
        if own.empty:
            continue
        new = own[own["is_new"]]
        judged = new[new[LABEL].notna()]
        is_wrong = (judged[LABEL] if kind == "red_list" else ~judged[LABEL]).to_numpy(dtype=bool)
        share, lower, upper = bootstrap(
            {"share": weighted_mean(is_wrong)}, judged[CUSTOMER_KEY].to_numpy(), replicates=_REPLICATES, seed=seed
        )["share"]
        table.append(
            {
                "kind": kind,
                "customers_count": own[CUSTOMER_KEY].nunique(),
                "customers_share": own[CUSTOMER_KEY].nunique() / customers,
                "new_count": len(new),
                "in_default_count": int(new[IN_DEFAULT].sum()),
                "judged_count": len(judged),
                "wrong_count": int(is_wrong.sum()),
                "wrong_share": share,
                "wrong_share_lower": lower,
                "wrong_share_upper": upper,
                "asked_amount": float(new["amount"].sum()),
                "asked_of_payers_amount": float(judged.loc[is_wrong, "amount"].sum()) if kind != "red_list" else 0.0,
                "defaulted_exposure_amount": float(
                    judged.loc[judged[LABEL].to_numpy(dtype=bool), "exposure_amount"].sum()
                ),
                "handling_cost_amount": len(new) * costs.get(kind, 0.0),
            }
        )
    return pd.DataFrame(table, columns=_MEASURE_COLUMNS)


def _by_rule(policy: CreditPolicy, fired: pd.DataFrame) -> pd.DataFrame:
    table = []
    for rule in policy.rules:
        own = fired[fired["rule_id"] == rule.rule_id]
        judged = own[own[LABEL].notna()]
        paid = float((~judged[LABEL]).mean()) if len(judged) else np.nan
        table.append(
            {
                "rule_id": rule.rule_id,
                "name": rule.name,
                "name_zh": rule.name_zh,
                "kind": rule.then.kind,
                "customers_count": own[CUSTOMER_KEY].nunique(),
                "snapshots_count": len(own),
                "judged_count": len(judged),
                "paid_share": paid,
            }
        )
    return pd.DataFrame(table)


def _burdened(rows: pd.DataFrame, snapshots: pd.DataFrame) -> np.ndarray:
    """Return for each snapshot whether a burden (deposit, prepayment, black list) followed."""
    burdens = rows[rows["kind"].map(HARSHNESS).gt(1)]
    keys = set(zip(burdens[CUSTOMER_KEY], burdens[AS_OF_MONTH], strict=True))
    pairs = zip(snapshots[CUSTOMER_KEY].astype(str), snapshots[AS_OF_MONTH], strict=True)
    return np.array([pair in keys for pair in pairs], dtype=bool)


def _by_group(rows: pd.DataFrame, snapshots: pd.DataFrame) -> pd.DataFrame:
    is_burdened = _burdened(rows, snapshots)
    table = []
    for column in (name for name in GROUP_COLUMNS if name in snapshots.columns):
        values = snapshots[column].astype("object").where(snapshots[column].notna(), "unknown").to_numpy()
        for value in sorted(set(values)):
            own = values == value
            paid = own & snapshots[LABEL].eq(False).fillna(False).to_numpy(dtype=bool)
            burdened = snapshots.loc[own & is_burdened, CUSTOMER_KEY].nunique()
            table.append(
                {
                    "group": column,
                    "value": str(value),
                    "customers_count": snapshots.loc[own, CUSTOMER_KEY].nunique(),
                    "burdened_count": burdened,
                    "burdened_share": burdened / snapshots.loc[own, CUSTOMER_KEY].nunique(),
                    "payers_count": int(paid.sum()),
                    "false_alarm_share": float(is_burdened[paid].mean()) if paid.any() else np.nan,
                }
            )
    return pd.DataFrame(table)


def _by_month(rows: pd.DataFrame, snapshots: pd.DataFrame) -> pd.DataFrame:
    table = snapshots.groupby(AS_OF_MONTH)[CUSTOMER_KEY].nunique().rename("customers_count").to_frame()
    new = rows[rows["is_new"]].groupby([AS_OF_MONTH, "kind"]).size().unstack(fill_value=0)
    for kind in HARSHNESS:
        counts = new[kind] if kind in new.columns else pd.Series(dtype=int)
        table[f"{kind}_count"] = counts.reindex(table.index).fillna(0).astype(int)
    return table.reset_index()


def _withheld(spared: pd.DataFrame) -> pd.DataFrame:
    grouped = spared.groupby(["kind", "reason_code"], sort=True)[CUSTOMER_KEY]
    return grouped.agg(snapshots_count="size", customers_count="nunique").reset_index()


def _missed(rows: pd.DataFrame, snapshots: pd.DataFrame) -> dict[str, float]:
    is_burdened = _burdened(rows, snapshots)
    is_default = snapshots[LABEL].fillna(False).to_numpy(dtype=bool)
    missed = is_default & ~is_burdened
    return {
        "snapshots": float(snapshots[LABEL].notna().sum()),
        "defaults": float(is_default.sum()),
        "missed": float(missed.sum()),
        "missed_amount": float(snapshots.loc[missed, "exposure_amount"].sum()),
    }
