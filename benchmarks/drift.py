"""Report and verdict on ten million predictions, beside Evidently on as many of them as it can hold."""

import json
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.harness import PROJECT_ROOT, Figure, Measurement, ProcessRun, benchmark, run_measured
from ml.columns import AS_OF_MONTH, CUSTOMER_KEY, Column
from ml.tariff_matching.schema import FEATURES, PREDICTIONS

if TYPE_CHECKING:
    import numpy.typing as npt

ROWS = 10_000_000
REFERENCE_ROWS = 20_000
PEER_ROWS = (250_000, 500_000, 1_000_000, 2_000_000)
"""Rows that Evidently is given, one after the other, until it needs more than the bar's memory or time."""
BAR_SECONDS, BAR_GB = 30, 2
MONTH = date(2026, 9, 1)
RELEASE = "0001-202609-0123456789"
_ROWS_AT_ONCE = 500_000
_CODES = {"tariff_id": 40, "current_tariff_id": 40, "recommended_tariff_id": 40}
_OTHER_CODES = 4
_MISSING_SHARE = 0.05


@benchmark(
    Figure("drift_10m_seconds", unit="s", bar=BAR_SECONDS, better="lower"),
    Figure("drift_10m_peak_gb", unit="GB", bar=BAR_GB, better="lower"),
)
def drift_10m() -> Sequence[Measurement]:
    """Review a month of ten million predictions of tariff matching: verdict, report and workspace run, all from files.

    A row has 36 columns: customer and month, district, the 15 features and 12 predictions that are compared, and six
    that say who predicted it when. Timed is the whole process but the start of Python; the memory is that of the
    process. The peer is Evidently's own preset on all rows of the same file, in a process of its own, on the most rows
    that it handles within the memory and the time of the bars.

    Raises:
        RuntimeError: If a review fails.
    """
    with TemporaryDirectory(prefix="kilowise-bench-") as name:
        folder = Path(name)
        write_month(folder, ROWS)
        ours = _in_process("review", str(folder))
        peer_rows, peer = 0, ours
        for rows in PEER_ROWS:
            attempt = _in_process("peer", str(folder), str(rows))
            if peer_rows and (attempt.peak_gb > BAR_GB or attempt.seconds > BAR_SECONDS):
                break
            peer_rows, peer = rows, attempt
    label = f"Evidently's DataDriftPreset on {peer_rows:,} rows"
    return [
        Measurement("drift_10m_seconds", _seconds(ours), rows=ROWS, peer=label, peer_value=_seconds(peer)),
        Measurement("drift_10m_peak_gb", ours.peak_gb, rows=ROWS, peer=label, peer_value=peer.peak_gb),
    ]


def write_month(folder: Path, rows: int) -> None:
    """Write the reference of a release and one month of its predictions."""
    rng = np.random.default_rng(20260901)
    bundle = folder / "bundle"
    bundle.mkdir()
    reference = _predictions(rng, REFERENCE_ROWS, first_row=0)
    months = np.array([f"2025-{10 + month:02d}-01" if month < 3 else f"2026-{month - 2:02d}-01" for month in range(12)])
    reference[AS_OF_MONTH] = rng.choice(months.astype("datetime64[D]"), REFERENCE_ROWS)
    reference.to_parquet(bundle / "reference.parquet", index=False)
    path = folder / "predictions" / f"as_of_month={MONTH}" / "predictions.parquet"
    path.parent.mkdir(parents=True)
    writer = None
    for first_row in range(0, rows, _ROWS_AT_ONCE):
        part = _predictions(rng, min(_ROWS_AT_ONCE, rows - first_row), first_row)
        table = pa.Table.from_pandas(part, preserve_index=False)
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
    if writer:
        writer.close()


