from pathlib import Path

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import Engine

from orchestration import run_history

NORMAL = 1


def test_sqlite_syncs_at_checkpoints_only(tmp_path: Path) -> None:
    run_history.spare_disk_syncs()
    try:
        with sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'runs.db'}").connect() as connection:
            level = connection.exec_driver_sql("pragma synchronous").scalar()
    finally:
        event.remove(Engine, "connect", run_history._sync_at_checkpoints)

    assert level == NORMAL
