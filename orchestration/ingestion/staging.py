"""Takes the files of one entity of one delivery through all checks into a staged landing file.

The stage is one temporary table with the rows of all files of the entity. Each check numbers the rows that fail it;
what is left without a number and is no duplicate is loaded. Readings have a stage of their own in ``readings``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import orjson

from orchestration.ingestion.contract import ENTITIES, Column, Entity, landing_columns
from orchestration.ingestion.errors import ReconciliationError, UnreadableFileError
from orchestration.ingestion.quarantine import Reason, RowCheck, row_message
from orchestration.ingestion.report import FileReport, UnreadableFile
from orchestration.ingestion.rows import Projection, project_rows
from orchestration.ingestion.sources import ROW, OpenedSource, first_line, literal, open_source, quoted
from orchestration.ingestion.workspace import (
    DeliveryWork,
    FileWork,
    Workspace,
    content_sql,
    known_extras,
    known_key,
)

# Columns are written as text, never as ENUM: with several threads the engine's writer (DuckDB 2.0) now and then writes
# an empty text in place of one label.
PARQUET_OPTIONS = "format parquet, compression zstd"

_ERASED_CHECK = RowCheck(
    Reason.ERASED_CUSTOMER, "", "belongs to a customer who was erased; leave it out of deliveries", (), True
)
_UNKEPT_REASONS = (Reason.ERASED_CUSTOMER, Reason.PAST_RETENTION)
_PARENT_WORDS = {"customers": "customer", "bills": "bill", "meters": "meter"}


@dataclass
class StagedEntity:
    """What became of the files of one entity.

    Attributes:
        files: Counts per file.
        unreadable: Files that could not be read.
        messages: Sentences about refused rows.
        findings: What a person should look at.
        read_months: Months in which readings were loaded.
    """

    files: list[FileReport] = field(default_factory=list)
    unreadable: list[UnreadableFile] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    read_months: list[str] = field(default_factory=list)


class Stage:
    """The rows of one entity of one delivery on their way into the landing.

    Attributes:
        entity: The entity.
        delivery: The delivery.
        target: Folder in which the delivery is staged.
        files: Files by the number that their rows carry.
    """

    columns_sql = ""

    def __init__(self, workspace: Workspace, entity: Entity, delivery: DeliveryWork, target: Path) -> None:
        self.workspace = workspace
        self.entity = entity
        self.delivery = delivery
        self.target = target
        self.files: dict[int, tuple[FileWork, OpenedSource]] = {}
        self.staged = StagedEntity()
        self._checks: list[RowCheck] = []

    def number_check(self, check: RowCheck) -> int:
        """Register a check and return the number that rows which fail it carry."""
        if check in self._checks:
            return self._checks.index(check) + 1
        self._checks.append(check)
        return len(self._checks)

    def read(self, files: Sequence[FileWork]) -> None:
        """Read files into the stage; one that cannot be read is reported and leaves nothing behind."""
        self.workspace.connection.execute(f"create or replace temp table stage ({self.stage_columns()})")
        for number, work in enumerate(files):
            try:
                opened = open_source(
                    self.workspace.connection,
                    work.path,
                    work.source,
                    root=self.delivery.root,
                    scratch=self.workspace.scratch,
                    table=f"file_{number}",
                )
                projection = project_rows(
                    self.workspace.connection,
                    self.readable_entity(work),
                    work.source,
                    opened,
                    file_name=work.name,
                    time_zone=self.workspace.source_time_zone,
                    number_check=self.number_check,
                )
                self.insert(number, work, projection)
                self._mark_settled(number, work, opened)
            except UnreadableFileError as error:
                self._unreadable(work, str(error))
            except (duckdb.ConversionException, duckdb.InvalidInputException, duckdb.OutOfRangeException) as error:
                self._unreadable(
                    work,
                    f"{work.name} cannot be read ({first_line(error)}); deliver it again, or use try_cast where an "
                    "expression of the mapping casts",
                )
            except duckdb.IOException as error:
                if is_disk_full(error):
                    raise
                self._unreadable(work, f"{work.name} is damaged ({first_line(error)}); deliver it again")
            else:
                self.files[number] = (work, opened)

    def _unreadable(self, work: FileWork, message: str) -> None:
        for name in (work.name, work.path.name):
            if message.startswith(name):
                message = self.delivery.place(work.name) + message.removeprefix(name)
                break
        self.staged.unreadable.append(
            UnreadableFile(delivery=self.delivery.name, entity=self.entity.name, source_file=work.name, message=message)
        )

    def stage_columns(self) -> str:
        """Return the column definitions of the stage."""
        typed = ", ".join(f"{quoted(column.name)} {column.duckdb_type}" for column in self.entity.columns)
        key = "" if "customer_key" in self.entity.column_names else "customer_key varchar, "
        return (
            f"file_no integer, {ROW} bigint, {typed}, {key}known_at timestamp, attributes varchar, personal varchar, "
            "is_repeated boolean, problem smallint, problem_value varchar, content varchar, "
            "is_duplicate boolean default false, revision integer default 0, is_settled boolean default false"
        )

    def readable_entity(self, _work: FileWork) -> Entity:
        """Return the entity as the file is judged by it, row by row."""
        return self.entity

    def insert(self, number: int, _work: FileWork, projection: Projection) -> None:
        """Put the rows of one file into the stage."""
        names = [ROW, *(quoted(name) for name in self.entity.column_names)]
        names += ["known_at", "attributes", "personal", "is_repeated", "problem", "problem_value"]
        columns = ", ".join(names)
        self.workspace.connection.execute(
            f"insert into stage (file_no, {columns}) select {number}, {columns} from ({projection.sql})"
        )
        repeated = projection.clock.repeated
        if repeated and self.workspace.scalar(f"select count(*) from stage where file_no = {number} and is_repeated"):
            self.separate_repeated_hours(number, int(repeated.total_seconds()))

    def separate_repeated_hours(self, number: int, seconds: int) -> None:
        """Tell the two occurrences of local times apart that the clock change repeated."""
        time_column = self.entity.key[-1]
        partition = ", ".join(self.entity.key)
        check = self.number_check(repeated_hour_check(time_column))
        self.workspace.connection.execute(
            f"""
            create or replace temp table repeated as
            select rowid as id, count(*) over (partition by {partition}) as times,
                row_number() over (partition by {partition} order by {ROW}) as occurrence
            from stage where file_no = {number} and is_repeated and problem = 0;
            update stage set problem = {check}, problem_value = cast({time_column} as varchar)
            where rowid in (select id from repeated where times <> 2);
            update stage set {time_column} = {time_column} + interval ({seconds}) second
            where rowid in (select id from repeated where times = 2 and occurrence = 2);
            """
        )

    def _mark_settled(self, number: int, work: FileWork, opened: OpenedSource) -> None:
        """Mark the rows of a file that is read again that were no orphans when it was read before."""
        if work.orphans is None:
            return
        waiting = (
            f"from read_parquet({literal(str(work.orphans))}) "
            f"where source_file = {literal(work.name)} and reason = '{Reason.ORPHAN.value}'"
        )
        rows = f"select row_number {waiting}"
        if work.source.from_ is not None:
            # A reshaping may return its rows in another order every time.
            rows = (
                f"select {ROW} from {opened.relation} r where {_without_row_number('to_json(r)')} in "
                f"(select {_without_row_number('raw_row')} {waiting})"
            )
        self.workspace.connection.execute(
            f"update stage set is_settled = true where file_no = {number} and {ROW} not in ({rows})"
        )

    def leave_settled_rows(self) -> None:
        """Take out what an earlier reading of the files has settled: it is loaded and counted already."""
        if self.delivery.is_retry:
            self.workspace.connection.execute("delete from stage where is_settled")

    def refuse(self, check: RowCheck, condition: str, value: str = "null") -> None:
        """Number the rows that are unrefused so far and meet a condition."""
        number = self.number_check(check)
        self.workspace.connection.execute(
            f"update stage set problem = {number}, problem_value = cast({value} as varchar) "
            f"where problem = 0 and ({condition})"
        )

    def judge(self) -> None:
        """Run the checks that need other rows and other entities."""
        names = self.entity.column_names
        if "customer_id" in names:
            self._pseudonymise()
        for reference in self.entity.references:
            self._refuse_orphans(reference.column, reference.entity)
        if self.entity.name == "meters":
            self._refuse_two_customers()
        self._settle_versions()
        # Not before: an orphan may contradict a row of its file that is loaded.
        self.leave_settled_rows()

    def _pseudonymise(self) -> None:
        self.workspace.add_customer_ids("select customer_id from stage where problem = 0")
        self.workspace.connection.execute(
            "update stage set customer_key = k.customer_key from customer_keys k "
            "where stage.customer_id = k.customer_id"
        )
        if not self.workspace.erased:
            return
        is_erased = "customer_id in (select customer_id from customer_keys where is_erased)"
        self.refuse(_ERASED_CHECK, is_erased)
        if self.entity.name in ("meters", "bills"):
            # Readings and payments name the customer only by these.
            new = self.workspace.erasure_marks(self.entity.key[0], f"select * from stage where {is_erased}")
            self.workspace.erased.update(new.values())

    def refuse_of_erased(self, column: str, orphaned: str) -> None:
        """Refuse orphans whose meter or bill was an erased customer's.

        Args:
            column: Column that names the meter or bill.
            orphaned: SQL condition of the orphans.
        """
        if not self.workspace.erased:
            return
        marks = self.workspace.erasure_marks(column, f"select * from stage where problem = 0 and ({orphaned})")
        erased = [identifier for identifier, mark in marks.items() if mark in self.workspace.erased]
        if erased:
            self.workspace.connection.execute("create or replace temp table erased_ids (identifier varchar)")
            self.workspace.insert("erased_ids", {"identifier": erased})
            self.refuse(_ERASED_CHECK, f"({orphaned}) and {column} in (select identifier from erased_ids)")

    def _refuse_orphans(self, column: str, parent: str) -> None:
        known = "customer_key" if column == "customer_id" else column
        orphaned = f"{known} not in (select {known} from known_{parent} where {known} is not null)"
        if column != "customer_id":
            self.refuse_of_erased(column, orphaned)
        self.refuse(orphan_check(column, parent), orphaned, column)
        if parent == "bills":
            self.workspace.connection.execute(
                "update stage set customer_key = b.customer_key from known_bills b "
                "where stage.bill_id = b.bill_id and stage.problem = 0"
            )
        if self.delivery.is_retry:
            # The row was refused until its parent arrived: nobody could have used it before.
            self.workspace.connection.execute(
                f"update stage set known_at = greatest(p.known_at, timestamp '{self.delivery.known_at}') "
                f"from (select {known}, min(known_at) as known_at from known_{parent} group by all) p "
                f"where stage.{known} = p.{known} and stage.known_at is null"
            )

    def _refuse_two_customers(self) -> None:
        self.refuse(
            RowCheck(
                Reason.TWO_CUSTOMERS,
                "meter_id",
                "stands at two customers at the same time; give the earlier one a removed_date and deliver the file "
                "again",
            ),
            """rowid in (
                select a.rowid from stage a join stage b on a.meter_id = b.meter_id and a.customer_key <> b.customer_key
                    and coalesce(a.installed_date, date '0001-01-01') < coalesce(b.removed_date, date '9999-12-31')
                    and coalesce(b.installed_date, date '0001-01-01') < coalesce(a.removed_date, date '9999-12-31')
                where a.problem = 0 and b.problem = 0)""",
            "meter_id",
        )

    def _settle_versions(self) -> None:
        """Find exact duplicates and conflicts in the delivery, then duplicates and corrections of earlier ones."""
        entity, connection = self.entity, self.workspace.connection
        keys = known_key(entity)
        key_list = ", ".join(keys)
        further = (*entity.personal_columns, "personal") if entity.personal_columns else ()
        connection.execute(f"update stage set content = {content_sql(entity, further)} where problem = 0")
        self.refuse(
            conflict_check(", ".join(entity.key)),
            "rowid in (select rowid from stage where problem = 0 "
            f"qualify min(content) over (partition by {key_list}) <> max(content) over (partition by {key_list}))",
        )
        same_key = " and ".join(f"s.{name} is not distinct from k.{name}" for name in keys)
        connection.execute(
            f"""
            update stage set is_duplicate = true where rowid in (
                select rowid from stage where problem = 0
                qualify row_number() over (partition by {key_list} order by file_no, {ROW}) > 1);
            create or replace temp table versions as
            select s.rowid as id, arg_max(k.content, k.revision) = any_value(s.content) as is_same
            from stage s join known_{entity.name} k on {same_key}
            where s.problem = 0 and not s.is_duplicate
            group by s.rowid;
            update stage set is_duplicate = true where rowid in (select id from versions where is_same);
            """
        )
        landing_key = ", ".join(entity.landing_key)
        ordered = "installed_date, file_no" if entity.name == "meters" else "file_no"
        same_landing_key = " and ".join(f"s.{name} = k.{name}" for name in entity.landing_key)
        connection.execute(
            f"""
            create or replace temp table revisions as
            select s.id, coalesce(k.revision + 1, 0) + s.position - 1 as revision
            from (
                select rowid as id, {landing_key},
                    row_number() over (partition by {landing_key} order by {ordered}, {ROW}) as position
                from stage where problem = 0 and not is_duplicate
            ) s
            left join (
                select {landing_key}, max(revision) as revision from known_{entity.name} group by {landing_key}
            ) k on {same_landing_key};
            update stage set revision = r.revision from revisions r where stage.rowid = r.id and r.revision > 0;
            """
        )

    def write(self) -> None:
        """Write what is loaded into the staged delivery and remember it for the entities and deliveries that follow."""
        entity, connection = self.entity, self.workspace.connection
        loaded = "stage.problem = 0 and not stage.is_duplicate"
        connection.execute(
            f"update stage set known_at = timestamp '{self.delivery.known_at}' where known_at is null and {loaded}"
        )
        if not self.workspace.scalar(f"select count(*) from stage where {loaded}"):
            return
        columns = ", ".join(self._landing_expression(column) for column in landing_columns(entity.name))
        folder = self.target / entity.name
        folder.mkdir(parents=True)
        connection.execute(
            f"copy (select {columns} from stage where {loaded} "
            f"order by {', '.join(entity.landing_key)}) "
            f"to {literal(str(folder / 'part-0.parquet'))} ({PARQUET_OPTIONS})"
        )
        extras = known_extras(entity)
        connection.execute(
            f"insert into known_{entity.name} "
            f"select {', '.join(known_key(entity))}, content, revision, known_at{extras} from stage where {loaded}"
        )
        if entity.name in ("customers", "meters"):
            self.workspace.spans_are_current = False
        if entity.personal_columns:
            self._write_identities(loaded)

    def _landing_expression(self, column: Column) -> str:
        if column.name == "delivery_id":
            return f"{literal(self.delivery.delivery_id)} as delivery_id"
        if column.name == "source_file":
            return f"{self.source_file_sql()} as source_file"
        return quoted(column.name)

    def source_file_sql(self) -> str:
        """Return SQL for the name of the file that a row came from."""
        whens = " ".join(f"when {number} then {literal(work.name)}" for number, (work, _) in self.files.items())
        return f"case stage.file_no {whens} end"

    def _write_identities(self, loaded: str) -> None:
        names = [column.name for entity in ENTITIES.values() for column in entity.columns if column.personal]
        record_id = "''" if self.entity.name == "customers" else self.entity.key[0]
        columns = ", ".join(name if name in self.entity.personal_columns else f"null as {name}" for name in names)
        self.workspace.connection.execute(
            f"insert into new_identities "
            f"select customer_id, customer_key, {literal(self.entity.name)}, {record_id}, {columns}, "
            f"personal, content, revision, known_at, {literal(self.delivery.delivery_id)} from stage where {loaded}"
        )

    def account(self) -> StagedEntity:
        """Count what became of every row, put refused rows into quarantine and word the messages."""
        counts = {
            (row[0], row[1]): row[2:]
            for row in self.workspace.rows(
                "select file_no, problem, count(*), count(*) filter (problem = 0 and not is_duplicate), "
                "count(*) filter (problem = 0 and not is_duplicate and revision > 0), "
                "count(*) filter (problem = 0 and is_duplicate) from stage group by all order by all"
            )
        }
        if any(problem for _, problem in counts):
            self._quarantine()
        self._quarantine_malformed()
        for number, (work, opened) in self.files.items():
            rows_in = rows_loaded = corrected = duplicate = 0
            reasons: dict[str, int] = {}
            for (file_no, problem), (rows, loaded_rows, corrected_rows, duplicate_rows) in counts.items():
                if file_no != number:
                    continue
                rows_in += rows
                rows_loaded += loaded_rows
                corrected += corrected_rows
                duplicate += duplicate_rows
                if problem:
                    reason = self._checks[problem - 1].reason.value
                    reasons[reason] = reasons.get(reason, 0) + rows
            if opened.malformed and work.orphans is None:
                reasons[Reason.MALFORMED_ROW.value] = len(opened.malformed)
                rows_in += len(opened.malformed)
            report = FileReport(
                delivery_id=self.delivery.delivery_id,
                entity=self.entity.name,
                source_file=work.name,
                rows_in=rows_in,
                rows_loaded=rows_loaded,
                rows_corrected=corrected,
                rows_duplicate=duplicate,
                rows_quarantined=sum(reasons.values()),
                quarantined_by_reason=reasons,
                retried_delivery_id=work.orphans.parent.name if work.orphans else None,
            )
            if not report.is_reconciled:
                raise ReconciliationError(
                    f"{work.name}: {rows_in} rows in, but {rows_loaded} loaded, {duplicate} duplicate and "
                    f"{report.rows_quarantined} quarantined; nothing of this delivery was published, please report this"
                )
            self.staged.files.append(report)
        for number in self.files:
            for suffix in ("", "_reshaped"):
                self.workspace.connection.execute(f"drop table if exists file_{number}{suffix}")
        return self.staged

    def _quarantine(self) -> None:
        connection = self.workspace.connection
        connection.execute(
            'create or replace temp table checks (problem smallint, reason varchar, "column" varchar, message varchar)'
        )
        self.workspace.insert(
            "checks",
            {
                "problem": list(range(1, len(self._checks) + 1)),
                "reason": [check.reason.value for check in self._checks],
                '"column"': [check.column for check in self._checks],
                "message": [check.what for check in self._checks],
            },
        )
        refused = self.workspace.rows(
            f"select file_no, problem, {ROW}, problem_value, count(*) over (partition by file_no, problem) from stage "
            f"where problem > 0 qualify row_number() over (partition by file_no, problem order by {ROW}) "
            f"<= {self.workspace.limits.messages_per_check} order by file_no, problem, {ROW}"
        )
        shown: dict[tuple[int, int], int] = {}
        for number, problem, row, value, total in refused:
            check = self._checks[problem - 1]
            if check.reason is Reason.ERASED_CUSTOMER:
                # Expected in every delivery from now on: the rows are counted, nobody has to do anything.
                continue
            name = self.delivery.place(self.files[number][0].name)
            self.staged.messages.append(row_message(name, row, check, value))
            shown[(number, problem)] = shown.get((number, problem), 0) + 1
            if shown[(number, problem)] == self.workspace.limits.messages_per_check < total:
                where = f", column {check.column}" if check.column else ""
                self.staged.messages.append(f"{name}{where}: {total - shown[(number, problem)]:,} more rows like these")
        for number in dict.fromkeys(row[0] for row in refused):
            work, opened = self.files[number]
            unkept = f"c.reason in ({', '.join(literal(reason.value) for reason in _UNKEPT_REASONS)})"
            connection.execute(
                f"""
                insert into new_quarantine
                select {literal(self.entity.name)}, {literal(work.name)}, s.{ROW}, c.reason, c."column",
                    case when not {unkept} then s.problem_value end, c.message,
                    case when not {unkept} then cast(to_json(r) as varchar) end
                from (select {ROW}, problem, problem_value from stage where file_no = {number} and problem > 0) s
                join checks c using (problem)
                join {opened.relation} as r on r.{ROW} = s.{ROW}
                order by s.{ROW}
                """
            )

    def _quarantine_malformed(self) -> None:
        for work, opened in self.files.values():
            if work.orphans is not None:
                continue
            for malformed in opened.malformed[: self.workspace.limits.messages_per_check]:
                place = self.delivery.place(work.name)
                self.staged.messages.append(f"{place}, row {malformed.row}: the row {malformed.message}")
            rows = opened.malformed
            self.workspace.insert(
                "new_quarantine",
                {
                    "entity": [self.entity.name] * len(rows),
                    "source_file": [work.name] * len(rows),
                    "row_number": [row.row for row in rows],
                    "reason": [Reason.MALFORMED_ROW.value] * len(rows),
                    "message": [row.message for row in rows],
                    "raw_row": [row.text for row in rows],
                },
            )


def _without_row_number(row: str) -> str:
    patch = literal(orjson.dumps({ROW: None}).decode())
    return f"cast(json_merge_patch({row}, {patch}) as varchar)"


def orphan_check(column: str, parent: str) -> RowCheck:
    """Return the check of rows whose parent was never delivered."""
    word = _PARENT_WORDS[parent]
    return RowCheck(
        Reason.ORPHAN,
        column,
        f"names no {word} that was delivered and loaded; deliver the {word}, and the row is taken up by itself",
        (),
        column == "customer_id",
    )


def conflict_check(key_words: str) -> RowCheck:
    """Return the check of rows of one key that contradict each other within a delivery."""
    return RowCheck(
        Reason.DUPLICATE_KEY,
        "",
        f"has the same key ({key_words}) as another row of the delivery with different content; "
        "deliver only the one that holds",
        (),
        True,
    )


def repeated_hour_check(column: str) -> RowCheck:
    """Return the check of local times that occurred twice and were delivered once."""
    return RowCheck(
        Reason.CLOCK_CHANGE,
        column,
        "is a local time that occurred twice at the clock change, and not exactly two rows have it; "
        "deliver it with its offset from UTC",
    )


def is_disk_full(error: Exception) -> bool:
    """Return whether an engine's error says that the disk took no more."""
    text = str(error).lower()
    return any(words in text for words in ("no space left", "disk quota exceeded", "file too large", "disk full"))
