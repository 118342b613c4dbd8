"""Small honest frames in the form of predictions, logs and bundles, made from ml's own schemas."""

import functools
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ml.columns import Column
from ml.evaluation import BaselineComparison, Evaluation, Metric
from monitoring.datasets import schema_columns

MONTH = date(2026, 8, 1)
RELEASE = "0001-202608-abc"


def column_values(column: Column, rows: int, rng: np.random.Generator) -> Any:
    """Draw plausible values of one column."""
    if column.kind == "boolean":
        return rng.choice([True, False], rows)
    if column.kind == "categorical":
        categories = list(column.allowed) or [f"{column.name}_{letter}" for letter in "abc"]
        return rng.choice(categories, rows)
    if column.maximum is not None:
        low = column.minimum or 0.0
        return low + (column.maximum - low) * rng.beta(2, 5, rows)
    if column.name == "tenure_months":
        return (24 + 12 * rng.lognormal(1.0, 1.0, rows)).round()
    if column.name.endswith("_count"):
        return rng.poisson(1.0, rows).astype(float)
    return rng.lognormal(1.0, 1.0, rows)


def prediction_frame(use_case: str, month: date, rows: int, seed: int, release: str = RELEASE) -> pd.DataFrame:
    """Make prediction rows of one month, one per customer."""
    rng = np.random.default_rng([seed, month.year, month.month])
    features, predictions = schema_columns(use_case)
    frame = pd.DataFrame(
        {
            "request_id": [f"batch-{month}-{number}" for number in range(rows)],
            "decided_at": datetime(2026, 9, 5, 8, tzinfo=UTC),
            "use_case": use_case,
            "release": release,
            "model_version": "202608-0123456789",
            "customer_key": [f"{number:032x}" for number in range(rows)],
            "source": "batch",
            "as_of_month": month,
            "district": rng.choice(["east", "west"], rows),
        }
    )
    drawn = {column.name: column_values(column, rows, rng) for column in (*features, *predictions)}
    if use_case == "credit_risk":
        late = drawn["late_bills_3m_count"]
        drawn["default_probability"] = np.clip(0.02 + 0.06 * late + rng.normal(0, 0.01, rows), 0.001, 0.99)
    return pd.concat([frame, pd.DataFrame(drawn)], axis=1)


@dataclass
class Platform:
    """The folders that a review reads and writes."""

    home: Path
    use_case: str
    release: str = RELEASE

    @property
    def predictions_dir(self) -> Path:
        return self.home / "predictions" / "batch" / self.use_case

    @property
    def log_dir(self) -> Path:
        return self.home / "predictions" / "log" / self.use_case

    @property
    def bundle_dir(self) -> Path:
        return self.home / "bundles" / self.use_case

    @property
    def reports_dir(self) -> Path:
        return self.home / "reports"

    @property
    def folders(self) -> dict[str, Any]:
        """Arguments of a review that are the same for every month."""
        return {
            "predictions_dir": self.predictions_dir,
            "log_dir": self.log_dir,
            "bundle_dir": self.bundle_dir,
            "release": self.release,
            "reports_dir": self.reports_dir,
        }

    def write_reference(self, frame: pd.DataFrame) -> None:
        self.bundle_dir.mkdir(parents=True, exist_ok=True)
        frame.to_parquet(self.bundle_dir / "reference.parquet")

    def write_batch(self, frame: pd.DataFrame, month: date = MONTH) -> Path:
        path = self.predictions_dir / f"as_of_month={month}" / "predictions.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.to_parquet(path)
        return path

    def write_log(self, frame: pd.DataFrame, day: date, name: str) -> Path:
        path = self.log_dir / f"date={day}" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.to_parquet(path)
        return path


def reference_frame(use_case: str, last_month: date = MONTH, months: int = 12, rows: int = 250) -> pd.DataFrame:
    """Make a reference of several as-of months from the same distribution as ``prediction_frame``."""
    return _reference_frame(use_case, last_month, months, rows).copy()


@functools.cache
def _reference_frame(use_case: str, last_month: date, months: int, rows: int) -> pd.DataFrame:
    month = last_month
    frames = []
    for number in range(months):
        frames.append(prediction_frame(use_case, month, rows, seed=1_000 + number))
        month = (month - timedelta(days=1)).replace(day=1)
    return pd.concat(frames, ignore_index=True)


def write_release(platform: Platform, name: str = RELEASE, *, is_current: bool = True) -> Path:
    """Publish a release folder as serving does: record, evaluation, model card, pointer."""
    folder = platform.home / "releases" / platform.use_case / name
    folder.mkdir(parents=True)
    metric = Metric(name="roc_auc", value=0.84, lower=0.82, upper=0.86, higher_is_better=True)
    baseline = BaselineComparison(
        name="last_month_status",
        description="Last month's status alone",
        description_zh="仅用上月状态",
        metric=Metric(name="roc_auc", value=0.76, lower=0.73, upper=0.79, higher_is_better=True),
        difference=Metric(name="roc_auc", value=0.08, lower=0.05, upper=0.11, higher_is_better=True),
    )
    evaluation = Evaluation(
        use_case=platform.use_case,
        holdout_description="the last six months",
        key_metric=metric,
        metrics=(metric,),
        baselines=(baseline,),
    )
    (folder / "evaluation.json").write_text(evaluation.model_dump_json(), encoding="utf-8")
    (folder / "model_card.html").write_text("<!doctype html><title>card</title>", encoding="utf-8")
    record = {
        "name": name,
        "use_case": platform.use_case,
        "released_at": "2026-09-05T08:12:00Z",
        "approved_by": "policy: automatic",
        "bundle_version": "202608-0123456789",
    }
    (folder / "release.json").write_text(json.dumps(record), encoding="utf-8")
    if is_current:
        (folder.parent / "CURRENT").write_text(name, encoding="utf-8")
    return folder
