"""Lands deliveries: from a supplier's files to typed, checked, pseudonymous Parquet files, each delivery at once.

A delivery is staged under ``landing/.incoming`` and becomes visible by one rename, so a kill at any moment leaves
either all of it or nothing; what is left over is removed at the next start. Files are known by their content: what was
landed before changes nothing, a changed file becomes a delivery of its own with corrections.
"""

import errno
import hashlib
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import orjson
import yaml

from orchestration.ingestion.compaction import finish_held_compaction
from orchestration.ingestion.contract import (
    CONTRACT_DELIVERY_ID,
    ENTITIES,
    contract_fingerprint,
    write_contract_delivery,
)
from orchestration.ingestion.errors import DiskFullError, UnreadableFileError
from orchestration.ingestion.locking import INCOMING, locked
from orchestration.ingestion.mapping import EntitySource, SourceMapping, load_mapping
from orchestration.ingestion.quarantine import Reason
from orchestration.ingestion.readings import ReadingsStage, build_meter_spans
from orchestration.ingestion.report import DeliveryReport, LandingReport, UnreadableFile
from orchestration.ingestion.sources import literal
from orchestration.ingestion.staging import PARQUET_OPTIONS, Stage, StagedEntity, is_disk_full
from orchestration.ingestion.workspace import (
    DeliveryWork,
    FileWork,
    LandingLimits,
    Workspace,
    write_erasure_marks,
)

_PRIVATE_MODE = 0o700
_DELIVERY_FILE = "delivery.yaml"
_HASH_CHUNK_BYTES = 1 << 20

_RETRY_ROUNDS = 2
"""Orphans are at most two steps below what is missing: customer, then bill or meter, then payment or reading."""


def land_deliveries(
    inbox: Path,
    mapping: SourceMapping,
    landing_dir: Path,
    *,
    pseudonym_key: str,
    time_zone: str,
    limits: LandingLimits | None = None,
    progress: Callable[[str], None] = lambda _message: None,
    landed_at: datetime | None = None,
    threads: int = 2,
    memory_limit: str = "1200MB",
) -> LandingReport:
    """Land every delivery of the inbox that is not landed yet.

    Args:
        inbox: Folder with the supplier's files.
        mapping: How the files become entities of the contract.
        landing_dir: Root of the landing; created when absent.
        pseudonym_key: Key of the customers' pseudonyms.
        time_zone: Zone of local days, and of timestamps without offset unless the mapping names another.
        limits: Limits of plausible readings.
        progress: Receives a sentence per step.
        landed_at: Time of landing, for tests and repeatable runs; now when absent.
        threads: Threads of the engine.
        memory_limit: Memory of the engine; beyond it, it spills to the landing's disk.

    Returns:
        What was landed, refused and found.

    Raises:
        DiskFullError: When the disk takes no more; deliveries published before stay, the next run continues.
        LandingLockedError: When another process lands into the same folder.
    """
    landed_at = (landed_at or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None)
    for folder in (landing_dir, landing_dir / "deliveries"):
        folder.mkdir(parents=True, exist_ok=True)
    for name in ("identities", "quarantine", INCOMING):
        (landing_dir / name).mkdir(exist_ok=True)
        (landing_dir / name).chmod(_PRIVATE_MODE)
    with locked(landing_dir), _disk_errors_explained(landing_dir):
        finish_held_compaction(landing_dir)
        _remove_leftovers(landing_dir)
        _publish_contract(landing_dir)
        landed = _landed_files(landing_dir)
        plan = _plan(inbox, mapping, landed, landed_at)
        if not plan.deliveries:
            return LandingReport(
                deliveries=(),
                unreadable=(),
                findings=(*plan.findings, *_missing_months(landing_dir)),
                messages=(),
                skipped_files=plan.skipped_files,
            )
        with _workspace(
            landing_dir, mapping, pseudonym_key, time_zone, limits or LandingLimits(), progress, threads, memory_limit
        ) as workspace:
            landing = _Landing(workspace, landed_at)
            for work in plan.deliveries:
                landing.land(work)
            for _ in range(_RETRY_ROUNDS):
                for work in _retries(workspace, mapping, plan, landing):
                    landing.land(work)
        return LandingReport(
            deliveries=tuple(landing.deliveries),
            unreadable=tuple(landing.unreadable),
            findings=(*plan.findings, *landing.findings, *_missing_months(landing_dir)),
            messages=tuple(landing.messages),
            skipped_files=plan.skipped_files,
        )


