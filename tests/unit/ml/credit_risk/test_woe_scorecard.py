"""One scorecard, four faces: Python, SQL, service and printed card give the same points for every row."""

import csv
import io
import math
import re
from collections.abc import Mapping
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pydantic import ValidationError

from ml.bundle import TrainingResult
from ml.columns import names
from ml.credit_risk.model import SCORECARD_FILE, CreditRiskModel
from ml.credit_risk.schema import FEATURES
from ml.credit_risk.woe_scorecard import (
    Bin,
    Characteristic,
    PointTables,
    WoeScorecard,
    columns_of_frame,
    columns_of_records,
)
from ml.errors import SchemaMismatchError

ROWS = 100_000


@pytest.fixture(scope="module")
def model(trained: TrainingResult) -> CreditRiskModel:
    assert isinstance(trained.model, CreditRiskModel)
    return trained.model


@pytest.fixture(scope="module")
def card(model: CreditRiskModel) -> WoeScorecard:
    """Return the trained card with a line of classes, which synthetic classes are too weak to earn."""
    classes = Characteristic(
        column="customer_class",
        bins=(
            Bin(kind="category", category="residential", points=4),
            Bin(kind="category", category="industrial", points=-9),
            Bin(kind="missing", points=-2),
            Bin(kind="other", points=1),
        ),
    )
    kept = [one for one in model.scorecard.characteristics if one.column != "customer_class"]
    return model.scorecard.model_copy(update={"characteristics": (*kept, classes)})


@pytest.fixture(scope="module")
def rows(card: WoeScorecard) -> pd.DataFrame:
    """Return rows that lie on edges, just beside them, outside every limit, and nowhere."""
    generator = np.random.default_rng(5)
    edges = {one.column: one.edges for one in card.characteristics}
    data: dict[str, Any] = {"customer_key": np.arange(ROWS), "as_of_month": "2026-01-01"}
    for column in FEATURES:
        if column.kind == "categorical":
            known = np.array([*column.allowed, "space station", "O'Brien's", None], dtype=object)
            data[column.name] = generator.choice(known, ROWS)
            continue
        exact = np.array([0.0, -0.0, *edges.get(column.name, ())])
        beside = np.concatenate([exact, np.nextafter(exact, np.inf), np.nextafter(exact, -np.inf)])
        values = np.where(generator.random(ROWS) < 0.5, generator.normal(20, 60, ROWS), generator.choice(beside, ROWS))
        values[generator.random(ROWS) < 0.1] = np.nan
        values[-1000:] = generator.choice([1e300, -1e300, np.inf, -np.inf], 1000)
        data[column.name] = values
    return pd.DataFrame(data)


@pytest.fixture(scope="module")
def points(card: WoeScorecard, rows: pd.DataFrame) -> np.ndarray:
    return card.points(columns_of_frame(rows))


def test_the_tables_of_the_service_give_the_same_points_on_100_000_rows(card: WoeScorecard, rows: pd.DataFrame):
    columns = columns_of_frame(rows)
    tables = PointTables(card)

    parts = card.parts(columns)

    np.testing.assert_array_equal(tables.parts(columns), parts)
    np.testing.assert_array_equal(tables.effects(parts), card.effects(parts))


