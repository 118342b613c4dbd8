from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pandas as pd
import pytest

from ml.bundle import Bundle
from ml.tariff_matching.model import Advice, TariffMatchingModel
from ml.tariff_matching.schema import FEATURES
from serving.feature_store import SnapshotFile, write_feature_snapshot
from serving.released_model import ReleaseIdentity, ScoringInput
from serving.tariff_matching import ReleasedTariffMatching
from tests.unit.serving.builders import key_of, tariff_tables


class _NoFiles:
    def estimator_files(self) -> dict[str, bytes]:
        return {}


class _Recorder:
    """Stands for a trained model and keeps the rows that it was asked about."""

    def __init__(self) -> None:
        self.rows = pd.DataFrame()

    def advise(self, features: pd.DataFrame, _cube: object, **_more: object) -> list[Advice]:
        self.rows = features
        return []


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[ScoringInput]], pd.DataFrame]:
    features, _ = tariff_tables(3, months_count=13)
    write_feature_snapshot(tmp_path / "s.sqlite", features, FEATURES)
    recorder = _Recorder()
    monkeypatch.setattr(TariffMatchingModel, "from_files", lambda _files: recorder)
    identity = ReleaseIdentity("tariff_matching", "r-1", "v-1", datetime(2026, 10, 1, tzinfo=UTC))
    released = ReleasedTariffMatching(identity, cast("Bundle", _NoFiles()), SnapshotFile(tmp_path / "s.sqlite"))

    def ask(inputs: list[ScoringInput]) -> pd.DataFrame:
        released._score(inputs)
        return recorder.rows

    return ask


def test_a_customer_of_the_snapshot_is_advised_with_the_weather_of_the_district(
    asked: Callable[[list[ScoringInput]], pd.DataFrame],
) -> None:
    known = ScoringInput({}, key_of(0), district="north")
    own_features = ScoringInput({}, key_of(1))
    unknown = ScoringInput({})
    assert asked([known, own_features, unknown])["district"].tolist() == ["north", "north", None]
