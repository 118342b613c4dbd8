"""Trees grown on Spark by `xgboost.spark`, where the rows outgrow one machine.

What comes back is a plain booster: a bundle does not tell where it was trained. The trees themselves differ a little
from those of one process as soon as there are several workers, since each cuts its own rows into quantiles and draws
its own sample of them for a tree.
"""

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ml.boosting import LocalTrainer, TreeRows
from orchestration.forms.cluster import cluster_settings
from orchestration.forms.spark_sessions import spark_session
from orchestration.settings import PlatformSettings

if TYPE_CHECKING:
    from pathlib import Path

LABEL = "label"
_ROWS_PER_GROUP = 100_000
# What the estimator names otherwise, or sets by the cores of a task.
_NAMES = {"seed": "random_state"}
_SET_BY_SPARK = ("nthread", "objective")


class SparkTrainer:
    """Grows trees on the cluster above a number of rows, and in this process below it.

    Args:
        settings: Settings of the platform; the cluster's are read beside them.
    """

    def __init__(self, settings: PlatformSettings) -> None:
        self._settings = settings
        self._cluster = cluster_settings()

    @property
    def rows_to_choose_size(self) -> int | None:
        """Rows beyond which depth and number of trees are chosen on a sample of customers."""
        return self._cluster.training_rows

    def grow(self, rows: TreeRows, parameters: Mapping[str, object], rounds: int) -> bytes:
        """Return the trees as UBJSON.

        Args:
            rows: What to learn from; written into the home, where the workers read them.
            parameters: Of `ml.boosting.tree_parameters`.
            rounds: Number of trees.

        Raises:
            FormError: The cluster does not answer, or its packages are missing here.
        """
        if len(rows.labels) <= self._cluster.training_rows:
            return LocalTrainer().grow(rows, parameters, rounds)
        with spark_session(self._settings, self._cluster, "training") as session:
            from xgboost.spark import SparkXGBClassifier

            folder = self._settings.home / "cluster" / "training"
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{uuid.uuid4().hex}.parquet"
            try:
                _write(rows, path)
                classifier = SparkXGBClassifier(
                    features_col=list(rows.names),
                    label_col=LABEL,
                    num_workers=session.sparkContext.defaultParallelism,
                    n_estimators=rounds,
                    feature_weights=rows.column_weights,
                    verbose=False,
                    **{
                        _NAMES.get(name, name): value for name, value in parameters.items() if name not in _SET_BY_SPARK
                    },
                )
                booster = classifier.fit(session.read.parquet(str(path))).get_booster()
            finally:
                path.unlink(missing_ok=True)
        booster.feature_names, booster.feature_types = list(rows.names), None
        return bytes(booster.save_raw("ubj"))


def _write(rows: TreeRows, path: "Path") -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([*((name, pa.float32()) for name in rows.names), (LABEL, pa.float32())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(rows.labels), _ROWS_PER_GROUP):
            part = slice(start, start + _ROWS_PER_GROUP)
            # NaN stays NaN: it is XGBoost's sign for what is not known.
            columns = [pa.array(column) for column in rows.matrix[part].T]
            writer.write_table(pa.table([*columns, pa.array(rows.labels[part], pa.float32())], schema=schema))
