import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration.forms.drills.state import landed_rows, leftovers


def land(home: Path, delivery: str, entity: str, rows: int, said: int) -> None:
    folder = home / "landing" / "deliveries" / delivery
    (folder / entity).mkdir(parents=True)
    pq.write_table(pa.table({"x": list(range(rows))}), folder / entity / "part.parquet")
    document = {"files": [{"entity": entity, "rows_loaded": said}]}
    (folder / "delivery.json").write_text(json.dumps(document))


def test_landed_rows_are_those_of_the_files(tmp_path: Path) -> None:
    land(tmp_path, "2024-10", "bills", 3, 3)
    land(tmp_path, "2024-11", "bills", 2, 2)

    assert landed_rows(tmp_path) == {"2024-10/bills": 3, "2024-11/bills": 2}


def test_a_delivery_whose_files_hold_other_rows_than_it_says_is_named(tmp_path: Path) -> None:
    land(tmp_path, "2024-10", "bills", 3, 4)

    with pytest.raises(ValueError, match="2024-10: bills should have 4 rows and has 3"):
        landed_rows(tmp_path)


def test_what_was_begun_and_not_finished_is_found(tmp_path: Path) -> None:
    begun = tmp_path / "marts" / "versions" / ".incoming-1"
    begun.mkdir(parents=True)
    (tmp_path / "marts" / "versions" / "0a").mkdir()

    assert list(leftovers(tmp_path)) == [begun]
