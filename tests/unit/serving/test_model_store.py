import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from ml.bundle import read_bundle
from ml.errors import BundleError
from serving.model_store import ModelStore, ReleaseError
from tests.unit.serving.builders import approval, feature_table, key_of, publish, write_small_bundle

USE_CASE = "segmentation"


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "home")


def test_a_stored_bundle_is_a_bentoml_model(store: ModelStore, tmp_path: Path) -> None:
    manifest = write_small_bundle(tmp_path / "bundle", USE_CASE)

    tag = store.store_bundle(tmp_path / "bundle")

    listed = subprocess.run(
        [sys.executable, "-m", "bentoml", "models", "list", "--output", "json"],
        env={"BENTOML_HOME": str(store.bentoml_home), "BENTOML_DO_NOT_TRACK": "True", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert tag == f"{USE_CASE}:{manifest.version}"
    assert [model["tag"] for model in json.loads(listed.stdout)] == [tag]
    assert read_bundle(store.bundle_dir(USE_CASE, manifest.version)).manifest == manifest


def test_storing_again_changes_nothing(store: ModelStore, tmp_path: Path) -> None:
    write_small_bundle(tmp_path / "bundle", USE_CASE)
    tag = store.store_bundle(tmp_path / "bundle")
    before = {path: path.stat().st_mtime_ns for path in store.bentoml_home.rglob("*")}

    assert store.store_bundle(tmp_path / "bundle") == tag
    assert {path: path.stat().st_mtime_ns for path in store.bentoml_home.rglob("*")} == before


def test_a_damaged_stored_copy_is_replaced(store: ModelStore, tmp_path: Path) -> None:
    manifest = write_small_bundle(tmp_path / "bundle", USE_CASE)
    store.store_bundle(tmp_path / "bundle")
    (store.bundle_dir(USE_CASE, manifest.version) / "estimator" / "model.json").write_text("{}")

    store.store_bundle(tmp_path / "bundle")

    assert read_bundle(store.bundle_dir(USE_CASE, manifest.version)).manifest == manifest


def test_an_altered_bundle_is_not_stored(store: ModelStore, tmp_path: Path) -> None:
    write_small_bundle(tmp_path / "bundle", USE_CASE)
    (tmp_path / "bundle" / "estimator" / "model.json").write_text("{}")

    with pytest.raises(BundleError, match=r"model\.json"):
        store.store_bundle(tmp_path / "bundle")

    assert not (store.bentoml_home / "models").exists()


def test_there_is_no_release_before_the_first(store: ModelStore) -> None:
    assert store.current_release(USE_CASE) is None
    assert store.list_releases(USE_CASE) == []


def test_a_release_is_served_with_everything_that_a_reader_needs(store: ModelStore, tmp_path: Path) -> None:
    manifest = publish(store, tmp_path, USE_CASE, customers_count=12)

    folder = store.release_dir(USE_CASE, manifest.name)
    assert store.current_release(USE_CASE) == manifest
    assert {path.name for path in folder.iterdir()} == {
        "release.json",
        "features.sqlite",
        "evaluation.json",
        "model_card.html",
    }
    assert manifest.customers_count == 12
    assert manifest.gate["approved"] is True
    assert manifest.metrics[0]["name"] == "quality"
    assert store.load(manifest).features.get(key_of(3)) is not None


def test_publishing_the_same_again_makes_no_new_release(store: ModelStore, tmp_path: Path) -> None:
    first = publish(store, tmp_path, USE_CASE)

    assert publish(store, tmp_path, USE_CASE) == first
    assert store.list_releases(USE_CASE) == [first]


def test_new_marts_make_a_new_release_of_the_same_bundle(store: ModelStore, tmp_path: Path) -> None:
    first = publish(store, tmp_path, USE_CASE, marts_version="m1")
    second = publish(store, tmp_path, USE_CASE, marts_version="m2")

    assert second.bundle_version == first.bundle_version
    assert [release.name for release in store.list_releases(USE_CASE)] == [second.name, first.name]
    assert store.current_release(USE_CASE) == second


def test_a_refusal_of_the_gate_is_final(store: ModelStore, tmp_path: Path) -> None:
    first = publish(store, tmp_path, USE_CASE)
    manifest = write_small_bundle(tmp_path / "other", USE_CASE, variant=1)
    store.store_bundle(tmp_path / "other")

    with pytest.raises(ReleaseError, match="quality is too low"):
        store.publish_release(
            USE_CASE,
            manifest.version,
            feature_table(USE_CASE),
            gate=approval(USE_CASE, approved=False),
            approved_by="nobody",
            marts_version="m1",
        )

    assert store.current_release(USE_CASE) == first


def test_the_gate_of_another_use_case_does_not_count(store: ModelStore, tmp_path: Path) -> None:
    manifest = write_small_bundle(tmp_path / "bundle", USE_CASE)
    store.store_bundle(tmp_path / "bundle")

    with pytest.raises(ReleaseError, match="credit_risk"):
        store.publish_release(
            USE_CASE,
            manifest.version,
            feature_table(USE_CASE),
            gate=approval("credit_risk"),
            approved_by="policy",
            marts_version="m1",
        )


def _unknown_class(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(customer_class="municipal")


def _without_a_column(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns="annual_kwh")


def _no_customer(table: pd.DataFrame) -> pd.DataFrame:
    return table.iloc[:0]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(_unknown_class, "municipal"), (_without_a_column, "annual_kwh"), (_no_customer, "no customer")],
)
def test_features_that_the_model_cannot_use_never_reach_the_pointer(
    store: ModelStore, tmp_path: Path, spoil: "type[pd.DataFrame]", message: str
) -> None:
    first = publish(store, tmp_path, USE_CASE)

    with pytest.raises(Exception, match=message):
        store.publish_release(
            USE_CASE,
            first.bundle_version,
            spoil(feature_table(USE_CASE)),
            gate=approval(USE_CASE),
            approved_by="policy",
            marts_version="m2",
        )

    assert store.current_release(USE_CASE) == first
    assert store.list_releases(USE_CASE) == [first]
    assert not list((store.releases_dir / USE_CASE).glob(".incoming-*"))


def test_a_bundle_that_is_not_in_the_store_cannot_be_released(store: ModelStore) -> None:
    with pytest.raises(ReleaseError, match="store it first"):
        store.publish_release(
            USE_CASE,
            "202608-0000000000",
            feature_table(USE_CASE),
            gate=approval(USE_CASE),
            approved_by="policy",
            marts_version="m1",
        )


def test_a_bundle_damaged_in_the_store_is_refused(store: ModelStore, tmp_path: Path) -> None:
    first = publish(store, tmp_path, USE_CASE)
    (store.bundle_dir(USE_CASE, first.bundle_version) / "estimator" / "model.json").write_text("{}")

    with pytest.raises(ReleaseError, match="cannot be served"):
        store.publish_release(
            USE_CASE,
            first.bundle_version,
            feature_table(USE_CASE),
            gate=approval(USE_CASE),
            approved_by="policy",
            marts_version="m2",
        )


def test_rollback_serves_an_earlier_release_and_says_who_asked(store: ModelStore, tmp_path: Path) -> None:
    first = publish(store, tmp_path, USE_CASE, variant=0)
    second = publish(store, tmp_path, USE_CASE, variant=1)

    store.rollback(USE_CASE, first.name, by="a person", reason="complaints from the north")

    assert store.current_release(USE_CASE) == first
    history = (store.releases_dir / USE_CASE / "history.jsonl").read_text().splitlines()
    last = json.loads(history[-1])
    assert (last["action"], last["from"], last["to"]) == ("rollback", second.name, first.name)
    assert (last["by"], last["reason"]) == ("a person", "complaints from the north")


def test_the_store_knows_which_bundle_was_rolled_back(store: ModelStore, tmp_path: Path) -> None:
    first = publish(store, tmp_path, USE_CASE, variant=0)
    second = publish(store, tmp_path, USE_CASE, variant=1)
    assert not store.is_rolled_back(USE_CASE, second.bundle_version)

    store.rollback(USE_CASE, first.name, by="a person", reason="test")
    assert store.is_rolled_back(USE_CASE, second.bundle_version)
    assert not store.is_rolled_back(USE_CASE, first.bundle_version)

    store.rollback(USE_CASE, second.name, by="a person", reason="it was good after all")
    assert not store.is_rolled_back(USE_CASE, second.bundle_version)

    store.rollback(USE_CASE, first.name, by="a person", reason="test")
    publish(store, tmp_path, USE_CASE, variant=2)
    assert not store.is_rolled_back(USE_CASE, second.bundle_version)


@pytest.mark.parametrize("name", ["0009-202608-ffffffffff", "nonsense", "../credit_risk/0001-x", ""])
def test_rollback_to_what_is_not_there_is_refused(store: ModelStore, tmp_path: Path, name: str) -> None:
    first = publish(store, tmp_path, USE_CASE)

    with pytest.raises(ReleaseError):
        store.rollback(USE_CASE, name, by="a person", reason="test")

    assert store.current_release(USE_CASE) == first


def test_an_unknown_use_case_is_refused(store: ModelStore) -> None:
    with pytest.raises(ReleaseError, match="segmentation, tariff_matching, credit_risk"):
        store.current_release("forecasting")


def test_an_altered_snapshot_is_refused(store: ModelStore, tmp_path: Path) -> None:
    first = publish(store, tmp_path, USE_CASE)
    publish(store, tmp_path, USE_CASE, variant=1)
    snapshot = store.release_dir(USE_CASE, first.name) / "features.sqlite"
    content = bytearray(snapshot.read_bytes())
    content[-1] ^= 1
    snapshot.write_bytes(content)

    with pytest.raises(ReleaseError, match="not the file that was published"):
        store.rollback(USE_CASE, first.name, by="a person", reason="test")


def test_publishing_heals_a_damaged_current_release(store: ModelStore, tmp_path: Path) -> None:
    first = publish(store, tmp_path, USE_CASE)
    (store.release_dir(USE_CASE, first.name) / "features.sqlite").unlink()

    second = publish(store, tmp_path, USE_CASE)

    assert second.name != first.name
    assert store.current_release(USE_CASE) == second


def test_old_snapshots_are_pruned_and_the_served_one_never(store: ModelStore, tmp_path: Path) -> None:
    releases = [publish(store, tmp_path, USE_CASE, marts_version=f"m{n}", retained_snapshots=2) for n in range(4)]

    kept = [(store.release_dir(USE_CASE, release.name) / "features.sqlite").exists() for release in releases]

    assert kept == [False, False, True, True]
    assert len(store.list_releases(USE_CASE)) == 4
    with pytest.raises(ReleaseError, match="pruned"):
        store.rollback(USE_CASE, releases[0].name, by="a person", reason="test")


def test_two_publishers_do_not_interleave(store: ModelStore, tmp_path: Path) -> None:
    for variant in range(4):
        write_small_bundle(tmp_path / f"{USE_CASE}-{variant}", USE_CASE, variant=variant)

    with ThreadPoolExecutor(4) as pool:
        published = list(pool.map(lambda variant: publish(store, tmp_path, USE_CASE, variant=variant), range(4)))

    releases = store.list_releases(USE_CASE)
    assert {release.name for release in releases} == {release.name for release in published}
    assert [int(release.name[:4]) for release in releases] == [4, 3, 2, 1]
    assert store.current_release(USE_CASE) == releases[0]


KILLED_PUBLISHER = """
import os, shutil, signal, sys
from pathlib import Path
from ml.bundle import read_bundle
from serving.model_store import ModelStore
from tests.unit.serving.builders import publish, write_small_bundle
import bentoml.models, serving.segmentation  # loaded before forking, or every child pays for it

work = Path(sys.argv[1])
template, home = work / "template", work / "home"
first = publish(ModelStore(template), work, "segmentation", variant=0)
write_small_bundle(work / "segmentation-1", "segmentation", variant=1)
store = ModelStore(home)
EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "sqlite3.connect"}

def publish_and_die(position):
    seen = 0
    def kill_at_position(event, arguments):
        nonlocal seen
        if event in EVENTS and isinstance(arguments[0], (str, bytes, os.PathLike)):
            seen += str(home) in os.fsdecode(arguments[0])
            if seen == position:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(kill_at_position)
    publish(store, work, "segmentation", variant=1)
    os._exit(0)

kills, position, finished = 0, 1, False
while not finished:
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(template, home)
    child = os.fork()
    if child == 0:
        publish_and_die(position)
    status = os.waitpid(child, 0)[1]
    finished = not os.WIFSIGNALED(status)
    kills += not finished
    for release in (store.current_release("segmentation"), *store.list_releases("segmentation")):
        store.load(release)
    for model in (home / "models" / "models" / "segmentation").iterdir():
        if model.is_dir():
            assert (model / "model.yaml").is_file()
            read_bundle(model / "bundle")
    healed = publish(store, work, "segmentation", variant=1)
    assert store.current_release("segmentation") == healed
    assert healed.bundle_version != first.bundle_version
    assert not list((home / "releases" / "segmentation").glob(".incoming-*"))
    position += 5
print(kills)
"""


@pytest.mark.slow
def test_a_publisher_killed_at_any_moment_leaves_only_complete_releases(tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", KILLED_PUBLISHER, str(tmp_path)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert finished.returncode == 0, finished.stderr
    assert int(finished.stdout) >= 8


def test_an_erasure_rewrites_the_snapshot_and_the_release_can_still_be_served(
    store: ModelStore, tmp_path: Path
) -> None:
    manifest = publish(store, tmp_path, USE_CASE, customers_count=12)

    erasure = store.erase_customer(key_of(3), lambda path: path.name == "features.sqlite")

    assert erasure.snapshots_rewritten == (f"{USE_CASE} {manifest.name}",)
    assert erasure.bundles_removed == ()
    changed = store.current_release(USE_CASE)
    assert changed is not None
    assert changed.customers_count == 11
    snapshot = store.open_snapshot(changed)
    assert snapshot.get(key_of(3)) is None
    assert snapshot.get(key_of(4)) is not None
    assert key_of(3).encode() not in snapshot.path.read_bytes()
    store.load(changed)


def test_an_erasure_removes_a_bundle_that_holds_the_customer_and_its_releases(
    store: ModelStore, tmp_path: Path
) -> None:
    manifest = publish(store, tmp_path, USE_CASE, customers_count=12)

    erasure = store.erase_customer(key_of(3), lambda path: path.name == "reference.parquet")

    assert erasure.bundles_removed == (f"{USE_CASE} {manifest.bundle_version}",)
    assert erasure.releases_removed == (f"{USE_CASE} {manifest.name}",)
    assert store.current_release(USE_CASE) is None
    assert store.list_releases(USE_CASE) == []
    assert not (store.bentoml_home / "models" / USE_CASE / "latest").exists()


def test_an_erasure_that_was_killed_between_two_renames_is_completed(store: ModelStore, tmp_path: Path) -> None:
    manifest = publish(store, tmp_path, USE_CASE, customers_count=12)
    folder = store.release_dir(USE_CASE, manifest.name)
    folder.rename(folder.with_name(f".erasing-{manifest.name}"))

    store.erase_customer(key_of(3), lambda path: path.name == "features.sqlite")

    changed = store.current_release(USE_CASE)
    assert changed is not None
    assert changed.customers_count == 11
