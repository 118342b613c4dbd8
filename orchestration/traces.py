"""Looks for one customer in files of any kind: the proof of an erasure, and the way to find what must go.

Compressed content is opened: columns of Parquet files, tables of the warehouse, members of archives. Everything else
is searched byte by byte.
"""

import mmap
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ml.errors import KilowiseError

_SHORTEST_SEARCHABLE_ID = 6
_WAREHOUSE_SUFFIX = ".duckdb"


class UnsearchableFileError(KilowiseError):
    """A file cannot be opened, so nobody can say whether it names the customer."""


@dataclass(frozen=True, slots=True)
class CustomerTrace:
    """What names a customer.

    Attributes:
        customer_id: The supplier's id.
        customer_key: The pseudonym.
    """

    customer_id: str
    customer_key: str

    @property
    def is_id_searchable(self) -> bool:
        """Whether the id can be told from ordinary figures and words, so that finding it means something."""
        return len(self.customer_id) >= _SHORTEST_SEARCHABLE_ID

    def is_in(self, path: Path) -> bool:
        """Return whether a file names the customer.

        Raises:
            UnsearchableFileError: If the file is damaged, or another process holds it.
        """
        import duckdb
        import pyarrow as pa

        if path.stat().st_size == 0:
            return False
        try:
            if path.suffix == ".parquet":
                return self._is_in_parquet(path)
            if path.suffix == _WAREHOUSE_SUFFIX:
                return self._is_in_warehouse(path)
        except (pa.ArrowInvalid, duckdb.Error) as error:
            raise UnsearchableFileError(
                f"{path} cannot be searched: it is damaged, or another process holds it. Stop the Dagster UI and the "
                "API, or remove the file, and give the same command again."
            ) from error
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return any(self._is_in_bytes(archive.read(name)) for name in archive.namelist())
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return self._is_in_bytes(content)

    def below(self, folder: Path, *, without: frozenset[Path] = frozenset()) -> Iterator[Path]:
        """Yield the files below a folder that name the customer, in order.

        Args:
            folder: Where to look.
            without: Folders that are left out with everything below them.
        """
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path in without or path.is_symlink():
                continue
            if path.is_dir():
                yield from self.below(path, without=without)
            elif path.is_file() and (self.customer_key in path.name or self.is_in(path)):
                yield path

    def _is_in_bytes(self, content: bytes | mmap.mmap) -> bool:
        # NumPy keeps texts with four bytes per character.
        if any(content.find(self.customer_key.encode(code)) >= 0 for code in ("utf-8", "utf-32-le")):
            return True
        identifier = self.customer_id.encode()
        # Looking for plain bytes first takes a tenth of the time.
        if not self.is_id_searchable or content.find(identifier) < 0:
            return False
        return re.search(rb"(?<!\w)(?<!\d\.)" + re.escape(identifier) + rb"(?!\w)(?!\.\d)", content) is not None

    def _names(self) -> list[str]:
        return [self.customer_key, *([self.customer_id] if self.is_id_searchable else [])]

    def _is_in_parquet(self, path: Path) -> bool:
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            for number in range(file.num_row_groups):
                table = file.read_row_group(number)
                for column in table.columns:
                    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
                    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                        continue
                    texts = pc.unique(column.cast(kind))
                    for name in self._names():
                        suspects = texts.filter(pc.fill_null(pc.match_substring(texts, name), False))
                        if any(self._is_in_bytes(text.encode()) for text in suspects.to_pylist()):
                            return True
        return False

    def _is_in_warehouse(self, path: Path) -> bool:
        import duckdb

        with duckdb.connect(str(path), read_only=True) as connection:
            columns = connection.execute(
                "select schema_name, table_name, column_name from duckdb_columns() join duckdb_tables() "
                "using (schema_name, table_name) where data_type like 'VARCHAR%' or data_type like 'ENUM%'"
            ).fetchall()
            for schema, table, column in columns:
                for name in self._names():
                    found = connection.execute(
                        f'select 1 from "{schema}"."{table}" where contains(cast("{column}" as varchar), ?) limit 1',
                        [name],
                    ).fetchall()
                    if found:
                        return True
        return False
