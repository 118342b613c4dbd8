"""Joins logged credit decisions with what happened, by the id of the decision. No Dagster in here."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ml.errors import KilowiseError
from ml.wording import plural
from orchestration.marts import current_marts
from orchestration.settings import PlatformSettings

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]

COLUMNS = (
    "decision_id",
    "request_id",
    "decided_at",
    "release",
    "model_version",
    "arm",
    "customer_key",
    "as_of_month",
    "default_probability",
    "credit_points",
    "credit_rating",
)
"""What is kept of each decision, beside ``is_mature`` and ``is_default``."""


COMPARED = ("default_probability", "is_default")


class DecisionExportError(KilowiseError):
    """The joined decisions cannot be written as asked."""


def decisions_with_outcomes(settings: PlatformSettings) -> "pl.DataFrame":
    """Return every logged credit decision of a known customer with what happened afterwards.

    A decision on features that came with the request has no as-of month; it counts in the month in which it was made.

    Returns:
        One row per ``decision_id`` with `COLUMNS`, ``is_mature`` (whether the outcome can be known by now) and
        ``is_default`` (null until then), oldest decision first.

    Raises:
        MartsNotPublishedError: There are no marts, so nothing happened yet.
    """
    import polars as pl

    outcomes = pl.DataFrame(
        current_marts(settings.marts_dir).read(
            "customer_credit_outcomes", columns=["customer_key", "as_of_month", "is_mature", "is_default"]
        )
    ).with_columns(pl.col("as_of_month").cast(pl.Date))
    types: dict[str, pl.DataType | type[pl.DataType]] = {
        **dict.fromkeys(COLUMNS, pl.String),
        "decided_at": pl.Datetime("us", "UTC"),
        "as_of_month": pl.Date,
        "default_probability": pl.Float64,
        "credit_points": pl.Float64,
    }
    parts = [pl.DataFrame(schema=types)]
    for path in sorted((settings.predictions_dir / "log" / "credit_risk").rglob("*.parquet")):
        frame = pl.read_parquet(path, hive_partitioning=False)
        # Decisions of before they had ids cannot be joined by one.
        if "decision_id" in frame.columns:
            known = [
                (pl.col(name) if name in frame.columns else pl.lit(None)).cast(kind).alias(name)
                for name, kind in types.items()
            ]
            parts.append(frame.select(known))
    month = pl.coalesce(pl.col("as_of_month"), pl.col("decided_at").dt.date().dt.truncate("1mo"))
    decided = pl.concat(parts).filter(pl.col("customer_key").is_not_null()).with_columns(as_of_month=month)
    joined = decided.join(outcomes, on=["customer_key", "as_of_month"], how="left")
    return joined.with_columns(pl.col("is_mature").fill_null(False)).sort("decided_at", "decision_id")


def export_decisions(settings: PlatformSettings, path: Path, say: Say) -> int:
    """Write the joined decisions to a Parquet or CSV file and say what they show; return 0."""
    import polars as pl

    if path.suffix not in (".parquet", ".csv"):
        raise DecisionExportError(f"{path} ends neither with .parquet nor with .csv.")
    rows = decisions_with_outcomes(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        rows.write_csv(path)
    else:
        rows.write_parquet(path)
    known = rows.filter(pl.col("is_mature") & pl.col("is_default").is_not_null())
    say(
        f"{plural(len(rows), 'credit decision')} of known customers in {path}; what happened is known of "
        f"{len(known):,}."
    )
    if len(known):
        predicted, found = (float(known[name].cast(pl.Float64).sum()) / len(known) for name in COMPARED)
        say(f"Predicted: {predicted:.2%} default. Found: {found:.2%}.")
    return 0
