"""Annual bills agree with PySAM's Utilityrate5 to half a cent: same rates, loads and conventions."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from benchmarks.pysam_peer import CASES, YEAR, cube_of, loads, peer_annual_bill, peer_model
from ml.tariffs.pricing import price_cube
from ml.tariffs.schema import Rounding
from ml.tariffs.urdb import UrdbRules, load_urdb

REMEDY = "pip install --no-deps --require-hashes -r requirements-peers.lock"
pytest.importorskip("PySAM", reason=f"PySAM is not installed, so bills are not compared with it: `{REMEDY}`")

HALF_A_CENT = 0.005
RULES = UrdbRules(
    rounding=Rounding(scope="total", decimals=4),  # SAM does not round
    day_charge="mean_day",
    missing_history="use_known",
    leave_out=["coincidentratestructure", "demandreactivepowercharge"],
)


def assert_bills_agree(record: dict[str, Any]) -> None:
    some_loads = loads(3)
    tariff, report = load_urdb(record, RULES)[0]
    assert tariff is not None, report.to_text()
    model = peer_model(record)

    ours = price_cube(tariff, cube_of(some_loads)).sum_amount

    theirs = [peer_annual_bill(model, (load / 10_000).tolist()) for load in some_loads]
    assert ours == pytest.approx(theirs, rel=0, abs=HALF_A_CENT)


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_charge_agrees(name: str) -> None:
    assert_bills_agree(CASES[name])


def test_every_public_sample_that_loads_agrees(shared_data: Path) -> None:
    records = [
        json.loads(text) for text in pl.read_parquet(shared_data / "tariffs" / "us_urdb_samples.parquet")["urdb_json"]
    ]
    in_the_year = {"startdate": datetime(YEAR, 1, 1, tzinfo=UTC).timestamp(), "enddate": None}
    # The peer has no window of demand, and its loads are hourly.
    records = [record | in_the_year | {"demandwindow": None} for record in records]
    loadable = [record for record in records if load_urdb(record, RULES)[0].tariff is not None]

    assert len(loadable) == 17
    for record in loadable:
        assert_bills_agree(record)
