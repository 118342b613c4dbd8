"""A run that is killed: nothing half-done is visible, and the next run ends as if nothing had happened.

Landing alone is killed at any moment in tests/unit/orchestration/ingestion/test_interruptions.py.
"""

import pandas as pd
import pytest

from tests.integration.orchestration.soundness import assert_visible_is_whole
from tests.integration.platform_home import PlatformHome

# A small supplier with one outcome of each kind: tariff matching is released, segmentation is refused, and credit risk
# has too few customers.
CHOICES = {
    "simulated_customers": 140,
    "simulated_months": 13,
    "simulated_seed": 5,
    "default_days": 10,
    "review_months": 1,
}

# Numbers of releases count attempts, so a kill between a release's folder and its pointer leaves a gap.
NAMES_OF_ATTEMPTS = ["release", "request_id"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> PlatformHome:
    """A home whose main job was left alone."""
    home = PlatformHome(tmp_path_factory.mktemp("undisturbed") / "home", CHOICES)
    done = home.run()
    assert done.returncode == 0, done.stdout + done.stderr
    return home


@pytest.fixture(scope="module")
def survivor(undisturbed: PlatformHome, tmp_path_factory: pytest.TempPathFactory) -> PlatformHome:
    """A home whose main job was killed during dbt and release, one after the other, and then finished."""
    home = PlatformHome(tmp_path_factory.mktemp("killed") / "home", undisturbed.choices)

    home.run_and_kill_when("warehouse/dbt_target/dbt.log", "model intermediate.int_interval_load_aggregates")
    assert_visible_is_whole(home)
    assert not (home.path / "marts" / "CURRENT").exists()

    home.run_and_kill_when("releases/tariff_matching/.incoming-*/release.json")
    assert_visible_is_whole(home)
    assert home.marts_version() == undisturbed.marts_version()

    done = home.run()
    assert done.returncode == 0, done.stdout + done.stderr
    return home


def test_nothing_partial_is_visible_at_the_end(survivor: PlatformHome) -> None:
    assert_visible_is_whole(survivor)
    assert list(survivor.path.rglob(".incoming-*")) == []
    assert list((survivor.path / "landing" / ".incoming").iterdir()) == []


def test_marts_equal_those_of_an_undisturbed_run(survivor: PlatformHome, undisturbed: PlatformHome) -> None:
    assert survivor.marts_version() == undisturbed.marts_version()


def test_models_and_decisions_equal_those_of_an_undisturbed_run(
    survivor: PlatformHome, undisturbed: PlatformHome
) -> None:
    assert survivor.released_bundles() == undisturbed.released_bundles()
    assert survivor.bundle_versions() == undisturbed.bundle_versions()
    assert undisturbed.released_bundles()["tariff_matching"] is not None
    assert undisturbed.released_bundles()["segmentation"] is None
    assert undisturbed.bundle_versions()["segmentation"] != []


def test_predictions_equal_those_of_an_undisturbed_run(survivor: PlatformHome, undisturbed: PlatformHome) -> None:
    expected = undisturbed.predictions()
    found = survivor.predictions()

    assert expected
    assert list(found) == list(expected)
    for name, frame in expected.items():
        pd.testing.assert_frame_equal(
            found[name].drop(columns=NAMES_OF_ATTEMPTS), frame.drop(columns=NAMES_OF_ATTEMPTS), check_exact=True
        )


def test_verdicts_equal_those_of_an_undisturbed_run(survivor: PlatformHome, undisturbed: PlatformHome) -> None:
    def verdicts(home: PlatformHome) -> list[tuple[str, str]]:
        frame = pd.read_parquet(home.path / "reports" / "verdicts.parquet")
        return sorted(zip(frame["use_case"], frame["outcome"], strict=True))

    assert verdicts(survivor) == verdicts(undisturbed)
