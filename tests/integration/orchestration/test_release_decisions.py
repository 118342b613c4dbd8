"""Who decides what is served: the gate, a person, and the way back. Jobs run as the UI starts them."""

import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml.bundle import TrainingResult, write_bundle
from ml.segmentation.schema import FEATURES
from ml.segmentation.training import train
from orchestration.lifecycle import decision_dir, read_challenger
from orchestration.marts import current_marts
from tests.integration.platform_home import PlatformHome

USE_CASE = "segmentation"
TRAINING = [f"{layer}/{USE_CASE}" for layer in ("sufficiency", "models", "evaluations")]
JUDGEMENT = f"evaluations/{USE_CASE}"
RELEASE = f"releases/{USE_CASE}"
PREDICTIONS = "predictions/customer_segments"
SCORED_MONTH = "2026-08-01"
ROLLBACK_LIMIT_SECONDS = 30


@pytest.fixture
def home(finished_home: PlatformHome, tmp_path: Path) -> PlatformHome:
    return finished_home.copy_to(tmp_path / "home")


def rollback_config(release_name: str) -> dict[str, Any]:
    return {
        "move_release_pointer": {
            "config": {
                "use_case": USE_CASE,
                "release_name": release_name,
                "approved_by": "Chen Jing",
                "reason": "segments moved",
            }
        }
    }


def failure_text(result: Any) -> str:
    """Return what the run history shows about the failed steps."""
    errors = [event.step_failure_data.error for event in result.get_step_failure_events()]
    return " ".join(str(error) for error in errors)


def worse_challenger(home: PlatformHome) -> TrainingResult:
    """Train on load shapes that belong to nobody: each column is shuffled by itself."""
    features = current_marts(home.settings.marts_dir).read("customer_segmentation_features")
    random = np.random.default_rng(1)
    shapes = [column.name for column in FEATURES if column.kind == "numeric"]
    shuffled = features.assign(**{column: random.permutation(features[column].to_numpy()) for column in shapes})
    return train(shuffled, seed=1, data_fingerprint="shuffled")


def put_forward(home: PlatformHome, bundle_dir: Path, version: str) -> None:
    """Make a bundle the challenger, as a training does."""
    home.store.store_bundle(bundle_dir)
    (home.path / "releases" / USE_CASE / "CHALLENGER").write_text(version)


def scores(home: PlatformHome) -> pd.DataFrame:
    path = f"{USE_CASE}/as_of_month={SCORED_MONTH}/predictions.parquet"
    return home.predictions()[path]


@pytest.mark.parametrize("kind", ["worse", "figure missing"])
def test_refused_challenger_changes_nothing_that_is_served(home: PlatformHome, kind: str) -> None:
    champion = home.store.current_name(USE_CASE)
    with TemporaryDirectory() as folder:
        if kind == "worse":
            manifest = worse_challenger(home).write(Path(folder) / "bundle")
        else:
            released = read_challenger(USE_CASE, home.settings)
            assert released is not None
            manifest = write_bundle(
                Path(folder) / "bundle",
                use_case=USE_CASE,
                estimator_files=released.estimator_files(),
                evaluation=released.evaluation.model_copy(update={"baselines": ()}),
                reference=released.reference(),
                holdout=released.holdout(),
                model_card=released.model_card,
                plots=released.plots(),
                config=released.manifest.config,
                seed=released.manifest.seed,
                data_window=released.manifest.data_window,
                data_fingerprint=released.manifest.data_fingerprint,
            )
        put_forward(home, Path(folder) / "bundle", manifest.version)

    judged = home.execute("refresh_models", [SCORED_MONTH], [JUDGEMENT, RELEASE, PREDICTIONS])

    assert "release_gate" in failure_text(judged)
    [check] = judged.get_asset_check_evaluations()
    assert not check.passed
    assert check.description is not None
    assert check.description.startswith("Refused: ")
    assert home.store.current_name(USE_CASE) == champion
    folder_of_decision = decision_dir(home.settings, USE_CASE, manifest.version)
    assert json.loads((folder_of_decision / "decision.json").read_text())["approved"] is False
    assert "Refused" in (folder_of_decision / "model_card.html").read_text()

    assert home.execute("release_models", assets=[RELEASE]).success
    assert home.store.current_name(USE_CASE) == champion
    assert home.execute("score_customers", [SCORED_MONTH], [PREDICTIONS]).success
    assert set(scores(home)["release"]) == {champion}