def test_python_sql_and_the_printed_card_agree_on_100_000_rows(
    card: WoeScorecard, rows: pd.DataFrame, points: np.ndarray
):
    assert len(np.unique(points)) > 50
    np.testing.assert_array_equal(_points_by_hand(card.to_csv(), rows), points)

    # Half of the gaps are NULL and half are NaN: a warehouse may hold either.
    table = pa.Table.from_pandas(rows, preserve_index=False)
    as_nan = rows.iloc[: ROWS // 2]
    columns = {
        column.name: pa.array(as_nan[column.name], from_pandas=column.kind == "categorical") for column in FEATURES
    }
    with duckdb.connect() as connection:
        connection.register("features", table)
        found = connection.execute(card.to_sql("features", keys=("customer_key",))).fetchnumpy()
        connection.register("with_nan", pa.table(columns))
        with_nan = connection.execute(card.to_sql("with_nan", keys=())).fetchnumpy()
    assert table["tenure_months"].null_count > 0
    np.testing.assert_array_equal(found["scorecard_points"][np.argsort(found["customer_key"])], points)
    np.testing.assert_array_equal(np.sort(with_nan["scorecard_points"]), np.sort(points[: ROWS // 2]))


def test_the_service_gives_the_same_points_alone_in_a_batch_and_after_saving(
    model: CreditRiskModel, card: WoeScorecard, rows: pd.DataFrame, points: np.ndarray
):
    served = CreditRiskModel(model.settings, card)
    loaded = CreditRiskModel.from_files(served.to_files())
    usable = rows.head(300)
    expected = points[usable["customer_key"]]
    records = [
        {name: None if _is_gap(value) else value for name, value in row.items()}
        for row in usable[names(FEATURES)].to_dict("records")
    ]
    for one in (served, loaded):
        np.testing.assert_array_equal(one.predict(usable)["scorecard_points"], expected)
        assert [answer["scorecard_points"] for answer, _ in one.predict_records(records)] == expected.tolist()
    alone = [loaded.predict_records([record])[0][0] for record in records]
    assert [answer["scorecard_points"] for answer in alone] == expected.tolist()
    assert [answer["credit_points"] for answer in alone] == expected.tolist()
    assert WoeScorecard.model_validate_json(loaded.to_files()[SCORECARD_FILE]) == card


def test_text_and_markdown_print_every_line_of_the_card(card: WoeScorecard):
    text, markdown = card.to_text(), card.to_markdown()
    printed = [int(found) for found in re.findall(r"\s([+-]\d+)$", text, flags=re.MULTILINE)]
    expected = [bin_.points for one in card.characteristics for bin_ in one.bins]
    assert printed == expected
    assert [int(found) for found in re.findall(r"\| ([+-]\d+) \|$", markdown, flags=re.MULTILINE)] == expected
    assert f"| {card.start_points} |" in markdown
    assert text.count("not known") == text.count("Class of the customer") + len(card.characteristics) - 1
    assert [row[3] for row in card.table().rows] == [card.start_points, *expected]


def test_the_probability_follows_from_the_points_by_the_sentence_on_the_card(card: WoeScorecard):
    for points, odds in ((600, 50), (620, 100), (580, 25)):
        assert card.probability(points) == pytest.approx(1 / (1 + odds), rel=1e-12)
    many = np.array([580, 600, 580, 620])
    assert card.probabilities(many).tolist() == [card.probability(int(value)) for value in many]
    assert "1 / (1 + 50 x 2 ^ ((points - 600) / 20))" in card.how_to_read()


def test_effects_are_lost_points_against_the_mean_row_in_log_odds(card: WoeScorecard, rows: pd.DataFrame):
    columns = columns_of_frame(rows.head(50))
    parts = card.parts(columns)
    effects = card.effects(parts)
    mean = sum(one.mean_points for one in card.characteristics)
    own = card.points(columns) - card.start_points
    np.testing.assert_allclose(effects.sum(axis=1), (mean - own) * math.log(2) / 20, atol=1e-12)


def test_ranges_with_a_gap_are_refused():
    bins = (
        Bin(kind="range", points=1, upper=2.0),
        Bin(kind="range", points=2, lower=3.0),
        Bin(kind="missing", points=0),
        Bin(kind="other", points=0),
    )
    with pytest.raises(ValidationError, match="without gap"):
        Characteristic(column="tenure_months", bins=bins)
    with pytest.raises(ValidationError, match="one missing and one other"):
        Characteristic(column="tenure_months", bins=bins[:3])


def test_columns_that_are_missing_or_not_numbers_are_named(rows: pd.DataFrame):
    few = rows.head(2)
    with pytest.raises(SchemaMismatchError, match="lack the column tenure_months"):
        columns_of_frame(few.drop(columns="tenure_months"))
    with pytest.raises(SchemaMismatchError, match="tenure_months holds a value that is not a number"):
        columns_of_frame(few.assign(tenure_months="long"))
    record: Mapping[str, Any] = {column.name: None for column in FEATURES}
    with pytest.raises(SchemaMismatchError, match="lack the column tenure_months"):
        columns_of_records([{name: value for name, value in record.items() if name != "tenure_months"}])
    with pytest.raises(SchemaMismatchError, match="tenure_months holds a value that is not a number"):
        columns_of_records([{**record, "tenure_months": "long"}])


def _is_gap(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _points_by_hand(printed: str, rows: pd.DataFrame) -> np.ndarray:
    """Add up the printed card as a person would: find the line that fits, block by block."""
    total = np.zeros(len(rows), dtype=np.int64)
    for line in csv.DictReader(io.StringIO(printed)):
        earned = int(line["points"])
        if line["kind"] == "start":
            total += earned
            continue
        values = rows[line["column"]]
        gap = values.isna().to_numpy()
        if values.dtype == object:
            listed = [
                row["category"] for row in csv.DictReader(io.StringIO(printed)) if row["column"] == line["column"]
            ]
            fits = {
                "missing": gap,
                "other": ~gap & ~values.isin(listed).to_numpy(),
                "category": (values == line["category"]).to_numpy(),
            }[line["kind"]]
        else:
            numbers = values.to_numpy()
            legal = ~gap
            if line["legal_from"]:
                legal &= ~(numbers < float(line["legal_from"]))
            if line["legal_to"]:
                legal &= ~(numbers > float(line["legal_to"]))
            within = legal.copy()
            if line["at_least"]:
                within &= numbers >= float(line["at_least"])
            if line["below"]:
                within &= numbers < float(line["below"])
            fits = {"missing": gap, "other": ~gap & ~legal, "range": within}[line["kind"]]
        total += earned * fits
    return total
