"""Logged credit decisions joined with what happened, by decision id."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from orchestration.__main__ import main
from orchestration.decisions import decisions_with_outcomes
from orchestration.settings import PlatformSettings
from serving.log_ledger import ledger_key
from serving.prediction_log import CHALLENGER, PredictionLog
from tests.unit.serving.test_prediction_log import row


@pytest.fixture
def settings(tmp_path: Path) -> PlatformSettings:
    """Settings of a home with five decisions and the outcomes of two customers."""
    marts = tmp_path / "marts" / "versions" / "one"
    marts.mkdir(parents=True)
    (tmp_path / "marts" / "CURRENT").write_text("one")
    outcomes = pd.DataFrame(
        {
            "customer_key": [f"{1:032x}", f"{2:032x}", f"{3:032x}"],
            "as_of_month": pd.to_datetime([date(2026, 8, 1), date(2026, 8, 1), date(2026, 9, 1)]),
            "is_mature": [True, True, False],
            "is_default": [True, False, None],
        }
    )
    outcomes.to_parquet(marts / "customer_credit_outcomes.parquet")
    (marts / "manifest.json").write_text(json.dumps({"customer_credit_outcomes": {"sha256": "x", "rows": 3}}))
    log = PredictionLog(tmp_path / "predictions" / "log", key=ledger_key(b"test"), capacity_rows=10, flush_seconds=60)
    later = datetime(2026, 9, 6, tzinfo=UTC)
    log.record(
        [
            row(1),
            replace(row(2), arm=CHALLENGER),
            replace(row(3, decided_at=later), as_of_month=None),
            replace(row(1), decision_id="again", decided_at=later),
            replace(row(4), customer_key=None),
        ]
    )
    log.stop()
    return PlatformSettings(home=tmp_path, _env_file=None)


def test_every_decision_of_a_known_customer_meets_its_outcome(settings: PlatformSettings) -> None:
    rows = decisions_with_outcomes(settings)

    found = rows.select("decision_id", "arm", "as_of_month", "is_mature", "is_default").rows()
    assert sorted(found) == [
        ("again", None, date(2026, 8, 1), True, True),
        ("d1", None, date(2026, 8, 1), True, True),
        ("d2", "challenger", date(2026, 8, 1), True, False),
        ("d3", None, date(2026, 9, 1), False, None),
    ]


def test_command_writes_them_and_says_what_they_show(
    settings: PlatformSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KILOWISE_HOME", str(settings.home))

    assert main(["decisions", "out/decisions.csv"]) == 0
    assert main(["decisions", "out/decisions.parquet"]) == 0
    said = capsys.readouterr().out
    assert main(["decisions", "out/decisions.xlsx"]) == 1

    assert "4 credit decisions of known customers" in said
    assert "what happened is known of 3." in said
    assert "Predicted: 10.00% default. Found: 66.67%." in said
    assert "ends neither with" in capsys.readouterr().err
    assert pl.read_csv("out/decisions.csv").height == pl.read_parquet("out/decisions.parquet").height == 4
