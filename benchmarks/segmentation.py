"""Customers segmented from the marts: 20,000 of them, with their twelve as-of months."""

import json
import os
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from benchmarks.harness import PROJECT_ROOT, Figure, Measurement, benchmark, run_measured
from ml.columns import AS_OF_MONTH, CUSTOMER_KEY, names
from ml.segmentation.features import FloatArray
from ml.segmentation.model import SegmentationModel
from ml.segmentation.schema import BLOCK_STARTS, FEATURES, SHAPE_COLUMNS
from ml.segmentation.training import train

CUSTOMERS = 20_000
MONTHS = tuple(date(2025 + (9 + month) // 12, (9 + month) % 12 + 1, 1) for month in range(12))
NOISE = 0.15
MONTHLY_NOISE = 0.03
HOURS = np.arange(24)

# Class, hour of the peak, its width in hours, its height, and the level shifts of winter and summer.
ARCHETYPES: dict[str, tuple[str, float, float, float, float, float]] = {
    "evening": ("residential", 20, 2.0, 2.0, 0.1, 0.2),
    "late evening": ("residential", 22, 2.0, 1.8, 0.0, 0.1),
    "daytime": ("residential", 13, 3.5, 1.4, 0.0, 0.5),
    "electric heating": ("residential", 4, 5.0, 0.6, 1.0, -0.1),
    "night": ("residential", 2, 2.5, 2.2, 0.1, 0.0),
    "flat": ("residential", 18, 8.0, 0.2, 0.0, 0.0),
    "one shift": ("industrial", 13, 3.0, 3.0, 0.0, 0.1),
    "round the clock": ("industrial", 9, 8.0, 0.1, 0.0, 0.0),
    "shop": ("commercial", 18, 3.5, 2.0, 0.0, 0.3),
}


@benchmark(
    Figure("segmentation_20000_seconds", unit="s", bar=60, better="lower"),
    Figure("segmentation_20000_peak_gb", unit="GB", bar=4, better="lower"),
)
def segmentation_20000() -> Sequence[Measurement]:
    """Segment 20,000 customers in a process of its own: from the mart's file to the segment of everybody.

    Timed are reading the mart, the check of the data, the choice of method and number of segments on two windows, the
    evaluation with its plots, the names, and the assignment of the latest month; making the mart is not. The memory is
    that of the whole process.

    Raises:
        RuntimeError: If the process fails, or a customer is left without a segment.
    """
    with TemporaryDirectory(prefix="kilowise-bench-") as folder:
        path = Path(folder) / "customer_segmentation_features.parquet"
        mart(CUSTOMERS).to_parquet(path, index=False)
        command = [sys.executable, "-m", "benchmarks.segmentation", str(path)]
        run = run_measured(command, cwd=PROJECT_ROOT, env=dict(os.environ))
    if run.return_code != 0:
        raise RuntimeError(f"segmentation failed:\n{run.output[-4000:]}")
    answer = json.loads(run.output.splitlines()[-1])
    return [
        Measurement("segmentation_20000_seconds", answer["seconds"], rows=answer["rows"]),
        Measurement("segmentation_20000_peak_gb", run.peak_gb, rows=answer["rows"]),
    ]


def segment_all(path: Path) -> dict[str, float]:
    """Segment the customers of a mart and return the seconds, the rows and the CPU seconds of all threads."""
    started_at, cpu_at = time.perf_counter(), time.process_time()
    features = pd.read_parquet(path)
    model = train(features).model
    assert isinstance(model, SegmentationModel)
    latest = features[features[AS_OF_MONTH] == features[AS_OF_MONTH].max()]
    segments = model.predict(latest)["segment_id"]
    seconds, cpu_seconds = time.perf_counter() - started_at, time.process_time() - cpu_at
    if not segments.isin([one.segment_id for one in model.segments if one.centre]).all():
        raise RuntimeError("a customer with a year of readings has no segment")
    return {"seconds": seconds, "rows": len(features), "cpu_seconds": cpu_seconds}


def mart(customers_count: int, seed: int = 7) -> pd.DataFrame:
    """Return a mart of customers who follow one of nine archetypes, each with lasting and monthly noise of its own."""
    rng = np.random.default_rng(seed)
    types = rng.choice(len(ARCHETYPES), customers_count, p=np.r_[np.full(6, 0.145), np.full(3, 0.13 / 3)])
    classes = np.array([archetype[0] for archetype in ARCHETYPES.values()])[types]
    centres = np.stack([_centre(*archetype[1:]) for archetype in ARCHETYPES.values()])
    lasting = centres[types] + _noise(rng, customers_count, NOISE)
    level_kwh = rng.lognormal(np.where(classes == "residential", 2.0, 4.5), 0.6)
    months = []
    for month in MONTHS:
        shapes = lasting + _noise(rng, customers_count, MONTHLY_NOISE)
        shapes[:, :48] = np.maximum(shapes[:, :48], 0.01)
        for half in (slice(0, 24), slice(24, 48)):
            shapes[:, half] /= shapes[:, half].mean(axis=1, keepdims=True)
        shapes[:, -5:] = np.clip(shapes[:, -5:], -2, 2)
        peak = shapes[:, 18:21].mean(axis=1)
        months.append(
            pd.DataFrame(shapes, columns=names(SHAPE_COLUMNS)).assign(
                **{
                    CUSTOMER_KEY: [f"c{number:06d}" for number in range(customers_count)],
                    AS_OF_MONTH: month,
                    "district": "north",
                    "customer_class": classes,
                    "observed_days_count": 365.0,
                    "annual_kwh": level_kwh * 365,
                    "mean_daily_kwh": level_kwh,
                    "peak_contribution": peak,
                    "billed_amount_12m_amount": level_kwh * 200,
                    "billed_amount_per_kwh": 0.5 + 0.05 * peak,
                    "kwh_change_yoy_pct": rng.normal(0, 10, customers_count),
                    "tenure_months": 60.0,
                }
            )
        )
    made = pd.concat(months, ignore_index=True)
    return made.reindex(columns=[CUSTOMER_KEY, AS_OF_MONTH, "district", *names(FEATURES)])


def _centre(peak_hour: float, width: float, height: float, winter: float, summer: float) -> FloatArray:
    distance = np.minimum(np.abs(HOURS - peak_hour), 24 - np.abs(HOURS - peak_hour))
    day = 0.5 + height * np.exp(-0.5 * (distance / width) ** 2)
    blocks = np.zeros(2 * len(BLOCK_STARTS))
    return np.concatenate([day / day.mean(), day / day.mean(), blocks, [summer, winter, 0.0, 0.0, 0.0]])


def _noise(rng: np.random.Generator, customers_count: int, scale: float) -> FloatArray:
    return rng.normal(0, scale, (customers_count, len(SHAPE_COLUMNS)))


if __name__ == "__main__":
    print(json.dumps(segment_all(Path(sys.argv[1]))))
