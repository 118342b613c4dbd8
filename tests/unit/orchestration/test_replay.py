"""Replay of logged credit decisions, from the request id to the identical number."""

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from ml.columns import names
from ml.credit_risk.schema import FEATURES, PREDICTIONS
from orchestration.__main__ import main
from orchestration.replay import ReplayError, replay
from orchestration.settings import PlatformSettings
from serving.log_ledger import ledger_key
from serving.model_store import ModelStore
from serving.prediction_log import LoggedPrediction, PredictionLog
from tests.unit.serving.builders import credit_risk_model, customer_id, feature_table, key_of, publish


@pytest.fixture(scope="module")
def logged_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a credit release that answered two requests: one by id, one with inline features."""
    home, work_dir = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("bundles")
    release = publish(ModelStore(home), work_dir, "credit_risk")
    features = feature_table("credit_risk").iloc[:2]
    answers = credit_risk_model().predict(features)
    log = PredictionLog(home / "predictions" / "log", key=ledger_key(b"test"), capacity_rows=10, flush_seconds=1)
    log.record(
        [
            LoggedPrediction(
                request_id=request_id,
                decision_id=f"{request_id}-decision",
                decided_at=datetime(2026, 9, 7, 8, 31, tzinfo=UTC),
                use_case="credit_risk",
                release=release.name,
                model_version=release.bundle_version,
                customer_key=key,
                as_of_month=month,
                district=None,
                features={name: _plain(features.iloc[row][name]) for name in names(FEATURES)},
                prediction={name: _plain(answers.iloc[row][name]) for name in names(PREDICTIONS)},
            )
            for row, request_id, key, month in (
                (0, "by-id", key_of(0), date(2026, 8, 1)),
                (1, "inline", None, None),
            )
        ]
    )
    log.flush()
    return home


def _plain(value: object) -> object:
    return None if pd.isna(value) else value


@pytest.fixture
def home(logged_home: Path, tmp_path: Path) -> Path:
    """A copy of that home, to be damaged."""
    return Path(shutil.copytree(logged_home, tmp_path / "home"))


@pytest.fixture
def settings(home: Path) -> Iterator[PlatformSettings]:
    return PlatformSettings(home=home, _env_file=None)


def log_file(home: Path) -> Path:
    [path] = (home / "predictions" / "log").rglob("*.parquet")
    return path


@pytest.mark.parametrize(
    ("request_id", "features"),
    [
        ("by-id", "Features: 1 of 1 decision exactly those of the release's snapshot."),
        ("inline", "The features came with the request; the log is the only place that has them."),
    ],
)
def test_decision_is_computed_again_to_the_identical_number(
    request_id: str, features: str, settings: PlatformSettings
) -> None:
    result = replay(settings, request_id)

    assert result.is_identical
    assert result.decisions == 1
    assert features in result.sentences
    assert any(sentence.startswith("Bundle credit_risk:") and "seed 0" in sentence for sentence in result.sentences)
    assert any(sentence.startswith("By cn_local@2024-01-01: ") for sentence in result.sentences)
    assert result.sentences[-1] == "Identical: 1 decision, the same answer to the last digit."


def test_what_followed_is_told_by_the_policy_that_decided(settings: PlatformSettings) -> None:
    path = log_file(settings.home)
    pd.read_parquet(path, partitioning=None).assign(policy_version="us_illinois@2024-01-01").to_parquet(path)

    sentences = replay(settings, "by-id").sentences

    assert any(sentence.startswith("By us_illinois@2024-01-01: ") for sentence in sentences)


def test_command_tells_the_way_back(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KILOWISE_HOME", str(home))

    assert main(["replay", "by-id", "--customer", customer_id(0)]) == 0
    said = capsys.readouterr().out
    assert main(["replay", "by-id", "--customer", customer_id(1)]) == 1

    assert "logged in predictions/log/credit_risk/date=2026-09-07/" in said
    assert customer_id(0) not in said
    assert "not with this customer" in capsys.readouterr().err


def test_log_that_was_altered_is_found_out(settings: PlatformSettings) -> None:
    path = log_file(settings.home)
    rows = pd.read_parquet(path, partitioning=None)
    rows.loc[rows["request_id"] == "by-id", "default_probability"] += 1e-15
    rows.to_parquet(path)

    result = replay(settings, "by-id")

    assert not result.is_identical
    assert result.sentences[-1].startswith("NOT identical: 1 of 1 decision differ. Decision 1: default_probability was")


def test_unknown_request_is_said(settings: PlatformSettings) -> None:
    with pytest.raises(ReplayError, match="No decision of the request nothing is logged"):
        replay(settings, "nothing")


def test_missing_release_is_said(settings: PlatformSettings) -> None:
    shutil.rmtree(settings.home / "releases")

    with pytest.raises(ReplayError, match="which is gone: credit_risk has no release"):
        replay(settings, "by-id")


def test_missing_and_altered_bundles_are_said(settings: PlatformSettings) -> None:
    [bundle] = (settings.home / "models" / "models" / "credit_risk").glob("*/bundle")
    [estimator] = [path for path in bundle.rglob("*") if path.name == "model.json"]
    estimator.write_text(estimator.read_text().replace("0.0", "0.1"))

    with pytest.raises(ReplayError, match="cannot be trusted any more"):
        replay(settings, "by-id")
    shutil.rmtree(bundle)
    with pytest.raises(ReplayError, match="made by a bundle that is gone"):
        replay(settings, "by-id")


def test_pruned_snapshot_does_not_hinder_a_replay(settings: PlatformSettings) -> None:
    [snapshot] = settings.home.rglob("features.sqlite")
    snapshot.unlink()

    result = replay(settings, "by-id")

    assert result.is_identical
    assert "The release's feature snapshot was pruned; the features are those of the log." in result.sentences


def test_decision_that_was_logged_without_a_feature_needs_the_code_of_its_time(settings: PlatformSettings) -> None:
    path = log_file(settings.home)
    pd.read_parquet(path, partitioning=None).drop(columns="tenure_months").to_parquet(path)

    with pytest.raises(ReplayError, match="logged without tenure_months, which this code needs"):
        replay(settings, "by-id")
