"""Training of the tariff matcher: learn what a year can bring, judge advice by a back-test, and put both together."""

from collections.abc import Sequence

import pandas as pd

from ml.bundle import DataWindow, TrainingResult, fingerprint_frames
from ml.columns import AS_OF_MONTH, CUSTOMER_KEY, names
from ml.evaluation import Evaluation
from ml.tariff_matching import plots
from ml.tariff_matching.backtest import Fitted, Origin, fit_and_judge, learning_customers, longest_origin, other_origins
from ml.tariff_matching.card import MODEL_CARD
from ml.tariff_matching.config import TariffMatchingConfig
from ml.tariff_matching.evaluation import holdout_frame, judged_metrics, tables
from ml.tariff_matching.features import (
    CubeRows,
    as_load_cube,
    classless_sentence,
    latest_rows,
    prepare_features,
    rows_at,
)
from ml.tariff_matching.model import TariffMatchingModel, tariffs_of
from ml.tariff_matching.schema import FEATURES
from ml.tariff_matching.sufficiency import USE_CASE, check_sufficiency, customers_without_load
from ml.tariff_matching.weather import DistrictWeather
from ml.tariffs.catalogue import Catalogue
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.schema import Tariff


def train(
    features: pd.DataFrame,
    cube: CubeRows,
    catalogue: Catalogue | Sequence[Tariff],
    *,
    config: TariffMatchingConfig | None = None,
    seed: int = 7,
    data_fingerprint: str | None = None,
    interval_amounts: pd.DataFrame | None = None,
    weather: DistrictWeather | None = None,
) -> TrainingResult:
    """Train a tariff matcher.

    Args:
        features: Rows of ``customer_tariff_features``, all as-of months.
        cube: Rows of ``customer_load_cube``, or a load cube.
        catalogue: Tariffs on offer, in one currency.
        config: Settings.
        seed: Seed of the bootstrap; nothing else is random.
        data_fingerprint: Hash of the training data; computed when absent.
        interval_amounts: Monthly bills of tariffs that need interval prices (customer_key, month, tariff_id, amount).
        weather: Temperatures of the districts, where they are known.

    Raises:
        InsufficientDataError: The data does not suffice; the message says what is missing.
    """
    config = config or TariffMatchingConfig()
    tariffs = tariffs_of(catalogue)
    cube = as_load_cube(cube) if len(cube) else cube
    sufficiency = check_sufficiency(features, cube, tariffs, config=config, interval_amounts=interval_amounts)
    sufficiency.require()
    loads = as_load_cube(cube)
    origin = longest_origin(loads.months, config)
    prepared = prepare_features(features)
    learning, *others = (
        learning_customers(rows_at(prepared, one.decision_month), loads, one, config, interval_amounts)
        for one in (origin, *other_origins(loads.months, origin, config))
    )
    fitted = fit_and_judge(
        learning,
        loads,
        tariffs,
        origin,
        config,
        interval_amounts,
        weather or DistrictWeather(),
        list(zip(other_origins(loads.months, origin, config), others, strict=True)),
    )
    model = TariffMatchingModel(config, tariffs, fitted.forecast)
    key_metric, metrics, baselines, criteria = judged_metrics(fitted, config, seed, currency=tariffs[0].currency)
    latest = latest_rows(prepared)
    predictions = model.predict(latest, loads, interval_amounts=interval_amounts)
    evaluation = Evaluation(
        use_case=USE_CASE,
        holdout_description=_holdout_description(fitted),
        key_metric=key_metric,
        metrics=tuple(metrics),
        baselines=tuple(baselines),
        criteria=tuple(criteria),
        sufficiency=sufficiency,
        tables=tables(fitted, config),
        notes=_notes(latest, loads, tariffs, fitted.point_name, origin, config),
    )
    context = [name for name in (CUSTOMER_KEY, AS_OF_MONTH, "district") if name in latest.columns]
    reference = pd.concat([latest[[*context, *names(FEATURES)]], predictions.drop(columns=CUSTOMER_KEY)], axis=1)
    return TrainingResult(
        use_case=USE_CASE,
        model=model,
        evaluation=evaluation,
        reference=reference,
        holdout=holdout_frame(learning, loads, origin, config),
        plots={
            "back_test.png": plots.back_test_bars(metrics),
            "savings.png": plots.saving_distribution(fitted),
            "coverage.png": plots.interval_coverage(metrics, config),
        },
        model_card=MODEL_CARD.model_copy(update={"currency": tariffs[0].currency}),
        config=config,
        seed=seed,
        data_window=DataWindow(first_month=loads.months[0], last_month=loads.months[-1]),
        data_fingerprint=data_fingerprint or _fingerprint(prepared, loads),
        rows={
            "customers": len(latest),
            "learned_from": len(learning.features),
            "judged": len(fitted.back_test.rows),
        },
    )


def _fingerprint(prepared: pd.DataFrame, loads: LoadCube) -> str:
    months = pd.DataFrame(
        {
            CUSTOMER_KEY: loads.customer_keys.astype(str),
            "kwh": loads.kwh.sum(axis=(1, 2, 3)),
            "peak_kw": loads.peak_kw.sum(axis=(1, 2, 3)),
        }
    )
    ordered = prepared.sort_values([CUSTOMER_KEY, AS_OF_MONTH], kind="stable")
    return fingerprint_frames({"customer_tariff_features": ordered, "customer_load_cube": months})


def _holdout_description(fitted: Fitted) -> str:
    main = fitted.main.origin
    months = sorted(one.origin.decision_month for one in (fitted.main, *fitted.others))
    others = f" and at {len(fitted.others)} more months from {months[0]:%Y-%m} to {months[-1]:%Y-%m}"
    customers_count = fitted.back_test.rows[CUSTOMER_KEY].nunique()
    return (
        f"Decided at the end of {main.decision_month:%Y-%m} on {main.history_months} months of readings"
        f"{others if fitted.others else ''}, by forecasts learned from other customers; the exact bills of the "
        f"{main.horizon_months} months to {main.last_month:%Y-%m} (or as many as were left) were then paid "
        f"({customers_count:,} customers with a known tariff and an alternative)."
    )


def _notes(
    latest: pd.DataFrame,
    loads: LoadCube,
    tariffs: Sequence[Tariff],
    point_name: str,
    origin: Origin,
    config: TariffMatchingConfig,
) -> tuple[str, ...]:
    notes = [
        f"The load forecast in use is “{point_name.replace('_', ' ')}”: on later months of customers not seen it was "
        "the nearest of the three.",
        "There is one held-out year for the intervals of a year: they are judged on customers who took no part in "
        "scenarios and widths, while others of the same year did. What all had in common that year was taken out.",
    ]
    if origin.history_months + origin.horizon_months < config.history_months + config.horizon_months:
        notes.append(
            f"The history is short: the back-test decides on {origin.history_months} and pays {origin.horizon_months} "
            "months, so the seasons before and after the decision differ."
        )
    if classless := classless_sentence(latest):
        notes.append(classless)
    without_load = customers_without_load(latest, loads)
    if without_load:
        notes.append(
            f"{without_load:,} customers have no interval load: theirs is estimated from similar customers and marked."
        )
    unverified = [tariff.tariff_id for tariff in tariffs if not tariff.is_verified]
    if unverified:
        notes.append(
            f"{len(unverified)} of {len(tariffs)} tariffs hold prices that are not verified "
            f"({', '.join(unverified[:4])}{', …' if len(unverified) > 4 else ''}): for demonstration, not for promises."
        )
    return tuple(notes)