@dataclass(frozen=True)
class _Plan:
    deliveries: list[DeliveryWork]
    findings: list[str]
    skipped_files: int
    roots: dict[str, tuple[Path, datetime]]


class _Landing:
    """Lands one delivery after the other and collects what happened."""

    def __init__(self, workspace: Workspace, landed_at: datetime) -> None:
        self.workspace = workspace
        self.landed_at = landed_at
        self.deliveries: list[DeliveryReport] = []
        self.unreadable: list[UnreadableFile] = []
        self.findings: list[str] = []
        self.messages: list[str] = []
        self._sequence = sum(1 for _ in (workspace.landing_dir / "deliveries").iterdir())

    def land(self, work: DeliveryWork) -> None:
        """Stage and publish one delivery."""
        started = time.perf_counter()
        target = self.workspace.landing_dir / INCOMING / work.delivery_id
        target.mkdir()
        connection = self.workspace.connection
        connection.execute(
            """
            create or replace temp table new_identities (customer_id varchar, customer_key varchar, entity varchar,
                record_id varchar, name varchar, id_number varchar, phone varchar, address varchar, text varchar,
                personal varchar, content varchar, revision integer, known_at timestamp, delivery_id varchar);
            create or replace temp table new_quarantine (entity varchar, source_file varchar, row_number bigint,
                reason varchar, "column" varchar, value varchar, message varchar, raw_row varchar);
            """
        )
        outcomes: list[StagedEntity] = []
        for entity in ENTITIES.values():
            files = [file for file in work.files if file.entity == entity.name]
            if not files:
                continue
            self.workspace.progress(f"{work.name}: {entity.name} ({len(files)} files)")
            if entity.name == "meter_readings":
                build_meter_spans(self.workspace)
                stage: Stage = ReadingsStage(self.workspace, entity, work, target)
            else:
                stage = Stage(self.workspace, entity, work, target)
            stage.read(files)
            stage.judge()
            stage.write()
            outcomes.append(stage.account())
        connection.execute("drop table if exists stage")
        self._collect(outcomes)
        files_read = [file for outcome in outcomes for file in outcome.files]
        if not files_read:
            shutil.rmtree(target)
            return
        report = DeliveryReport(
            delivery_id=work.delivery_id,
            name=work.name,
            known_at=work.known_at,
            read_months=tuple(month for outcome in outcomes for month in outcome.read_months),
            files=tuple(files_read),
            seconds=round(time.perf_counter() - started, 3),
        )
        self._write_summaries(work, report, [item for outcome in outcomes for item in outcome.unreadable], target)
        self._publish(work, target)
        self.deliveries.append(report)
        rows = sum(file.rows_in for file in files_read)
        self.workspace.progress(f"{work.name}: {rows:,} rows landed in {report.seconds:.1f} s")

    def _collect(self, outcomes: list[StagedEntity]) -> None:
        for outcome in outcomes:
            self.unreadable.extend(outcome.unreadable)
            self.findings.extend(outcome.findings)
            self.messages.extend(outcome.messages)

    def _write_summaries(
        self, work: DeliveryWork, report: DeliveryReport, unreadable: list[UnreadableFile], target: Path
    ) -> None:
        connection = self.workspace.connection
        for name in ("deliveries", "reading_months"):
            (target / name).mkdir()
        connection.execute(
            "create or replace temp table summary (delivery_id varchar, known_at timestamp, landed_at timestamp, "
            "entity varchar, source_file varchar, rows_in bigint, rows_loaded bigint, rows_duplicate bigint, "
            "rows_quarantined bigint)"
        )
        connection.executemany(
            "insert into summary values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    work.delivery_id,
                    work.known_at,
                    self.landed_at,
                    file.entity,
                    file.source_file,
                    file.rows_in,
                    file.rows_loaded,
                    file.rows_duplicate,
                    file.rows_quarantined,
                )
                for file in report.files
            ],
        )
        connection.execute(
            f"copy summary to {literal(str(target / 'deliveries' / 'delivery.parquet'))} ({PARQUET_OPTIONS})"
        )
        months = ", ".join(f"(date '{month}')" for month in report.read_months) or "(cast(null as date))"
        connection.execute(
            f"copy (select {literal(work.delivery_id)} as delivery_id, timestamp '{self.landed_at}' as landed_at, "
            f"read_month from (values {months}) v(read_month) where read_month is not null) "
            f"to {literal(str(target / 'reading_months' / 'part-0.parquet'))} ({PARQUET_OPTIONS})"
        )
        refused = {(item.entity, item.source_file) for item in unreadable}
        (target / "delivery.json").write_bytes(
            orjson.dumps(
                {
                    "delivery_id": work.delivery_id,
                    "name": work.name,
                    "known_at": work.known_at,
                    "landed_at": self.landed_at,
                    "sequence": self._sequence,
                    "is_retry": work.is_retry,
                    "read_months": report.read_months,
                    "sources": [
                        {
                            "entity": file.entity,
                            "source_file": file.name,
                            "sha256": file.sha256,
                            "fingerprint": file.fingerprint,
                        }
                        for file in work.files
                        if (file.entity, file.name) not in refused
                    ],
                    "files": [file.model_dump() for file in report.files],
                    "unreadable": [item.model_dump() for item in unreadable],
                },
                option=orjson.OPT_INDENT_2,
            )
        )

    def _publish(self, work: DeliveryWork, target: Path) -> None:
        """Make the delivery visible; whatever was written before the last rename is removed at the next start."""
        connection, landing_dir = self.workspace.connection, self.workspace.landing_dir
        if self.workspace.erased:
            write_erasure_marks(landing_dir, self.workspace.erased)
        staged = target.with_name(f"{work.delivery_id}.restricted")
        staged.mkdir()
        if self.workspace.scalar("select count(*) from new_identities"):
            connection.execute(
                f"copy (select * from new_identities order by customer_key, entity, record_id) "
                f"to {literal(str(staged / 'identities.parquet'))} ({PARQUET_OPTIONS})"
            )
            (staged / "identities.parquet").rename(landing_dir / "identities" / f"{work.delivery_id}.parquet")
        entities = [row[0] for row in self.workspace.rows("select distinct entity from new_quarantine order by 1")]
        if entities:
            (staged / "quarantine").mkdir()
            for entity in entities:
                connection.execute(
                    f"copy (select {literal(work.delivery_id)} as delivery_id, * from new_quarantine where entity = "
                    f"{literal(entity)} order by source_file, row_number) "
                    f"to {literal(str(staged / 'quarantine' / f'{entity}.parquet'))} ({PARQUET_OPTIONS})"
                )
            (staged / "quarantine").rename(landing_dir / "quarantine" / work.delivery_id)
        staged.rmdir()
        published = landing_dir / "deliveries" / work.delivery_id
        target.rename(published)
        self._sequence += 1
        for path in sorted(published.glob("meter_readings/read_month=*/*.parquet")):
            self.workspace.remember_readings(path)