@pytest.fixture(scope="module")
def history(finished_home: PlatformHome, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A challenger that waits for a person, is approved, released, and rolled back; what was seen at each moment."""
    home = finished_home.copy_to(tmp_path_factory.mktemp("history") / "home")
    seen: dict[str, Any] = {"home": home, "first": home.store.current_name(USE_CASE)}
    assert home.execute("score_customers", [SCORED_MONTH], [PREDICTIONS]).success
    seen["scores_before"] = scores(home)

    careful = home.choose(seed=1, release_policy="approval")
    trained = careful.execute("train_models", assets=TRAINING)
    assert trained.success, failure_text(trained)
    seen["after_training"] = home.store.current_name(USE_CASE)
    assert careful.execute("release_models", assets=[RELEASE]).success
    seen["without_person"] = home.store.current_name(USE_CASE)
    approval = {f"releases__{USE_CASE}": {"config": {"approved_by": "Li Wei"}}}
    assert careful.execute("release_models", assets=[RELEASE], ops=approval).success
    seen["second"] = home.store.current_release(USE_CASE)
    assert careful.execute("score_customers", [SCORED_MONTH], [PREDICTIONS]).success
    seen["scores_promoted"] = scores(home)

    started = time.perf_counter()
    rolled_back = careful.execute("rollback_release", ops=rollback_config(seen["first"]))
    seen["rollback_seconds"] = time.perf_counter() - started
    assert rolled_back.success, failure_text(rolled_back)
    seen["after_rollback"] = home.store.current_name(USE_CASE)
    assert careful.execute("score_customers", [SCORED_MONTH], [PREDICTIONS]).success
    seen["scores_after"] = scores(home)
    return seen


def test_training_and_waiting_for_a_person_change_nothing_that_is_served(history: dict[str, Any]) -> None:
    assert history["after_training"] == history["first"]
    assert history["without_person"] == history["first"]


def test_named_person_releases_and_stands_on_the_release(history: dict[str, Any]) -> None:
    assert history["second"].name != history["first"]
    assert history["second"].approved_by == "Li Wei"
    assert set(history["scores_promoted"]["release"]) == {history["second"].name}


def test_rollback_takes_seconds_and_every_score_is_as_before(history: dict[str, Any]) -> None:
    assert history["rollback_seconds"] < ROLLBACK_LIMIT_SECONDS
    assert history["after_rollback"] == history["first"]
    assert len(history["scores_before"]) > 350
    pd.testing.assert_frame_equal(history["scores_after"], history["scores_before"], check_exact=True)


def test_next_automatic_release_does_not_undo_the_rollback(history: dict[str, Any]) -> None:
    home: PlatformHome = history["home"]

    assert home.choose(seed=1).execute("release_models", assets=[RELEASE]).success

    assert home.store.current_name(USE_CASE) == history["first"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("0099-202609-0000000000", "segmentation has no release '0099-202609-0000000000'; there are: 0001-"),
        ("the one before", "'the one before' is not a release name; names look like"),
    ],
)
def test_unknown_release_is_refused_in_a_sentence(history: dict[str, Any], name: str, sentence: str) -> None:
    home: PlatformHome = history["home"]
    served = home.store.current_name(USE_CASE)

    refused = home.execute("rollback_release", ops=rollback_config(name))

    assert not refused.success
    assert sentence in failure_text(refused)
    assert home.store.current_name(USE_CASE) == served
