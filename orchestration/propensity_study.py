"""Leaving or joining foretold from one table of customers with a known outcome, outside of the platform's marts.

For a first look at a supplier's list of who left, and for public data that has no readings, bills or dates: a mapping
says how the table's columns become features, and the same training function judges them on customers held out.

    python -m orchestration.propensity_study MAPPING FILE [--unseen FILE] [--scores FILE]
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ml.errors import KilowiseError

if TYPE_CHECKING:
    import pandas as pd

    from ml.segmentation.propensity import Target
    from ml.segmentation.propensity_training import PropensityResult


class PropensityMappingError(KilowiseError):
    """A mapping of a table to features cannot be used; the message names the place and what to change."""


class PropensityMapping(BaseModel):
    """How a table with one row per customer becomes features and an outcome.

    Attributes:
        source: Name of the data.
        description: What it is.
        as_of_month: First day of the month that the features look back from.
        horizon_months: Months after it in which the outcome was looked for.
        target: What happened.
        customer_key: Expression of the customer's key.
        label: Expression that is true for customers who did it.
        features: Expression by column of ``ml.segmentation.propensity.INPUTS``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    description: str = ""
    as_of_month: date
    horizon_months: int = Field(ge=1, le=24)
    target: Literal["leaving", "potential"]
    customer_key: str
    label: str
    features: dict[str, str] = Field(min_length=1)

    @field_validator("features")
    @classmethod
    def _are_inputs(cls, features: dict[str, str]) -> dict[str, str]:
        from ml.segmentation.propensity import INPUT_NAMES

        unknown = sorted(set(features) - set(INPUT_NAMES))
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: no such input; there are {', '.join(INPUT_NAMES)}")
        return features

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a mapping.

        Raises:
            PropensityMappingError: The file is missing or is no such mapping.
        """
        import yaml

        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise PropensityMappingError(f"there is no mapping {path}") from error
        except yaml.YAMLError as error:
            raise PropensityMappingError(f"{path} is not YAML: {error}") from error
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            raise PropensityMappingError(f"{path}: {problems}") from error

    def rows(self, table: Path, *, is_labelled: bool = True) -> "pd.DataFrame":
        """Return key, features and, where they are asked for, outcomes of the rows of a Parquet or CSV file.

        Raises:
            PropensityMappingError: The file is missing, an expression does not fit it, or a customer occurs twice.
        """
        import duckdb

        if not table.exists():
            raise PropensityMappingError(f"there is no file {table}")
        expressions = {"customer_key": f"cast({self.customer_key} as varchar)", **self.features}
        if is_labelled:
            expressions[self._target.label] = self.label
        selected = ", ".join(f"{expression} as {name}" for name, expression in expressions.items())
        try:
            with duckdb.connect(config={"threads": 2}) as connection:
                rows = connection.execute(f"select {selected} from '{table}'").df()
        except duckdb.Error as error:
            raise PropensityMappingError(f"{self.source} cannot be mapped from {table}: {error}") from error
        if rows["customer_key"].duplicated().any():
            raise PropensityMappingError(f"{table} holds a customer twice: one row per customer is expected")
        return rows.assign(as_of_month=self.as_of_month)

    @property
    def _target(self) -> "Target":
        from ml.segmentation.propensity import TARGETS

        return next(target for target in TARGETS if target.name == self.target)


def study(mapping: PropensityMapping, table: Path, *, seed: int = 7) -> "PropensityResult":
    """Train on a table, held out by customer, and judge on the customers held out."""
    from ml.segmentation.config import PropensityConfig
    from ml.segmentation.propensity_training import train_propensity
    from ml.splits import add_months

    rows = mapping.rows(table)
    target = mapping._target
    outcomes = rows[["customer_key", "as_of_month", target.label]].assign(
        is_mature=True, window_end_date=add_months(mapping.as_of_month, mapping.horizon_months)
    )
    return train_propensity(rows.drop(columns=target.label), outcomes, target, PropensityConfig(), seed)


def judge_unseen(mapping: PropensityMapping, result: "PropensityResult", table: Path) -> tuple[float, float, float]:
    """Return the AUC of the released model on another table of customers, with its 95 % interval.

    Raises:
        KilowiseError: No model was released, or the table has one outcome only.
    """
    from ml.classification import roc_auc
    from ml.evaluation import bootstrap

    if result.model is None:
        raise KilowiseError(f"there is no model to judge. {result.reason}")
    rows = mapping.rows(table)
    probabilities, _ = result.model.predict(rows)
    labels = rows[result.target.label].to_numpy(dtype="float64")
    figures = bootstrap({"auc": roc_auc(probabilities, labels)}, rows["customer_key"].to_numpy(), replicates=400)
    value, lower, upper = figures["auc"]
    if value is None or lower is None or upper is None:
        raise KilowiseError(f"{table} has too few customers of one outcome to judge on")
    return value, lower, upper


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m orchestration.propensity_study", description=__doc__)
    parser.add_argument("mapping", type=Path, help="YAML file: a feature per line, as an SQL expression over the table")
    parser.add_argument("table", type=Path, help="Parquet or CSV file with one row per customer")
    parser.add_argument("--unseen", type=Path, help="another such file, to judge the released model on")
    parser.add_argument("--scores", type=Path, help="where to write the probabilities of the unseen customers (CSV)")
    chosen = parser.parse_args(arguments)
    try:
        mapping = PropensityMapping.read(chosen.mapping)
        result = study(mapping, chosen.table)
        _print(result)
        if chosen.unseen:
            value, lower, upper = judge_unseen(mapping, result, chosen.unseen)
            _say(f"unseen customers      AUC {value:.3f} ({lower:.3f} to {upper:.3f})")
        if chosen.unseen and chosen.scores and result.model:
            rows = mapping.rows(chosen.unseen, is_labelled=False)
            probabilities, reasons = result.model.predict(rows)
            rows[["customer_key"]].assign(probability=probabilities, reason=reasons).to_csv(chosen.scores, index=False)
    except KilowiseError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _print(result: "PropensityResult") -> None:
    for finding in result.sufficiency.findings:
        _say(finding.message)
    _say(result.holdout_description)
    for metric in result.metrics:
        name = metric.name.removeprefix(f"{result.target.name}_").replace("_", " ")
        interval = f" ({metric.lower:.3f} to {metric.upper:.3f})" if metric.lower is not None else ""
        _say(f"{name:28s}{'–' if metric.value is None else f'{metric.value:.3f}'}{interval}")
    _say(result.reason)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
