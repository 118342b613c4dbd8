import shutil
from pathlib import Path

import dagster as dg
import sqlalchemy
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from sqlalchemy.pool import NullPool

from orchestration.run_history import reuse_engines, spare_disk_syncs
from orchestration.settings import PROJECT_ROOT

FULL, NORMAL = 2, 1


def _engine(file: Path) -> sqlalchemy.Engine:
    """An engine as Dagster makes one for every event: each connection opens and closes the file."""
    return sqlalchemy.create_engine(f"sqlite:///{file}", poolclass=NullPool)


def _sync_level(file: Path) -> int:
    with _engine(file).connect() as connection:
        return int(connection.exec_driver_sql("pragma synchronous").scalar_one())


def test_sqlite_syncs_at_checkpoints_only_while_the_context_lasts(tmp_path: Path) -> None:
    with spare_disk_syncs():
        assert _sync_level(tmp_path / "runs.db") == NORMAL

    assert _sync_level(tmp_path / "runs.db") == FULL


def test_write_ahead_log_outlives_the_connections_and_is_merged_at_the_end(tmp_path: Path) -> None:
    file, log = tmp_path / "runs.db", tmp_path / "runs.db-wal"

    with spare_disk_syncs():
        with _engine(file).connect() as connection:
            connection.exec_driver_sql("pragma journal_mode = wal")
        with _engine(file).connect() as connection:
            connection.exec_driver_sql("create table events (id integer)")
        assert log.stat().st_size > 0

    assert not log.exists()
    with _engine(file).connect() as connection:
        assert connection.exec_driver_sql("select count(*) from events").scalar_one() == 0


def test_dagster_keeps_one_engine_per_file_while_the_context_lasts(tmp_path: Path) -> None:
    def engine(instance: dg.DagsterInstance) -> sqlalchemy.Engine:
        storage = instance.event_log_storage
        assert isinstance(storage, SqliteEventLogStorage)
        with storage.index_connection() as connection:
            return connection.engine

    @dg.asset
    def supplier() -> int:
        return 1

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        with reuse_engines():
            assert engine(instance) is engine(instance)
            assert dg.materialize([supplier], instance=instance).success
        assert engine(instance) is not engine(instance)
        assert instance.get_latest_materialization_event(supplier.key) is not None


def test_process_that_died_is_started_again_and_a_step_that_failed_is_not(tmp_path: Path) -> None:
    shutil.copyfile(PROJECT_ROOT / "dagster.yaml", tmp_path / "dagster.yaml")

    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.run_retries_enabled
        assert not instance.run_retries_retry_on_asset_or_op_failure
