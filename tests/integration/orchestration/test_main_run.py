"""The main job by its command: what it says, what it leaves behind, and that doing it again changes nothing."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from ml.wording import metric_title
from orchestration.dbt import dbt_project, dbt_variables
from orchestration.definitions import build_definitions
from orchestration.lifecycle import read_challenger
from orchestration.marts import MARTS, MARTS_AFTER_MODELS, current_marts
from orchestration.metadata import figure_with_interval
from orchestration.settings import DBT_PROJECT_DIR, PROJECT_ROOT
from serving.model_verdicts import read_model_verdict
from tests.integration.orchestration.personal_traces import files_below, is_restricted, traces
from tests.integration.platform_home import USE_CASES, PlatformHome
from tests.unit.monitoring.languages import english_only


def test_summary_says_what_came_in_what_is_served_and_what_to_do_next(
    finished_home: PlatformHome, finished_summary: str
) -> None:
    assert "Kilowise: everything is done." in finished_summary
    counts = re.search(
        r"([\d,]+) rows in, ([\d,]+) loaded, ([\d,]+) exact duplicates, ([\d,]+) quarantined with a reason",
        finished_summary,
    )
    assert counts is not None
    rows_in, loaded, duplicates, quarantined = (int(count.replace(",", "")) for count in counts.groups())
    assert rows_in == loaded + duplicates + quarantined
    assert quarantined > 0
    for use_case in USE_CASES:
        release = finished_home.store.current_release(use_case)
        assert release is not None
        challenger = read_challenger(use_case, finished_home.settings)
        assert challenger is not None
        key = challenger.evaluation.key_metric
        assert f"served: release {release.name}" in finished_summary
        assert f"{metric_title(key.name).en} {figure_with_interval(key)}" in finished_summary
    assert str(finished_home.path / "reports" / "site" / "index.html") in finished_summary
    assert all(f"make {command}" in finished_summary for command in ("dev", "serve", "reports"))


def test_every_part_of_the_home_is_there(finished_home: PlatformHome) -> None:
    marts = current_marts(finished_home.settings.marts_dir)
    assert set(marts.row_counts) == set(MARTS)
    after_models = current_marts(finished_home.settings.after_models_marts_dir)
    assert set(after_models.row_counts) == set(MARTS_AFTER_MODELS)
    customers = after_models.row_counts["customer_portrait"]
    assert 400 <= customers <= 420
    for use_case in USE_CASES:
        release = finished_home.store.current_release(use_case)
        assert release is not None
        assert release.gate["approved"] is True
        assert release.marts_version == marts.name
        decision = json.loads(
            (
                finished_home.path / "reports" / use_case / "decisions" / release.bundle_version / "decision.json"
            ).read_text()
        )
        assert decision["approved"] is True
    assert {name.split("/")[0] for name in finished_home.predictions()} == set(USE_CASES)
    assert (finished_home.path / "reports" / "site" / "index.html").exists()
    assert english_only(finished_home.path / "reports" / "site") == {}


def test_portrait_tells_what_the_models_of_the_same_run_said(finished_home: PlatformHome) -> None:
    portrait = current_marts(finished_home.settings.after_models_marts_dir).read("customer_portrait")
    portrait = portrait.set_index("customer_key")
    [segments] = [rows for path, rows in finished_home.predictions().items() if path.startswith("segmentation")]
    known = segments.set_index("customer_key")["segment_id"].dropna()

    assert portrait.loc[known.index, "segment_id"].tolist() == known.tolist()
    release = finished_home.store.current_release("segmentation")
    assert release is not None
    assert set(portrait.loc[known.index, "segmentation_source"]) == {f"segmentation {release.name}"}


@pytest.mark.parametrize("use_case", USE_CASES)
def test_verdict_on_the_month_of_the_release_is_about_data(finished_home: PlatformHome, use_case: str) -> None:
    [verdict] = (finished_home.path / "reports" / use_case).glob("*/*/verdict.json")
    release = finished_home.store.current_release(use_case)
    assert release is not None
    published = read_model_verdict(finished_home.path, use_case, release.name)

    outcome = json.loads(verdict.read_text())["outcome"]
    assert outcome in ("stable", "watch", "act")
    assert published is not None
    assert published.outcome == published.told_outcome == outcome


def test_every_dbt_model_shows_its_columns_and_what_they_are_computed_from(finished_home: PlatformHome) -> None:
    manifest = json.loads(dbt_project.manifest_path.read_bytes())
    models = {(node["schema"], node["name"]) for node in manifest["nodes"].values() if node["resource_type"] == "model"}
    columns = {
        (source["source_name"], source["name"]): set(source["columns"]) for source in manifest["sources"].values()
    }
    lineages = {}
    with finished_home.instance() as instance:
        for table in models | {("seeds", "holidays")}:
            event = instance.get_latest_materialization_event(dg.AssetKey(table))
            assert event is not None
            assert event.asset_materialization is not None
            metadata = event.asset_materialization.metadata
            columns[table] = {column.name for column in metadata["dagster/column_schema"].value.columns}
            if table in models:
                lineages[table] = metadata["dagster/column_lineage"].value.deps_by_column

    for table, lineage in lineages.items():
        assert set(lineage) == columns[table]
        assert all(
            source.column_name in columns[tuple(source.asset_key.path)]
            for sources in lineage.values()
            for source in sources
        )
    utilisation = lineages["marts", "customer_credit_features"]["capacity_utilisation_3m_pct"]
    assert [(source.asset_key.path[-1], source.column_name) for source in utilisation] == [
        ("int_as_of_customers", "contract_capacity_kva"),
        ("int_as_of_load", "peak_kw_3m"),
    ]
    [billed] = lineages["staging", "stg_billing__bills"]["billed_kwh"]
    assert (billed.asset_key.path, billed.column_name) == (["landing", "bills"], "kwh")


def test_dbt_writes_its_own_documentation(finished_home: PlatformHome, tmp_path: Path) -> None:
    subprocess.run(
        [
            *(sys.executable, "-P", str(PROJECT_ROOT / "orchestration" / "parsed_dbt.py")),
            *("--quiet", "docs", "generate", "--profiles-dir", ".", "--target-path", str(tmp_path)),
            *("--vars", json.dumps(dbt_variables(finished_home.settings))),
        ],
        cwd=DBT_PROJECT_DIR,
        check=True,
    )

    catalog = json.loads((tmp_path / "catalog.json").read_text(encoding="utf-8"))
    portrait = catalog["nodes"]["model.kilowise.customer_portrait"]
    assert "customer_key" in portrait["columns"]
    assert (tmp_path / "index.html").exists()


def test_runs_stand_on_the_pages_of_their_jobs(finished_home: PlatformHome) -> None:
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["dg"]["project"]
    location = project["code_location_name"]
    repository = build_definitions(finished_home.settings).get_repository_def().name

    with finished_home.instance() as instance:
        runs = instance.get_runs(dg.RunsFilter(tags={".dagster/repository": f"{repository}@{location}"}))

    assert {run.job_name for run in runs} == {"refresh_data", "refresh_models"}


def test_nothing_unfinished_is_left(finished_home: PlatformHome) -> None:
    leftovers = [
        name
        for name in finished_home.files()
        if any(part.startswith(".") and "incoming" in part for part in Path(name).parts) or name.endswith(".tmp")
    ]

    assert leftovers == []


def test_no_simulated_person_is_named_outside_the_restricted_folders(finished_home: PlatformHome) -> None:
    identities = pd.concat(
        pd.read_parquet(path) for path in (finished_home.path / "landing" / "identities").glob("*.parquet")
    ).query("entity == 'customers'")
    # The simulated telephone numbers are mostly zeros and occur among the digits of figures.
    people = identities[["customer_id", "name", "id_number", "address"]].drop_duplicates().head(2)
    values = people.to_numpy().ravel().tolist()
    assert all(values)
    # The warehouse of a small supplier is searched in test_short_history.
    searched = [
        path
        for path in files_below(finished_home.path)
        if not is_restricted(path, finished_home.path) and path.suffix != ".duckdb"
    ]
    layers = {path.relative_to(finished_home.path).parts[0] for path in searched}
    assert {"dagster", "landing", "marts", "models", "predictions", "releases", "reports"} <= layers

    assert traces(searched, finished_home.path, values) == []


def test_second_run_with_nothing_new_changes_nothing(finished_home: PlatformHome, tmp_path: Path) -> None:
    home = finished_home.copy_to(tmp_path / "home")
    before = home.files()

    done = home.run()

    assert done.returncode == 0, done.stdout + done.stderr
    assert home.marts_version() == finished_home.marts_version()
    assert home.bundle_versions() == finished_home.bundle_versions()
    assert [home.store.current_name(use_case) for use_case in USE_CASES] == [
        finished_home.store.current_name(use_case) for use_case in USE_CASES
    ]
    after = home.files()
    assert sorted(after) == sorted(before)
    layers = ("inbox", "landing", "models", "releases", "predictions")
    assert [name for name in before if after[name] != before[name] and name.startswith(layers)] == []
    assert _stale_checks(home) == _stale_checks(finished_home) == []


def _stale_checks(home: PlatformHome) -> list[str]:
    """Return the checks of dbt's marts that were not evaluated by the run that reported the table last."""
    checks = build_definitions(home.settings).resolve_asset_graph().asset_check_keys
    of_marts = [check for check in checks if check.asset_key.path[0] == "marts"]
    assert {check.asset_key.path[1] for check in of_marts} >= {"customer_portrait", "segment_migration_monthly"}
    with home.instance() as instance:
        evaluated = instance.event_log_storage.get_latest_asset_check_execution_by_key(of_marts)
        reported = {check: instance.get_latest_materialization_event(check.asset_key) for check in of_marts}
    return [
        check.to_user_string()
        for check, event in reported.items()
        if check not in evaluated or event is None or evaluated[check].run_id != event.run_id
    ]
