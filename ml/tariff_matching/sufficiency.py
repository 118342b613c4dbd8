"""Whether the marts and the catalogue can support tariff advice, said in words before anything is learned."""

from collections.abc import Sequence

import pandas as pd

from ml.columns import CUSTOMER_KEY
from ml.sufficiency import Finding, SufficiencyReport
from ml.tariff_matching.backtest import choose_origin, learning_customers
from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.features import (
    CubeRows,
    as_load_cube,
    classless_sentence,
    is_among,
    latest_rows,
    prepare_features,
    rows_at,
)
from ml.tariff_matching.offers import build_situation
from ml.tariffs.catalogue import Catalogue
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.schema import Tariff
from ml.wording import plural

USE_CASE = "tariff_matching"


def check_sufficiency(
    features: pd.DataFrame,
    cube: CubeRows,
    catalogue: Catalogue | Sequence[Tariff],
    *,
    config: TariffMatchingConfig | None = None,
    interval_amounts: pd.DataFrame | None = None,
) -> SufficiencyReport:
    """Return what the inputs have and lack.

    Customers without ``customer_class`` are counted and named; they neither help nor stop the others.

    Args:
        features: Rows of ``customer_tariff_features``.
        cube: Rows of ``customer_load_cube``.
        catalogue: Tariffs on offer.
        config: Settings.
        interval_amounts: Bills of tariffs that need interval prices.
    """
    config = config or TariffMatchingConfig()
    tariffs = list(catalogue.tariffs if isinstance(catalogue, Catalogue) else catalogue)
    prepared = prepare_features(features)
    latest = latest_rows(prepared)
    classed_count = int(latest["customer_class"].notna().sum())
    classless = f" {sentence}" if (sentence := classless_sentence(latest)) else ""
    rows_count = len(cube) if not isinstance(cube, LoadCube) else len(cube.customer_keys)
    findings = [
        Finding.at_least(
            "tariffs",
            len(tariffs),
            2,
            missing="A choice needs at least two tariffs: deliver tariffs or use the catalogue.",
        ),
        Finding.at_least(
            "customers",
            classed_count,
            config.minimum_customers_count,
            missing=f"There are {classed_count} customers with customer_class, {config.minimum_customers_count} are "
            f"needed.{classless}",
            met=f"There are {classed_count} customers with customer_class.{classless}",
        ),
        Finding.at_least(
            "load_cube",
            rows_count,
            1,
            missing="There are no interval loads: deliver meters and meter_readings of 60 minutes or shorter.",
            met="Interval loads are there.",
        ),
    ]
    if not all(finding.passed for finding in findings):
        return SufficiencyReport.of(USE_CASE, findings)
    loads = as_load_cube(cube)
    origin = choose_origin(loads.months, config)
    needed = 2 * config.backtest_months_min_count
    findings.append(
        Finding(
            check="months_of_load",
            found=plural(len(loads.months), "month"),
            required=f"at least {needed}, {config.history_months + config.horizon_months} for a full back-test",
            passed=origin is not None,
            message=f"The loads span {plural(len(loads.months), 'month')}; advice is judged by deciding at a past "
            f"month and paying the bills after it, which needs at least {needed} months: deliver a longer history of "
            "readings."
            if origin is None
            else f"The back-test decides at the end of {origin.decision_month:%Y-%m} on {origin.history_months} months "
            f"and pays the bills of the {origin.horizon_months} months after it"
            + (
                ""
                if origin.horizon_months + origin.history_months >= config.history_months + config.horizon_months
                else "; less than two years, so seasons are not the same before and after"
            )
            + ".",
        )
    )
    if origin is None:
        return SufficiencyReport.of(USE_CASE, findings)
    learning = learning_customers(rows_at(prepared, origin.decision_month), loads, origin, config, interval_amounts)
    findings.append(
        Finding.at_least(
            "complete_loads",
            len(learning.features),
            config.minimum_customers_count,
            missing=f"Only {len(learning.features)} customers were read well enough before and after "
            f"{origin.decision_month:%Y-%m}; {config.minimum_customers_count} are needed: deliver more customers, or "
            "the missing readings.",
        )
    )
    if not len(learning.features):
        return SufficiencyReport.of(USE_CASE, findings)
    situation = build_situation(
        learning.features,
        loads,
        tariffs,
        origin.decision_month,
        config,
        interval_amounts,
        history_months=origin.history_months,
        horizon_months=origin.horizon_months,
    )
    has_choice = (situation.is_offered.sum(axis=1) >= 2) & (situation.current >= 0)
    unknown = sorted({str(name) for name in learning.features.loc[situation.current < 0, "tariff_id"]})
    known_ids = {tariff.tariff_id for tariff in tariffs}
    unlisted = [name for name in unknown if name not in known_ids]
    findings.append(
        Finding.at_least(
            "customers_with_a_choice",
            int(has_choice.sum()),
            config.minimum_customers_count,
            missing=f"Only {int(has_choice.sum())} customers are on a tariff of the catalogue and may take another "
            f"that can be priced; {config.minimum_customers_count} are needed."
            + (f" Not in the catalogue: {', '.join(unlisted[:5])}." if unlisted else "")
            + "".join(f" {entry.tariff_id}: {entry.reason}." for entry in situation.unpriced[:5])
            + " Deliver the tariffs and the facts that eligibility asks for (class, voltage, supply route, capacity).",
            met=f"{int(has_choice.sum())} customers are on a known tariff and have an alternative.",
        )
    )
    return SufficiencyReport.of(USE_CASE, findings)


def customers_without_load(features: pd.DataFrame, cube: LoadCube) -> int:
    """Return how many customers have no interval load at all."""
    return int((~is_among(features[CUSTOMER_KEY].to_numpy(dtype=object), cube.customer_keys)).sum())
