"""Erases a customer from the prediction log: the ledger says that it was by request, and stays whole."""

import os
from pathlib import Path

from ml.columns import CUSTOMER_KEY
from serving.log_ledger import Ledger, relative, sha256
from serving.row_digests import SEQUENCE


def erase_from_log(directory: Path, key: bytes, customer_key: str) -> tuple[int, int]:
    """Remove a customer's rows; an interrupted erasure is completed by calling it again.

    Args:
        directory: Folder of the log; no server may write to it.
        key: As ``serving.log_ledger.ledger_key`` returns it.
        customer_key: The customer.

    Returns:
        How many rows were removed and how many files held them.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if not directory.is_dir():
        return 0, 0
    ledger = Ledger(directory, key)
    rows_count = files_count = 0
    with ledger.exclusive():
        for leftover in directory.rglob(".*.erasing"):
            leftover.unlink()
        for path in sorted(directory.rglob("*.parquet")):
            # The file itself: a hive folder would add a column.
            with pq.ParquetFile(path) as file:
                table = file.read()
            is_own = pc.fill_null(pc.equal(table[CUSTOMER_KEY], customer_key), False)
            erased, kept = table.filter(is_own), table.filter(pc.invert(is_own))
            if not erased.num_rows:
                continue
            rows_count += erased.num_rows
            files_count += 1
            temporary = path.with_name(f".{path.stem}.erasing")
            if kept.num_rows:
                with temporary.open("wb") as target:
                    pq.write_table(kept, target, compression="zstd")
                    target.flush()
                    os.fsync(target.fileno())
            ledger.append(
                kind="erased",
                path=relative(directory, path),
                sha256=sha256(temporary.read_bytes()) if kept.num_rows else None,
                rows=erased.num_rows,
                sequences=erased[SEQUENCE].to_pylist() if SEQUENCE in erased.column_names else None,
            )
            if kept.num_rows:
                temporary.replace(path)
            else:
                path.unlink()
    return rows_count, files_count
