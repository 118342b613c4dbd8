"""Three months of readings and no payment: everything runs, nothing is released, and words say why.

The supplier's files also hold personal data that must not leave the two restricted folders of the landing.
"""

import json
import resource
import shutil
import stat
import subprocess

import dagster as dg
import pyarrow.parquet as pq
import pytest

from orchestration.ingestion.pseudonym import customer_key
from orchestration.marts import current_marts
from tests.integration.orchestration.personal_traces import files_below, is_restricted, traces
from tests.integration.orchestration.short_history import CUSTOMER_ID, PERSONAL_VALUES, fill_inbox
from tests.integration.orchestration.soundness import assert_visible_is_whole
from tests.integration.platform_home import USE_CASES, PlatformHome

CHOICES = {"simulate": False}
# Less than Dagster's history needs for its tables.
FULL_DISK_BYTES = 120_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> PlatformHome:
    home = PlatformHome(tmp_path_factory.mktemp("short") / "home", CHOICES)
    fill_inbox(home.settings.inbox_dir)
    return home


@pytest.fixture(scope="module")
def full_disk(home: PlatformHome) -> subprocess.CompletedProcess[str]:
    """The first main job, for which the disk took no file larger than a limit."""
    return home.run(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (FULL_DISK_BYTES, FULL_DISK_BYTES)))


@pytest.fixture(scope="module")
def done(home: PlatformHome, full_disk: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    """The main job when there was room again."""
    assert full_disk.returncode != 0
    return home.run()


def test_full_disk_is_named_in_one_sentence_and_nothing_partial_is_visible(
    full_disk: subprocess.CompletedProcess[str], home: PlatformHome
) -> None:
    assert full_disk.returncode == 1
    assert "Traceback" not in full_disk.stderr
    assert f"The disk of {home.path} took no more: free some space" in full_disk.stderr
    assert not (home.path / "marts").exists()
    assert_visible_is_whole(home)


def test_every_step_ends_well_without_a_model(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Kilowise: everything is done." in done.stdout


def test_summary_says_why_each_use_case_has_no_model(done: subprocess.CompletedProcess[str]) -> None:
    sections = {use_case: done.stdout.split(f"\n{use_case}\n")[1].split("\n\n")[0] for use_case in USE_CASES}

    assert all("no model: " in section for section in sections.values())
    assert "payment" in sections["credit_risk"]
    assert "month" in sections["segmentation"]
    assert "month" in sections["tariff_matching"]


@pytest.mark.usefixtures("done")
def test_nothing_is_released_or_predicted(home: PlatformHome) -> None:
    assert home.released_bundles() == dict.fromkeys(USE_CASES)
    assert home.predictions() == {}


@pytest.mark.usefixtures("done")
def test_every_asset_of_the_use_cases_is_materialised(home: PlatformHome) -> None:
    with home.instance() as instance:
        materialised = {key.to_user_string() for key in instance.all_asset_keys() if instance.has_asset_key(key)}

    for use_case in USE_CASES:
        layers = ("sufficiency", "models", "evaluations", "releases")
        assert {f"{layer}/{use_case}" for layer in layers} <= materialised
        assert f"monitoring/{use_case}_drift" in materialised
    assert "monitoring/model_owner_site" in materialised


@pytest.mark.usefixtures("done")
def test_planted_customer_arrived_under_a_pseudonym(home: PlatformHome) -> None:
    key = customer_key(CUSTOMER_ID, home.settings.pseudonym_key.get_secret_value())

    portrait = current_marts(home.settings.after_models_marts_dir).read("customer_portrait", columns=["customer_key"])
    assert key in set(portrait["customer_key"])
    identities = [pq.read_table(path) for path in (home.path / "landing" / "identities").glob("2024-12-03*.parquet")]
    assert CUSTOMER_ID in identities[0].column("customer_id").to_pylist()
    quarantined = sorted(path.stem for path in (home.path / "landing" / "quarantine").glob("2024-12-03*/*.parquet"))
    assert {"bills", "customers", "inspections", "meters", "service_contacts", "tariff_enrolments"} <= set(quarantined)


def test_no_personal_value_stands_anywhere_else(done: subprocess.CompletedProcess[str], home: PlatformHome) -> None:
    searched = [path for path in files_below(home.path) if not is_restricted(path, home.path)]

    assert traces(searched, home.path, PERSONAL_VALUES) == []
    assert [value for value in PERSONAL_VALUES if value in done.stdout + done.stderr] == []
    assert {".parquet", ".duckdb", ".db", ".json", ".log"} <= {path.suffix for path in searched}


def test_search_finds_what_it_looks_for(home: PlatformHome) -> None:
    restricted = [path for path in files_below(home.path) if is_restricted(path, home.path)]

    found = " ".join(traces(restricted, home.path, PERSONAL_VALUES))
    assert all(value in found for value in PERSONAL_VALUES)


@pytest.mark.usefixtures("done")
def test_only_the_owner_opens_the_folders_with_personal_data(home: PlatformHome) -> None:
    for folder in ("identities", "quarantine"):
        assert stat.S_IMODE((home.path / "landing" / folder).stat().st_mode) == 0o700


# dagster-dbt asks for it when it words the failure of a test.
@pytest.mark.filterwarnings("ignore:AssetExecutionContext.op is deprecated")
@pytest.mark.usefixtures("done")
def test_broken_dbt_test_stops_the_job_and_keeps_the_marts(home: PlatformHome) -> None:
    marts_before = home.marts_version()
    [bills] = (home.path / "landing" / "deliveries").glob("2024-11-02*/bills/*.parquet")
    # The landing never writes a key twice as a first version; somebody who copies folders does.
    copied = home.path / "landing" / "deliveries" / "9999-copied"
    (copied / "bills").mkdir(parents=True)
    shutil.copy(bills, copied / "bills" / "part-0.parquet")
    (copied / "delivery.json").write_text(
        json.dumps({"delivery_id": "9999-copied", "name": "copied", "sources": [], "files": []})
    )

    result = home.execute("full_refresh", ["2024-11-01"])

    assert not result.success
    assert [event.step_key for event in result.get_step_failure_events()] == ["dbt_models"]
    [failure] = [event.step_failure_data for event in result.get_step_failure_events()]
    assert "unique_combination_stg_billing__bills_bill_id__revision: Got " in str(failure.error)
    started = {event.step_key for event in result.all_events if event.event_type is dg.DagsterEventType.STEP_START}
    assert started == {"land_deliveries", "dbt_models"}
    assert home.marts_version() == marts_before
    shutil.rmtree(copied)
