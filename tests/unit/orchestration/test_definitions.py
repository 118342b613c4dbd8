"""What an operator meets in the UI, as a snapshot, and the rules that every asset keeps.

When a change of the graph is meant, renew the snapshot with ``KILOWISE_UPDATE_SNAPSHOTS=1`` and review its diff.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import dagster as dg
import pytest

from orchestration import definitions as code_location
from orchestration import forms
from orchestration.assets.transformation import dbt_models, dbt_models_after_scoring
from orchestration.definitions import build_definitions
from orchestration.marts import MARTS, MARTS_AFTER_MODELS
from orchestration.settings import PlatformSettings
from tests.unit.orchestration.graph_text import graph_text

SNAPSHOT = Path(__file__).with_name("graph.snapshot.txt")


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build_definitions(PlatformSettings(home=tmp_path_factory.mktemp("home"), _env_file=None))


@pytest.fixture(scope="module")
def asset_nodes(definitions: dg.Definitions) -> list[dg.AssetsDefinition]:
    graph = definitions.resolve_asset_graph()
    return [graph.get(key) for key in graph.get_all_asset_keys()]


def test_graph_is_the_reviewed_one(definitions: dg.Definitions) -> None:
    found = graph_text(definitions)
    if os.environ.get("KILOWISE_UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(found, encoding="utf-8")
    assert found.splitlines() == SNAPSHOT.read_text(encoding="utf-8").splitlines()


def test_every_asset_has_a_description_a_group_an_owner_and_kinds(asset_nodes: list[dg.AssetsDefinition]) -> None:
    bare = [
        node.key.to_user_string()
        for node in asset_nodes
        if not (
            node.description
            and len(node.description) > 20
            and node.group_name != "default"
            and node.owners
            and node.kinds
        )
    ]
    assert bare == []


def test_models_name_the_engine_that_builds_them(tmp_path: Path) -> None:
    of_cluster = forms.engine(PlatformSettings(home=tmp_path, profile="cluster", _env_file=None))

    shown = code_location._in_engine(dbt_models, of_cluster)

    assert {kind for spec in dbt_models.specs for kind in spec.kinds} == {"dbt", "duckdb", "table", "view"}
    assert {kind for spec in shown.specs for kind in spec.kinds} == {"dbt", "spark", "table", "view"}
    assert shown.keys == dbt_models.keys


@pytest.mark.parametrize(
    ("stage", "marts"), [(dbt_models, MARTS), (dbt_models_after_scoring, MARTS_AFTER_MODELS)], ids=["first", "second"]
)
def test_every_mart_of_a_stage_is_published(stage: dg.AssetsDefinition, marts: Mapping[str, object]) -> None:
    assert {key.path[-1] for key in stage.keys if key.path[0] == "marts"} == set(marts)


def test_every_check_says_what_it_demands(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()

    silent = [key.to_user_string() for key in graph.asset_check_keys if not graph.get_check_spec(key).description]

    assert silent == []


def test_every_job_schedule_and_sensor_says_what_it_does(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    parts = [*repository.get_all_jobs(), *repository.schedule_defs, *repository.sensor_defs]

    silent = [part.name for part in parts if not part.description and not part.name.startswith("__")]

    assert silent == []


def test_a_range_of_months_is_one_run_of_every_job(definitions: dg.Definitions) -> None:
    """Dagster refuses a range from the terminal, and makes a run per month in the UI, for any other policy."""
    repository = definitions.get_repository_def()

    split = {
        f"{job.name}: {key.to_user_string()}"
        for job in repository.get_all_jobs()
        for key in job.asset_layer.executable_asset_keys
        if job.asset_layer.get(key).backfill_policy != dg.BackfillPolicy.single_run()
    }

    assert split == set()


@pytest.mark.parametrize("package", ["monitoring", "serving"])
def test_packages_that_runs_import_late_are_known_when_the_definitions_are(package: str) -> None:
    """`dg launch` takes the project's folder off the path again before it runs anything."""
    assert vars(code_location)[package].__name__ == package