@contextmanager
def _workspace(
    landing_dir: Path,
    mapping: SourceMapping,
    pseudonym_key: str,
    time_zone: str,
    limits: LandingLimits,
    progress: Callable[[str], None],
    threads: int,
    memory_limit: str,
) -> Iterator[Workspace]:
    scratch = landing_dir / INCOMING / "scratch"
    scratch.mkdir()
    connection = duckdb.connect(
        ":memory:",
        config={"threads": threads, "memory_limit": memory_limit, "temp_directory": str(scratch / "spill")},
    )
    try:
        connection.execute("set timezone = 'UTC'")
        workspace = Workspace(
            connection=connection,
            landing_dir=landing_dir,
            scratch=scratch,
            pseudonym_key=pseudonym_key,
            time_zone=time_zone,
            source_time_zone=mapping.time_zone or time_zone,
            limits=limits,
            progress=progress,
        )
        workspace.remember_earlier_deliveries()
        yield workspace
    finally:
        connection.close()
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _disk_errors_explained(landing_dir: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, duckdb.Error) as error:
        is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        if not (is_full or is_disk_full(error)):
            raise
        shutil.rmtree(landing_dir / INCOMING, ignore_errors=True)
        free_mb = shutil.disk_usage(landing_dir).free / 1e6
        raise DiskFullError(
            f"the disk of {landing_dir} took no more ({free_mb:,.0f} MB free); free some space or set KILOWISE_HOME "
            "to a larger disk and run again: deliveries that were landed stay, the others are repeated"
        ) from error


