"""Trials of a challenger on live traffic: in shadow nobody notices, with a share the same customers always do."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from prometheus_client import REGISTRY

from ml.trials import is_challengers
from serving import trial_traffic
from serving.background import BackgroundWork
from serving.model_store import ModelStore, ReleaseError
from serving.runtime import Runtime
from serving.settings import ServingSettings
from serving.trials import TRIAL_FILE, Trial, past_trials
from tests.unit.serving.builders import approval, customer_id, feature_table, key_of, publish, write_small_bundle
from tests.unit.serving.conftest import TestClient, client_of

CREDIT = "/v1/credit_risk/score"


def start(
    home: Path, work_dir: Path, *, mode: Any = "shadow", share: float = 1.0, approved: bool = True, **more: Any
) -> Trial:
    """Try another credit model."""
    bundle = work_dir / "challenger"
    if not bundle.exists():
        write_small_bundle(bundle, "credit_risk", variant=1)
    tag = ModelStore(home).store_bundle(bundle)
    return ModelStore(home).start_trial(
        "credit_risk",
        tag.split(":")[1],
        feature_table("credit_risk"),
        gate=approval("credit_risk", approved=approved),
        started_by="Wang Fang",
        marts_version="m1",
        mode=mode,
        share=share,
        **more,
    )


@pytest.fixture(scope="module")
def work_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundles")


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory, work_dir: Path) -> Path:
    """A home that serves credit risk; to be copied."""
    home = tmp_path_factory.mktemp("released") / "home"
    publish(ModelStore(home), work_dir, "credit_risk")
    return home


@pytest.fixture
def home(released: Path, tmp_path: Path) -> Path:
    return shutil.copytree(released, tmp_path / "home")


@pytest.fixture
def runtime(home: Path) -> Iterator[Runtime]:
    """A runtime whose threads leave the work to the test."""
    runtime = Runtime(ServingSettings(home=home, release_poll_seconds=60, prediction_log_flush_seconds=60))
    runtime.start()
    yield runtime
    runtime.stop()


@pytest.fixture
def client(runtime: Runtime) -> TestClient:
    return client_of(runtime)


def ask(client: TestClient, number: int, **headers: str) -> dict[str, Any]:
    response = client.post(CREDIT, json={"customer_id": customer_id(number)}, headers=headers)
    assert response.status_code == 200
    answer: dict[str, Any] = response.json()
    assert response.headers["Kilowise-Release"] == answer["release"]
    return answer


def logged(runtime: Runtime, place: str = "") -> pd.DataFrame:
    """Return the rows of the log, after everything that waits was scored and written."""
    deadline = time.monotonic() + 30
    while runtime.trials._queued_count:
        runtime.trials.score_waiting()
        assert time.monotonic() < deadline, "the shadow never scored what waits"
    assert runtime.log is not None
    runtime.log.flush()
    folder = runtime.settings.prediction_log_dir / place / "credit_risk"
    parts = [pd.read_parquet(path, partitioning=None) for path in sorted(folder.rglob("*.parquet"))]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def test_in_shadow_the_champion_answers_and_both_are_logged_under_one_decision(
    runtime: Runtime, client: TestClient, home: Path, work_dir: Path
) -> None:
    trial = start(home, work_dir)
    runtime.trials.refresh()

    answers = [ask(client, number) for number in range(3)]
    many = client.post(CREDIT, json={"customer_ids": [customer_id(4), "nobody"]}).json()

    told, shadow = logged(runtime), logged(runtime, "shadow")
    assert {answer["release"] for answer in (*answers, many)} == {"0001-" + trial.champion_version}
    assert told["arm"].tolist() == ["champion"] * 4
    assert shadow["arm"].tolist() == ["shadow"] * 4
    assert sorted(shadow["decision_id"]) == sorted(told["decision_id"])
    assert set(shadow["release"]) == {trial.release}
    assert shadow["error"].isna().all()
    assert (shadow["scoring_ms"] > 0).all()
    assert not shadow["default_probability"].equals(told["default_probability"])


def test_features_of_the_challengers_own_snapshot_count_for_customers_and_sent_ones_for_others(
    runtime: Runtime, client: TestClient, home: Path, work_dir: Path
) -> None:
    trial = start(home, work_dir)
    runtime.trials.refresh()
    ask(client, 0)
    client.post(CREDIT, json={"features": {"customer_class": "residential", "bills_12m_count": 5}})

    shadow = logged(runtime, "shadow")

    store = ModelStore(home)
    model = store.load(store.read_release("credit_risk", trial.release))
    expected = model.predict([model.many_from_snapshot([key_of(0)])[key_of(0)]])[0]
    assert shadow["default_probability"][0] == expected.prediction["default_probability"]
    assert shadow["bills_12m_count"][1] == 5


def test_challenger_that_fails_in_shadow_reaches_nobody(
    runtime: Runtime, client: TestClient, home: Path, work_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(home, work_dir)
    runtime.trials.refresh()
    break_challenger(runtime, monkeypatch)

    ask(client, 1)

    shadow = logged(runtime, "shadow")
    assert shadow["error"].tolist() == ["ValueError: the matrix has other columns"]
    assert shadow["default_probability"].isna().all()


def test_what_does_not_fit_into_the_queue_is_left_out_and_counted(
    runtime: Runtime, client: TestClient, home: Path, work_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(home, work_dir)
    runtime.trials.refresh()
    monkeypatch.setattr(trial_traffic, "QUEUE_CUSTOMERS", 2)
    monkeypatch.setattr(BackgroundWork, "wake", lambda _work: None)
    labels = {"use_case": "credit_risk", "outcome": "left_out"}
    before = REGISTRY.get_sample_value("kilowise_trial_decisions_total", labels) or 0.0

    for number in range(5):
        ask(client, number)

    assert (REGISTRY.get_sample_value("kilowise_trial_decisions_total", labels) or 0.0) - before == 3
    assert sorted(logged(runtime)["arm"].fillna("").tolist()) == ["", "", "", "champion", "champion"]
    assert len(logged(runtime, "shadow")) == 2


def test_part_of_the_traffic_can_be_scored_in_shadow(
    runtime: Runtime, client: TestClient, home: Path, work_dir: Path
) -> None:
    trial = start(home, work_dir, share=0.5)
    runtime.trials.refresh()

    answers = [ask(client, number % 30) for number in range(40)]

    chosen = {one["request_id"] for one in answers if is_challengers(one["request_id"], trial.trial_id, 0.5)}
    assert 0 < len(chosen) < 40
    assert set(logged(runtime, "shadow")["request_id"]) == chosen


def test_a_share_of_the_customers_is_answered_by_the_challenger_always_the_same(
    runtime: Runtime, client: TestClient, home: Path, work_dir: Path
) -> None:
    trial = start(home, work_dir, mode="share", share=0.4)
    runtime.trials.refresh()
    champion = "0001-" + trial.champion_version

    answers = {number: [ask(client, number)["release"] for _ in range(2)] for number in range(30)}

    chosen = {number for number in range(30) if is_challengers(key_of(number), trial.trial_id, 0.4)}
    assert 0 < len(chosen) < 30
    for number, releases in answers.items():
        assert releases == [trial.release if number in chosen else champion] * 2
    rows = logged(runtime)
    assert set(rows.loc[rows["arm"] == "challenger", "customer_key"]) == {key_of(number) for number in chosen}
    assert set(rows["arm"]) == {"champion", "challenger"}
    assert logged(runtime, "shadow").empty


def test_batches_pinned_requests_and_strangers_are_answered_by_the_champion(
    runtime: Runtime, client: TestClient, home: Path, work_dir: Path
) -> None:
    trial = start(home, work_dir, mode="share", share=1.0)
    runtime.trials.refresh()
    champion = "0001-" + trial.champion_version

    many = client.post(CREDIT, json={"customer_ids": [customer_id(0), customer_id(1)]}).json()
    pinned = ask(client, 0, **{"Kilowise-Release": champion})
    stranger = client.post(CREDIT, json={"features": {"customer_class": "residential", "bills_12m_count": 5}}).json()

    assert {many["release"], pinned["release"], stranger["release"]} == {champion}
    assert ask(client, 0)["release"] == trial.release
    assert sorted(logged(runtime)["arm"].fillna("").tolist()) == ["", "", "", "", "challenger"]


@pytest.mark.parametrize(("mode", "expected"), [("share", 200), ("shadow", 409)])
def test_a_caller_may_hold_on_to_a_challenger_that_answers_and_to_no_other(
    runtime: Runtime, client: TestClient, home: Path, work_dir: Path, mode: str, expected: int
) -> None:
    trial = start(home, work_dir, mode=mode, share=1.0)
    runtime.trials.refresh()

    pinned = client.post(CREDIT, json={"customer_id": customer_id(0)}, headers={"Kilowise-Release": trial.release})

    assert pinned.status_code == expected
    assert (pinned.headers.get("Kilowise-Release") == trial.release) == (expected == 200)


def test_champion_answers_where_the_challenger_fails_and_the_failure_is_kept(
    runtime: Runtime, client: TestClient, home: Path, work_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = start(home, work_dir, mode="share", share=1.0)
    runtime.trials.refresh()
    break_challenger(runtime, monkeypatch)

    answer = ask(client, 0)
    unknown = client.post(CREDIT, json={"customer_id": "nobody"})

    assert answer["release"] == "0001-" + trial.champion_version
    assert unknown.status_code == 404
    shadow = logged(runtime, "shadow")
    assert shadow["decision_id"].tolist() == [answer["result"]["decision_id"]]
    assert shadow["error"].tolist() == ["ValueError: the matrix has other columns"]
    assert logged(runtime)["arm"].isna().all()


def test_trials_are_taken_up_and_dropped_without_a_restart_and_rest_for_another_champion(
    runtime: Runtime, client: TestClient, home: Path, work_dir: Path
) -> None:
    trial = start(home, work_dir, mode="share")
    runtime.trials.refresh()
    assert ask(client, 0)["release"] == trial.release

    renewed = start(home, work_dir, mode="share", renews=trial)
    runtime.trials.refresh()
    assert (renewed.trial_id, renewed.started_at) == (trial.trial_id, trial.started_at)
    assert ask(client, 0)["release"] == renewed.release != trial.release

    other = publish(ModelStore(home), work_dir, "credit_risk", variant=2)
    runtime.board.refresh()
    assert ask(client, 0)["release"] == other.name

    ModelStore(home).stop_trial("credit_risk", by="Wang Fang")
    runtime.trials.refresh()
    assert ModelStore(home).current_trial("credit_risk") is None
    assert [one.release for one in past_trials(home / "releases", "credit_risk")] == [renewed.release]


def test_challenger_that_cannot_be_loaded_and_a_damaged_trial_do_not_take_place(
    runtime: Runtime, client: TestClient, home: Path, work_dir: Path
) -> None:
    trial = start(home, work_dir, mode="share")
    (home / "releases" / "credit_risk" / trial.release / "features.sqlite").write_bytes(b"torn")
    runtime.trials.refresh()
    assert ask(client, 0)["release"] == "0001-" + trial.champion_version

    (home / "releases" / "credit_risk" / TRIAL_FILE).write_text("{")
    runtime.trials.refresh()
    assert ask(client, 0)["release"] == "0001-" + trial.champion_version


def test_nothing_is_tried_without_a_log(home: Path, work_dir: Path) -> None:
    start(home, work_dir, mode="share")
    runtime = Runtime(ServingSettings(home=home, log_predictions=False))
    runtime.start()

    assert ask(client_of(runtime), 0)["release"].startswith("0001-")
    runtime.stop()


def test_refused_model_may_be_tried_in_shadow_only_and_is_never_returned_to(home: Path, work_dir: Path) -> None:
    store = ModelStore(home)
    with pytest.raises(ReleaseError, match=r"may answer nobody: Refused: quality is too low\. Try it in shadow"):
        start(home, work_dir, mode="share", approved=False)

    trial = start(home, work_dir, approved=False)

    with pytest.raises(ReleaseError, match="was only tried, its gate refused it"):
        store.rollback("credit_risk", trial.release, by="Wang Fang", reason="by mistake")
    assert store.current_name("credit_risk") == "0001-" + trial.champion_version


def test_trial_needs_a_champion_and_another_model(tmp_path: Path, home: Path, work_dir: Path) -> None:
    with pytest.raises(ReleaseError, match="nothing of credit_risk is released"):
        start(tmp_path / "empty", work_dir)
    champion = ModelStore(home).current_release("credit_risk")
    assert champion is not None
    with pytest.raises(ReleaseError, match="is what is served"):
        ModelStore(home).start_trial(
            "credit_risk",
            champion.bundle_version,
            feature_table("credit_risk"),
            gate=approval("credit_risk"),
            started_by="Wang Fang",
            marts_version="m1",
            mode="shadow",
            share=1.0,
        )
    with pytest.raises(ReleaseError, match="no trial of credit_risk is on"):
        ModelStore(home).stop_trial("credit_risk", by="Wang Fang")


def test_snapshot_of_a_trial_is_not_pruned_and_an_erasure_ends_it(home: Path, work_dir: Path) -> None:
    store = ModelStore(home)
    trial = start(home, work_dir)
    for number in range(2, 5):
        publish(store, work_dir, "credit_risk", marts_version=f"m{number}", retained_snapshots=1)
    assert (home / "releases" / "credit_risk" / trial.release / "features.sqlite").is_file()

    store.erase_customer(key_of(0), lambda path: trial.bundle_version in path.parts)

    assert store.current_trial("credit_risk") is None


def break_challenger(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_inputs: object) -> None:
        raise ValueError("the matrix has other columns")

    monkeypatch.setattr(runtime.trials._active["credit_risk"].model, "predict", fail)
