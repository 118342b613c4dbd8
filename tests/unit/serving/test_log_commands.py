"""``python -m serving log verify``: 0 for a log that nobody changed, else 1 and what was changed."""

from pathlib import Path

import pytest

from serving.__main__ import main
from serving.log_ledger import ledger_key
from serving.prediction_log import PredictionLog
from serving.settings import DEVELOPMENT_PSEUDONYM_KEY
from tests.unit.serving.test_prediction_log import row


def test_verification_ends_with_what_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KILOWISE_HOME", str(tmp_path))
    directory = tmp_path / "predictions" / "log"
    key = ledger_key(DEVELOPMENT_PSEUDONYM_KEY.encode())
    log = PredictionLog(directory, key=key, capacity_rows=10, flush_seconds=60)
    log.record([row(1)])
    log.stop()

    assert main(["log", "verify"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("2 entries, 1 whole file with 1 row.\nHead of the chain: ")
    head = said.split()[-1]
    assert main(["log", "verify", "--head", head]) == 0
    assert main(["log", "verify", "--head", "0" * 64]) == 1
    assert "its end was cut off" in capsys.readouterr().out
    next(directory.rglob("*.parquet")).unlink()
    assert main(["log", "verify"]) == 1
    assert capsys.readouterr().out.startswith("Changed: the file credit_risk/date=2026-09-05/")