def _remove_leftovers(landing_dir: Path) -> None:
    """Remove what an interrupted landing left: nothing of it was visible, all of it is made again."""
    for path in (landing_dir / INCOMING).iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    published = {path.name for path in (landing_dir / "deliveries").iterdir()}
    for path in (landing_dir / "identities").glob("*.parquet"):
        if path.stem not in published:
            path.unlink()
    for path in (landing_dir / "quarantine").iterdir():
        if path.name not in published:
            shutil.rmtree(path)


def _publish_contract(landing_dir: Path) -> None:
    """Publish the zero-row delivery, again when the contract has changed."""
    published = landing_dir / "deliveries" / CONTRACT_DELIVERY_ID
    if published.exists():
        if orjson.loads((published / "delivery.json").read_bytes())["contract"] == contract_fingerprint():
            return
        published.rename(landing_dir / INCOMING / f"{CONTRACT_DELIVERY_ID}.old")
    staged = landing_dir / INCOMING / CONTRACT_DELIVERY_ID
    staged.mkdir()
    write_contract_delivery(staged)
    staged.rename(published)
    shutil.rmtree(landing_dir / INCOMING / f"{CONTRACT_DELIVERY_ID}.old", ignore_errors=True)


@dataclass(frozen=True)
class _Landed:
    fingerprints: dict[str, str]
    hashes: frozenset[str]
    names: frozenset[str]


def _landed_files(landing_dir: Path) -> _Landed:
    fingerprints: dict[str, str] = {}
    hashes: set[str] = set()
    names: set[str] = set()
    for path in sorted((landing_dir / "deliveries").glob("*/delivery.json")):
        document = orjson.loads(path.read_bytes())
        if document["delivery_id"] == CONTRACT_DELIVERY_ID:
            continue
        names.add(document["name"])
        for source in document["sources"]:
            fingerprints[source["fingerprint"]] = document["name"]
            hashes.add(source["sha256"])
    return _Landed(fingerprints, frozenset(hashes), frozenset(names))


