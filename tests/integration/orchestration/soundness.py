"""What a reader of a home may rely on at any moment, also after a kill: everything that is visible is whole."""

import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq

from ml.bundle import read_bundle
from orchestration.marts import current_marts
from tests.integration.platform_home import USE_CASES, PlatformHome


def assert_visible_is_whole(home: PlatformHome) -> None:
    """Read everything that a reader could find in the home."""
    _assert_deliveries_are_whole(home)
    assert_derived_is_whole(home)


def assert_derived_is_whole(home: PlatformHome) -> None:
    """Read everything that was made from the landing."""
    for marts_dir in (home.settings.marts_dir, home.settings.after_models_marts_dir):
        if (marts_dir / "CURRENT").exists():
            _assert_marts_are_whole(marts_dir)
    for use_case in USE_CASES:
        for bundle in (home.path / "models" / "models" / use_case).glob("*/bundle"):
            read_bundle(bundle)
        release = home.store.current_release(use_case)
        if release is not None:
            home.store.load(release).try_out(5)
    for path in (home.path / "predictions" / "batch").rglob("predictions.parquet"):
        assert pq.read_table(path, partitioning=None).num_rows > 0
    for path in (home.path / "reports").rglob("*.json"):
        json.loads(path.read_text(encoding="utf-8"))
    for path in (home.path / "reports").rglob("*.html"):
        assert path.read_text(encoding="utf-8").rstrip().endswith("</html>"), path


def _assert_deliveries_are_whole(home: PlatformHome) -> None:
    for delivery in (home.settings.landing_dir / "deliveries").glob("*"):
        document = json.loads((delivery / "delivery.json").read_text(encoding="utf-8"))
        loaded = dict.fromkeys((file["entity"] for file in document["files"]), 0)
        for file in document["files"]:
            loaded[file["entity"]] += file["rows_loaded"]
        for entity, rows in loaded.items():
            files = (delivery / entity).rglob("*.parquet")
            assert sum(pq.read_metadata(path).num_rows for path in files) == rows, (delivery.name, entity)


def _assert_marts_are_whole(marts_dir: Path) -> None:
    marts = current_marts(marts_dir)
    for mart, fingerprint in marts.fingerprints.items():
        assert hashlib.sha256(marts.path(mart).read_bytes()).hexdigest() == fingerprint, mart
