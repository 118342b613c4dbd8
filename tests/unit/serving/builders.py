"""Small honest bundles, releases and feature tables, made in milliseconds without a training run."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import xgboost as xgb

from ml.bundle import BundleManifest, DataWindow, write_bundle
from ml.calibration import Calibrator
from ml.columns import AS_OF_MONTH, CUSTOMER_KEY, Column
from ml.credit_risk.features import MATRIX_NAMES, MONOTONE, to_matrix
from ml.credit_risk.model import CreditRiskModel, ModelSettings
from ml.credit_risk.schema import FEATURES as CREDIT_RISK_FEATURES
from ml.credit_risk.woe_scorecard import Bin, Characteristic, WoeScorecard
from ml.evaluation import Evaluation, Metric
from ml.gate import Criterion, GateDecision
from ml.model_card import ModelCard
from ml.segmentation.config import SegmentationConfig
from ml.segmentation.model import Segment, SegmentationModel, ValueThresholds, shapeless_segments
from ml.segmentation.schema import FEATURES as SEGMENTATION_FEATURES
from ml.segmentation.schema import SHAPE_COLUMNS
from ml.sufficiency import Finding, SufficiencyReport
from ml.tariff_matching.training import train
from ml.tariffs.catalogue import load_catalogue
from ml.wording import Bilingual
from serving.identity import customer_key
from serving.model_store import ModelStore, ReleaseManifest
from serving.settings import DEVELOPMENT_PSEUDONYM_KEY

MONTH = date(2026, 8, 1)
FEATURES_BY_USE_CASE = {"segmentation": SEGMENTATION_FEATURES, "credit_risk": CREDIT_RISK_FEATURES}


def customer_id(number: int) -> str:
    """Return a supplier's id."""
    return f"C{number:07d}"


def key_of(number: int) -> str:
    """Return the key of a customer under the development pseudonym key."""
    return customer_key(customer_id(number), DEVELOPMENT_PSEUDONYM_KEY.encode())


def feature_table(use_case: str, customers_count: int = 30, *, seed: int = 1, month: date = MONTH) -> pd.DataFrame:
    """Return a plausible feature mart: one row per customer, some values missing."""
    generator = np.random.default_rng(seed)
    data: dict[str, Any] = {
        CUSTOMER_KEY: [key_of(number) for number in range(customers_count)],
        AS_OF_MONTH: [month] * customers_count,
        "district": [f"district {number % 3}" for number in range(customers_count)],
    }
    for column in FEATURES_BY_USE_CASE[use_case]:
        data[column.name] = _values(column, customers_count, generator)
    return pd.DataFrame(data)