def _plan(inbox: Path, mapping: SourceMapping, landed: _Landed, landed_at: datetime) -> _Plan:
    """Return the deliveries with new or changed files, in the order in which the supplier delivered them."""
    findings: list[str] = []
    roots: dict[str, tuple[Path, datetime]] = {}
    work: list[tuple[datetime, str, DeliveryWork]] = []
    seen = dict(landed.fingerprints)
    skipped = 0
    matched: set[tuple[str, int]] = set()
    candidates: list[tuple[datetime, str, Path, datetime | None]] = []
    for name, root in _delivery_roots(inbox, mapping):
        try:
            delivered_at = _delivered_at(root)
        except UnreadableFileError as error:
            findings.append(str(error))
            delivered_at = None
        candidates.append((delivered_at or landed_at, name, root, delivered_at))
    for _, name, root, delivered_at in sorted(candidates, key=lambda item: item[:2]):
        hashes: dict[Path, str] = {}
        files: list[FileWork] = []
        used: set[Path] = set()
        copies = 0
        for entity_name, position, source in _sources(mapping):
            for path in _matches(root, source.file):
                matched.add((entity_name, position))
                used.add(path)
                file = _file_work(root, path, entity_name, source, mapping, hashes)
                if file.fingerprint in seen:
                    skipped += 1
                    copies += seen[file.fingerprint] != name
                    continue
                files.append(file)
            for pattern in source.lookups.values():
                used.update(root.glob(pattern))
        findings.extend(_unused_files(name, root, used))
        if copies and not files:
            findings.append(f"{name}: every file was landed before under another name; nothing was loaded twice")
        roots[name] = (root, delivered_at or landed_at)
        if not files:
            continue
        seen.update((file.fingerprint, name) for file in files)
        # A file that joins a folder later was not there when the folder was delivered.
        is_late = name in landed.names and any(file.sha256 not in landed.hashes for file in files)
        known_at = landed_at if delivered_at is None or is_late else delivered_at
        delivery_id = _delivery_id(name, [file.fingerprint for file in files])
        work.append((known_at, name, DeliveryWork(delivery_id, name, root, known_at, tuple(files))))
    for entity_name, position, source in _sources(mapping):
        if mapping.source != "landing_contract" and roots and (entity_name, position) not in matched:
            findings.append(
                f"entities.{entity_name}[{position}]: no delivery has a file {' or '.join(source.file)}; "
                "deliver it, or correct the mapping"
            )
    if not roots:
        findings.append(
            f"the inbox holds no delivery ({mapping.deliveries}); put the supplier's files into a folder there"
        )
    return _Plan([item for _, _, item in sorted(work, key=lambda item: item[:2])], findings, skipped, roots)


def _sources(mapping: SourceMapping) -> Iterator[tuple[str, int, EntitySource]]:
    for entity_name in ENTITIES:
        for position, source in enumerate(mapping.entities.get(entity_name, ())):
            yield entity_name, position, source


def _delivery_roots(inbox: Path, mapping: SourceMapping) -> list[tuple[str, Path]]:
    if not inbox.exists():
        return []
    if mapping.deliveries == ".":
        return [(mapping.source, inbox)]
    return [
        (path.relative_to(inbox).as_posix(), path)
        for path in sorted(inbox.glob(mapping.deliveries))
        if path.is_dir() and not path.name.startswith((".", "_"))
    ]


def _matches(root: Path, patterns: tuple[str, ...]) -> list[Path]:
    return sorted({path for pattern in patterns for path in root.glob(pattern) if path.is_file()})


def _file_work(
    root: Path, path: Path, entity_name: str, source: EntitySource, mapping: SourceMapping, hashes: dict[Path, str]
) -> FileWork:
    def sha256(file: Path) -> str:
        if file not in hashes:
            hashes[file] = _sha256(file)
        return hashes[file]

    digest = hashlib.sha256(sha256(path).encode())
    digest.update(mapping.fingerprint(entity_name, source).encode())
    for pattern in source.lookups.values():
        for lookup in sorted(root.glob(pattern)):
            digest.update(sha256(lookup).encode())
    return FileWork(entity_name, source, path, path.relative_to(root).as_posix(), sha256(path), digest.hexdigest())


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _delivery_id(name: str, fingerprints: list[str]) -> str:
    digest = hashlib.sha256("\n".join(sorted(fingerprints)).encode()).hexdigest()[:10]
    return f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', name).strip('.-') or 'delivery'}-{digest}"


def _delivered_at(root: Path) -> datetime | None:
    path = root / _DELIVERY_FILE
    if not path.exists():
        return None
    message = f"{root.name}/{_DELIVERY_FILE}: delivered_at is no point in time such as 2024-10-02T01:00:00Z; correct it"
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        value = document["delivered_at"]
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise UnreadableFileError(message) from error
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _unused_files(name: str, root: Path, used: set[Path]) -> list[str]:
    if name == root.name or root.name == name.rsplit("/", 1)[-1]:
        others = [
            path.name
            for path in sorted(root.iterdir())
            if path.is_file()
            and path not in used
            and path.name != _DELIVERY_FILE
            and not path.name.startswith((".", "_"))
        ]
        if others:
            return [
                f"{name}: no entity of the mapping reads {', '.join(others[:10])}; "
                "add them to the mapping or ignore this"
            ]
    return []


