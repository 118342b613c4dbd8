"""Training and scoring on Spark: what comes back is what one process makes, whoever did the work."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import xgboost as xgb

from ml.boosting import LocalTrainer, TreeRows, loaded, tree_parameters
from ml.credit_risk.config import BoosterConfig
from orchestration.forms.spark_scoring import SparkScoring
from orchestration.forms.spark_training import SparkTrainer
from orchestration.scoring import InSequence, customer_ranges, join_parts
from orchestration.settings import PlatformSettings
from tests.unit.orchestration.test_scoring import JUNE, MART, marts_of, task_of

pytest.importorskip("pyspark", reason="the packages of the cluster form are missing: run `make env-cluster`")
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java 17: install openjdk-17-jre-headless"),
]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlatformSettings:
    monkeypatch.setenv("KILOWISE_CLUSTER_TRAINING_ROWS", "1000")
    return PlatformSettings(home=tmp_path, _env_file=None)


def rows(count: int) -> TreeRows:
    rng = np.random.default_rng(7)
    matrix = rng.normal(size=(count, 6)).astype(np.float32)
    matrix[rng.random(matrix.shape) < 0.2] = np.nan
    labels = (rng.random(count) < 1 / (1 + np.exp(2 - np.nan_to_num(matrix[:, 0])))).astype(np.float64)
    weights = np.array([1, 1, 1, 1, 1, 0], np.float32)
    return TreeRows(matrix, labels, tuple("abcdef"), weights)


@pytest.mark.parametrize(("workers", "greatest", "mean"), [(1, 0.0, 0.0), (2, 0.25, 0.02)])
def test_trees_of_the_cluster_are_a_plain_booster_that_answers_as_one_process_does(
    settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch, workers: int, greatest: float, mean: float
) -> None:
    """One worker grows the same bytes; two cut quantiles and draw rows apart, so that answers differ a little."""
    monkeypatch.setenv("KILOWISE_CLUSTER_MASTER", f"local[{workers}]")
    known = rows(4000)
    parameters = tree_parameters(BoosterConfig(), 2, known.labels, 7, further={"monotone_constraints": "(1,0,0,0,0,0)"})

    here = LocalTrainer().grow(known, parameters, 30)
    there = SparkTrainer(settings).grow(known, parameters, 30)

    assert (here == there) == (workers == 1)
    assert loaded(there).feature_names == list("abcdef")
    assert loaded(there).num_boosted_rounds() == 30
    data = xgb.DMatrix(known.matrix, feature_names=list(known.names), nthread=1)
    difference = np.abs(loaded(here).predict(data) - loaded(there).predict(data))
    assert difference.max() <= greatest
    assert difference.mean() <= mean
    assert not list((settings.home / "cluster" / "training").iterdir())


def test_few_rows_are_grown_here_without_a_session(settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KILOWISE_CLUSTER_MASTER", "spark://127.0.0.1:1")
    known = rows(900)
    parameters = tree_parameters(BoosterConfig(), 2, known.labels, 7)

    assert SparkTrainer(settings).grow(known, parameters, 5) == LocalTrainer().grow(known, parameters, 5)


def test_parts_scored_by_workers_are_the_parts_scored_here(
    settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KILOWISE_CLUSTER_MASTER", "local[2]")
    marts = marts_of(tmp_path, [f"{number:02x}" for number in range(9)])
    task, parts = task_of(marts), customer_ranges(marts, MART, JUNE, 2)
    joined = []

    for name, engine in (("here", InSequence()), ("there", SparkScoring(settings))):
        folder = tmp_path / name
        folder.mkdir()
        join_parts(engine.score(task, parts, folder), folder / "joined.parquet", b"source")
        joined.append(pq.read_table(folder / "joined.parquet"))

    assert joined[0].equals(joined[1])


def test_one_part_is_scored_here_without_a_session(
    settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KILOWISE_CLUSTER_MASTER", "spark://127.0.0.1:1")
    marts = marts_of(tmp_path, ["00", "01"])

    files = SparkScoring(settings).score(task_of(marts), customer_ranges(marts, MART, JUNE, 2), tmp_path)

    assert [pq.read_metadata(file).num_rows for file in files] == [2]
