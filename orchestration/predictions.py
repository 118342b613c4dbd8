"""Batch predictions as the sources of dbt's second stage: which files there are, and zero-row files with their columns.

Models that read predictions must build before the first release, and when a use case never gets one. So beside the
files of each month lies one without rows, and no pattern over the predictions is ever empty. No Dagster in here.
"""

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ml.columns import AS_OF_MONTH, CUSTOMER_KEY, Column
from ml.errors import KilowiseError

if TYPE_CHECKING:
    import pyarrow as pa

CONTRACT_FOLDER = "contract"
PREDICTIONS_FILE = "predictions.parquet"

_TYPE_BY_KIND = {"numeric": "float64", "categorical": "string", "boolean": "bool"}
_DUCKDB_TYPES = {"string": "varchar", "double": "double", "bool": "boolean", "date32[day]": "date"}
# What follows from several months and is no answer of the model; as ``ml.credit_risk.rating.HISTORY_COLUMNS``.
_HISTORY: Mapping[str, Mapping[str, str]] = {
    "credit_risk": {"rating_in_force": "string", "in_force_since_month": "date32", "moved_by": "string"},
    "segmentation": {"life_cycle_stage_in_force": "string"},
}


class UnreadablePredictionsError(KilowiseError):
    """A file of batch predictions is damaged; the message names it and how to make it anew."""


def prediction_columns(use_case: str) -> Sequence[Column]:
    """Return what the batch predictions of a use case hold beside features, as ``ml`` declares it."""
    from ml.credit_risk import schema as credit_risk
    from ml.segmentation import schema as segmentation
    from ml.tariff_matching import schema as tariff_matching

    return {
        "segmentation": segmentation.PREDICTIONS,
        "tariff_matching": tariff_matching.PREDICTIONS,
        "credit_risk": credit_risk.PREDICTIONS,
    }[use_case]


def source_schema(use_case: str) -> "pa.Schema":
    """Return the columns that the second stage may read of a use case: key, month, release and predictions."""
    import pyarrow as pa

    types = {
        CUSTOMER_KEY: "string",
        AS_OF_MONTH: "date32",
        "release": "string",
        **{column.name: _TYPE_BY_KIND[column.kind] for column in prediction_columns(use_case)},
        **_HISTORY.get(use_case, {}),
    }
    return pa.schema([(name, pa.type_for_alias(kind)) for name, kind in types.items()])


def write_source_contracts(predictions_dir: Path, use_cases: Sequence[str]) -> None:
    """Write the zero-row file of each use case where it is missing or has other columns."""
    import pyarrow.parquet as pq

    for use_case in use_cases:
        path = predictions_dir / CONTRACT_FOLDER / use_case / "empty" / PREDICTIONS_FILE
        schema = source_schema(use_case)
        if path.exists() and pq.read_schema(path).equals(schema):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{uuid.uuid4().hex}.parquet")
        pq.write_table(schema.empty_table(), temporary)
        temporary.replace(path)


def write_typed_predictions(predictions_dir: Path, target_dir: Path, use_cases: Sequence[str]) -> None:
    """Copy what the second stage reads of the predictions into files of one schema, for engines that join no others.

    The files of different months differ: a column in which nobody has a value carries no type, and a month may be a
    date or a timestamp. DuckDB joins such files; Spark refuses them.

    Args:
        predictions_dir: Folder of the predictions, with the zero-row files of ``write_source_contracts``.
        target_dir: Folder that gets ``<use case>/predictions.parquet``; older copies are replaced.
        use_cases: The use cases.
    """
    import duckdb

    for use_case in use_cases:
        directory = target_dir / use_case
        directory.mkdir(parents=True, exist_ok=True)
        temporary = directory / f".{uuid.uuid4().hex}.parquet"
        schema = source_schema(use_case)
        columns = ", ".join(
            f'cast("{field.name}" as {_DUCKDB_TYPES[str(field.type)]}) as "{field.name}"' for field in schema
        )
        with duckdb.connect() as connection:
            connection.execute(
                f"copy (select {columns} from read_parquet(?, union_by_name = true, hive_partitioning = false)) "
                f"to '{temporary}' (format parquet)",
                [f"{predictions_dir}/*/{use_case}/*/{PREDICTIONS_FILE}"],
            )
        temporary.replace(directory / PREDICTIONS_FILE)


def batch_files(predictions_dir: Path) -> Sequence[Path]:
    """Return the files of batch predictions of all use cases and months, in a fixed order."""
    return sorted((predictions_dir / "batch").glob(f"*/*/{PREDICTIONS_FILE}"))


def check_batch_files(predictions_dir: Path) -> None:
    """Read the foot of every file, so that a damaged one is named before dbt starts.

    Raises:
        UnreadablePredictionsError: A file is no Parquet file, or lacks the key.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in batch_files(predictions_dir):
        try:
            found = pq.read_schema(path).names
        except (pa.ArrowInvalid, OSError) as error:
            raise UnreadablePredictionsError(_sentence(path, "cannot be read")) from error
        missing = [column for column in (CUSTOMER_KEY, AS_OF_MONTH) if column not in found]
        if missing:
            raise UnreadablePredictionsError(_sentence(path, f"has no column {' and no column '.join(missing)}"))


def _sentence(path: Path, what: str) -> str:
    use_case, month = path.parent.parent.name, path.parent.name.removeprefix("as_of_month=")
    return (
        f"The predictions of {use_case} for {month} in {path} {what}: delete the file and run the job score_customers "
        f"for {month}, or `make run`."
    )