def review(folder: Path) -> dict[str, object]:
    """Review the month that `write_month` wrote; return the seconds and what the verdict says."""
    started_at = time.perf_counter()
    from monitoring.review import review_month

    verdict = review_month(
        "tariff_matching",
        MONTH,
        predictions_dir=folder / "predictions",
        log_dir=folder / "log",
        bundle_dir=folder / "bundle",
        release=RELEASE,
        reports_dir=folder / "reports",
    )
    seconds = time.perf_counter() - started_at
    if verdict.outcome != "stable" or verdict.rows_available != ROWS or verdict.report_path is None:
        raise RuntimeError(f"a quiet month of {ROWS:,} rows was judged: {verdict.sentence()}")
    return {"seconds": seconds, "outcome": verdict.outcome, "columns": verdict.columns_judged}


def peer(folder: Path, rows: int) -> dict[str, object]:
    """Let Evidently compare the first rows of the month with the reference, all of them, by its own preset."""
    started_at = time.perf_counter()
    from evidently import Dataset, Report
    from evidently.presets import DataDriftPreset

    from monitoring.datasets import data_definition

    compared = [*FEATURES, *PREDICTIONS]
    names = [column.name for column in compared]
    batches = pq.ParquetFile(next(folder.glob("predictions/*/*.parquet"))).iter_batches(rows, columns=names)
    current = next(batches).to_pandas()
    reference = pd.read_parquet(folder / "bundle" / "reference.parquet", columns=names)
    definition = data_definition(compared)
    datasets = [Dataset.from_pandas(frame, data_definition=definition) for frame in (current, reference)]
    snapshot = Report([DataDriftPreset(method="psi")]).run(*datasets)
    (folder / "peer.html").write_text(snapshot.get_html_str(as_iframe=False), encoding="utf-8")
    return {"seconds": time.perf_counter() - started_at}


def _predictions(rng: np.random.Generator, rows: int, first_row: int) -> pd.DataFrame:
    """Make prediction rows in the form of the batch, one per customer."""
    numbers = np.arange(first_row, first_row + rows)
    columns: dict[str, object] = {
        "request_id": f"batch-{RELEASE}-{MONTH:%Y%m}",
        "decided_at": datetime(2026, 10, 2, 8, tzinfo=UTC),
        "use_case": "tariff_matching",
        "release": RELEASE,
        "model_version": RELEASE.partition("-")[2],
        "source": "batch",
        # Spread over the whole range, as pseudonymous keys are.
        CUSTOMER_KEY: [f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}" for number in numbers.tolist()],
        AS_OF_MONTH: MONTH,
        "district": np.array([f"district {n}" for n in range(8)], dtype=object)[rng.integers(0, 8, rows)],
    }
    columns.update({column.name: _values(rng, column, rows) for column in (*FEATURES, *PREDICTIONS)})
    return pd.DataFrame(columns)


def _values(rng: np.random.Generator, column: Column, rows: int) -> "npt.NDArray[Any]":
    if column.kind == "boolean":
        return rng.random(rows) < 0.3
    if column.kind == "categorical":
        number = _CODES.get(column.name, _OTHER_CODES)
        codes = column.allowed or tuple(f"{column.name} {n}" for n in range(number))
        return np.array(codes, dtype=object)[rng.integers(0, len(codes), rows)]
    if column.maximum is not None:
        values = (column.minimum or 0) + (column.maximum - (column.minimum or 0)) * rng.beta(2, 5, rows)
    else:
        values = rng.lognormal(1, 1, rows)
    values[rng.random(rows) < _MISSING_SHARE] = np.nan
    return values


def _in_process(*arguments: str) -> ProcessRun:
    command = [sys.executable, "-m", "benchmarks.drift", *arguments]
    run = run_measured(command, cwd=PROJECT_ROOT, env={**os.environ, "DO_NOT_TRACK": "1"})
    if run.return_code != 0:
        raise RuntimeError(f"{arguments[0]} failed:\n{run.output[-4000:]}")
    return run


def _seconds(run: ProcessRun) -> float:
    return float(json.loads(run.output.splitlines()[-1])["seconds"])


if __name__ == "__main__":
    kind, month_folder, *numbers = sys.argv[1:]
    answer = review(Path(month_folder)) if kind == "review" else peer(Path(month_folder), int(numbers[0]))
    print(json.dumps(answer))