def tariff_tables(customers_count: int = 60, *, months_count: int = 25) -> tuple[pd.DataFrame, pa.Table]:
    """Return a tariff feature mart and the load cube behind it: homes, half of them with most use at night."""
    generator = np.random.default_rng(5)
    keys = [key_of(number) for number in range(customers_count)]
    months = [date(2024 + (7 + n) // 12, (7 + n) % 12 + 1, 1) for n in range(months_count)]
    hours = np.arange(24)
    night = np.where((hours < 7) | (hours > 22), 3.0, 0.5)
    evening = np.where((hours > 16) & (hours < 23), 2.5, 0.8)
    rows = []
    for number, key in enumerate(keys):
        shape = (night if number % 2 else evening) * generator.uniform(4, 12)
        for month in months:
            for day_type, weight in (("workday", 21.0), ("weekend", 8.0), ("holiday", 1.0)):
                kwh = np.round(shape * weight / 21 * generator.uniform(0.9, 1.1, 24), 4)
                rows.append(
                    pd.DataFrame(
                        {
                            CUSTOMER_KEY: key,
                            "month": month,
                            "day_type": day_type,
                            "slot": hours,
                            "slot_minutes": 60,
                            "kwh": kwh,
                            "peak_kw": np.round(kwh / 10, 4),
                            "interval_count": int(weight),
                            "expected_interval_count": int(weight),
                        }
                    )
                )
    cube = pd.concat(rows, ignore_index=True)
    annual = cube[cube["month"] >= date(2025, 9, 1)].groupby(CUSTOMER_KEY)["kwh"].sum()
    features = pd.DataFrame(
        {
            CUSTOMER_KEY: keys,
            AS_OF_MONTH: MONTH,
            "district": "north",
            "customer_class": "residential",
            "voltage_level": "lt1kV",
            "supply_route": "catalogue",
            "contract_capacity_kva": 8.0,
            "tariff_id": "sd_res_tier",
            "billing_basis": None,
            "contracted_kw": np.nan,
            "observed_months_count": 12.0,
            "coverage_pct": 100.0,
            "annual_kwh": annual.reindex(keys).to_numpy(),
            "peak_kw": 3.0,
            "summer_ratio": 1.0,
            "winter_ratio": 1.0,
            "kwh_change_yoy_pct": 0.0,
            "night_share": [0.7 if number % 2 else 0.2 for number in range(customers_count)],
        }
    )
    history = [features.assign(**{AS_OF_MONTH: month}) for month in months[11:]]
    return pd.concat(history, ignore_index=True), pa.Table.from_pandas(cube, preserve_index=False)


def segmentation_model(*, variant: int = 0) -> SegmentationModel:
    """Return a segmentation with an evening and a daytime segment per group; variants have other names."""
    hours = np.arange(24)
    evening = 1 + 0.8 * np.exp(-((hours - 19) ** 2) / 8)
    daytime = 1 + 0.8 * np.exp(-((hours - 12) ** 2) / 12)
    segments = []
    for group, word in (("R", "homes"), ("B", "businesses")):
        for number, (label, shape) in enumerate((("Evening", evening), ("Daytime", daytime)), start=1):
            hours = np.concatenate([shape / shape.mean()] * 2)
            centre = np.concatenate([hours, np.zeros(len(SHAPE_COLUMNS) - len(hours))])
            segments.append(
                Segment(
                    segment_id=f"{group}{number}",
                    group=group,
                    name=f"{label} {word} {variant}",
                    name_zh=f"{label}客群{variant}",
                    description=f"{label} peak",
                    description_zh="高峰明显",
                    offer="Offer a time-of-use tariff.",
                    offer_zh="推荐分时电价。",
                    avoid="Do not call by day.",
                    avoid_zh="避免日间电话联系。",
                    tags=(label.lower(),),
                    name_tags=(label.lower(),),
                    centre=tuple(float(value) for value in centre),
                    customers_count=10,
                    share=0.5,
                )
            )
    return SegmentationModel(
        config=SegmentationConfig(),
        segments=(*segments, *shapeless_segments()),
        value_thresholds={"residential": ValueThresholds(low_amount=500, high_amount=2000)},
        last_numbers={"R": 2, "B": 2},
        judged_centres={},
    )


def credit_risk_model(*, variant: int = 0) -> CreditRiskModel:
    """Return boosted trees that learnt that late bills are bad; variants differ in their seed."""
    features = feature_table("credit_risk", 300, seed=11)
    labels = (features["late_bills_12m_count"].fillna(0) + np.random.default_rng(variant).normal(0, 2, 300)) > 6
    booster = xgb.train(
        {
            "objective": "binary:logistic",
            "max_depth": 2,
            "seed": variant,
            "nthread": 1,
            "monotone_constraints": str(tuple(MONOTONE)).replace(" ", ""),
        },
        xgb.DMatrix(to_matrix(features), label=labels, feature_names=list(MATRIX_NAMES)),
        num_boost_round=12,
    )
    settings = ModelSettings(
        answers_by="boosted_trees",
        matrix_names=MATRIX_NAMES,
        calibrator=Calibrator(method="none"),
        base_points=600,
        base_odds=50,
        points_to_double_odds=20,
        minimum_reason_effect=0.0,
    )
    return CreditRiskModel(settings, scorecard(), booster)


def scorecard() -> WoeScorecard:
    """Return a card of one line: late bills are bad."""
    bins = (
        Bin(kind="range", points=10, upper=3.0),
        Bin(kind="range", points=-30, lower=3.0),
        Bin(kind="missing", points=0),
        Bin(kind="other", points=0),
    )
    late = Characteristic(column="late_bills_12m_count", minimum=0.0, bins=bins)
    return WoeScorecard(
        start_points=560, base_points=600, base_odds=50, points_to_double_odds=20, characteristics=(late,)
    )


def write_small_bundle(directory: Path, use_case: str, *, variant: int = 0) -> BundleManifest:
    """Write a valid bundle of a small model."""
    model: SegmentationModel | CreditRiskModel
    model = segmentation_model(variant=variant) if use_case == "segmentation" else credit_risk_model(variant=variant)
    features = feature_table(use_case)
    predictions = model.predict(features).drop(columns=CUSTOMER_KEY)
    reference = pd.concat([features, predictions], axis=1)
    metric = Metric(name="quality", value=0.8, lower=0.7, upper=0.9)
    finding = Finding(check="customers", found="30", required="20", passed=True, message="enough customers")
    return write_bundle(
        directory,
        use_case=use_case,
        estimator_files=model.to_files(),
        evaluation=Evaluation(
            use_case=use_case,
            holdout_description="none, the model is made by hand",
            key_metric=metric,
            metrics=(metric,),
            baselines=(),
            criteria=(),
            sufficiency=SufficiencyReport(use_case=use_case, findings=(finding,)),
        ),
        reference=reference,
        model_card=ModelCard(
            title=Bilingual(en="Small model"), purpose=Bilingual(en="Tests"), key_figure=Bilingual(en="Quality")
        ),
        plots={},
        config={"variant": variant},
        seed=variant,
        data_window=DataWindow(first_month=date(2025, 9, 1), last_month=MONTH),
        data_fingerprint=f"{variant:064d}",
    )


def approval(use_case: str, *, approved: bool = True) -> GateDecision:
    """Return a gate decision."""
    criterion = Criterion(
        name="quality", passed=approved, observed="0.8", required="0.5", reason="Quality is what was asked."
    )
    return GateDecision(
        use_case=use_case,
        approved=approved,
        decided_on=date(2026, 9, 4),
        policy_valid_from=date(2026, 1, 1),
        criteria=(criterion,),
        reason="Approved: all criteria passed." if approved else "Refused: quality is too low.",
    )


def publish(
    store: ModelStore,
    work_dir: Path,
    use_case: str,
    *,
    variant: int = 0,
    marts_version: str = "m1",
    customers_count: int = 30,
    retained_snapshots: int = 5,
) -> ReleaseManifest:
    """Make, store and release a small bundle."""
    directory = work_dir / f"{use_case}-{variant}"
    if not directory.exists():
        write_small_bundle(directory, use_case, variant=variant)
    tag = store.store_bundle(directory)
    return store.publish_release(
        use_case,
        tag.split(":")[1],
        feature_table(use_case, customers_count),
        gate=approval(use_case),
        approved_by="automatic policy",
        marts_version=marts_version,
        retained_snapshots=retained_snapshots,
    )


def publish_tariff_matching(store: ModelStore, work_dir: Path, *, customers_count: int = 30) -> ReleaseManifest:
    """Train, store and release a small tariff model."""
    features, cube = tariff_tables(customers_count)
    manifest = train(features, cube, load_catalogue()).write(work_dir / "tariff_matching")
    store.store_bundle(work_dir / "tariff_matching")
    return store.publish_release(
        "tariff_matching",
        manifest.version,
        features,
        gate=approval("tariff_matching"),
        approved_by="automatic policy",
        marts_version="m1",
        customer_tables={"customer_load_cube": cube},
    )


def _values(column: Column, count: int, generator: np.random.Generator) -> Any:
    if column.kind == "categorical":
        return generator.choice(np.array(column.allowed or ("one", "another"), dtype=object), count)
    if column.name.endswith("_shape_00") or "_shape_" in column.name:
        values = generator.uniform(0.5, 1.6, count)
    elif column.name == "observed_days_count":
        return np.full(count, 360.0)
    else:
        low = 0.0 if column.minimum is None else column.minimum
        high = min(column.maximum or 12.0, low + 100.0)
        values = np.round(generator.uniform(low, high, count), 3)
    if column.nullable:
        values[generator.random(count) < 0.1] = np.nan
    return values
