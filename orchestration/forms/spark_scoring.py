"""Scoring on Spark: the parts of a month, each a range of customers, go to the workers, which write them as files."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from orchestration.forms.cluster import cluster_settings
from orchestration.forms.spark_sessions import spark_session
from orchestration.marts import CustomerRange
from orchestration.scoring import InSequence, ScoringTask
from orchestration.settings import PlatformSettings

if TYPE_CHECKING:
    import pyarrow as pa


class SparkScoring:
    """Scores parts on the workers of a Spark cluster. What they write lies in the home, which all machines share.

    Args:
        settings: Settings of the platform.
    """

    def __init__(self, settings: PlatformSettings) -> None:
        self.settings = settings

    def score(self, task: ScoringTask, parts: Sequence[CustomerRange], folder: Path) -> Sequence[Path]:
        """Write one file per part into the folder, and return them in the order of the parts.

        A part that a lost worker was writing is written again by another; a file appears whole. One part alone is
        written here: a session on the cluster would take longer than the part.
        """
        own = list(parts)
        if len(own) < 2:
            return InSequence().score(task, own, folder)
        # Secrets do not travel: scoring needs none.
        settings = self.settings.model_copy(update={"pseudonym_key": SecretStr(""), "alert_webhook_url": None})
        sent = replace(task, settings=settings)

        def write(batches: "Iterator[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
            import pyarrow as pa

            for batch in batches:
                numbers = batch.column(0).to_pylist()
                files = [sent.write(own[number], folder).name for number in numbers]
                yield pa.RecordBatch.from_arrays([pa.array(numbers), pa.array(files)], names=["part", "file"])

        with spark_session(self.settings, cluster_settings(), f"scoring of {task.use_case.name}") as session:
            numbers = session.range(0, len(own), 1, numPartitions=len(own))
            rows = numbers.mapInArrow(write, "part long, file string").collect()
        return [folder / row["file"] for row in sorted(rows)]
