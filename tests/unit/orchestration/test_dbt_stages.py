"""When a stage of dbt may be left out: only while nothing that it reads, runs or publishes has changed."""

import os
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.dbt_stages import (
    AFTER_MODELS_STAGE,
    FIRST_STAGE,
    CheckOutcome,
    first_stage_fingerprint,
    forget_stage,
    note_stage,
    notes_in_force,
    second_stage_fingerprint,
)
from orchestration.marts import MARTS, MARTS_AFTER_MODELS
from orchestration.settings import PlatformSettings
from tests.unit.orchestration.published import publish_file

MANIFEST: dict[str, Any] = {
    "nodes": {
        "model.kilowise.customer_portrait": {
            "tags": ["after_models"],
            "schema": "marts",
            "name": "customer_portrait",
            "depends_on": {
                "nodes": ["model.kilowise.int_load", "model.kilowise.int_days", "model.kilowise.stg_segments"]
            },
        },
        "model.kilowise.stg_segments": {
            "tags": ["after_models"],
            "schema": "staging",
            "name": "stg_segments",
            "depends_on": {"nodes": ["source.kilowise.predictions.customer_segments"]},
        },
        "model.kilowise.int_load": {
            "tags": [],
            "schema": "intermediate",
            "name": "int_load",
            "config": {"materialized": "table"},
            "depends_on": {"nodes": []},
        },
        "model.kilowise.int_days": {
            "tags": [],
            "schema": "intermediate",
            "name": "int_days",
            "config": {"materialized": "monthly_batches"},
            "depends_on": {"nodes": []},
        },
    }
}
TESTS = [
    CheckOutcome(("marts", "customer_portrait"), "unique_customer_portrait_customer_key", True, False, 0),
    CheckOutcome(("marts", "customer_portrait"), "plausible_customer_portrait_peak", False, True, 3),
]


@pytest.fixture
def settings(tmp_path: Path) -> PlatformSettings:
    """A home with a first stage, one month of predictions and published marts of the second stage."""
    settings = PlatformSettings(home=tmp_path, _env_file=None)
    settings.warehouse_path.parent.mkdir()
    with duckdb.connect(str(settings.warehouse_path)) as connection:
        connection.execute("create schema intermediate; create schema marts")
        connection.execute("create table intermediate.int_load as select 1 as kwh")
        connection.execute("create table intermediate.processed_months (model_name varchar, fingerprint varchar)")
        connection.execute("insert into intermediate.processed_months values ('int_days', 'a'), ('int_other', 'a')")
        for mart, order in MARTS_AFTER_MODELS.items():
            connection.execute(f"create table marts.{mart} as select {', '.join(f'1 as {name}' for name in order)}")
    predictions = predictions_file(settings)
    predictions.parent.mkdir(parents=True)
    predictions.write_bytes(b"first")
    publish_file(settings.warehouse_path, settings.after_models_marts_dir, marts=MARTS_AFTER_MODELS)
    return settings


def predictions_file(settings: PlatformSettings) -> Path:
    return settings.predictions_dir / "batch" / "segmentation" / "as_of_month=2026-08-01" / "predictions.parquet"


def is_left_out(settings: PlatformSettings) -> bool:
    return notes_in_force(AFTER_MODELS_STAGE, settings, second_stage_fingerprint(settings, MANIFEST)) is not None


def test_second_stage_is_left_out_once_its_inputs_are_noted(settings: PlatformSettings) -> None:
    assert not is_left_out(settings)

    note_stage(AFTER_MODELS_STAGE, settings, second_stage_fingerprint(settings, MANIFEST), TESTS)

    assert is_left_out(settings)


def test_what_tests_found_is_kept_with_the_tables(settings: PlatformSettings) -> None:
    fingerprint = second_stage_fingerprint(settings, MANIFEST)
    note_stage(AFTER_MODELS_STAGE, settings, fingerprint, TESTS)

    notes = notes_in_force(AFTER_MODELS_STAGE, settings, fingerprint)

    assert notes is not None
    assert list(notes.tests) == TESTS


def test_changed_table_of_the_first_stage_counts(settings: PlatformSettings) -> None:
    note_stage(AFTER_MODELS_STAGE, settings, second_stage_fingerprint(settings, MANIFEST), TESTS)
    with duckdb.connect(str(settings.warehouse_path)) as connection:
        connection.execute("update intermediate.int_load set kwh = 2")

    assert not is_left_out(settings)