def _retries(workspace: Workspace, mapping: SourceMapping, plan: _Plan, landing: _Landing) -> Iterator[DeliveryWork]:
    """Yield deliveries again whose orphans have found their parents by now."""
    quarantine = sorted((workspace.landing_dir / "quarantine").glob("*/*.parquet"))
    if not landing.deliveries or not quarantine:
        return
    files = ", ".join(literal(str(path)) for path in quarantine)
    found = workspace.rows(
        f"""
        select distinct q.delivery_id, q.entity, q.source_file from read_parquet([{files}]) q
        where q.reason = '{Reason.ORPHAN.value}' and case q."column"
            when 'meter_id' then q.value in (select meter_id from known_meters)
            when 'bill_id' then q.value in (select bill_id from known_bills)
            else q.value in (select k.customer_id from customer_keys k join known_customers using (customer_key)) end
        """
    )
    resolved = set(found)
    latest = _latest_deliveries(workspace.landing_dir)
    waiting: dict[str, dict[tuple[str, str], Path]] = {}
    for (name, entity_name, source_file), delivery_id in latest.items():
        if (delivery_id, entity_name, source_file) in resolved:
            quarantined = workspace.landing_dir / "quarantine" / delivery_id / f"{entity_name}.parquet"
            waiting.setdefault(name, {})[(entity_name, source_file)] = quarantined
    for name, wanted in sorted(waiting.items()):
        if name not in plan.roots:
            continue
        root, known_at = plan.roots[name]
        hashes: dict[Path, str] = {}
        files_again = tuple(
            replace(_file_work(root, path, entity_name, source, mapping, hashes), orphans=orphans)
            for entity_name, _, source in _sources(mapping)
            for path in _matches(root, source.file)
            if (orphans := wanted.get((entity_name, path.relative_to(root).as_posix())))
        )
        newest = [delivery.delivery_id for delivery in landing.deliveries]
        if files_again:
            delivery_id = _delivery_id(f"{name}-again", [*(file.fingerprint for file in files_again), *newest])
            yield DeliveryWork(delivery_id, name, root, known_at, files_again)


def _latest_deliveries(landing_dir: Path) -> dict[tuple[str, str, str], str]:
    """Return the delivery that read each file last, by folder, entity and file; earlier quarantine is superseded."""
    documents = [orjson.loads(path.read_bytes()) for path in (landing_dir / "deliveries").glob("*/delivery.json")]
    latest: dict[tuple[str, str, str], str] = {}
    for document in sorted(documents, key=lambda document: int(document.get("sequence", 0))):
        for source in document.get("sources", []):
            latest[(document["name"], source["entity"], source["source_file"])] = document["delivery_id"]
    return latest


def _missing_months(landing_dir: Path) -> list[str]:
    """Return a sentence for months without any reading between months that have some."""
    months = sorted(
        {
            date.fromisoformat(path.name.removeprefix("read_month="))
            for path in (landing_dir / "deliveries").glob("*/meter_readings/read_month=*")
            if path.parts[-3] != CONTRACT_DELIVERY_ID
        }
    )
    if not months:
        return []
    span = range(months[0].year * 12 + months[0].month - 1, months[-1].year * 12 + months[-1].month)
    present = {month.year * 12 + month.month - 1 for month in months}
    missing = [f"{index // 12}-{index % 12 + 1:02d}" for index in span if index not in present]
    if not missing:
        return []
    return [f"no readings at all for {', '.join(missing[:12])}; ask the supplier for these months"]


def pending_files(inbox: Path, mapping: Path | None, landing_dir: Path) -> list[str]:
    """Return the files of the inbox that are not landed yet, each with a short hash that changes when it grows.

    Args:
        inbox: Folder with the supplier's files.
        mapping: The mapping file; the built-in one when absent.
        landing_dir: Root of the landing.
    """
    landed = _landed_files(landing_dir)
    plan = _plan(inbox, load_mapping(mapping), landed, datetime.now(UTC).replace(tzinfo=None))
    return sorted({f"{work.name}/{file.name}@{file.sha256[:12]}" for work in plan.deliveries for file in work.files})
