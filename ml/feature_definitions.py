"""How a use case's features are made from landed rows: the SQL of the dbt models, as a release takes it along.

The marts that a model learned from are built by dbt. The same statements, in the same order, make the features of raw
rows that a request brings. This module is the contract between who writes them (``orchestration``) and who runs them
(``serving``); it runs nothing itself.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

AS_OF_MONTHS = "int_as_of_months"
"""Model that says which months are looked back upon. For raw rows that is what the request asks for."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RelationColumn(_Part):
    """A column and its type, in the words of the engine."""

    name: str
    type: str


class Relation(_Part):
    """One step: a view or table made by a statement, or rows that no single customer's data could tell."""

    schema_name: str
    name: str
    kind: Literal["view", "table", "rows"]
    sql: str = Field(default="", description="SELECT that makes it; empty for rows")
    columns: tuple[RelationColumn, ...] = Field(default=(), description="Columns of rows")
    rows: tuple[tuple[str | int | float | bool | None, ...], ...] = Field(default=(), description="The rows")


class FeatureDefinitions(_Part):
    """Everything that turns landed rows into the features of one use case."""

    format: Literal[1] = 1
    use_case: str
    time_zone: str = Field(description="Zone of local days and of timestamps without offset")
    as_of_lag_days: int = Field(description="Days after a month's end until which its data counts for it")
    adds_up_parallel_meters: bool = Field(description="Whether meters that run side by side are added up")
    landing: dict[str, tuple[RelationColumn, ...]] = Field(description="Landing tables that the steps read")
    as_of_months: tuple[RelationColumn, ...] = Field(description="Columns of the months that are looked back upon")
    steps: tuple[Relation, ...] = Field(description="Steps in the order in which they are run")
    feature_table: str = Field(description="Mart with the features; one row per customer and as-of month")
    customer_tables: tuple[str, ...] = Field(default=(), description="Further marts that the model reads per customer")