@pytest.mark.parametrize(("model", "counts"), [("int_days", True), ("int_other", False)])
def test_recomputed_month_of_a_table_that_is_made_by_month_counts(
    settings: PlatformSettings, model: str, counts: bool
) -> None:
    note_stage(AFTER_MODELS_STAGE, settings, second_stage_fingerprint(settings, MANIFEST), TESTS)
    with duckdb.connect(str(settings.warehouse_path)) as connection:
        connection.execute("update intermediate.processed_months set fingerprint = 'b' where model_name = ?", [model])

    assert is_left_out(settings) is not counts


def test_own_tables_do_not_count(settings: PlatformSettings) -> None:
    note_stage(AFTER_MODELS_STAGE, settings, second_stage_fingerprint(settings, MANIFEST), TESTS)
    with duckdb.connect(str(settings.warehouse_path)) as connection:
        connection.execute("update marts.customer_portrait set customer_key = 2")

    assert is_left_out(settings)


def test_month_that_was_scored_again_counts(settings: PlatformSettings) -> None:
    note_stage(AFTER_MODELS_STAGE, settings, second_stage_fingerprint(settings, MANIFEST), TESTS)
    os.utime(predictions_file(settings), (1, 1))

    assert not is_left_out(settings)


def test_changed_variable_counts(settings: PlatformSettings) -> None:
    note_stage(AFTER_MODELS_STAGE, settings, second_stage_fingerprint(settings, MANIFEST), TESTS)

    assert not is_left_out(settings.model_copy(update={"time_zone": "Europe/Berlin"}))


def test_moved_home_is_up_to_date(settings: PlatformSettings, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    note_stage(AFTER_MODELS_STAGE, settings, second_stage_fingerprint(settings, MANIFEST), TESTS)
    for folder in settings.home.iterdir():
        if folder != home:
            folder.rename(home / folder.name)

    assert is_left_out(settings.model_copy(update={"home": home}))


def test_lost_marts_are_made_anew(settings: PlatformSettings) -> None:
    note_stage(AFTER_MODELS_STAGE, settings, second_stage_fingerprint(settings, MANIFEST), TESTS)
    (settings.after_models_marts_dir / "CURRENT").unlink()

    assert not is_left_out(settings)


def test_tables_that_are_being_made_are_not_taken_for_finished(settings: PlatformSettings) -> None:
    note_stage(AFTER_MODELS_STAGE, settings, second_stage_fingerprint(settings, MANIFEST), TESTS)
    forget_stage(AFTER_MODELS_STAGE, settings)

    assert not is_left_out(settings)


class TestFirstStage:
    @pytest.fixture
    def home(self, settings: PlatformSettings) -> PlatformSettings:
        """A home with one delivery, from which the marts were published."""
        bills = settings.landing_dir / "deliveries" / "2026-08-01-aa" / "bills" / "part-0.parquet"
        bills.parent.mkdir(parents=True)
        bills.write_bytes(b"bills")
        with duckdb.connect(str(settings.warehouse_path)) as connection:
            for mart, order in MARTS.items():
                connection.execute(
                    f"create or replace table marts.{mart} as select {', '.join(f'1 as {name}' for name in order)}"
                )
        publish_file(settings.warehouse_path, settings.marts_dir)
        note_stage(FIRST_STAGE, settings, first_stage_fingerprint(settings), TESTS)
        return settings

    def test_it_is_left_out_while_nothing_is_landed(self, home: PlatformSettings) -> None:
        assert notes_in_force(FIRST_STAGE, home, first_stage_fingerprint(home)) is not None

    @pytest.mark.parametrize("file", ["2026-09-01-bb/bills/part-0.parquet", "2026-08-01-aa/bills/part-0.parquet"])
    def test_new_or_rewritten_file_counts(self, home: PlatformSettings, file: str) -> None:
        path = home.landing_dir / "deliveries" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"bills and one more")

        assert notes_in_force(FIRST_STAGE, home, first_stage_fingerprint(home)) is None

    def test_removed_delivery_counts(self, home: PlatformSettings) -> None:
        shutil.rmtree(home.landing_dir / "deliveries" / "2026-08-01-aa")

        assert notes_in_force(FIRST_STAGE, home, first_stage_fingerprint(home)) is None

    def test_lost_warehouse_is_made_anew(self, home: PlatformSettings) -> None:
        home.warehouse_path.unlink()

        assert notes_in_force(FIRST_STAGE, home, first_stage_fingerprint(home)) is None
