"""A run that is killed: nothing half-done is visible, and the next run ends as if nothing had happened."""

from pathlib import Path

import pandas as pd
import pytest

from tests.integration.orchestration.soundness import assert_visible_is_whole
from tests.integration.platform_home import PlatformHome

# Numbers of releases count attempts, so a kill between a release's folder and its pointer leaves a gap.
NAMES_OF_ATTEMPTS = ["release", "request_id"]


@pytest.fixture(scope="module")
def survivor(finished_home: PlatformHome, tmp_path_factory: pytest.TempPathFactory) -> PlatformHome:
    """A home whose main job was killed during landing, dbt and release, one after the other, and then finished."""
    home = PlatformHome(tmp_path_factory.mktemp("killed") / "home", finished_home.choices)

    home.run_and_kill_at("2025-03-02: meter_readings", delay_seconds=0.1)
    assert_visible_is_whole(home)
    landed = {path.name for path in (home.path / "landing" / "deliveries").iterdir()}
    assert 2 <= len(landed) < 25
    assert not (home.path / "marts").exists()

    home.run_and_kill_at("START sql table model marts.customer_credit_features", in_log_of_dbt=True)
    assert_visible_is_whole(home)
    assert not (home.path / "marts" / "CURRENT").exists()

    home.run_and_kill_at("> releases/tariff_matching", delay_seconds=0.3)
    assert_visible_is_whole(home)
    assert home.marts_version() == finished_home.marts_version()

    done = home.run()
    assert done.returncode == 0, done.stdout + done.stderr
    return home


def test_nothing_partial_is_visible_at_the_end(survivor: PlatformHome) -> None:
    assert_visible_is_whole(survivor)
    leftovers = [path for path in survivor.path.rglob(".incoming*") if any(path.iterdir())]
    assert leftovers == []


def test_marts_equal_those_of_an_undisturbed_run(survivor: PlatformHome, finished_home: PlatformHome) -> None:
    assert survivor.marts_version() == finished_home.marts_version()


def test_models_equal_those_of_an_undisturbed_run(survivor: PlatformHome, finished_home: PlatformHome) -> None:
    assert survivor.released_bundles() == finished_home.released_bundles()
    assert survivor.bundle_versions() == finished_home.bundle_versions()


def test_predictions_equal_those_of_an_undisturbed_run(survivor: PlatformHome, finished_home: PlatformHome) -> None:
    expected = finished_home.predictions()
    found = survivor.predictions()

    assert list(found) == list(expected)
    for name, frame in expected.items():
        pd.testing.assert_frame_equal(
            found[name].drop(columns=NAMES_OF_ATTEMPTS), frame.drop(columns=NAMES_OF_ATTEMPTS), check_exact=True
        )


def test_verdicts_equal_those_of_an_undisturbed_run(survivor: PlatformHome, finished_home: PlatformHome) -> None:
    def verdicts(home: PlatformHome) -> list[tuple[str, str]]:
        frame = pd.read_parquet(Path(home.path) / "reports" / "verdicts.parquet")
        return sorted(zip(frame["use_case"], frame["outcome"], strict=True))

    assert verdicts(survivor) == verdicts(finished_home)
