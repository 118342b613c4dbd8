"""Verifies the prediction log against its ledger and names what was changed: the entry, the file, the row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ml.wording import plural
from serving.log_ledger import Ledger, LedgerEntry, LedgerError, day_of, relative, sha256
from serving.row_digests import ROW_DIGEST, SEQUENCE, row_digests


@dataclass(frozen=True, slots=True)
class LogVerification:
    """What a verification found.

    Attributes:
        entries_count: Entries of the ledger that were read, those behind checkpoints included.
        files_count: Files that are there and are whole.
        rows_count: Their rows.
        adopted_count: Of them, files that were there before the ledger: what they held before nobody knows.
        erased_count: Rows that were erased by request.
        expired_count: Files that the retention setting deleted.
        lost_count: Rows that processes took with them when they were killed or could not write.
        dropped_count: Rows that did not fit into memory.
        head: Mac of the last entry; keep it elsewhere to notice a ledger that was cut off.
        problems: What was changed, in the order of the ledger; empty for an unchanged log.
    """

    entries_count: int = 0
    files_count: int = 0
    rows_count: int = 0
    adopted_count: int = 0
    erased_count: int = 0
    expired_count: int = 0
    lost_count: int = 0
    dropped_count: int = 0
    head: str = ""
    problems: tuple[str, ...] = ()

    def sentences(self) -> list[str]:
        """Return the result in words, the first change first."""
        found = [f"Changed: {problem}." for problem in self.problems]
        counts = f"{plural(self.entries_count, 'entry', 'entries')}, {plural(self.files_count, 'whole file')} with "
        counts += f"{plural(self.rows_count, 'row')}"
        for count, what in (
            (self.adopted_count, "files from before the ledger"),
            (self.erased_count, "rows erased by request"),
            (self.expired_count, "files deleted after their retention"),
            (self.lost_count, "rows lost with killed or failed processes"),
            (self.dropped_count, "rows dropped for want of memory"),
        ):
            counts += f"; {count:,} {what}" if count else ""
        return [*found, f"{counts}.", *([f"Head of the chain: {self.head}"] if self.head else [])]


@dataclass(slots=True)
class _Expected:
    """What the ledger says of one file."""

    entry: LedgerEntry
    sha256: str | None
    erased: set[int] = field(default_factory=set)
    erased_count: int = 0


def verify_log(directory: Path, key: bytes, *, known_head: str = "") -> LogVerification:
    """Verify every entry, file and row of a log.

    Files may be written meanwhile; those that are younger than the reading of the ledger are not judged.

    Args:
        directory: Folder of the log.
        key: As ``serving.log_ledger.ledger_key`` returns it.
        known_head: Head of the chain that was kept at another place; it must still be part of it.
    """
    present = sorted(directory.rglob("*.parquet"))
    result = LogVerification()
    expected: dict[str, _Expected] = {}
    problems: list[str] = []
    heads = set()
    entries = Ledger(directory, key).read()
    try:
        for entry, head in entries:
            heads.add(head)
            result = _counted(replace(result, head=head), entry, expected)
    except LedgerError as error:
        problems.append(str(error))
    if known_head and known_head not in heads and not problems:
        problems.append(f"the chain does not contain the head {known_head}: its end was cut off, or it began anew")
    is_chain_whole = not problems
    for path in expected:
        problem = _file_problem(directory / path, expected[path], key)
        if problem:
            problems.append(problem)
        else:
            result = _with_file(result, expected[path])
    if is_chain_whole:
        problems += [
            f"the file {path} was inserted: the ledger does not know it"
            for path in (relative(directory, found) for found in present)
            if path not in expected
        ]
    return replace(result, problems=tuple(problems))


def _counted(result: LogVerification, entry: LedgerEntry, expected: dict[str, _Expected]) -> LogVerification:
    """Take an entry into account."""
    count = result.entries_count + 1
    if entry.kind == "checkpoint":
        return replace(
            result,
            entries_count=entry.entries or 0,
            expired_count=entry.files or 0,
            lost_count=entry.lost or 0,
            dropped_count=entry.dropped or 0,
        )
    if entry.kind == "closed":
        return replace(
            result,
            entries_count=count,
            lost_count=result.lost_count + (entry.lost or 0),
            dropped_count=result.dropped_count + (entry.dropped or 0),
        )
    if entry.kind == "expired" and entry.before is not None:
        gone = [path for path in expected if day_of(path) < entry.before.isoformat()]
        for path in gone:
            del expected[path]
        return replace(result, entries_count=count, expired_count=result.expired_count + len(gone))
    if entry.path is not None and entry.kind == "erased":
        known = expected.get(entry.path)
        if known is not None:
            known.sha256 = entry.sha256
            known.erased |= set(entry.sequences or ())
            known.erased_count = len(known.erased) or known.erased_count + (entry.rows or 0)
        return replace(result, entries_count=count)
    if entry.path is not None:
        expected[entry.path] = _Expected(entry, entry.sha256)
    return replace(result, entries_count=count)


def _with_file(result: LogVerification, expected: _Expected) -> LogVerification:
    result = replace(result, erased_count=result.erased_count + expected.erased_count)
    if expected.sha256 is None:
        return result
    return replace(
        result,
        files_count=result.files_count + 1,
        rows_count=result.rows_count + (expected.entry.rows or 0) - expected.erased_count,
        adopted_count=result.adopted_count + (expected.entry.kind == "adopted"),
    )


def _file_problem(path: Path, expected: _Expected, key: bytes) -> str | None:
    """Return what was done to a file, or None when it is what the ledger says."""
    name = expected.entry.path
    if expected.sha256 is None:
        return f"the file {name} was put back after an erasure" if path.exists() else None
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        if path.with_name(f".{path.stem}.tmp").exists():
            # Between ledger and rename; the next start of a server completes it.
            return None
        return f"the file {name} ({plural(expected.entry.rows or 0, 'row')}) was removed"
    if sha256(content) == expected.sha256:
        return None
    row = next(_row_problems(path, expected, key), None)
    return f"the file {name} was altered: {row}" if row else f"the file {name} was altered, its rows were not"


def _row_problems(path: Path, expected: _Expected, key: bytes) -> Iterator[str]:
    """Yield what happened to the rows of an altered file, in their order."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, partitioning=None)
    except (pa.ArrowInvalid, OSError):
        yield "it cannot be read any more"
        return
    if expected.entry.first_sequence is None or not {SEQUENCE, ROW_DIGEST} <= set(table.column_names):
        yield "it has no digests of its rows, so the place cannot be told"
        return
    sequences = table.column(SEQUENCE).to_pylist()
    stored = table.column(ROW_DIGEST).to_numpy().astype("int64").view("uint64")
    is_true = (stored == row_digests(table, key)).tolist()
    first = expected.entry.first_sequence
    wanted = [number for number in range(first, first + (expected.entry.rows or 0)) if number not in expected.erased]
    yield from _compared(wanted, sequences, is_true)


def _compared(wanted: Sequence[int], sequences: Sequence[int], is_true: Sequence[bool]) -> Iterator[str]:
    position = 0
    for number, is_unaltered in zip(sequences, is_true, strict=True):
        if position < len(wanted) and number == wanted[position]:
            position += 1
            if not is_unaltered:
                yield f"row {number} of its stream was altered"
        elif number in wanted[position:]:
            yield f"row {wanted[position]} of its stream was removed"
            position = wanted.index(number) + 1
        else:
            yield f"a row was inserted as number {number}, or moved there"
    if position < len(wanted):
        yield f"row {wanted[position]} of its stream was removed"
