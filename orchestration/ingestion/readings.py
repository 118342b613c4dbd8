"""The stage of meter readings: the same checks as for every entity, made for tens of millions of rows.

A reading is known by one packed integer, meter number and minute, so that duplicates are found by a hash of integers
and rows are sorted by one column. Earlier deliveries are read only for the days that the delivery touches.
"""

from collections import defaultdict
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from orchestration.ingestion.contract import MAX_KWH_PER_INTERVAL, Column, Entity
from orchestration.ingestion.quarantine import Reason, RowCheck
from orchestration.ingestion.rows import Projection
from orchestration.ingestion.sources import ROW, literal
from orchestration.ingestion.staging import PARQUET_OPTIONS, Stage, conflict_check, orphan_check, repeated_hour_check
from orchestration.ingestion.workspace import FileWork, Workspace

_MINUTE_BITS = 32
_READ_AT = f"make_timestamp((key & {(1 << _MINUTE_BITS) - 1}) * 60000000)"
_DAY = f"((key & {(1 << _MINUTE_BITS) - 1}) // 1440)"
_EPOCH = date(1970, 1, 1)

_WIDEST_KWH = 1e9
_ROW_GROUP_ROWS = 500_000
_SUSPICIOUS_UNIT_RATIO = (300, 3000)
_MINIMUM_HISTORY_HOURS = 168
_MINIMUM_HOURS = 24


def build_meter_spans(workspace: Workspace) -> None:
    """Make the table of who a meter belongs to and when, from all meters known so far.

    A row of a later delivery overrules earlier rows of the meter for the time that it covers.
    """
    if workspace.spans_are_current:
        return
    connection = workspace.connection
    simple = "select meter_id from known_meters group by meter_id having count(*) = 1"
    columns = "meter_id, customer_key, interval_minutes, multiplier, installed_date, removed_date, known_at"
    connection.execute(
        f"create or replace temp table occupancies as select {columns} from known_meters where meter_id in ({simple})"
    )
    versions = defaultdict(list)
    for row in workspace.rows(
        f"select {columns}, revision from known_meters where meter_id not in ({simple}) "
        "order by meter_id, revision desc"
    ):
        versions[row[0]].append(row)
    resolved = [occupancy for rows in versions.values() for occupancy in _occupancies(rows)]
    if resolved:
        connection.executemany("insert into occupancies values (?, ?, ?, ?, ?, ?, ?)", resolved)
    limits = workspace.limits
    connection.execute(
        """
        create or replace temp table meter_numbers as
        select meter_id, row_number() over (order by meter_id) as meter_no
        from (select distinct meter_id from occupancies);
        drop table if exists meter_spans;
        """
    )
    connection.execute(
        f"""
        create temp table meter_spans as
        select cast(row_number() over (order by o.meter_id, o.installed_date) as integer) as span_no,
            cast(n.meter_no as bigint) << {_MINUTE_BITS} as meter_bits, o.meter_id, o.customer_key,
            o.interval_minutes, coalesce(o.multiplier, 1.0) as multiplier, o.known_at,
            {_local_midnight("o.installed_date", "0", workspace.time_zone)} as from_at,
            {_local_midnight("o.removed_date", "1", workspace.time_zone)} as to_at,
            coalesce(c.customer_class = 'residential', false) as is_residential, c.contract_capacity_kva,
            least({MAX_KWH_PER_INTERVAL},
                case when c.customer_class = 'residential'
                    then {limits.residential_max_kw} * o.interval_minutes / 60 end,
                case when c.contract_capacity_kva > 0
                    then {limits.capacity_factor} * c.contract_capacity_kva * o.interval_minutes / 60 end) as max_kwh
        from occupancies o
        join meter_numbers n using (meter_id)
        left join (
            select customer_key, arg_max(customer_class, revision) as customer_class,
                arg_max(contract_capacity_kva, revision) as contract_capacity_kva
            from known_customers group by customer_key
        ) c using (customer_key);
        """
    )
    workspace.spans_are_current = True


def _local_midnight(column: str, further_days: str, time_zone: str) -> str:
    bound = "'0001-01-01'" if further_days == "0" else "'9999-12-31'"
    local = f"cast({column} + {further_days} as timestamp)"
    return f"coalesce(({local} at time zone {literal(time_zone)}) at time zone 'UTC', timestamp {bound})"


def _occupancies(rows: list[tuple]) -> list[tuple]:
    """Return disjoint occupancies of one meter from its versions, newest first."""
    taken: list[tuple[date, date]] = []
    kept: list[tuple] = []
    replaced: list[tuple[str, date, date]] = []
    for meter_id, key, interval_minutes, multiplier, installed, removed, known_at, _revision in rows:
        first, last = installed or date.min, removed or date.max
        if any(key == other and first <= end and start <= last for other, start, end in replaced):
            continue
        replaced.append((key, first, last))
        for start, end in _without(first, last, taken):
            shown = (start if start != date.min else None, end if end != date.max else None)
            kept.append((meter_id, key, interval_minutes, multiplier, *shown, known_at))
        taken.append((first, last))
    return kept


def _without(first: date, last: date, taken: list[tuple[date, date]]) -> list[tuple[date, date]]:
    """Return what is left of a period of days when others are taken out of it."""
    pieces = [(first, last)]
    for start, end in taken:
        remaining = []
        for piece_first, piece_last in pieces:
            if end < piece_first or start > piece_last:
                remaining.append((piece_first, piece_last))
                continue
            if piece_first < start:
                remaining.append((piece_first, start - timedelta(days=1)))
            if piece_last > end:
                remaining.append((end + timedelta(days=1), piece_last))
        pieces = remaining
    return pieces


class ReadingsStage(Stage):
    """The readings of one delivery on their way into the landing."""

    def stage_columns(self) -> str:
        """Return the column definitions of the stage."""
        return (
            f"file_no integer, {ROW} bigint, span_no integer, meter_id varchar, key bigint, kwh decimal(14,4), "
            "kvarh decimal(14,4), export_kwh decimal(14,4), quality varchar, "
            "known_at timestamp, is_repeated boolean, problem smallint, problem_value varchar, "
            "is_duplicate boolean default false, revision integer default 0, is_settled boolean default false"
        )

    def readable_entity(self, _work: FileWork) -> Entity:
        """Return the entity with the limits that a value must meet before its meter and unit are known."""

        def widened(column: Column) -> Column:
            if column.name != "kwh":
                return column
            return replace(column, maximum=_WIDEST_KWH)

        columns = tuple(widened(column) for column in self.entity.columns)
        return replace(self.entity, columns=columns)

    def insert(self, number: int, work: FileWork, projection: Projection) -> None:
        """Put the rows of one file into the stage, each beside the meter that it belongs to."""
        missing = self.number_check(
            RowCheck(
                Reason.MISSING_VALUE,
                "kwh",
                "is missing; fill it in, or set quality to missing, and deliver the file again",
            )
        )
        misaligned = self.number_check(
            RowCheck(
                Reason.IMPOSSIBLE_VALUE,
                "read_at",
                "is not the start of an interval of this meter; correct it, or the meter's interval_minutes",
            )
        )
        offset = datetime(2024, 1, 1, tzinfo=ZoneInfo(self.workspace.time_zone)).utcoffset() or timedelta(0)
        offset_minutes = int(offset.total_seconds()) // 60 % 60
        minutes = "(epoch_us(p.read_at) // 60000000)"

        def scaled(name: str) -> str:
            if work.source.multiplier_applied:
                return f"p.{name}"
            return (
                f"case when s.multiplier = 1 then p.{name} else try_cast(p.{name} * s.multiplier as decimal(14,4)) end"
            )

        self.workspace.connection.execute(
            f"""
            insert into stage (file_no, {ROW}, span_no, meter_id, key, kwh, kvarh, export_kwh, quality, known_at,
                is_repeated, problem, problem_value)
            select {number}, p.{ROW}, s.span_no, case when s.span_no is null then p.meter_id end,
                coalesce(s.meter_bits, 0) | {minutes}, {scaled("kwh")}, {scaled("kvarh")}, {scaled("export_kwh")},
                coalesce(p.quality, 'actual'), p.known_at, p.is_repeated,
                case when p.problem <> 0 then p.problem
                    when p.kwh is null and coalesce(p.quality, 'actual') <> 'missing' then {missing}
                    when epoch_us(p.read_at) % 60000000 <> 0
                        or ({minutes} + {offset_minutes}) % least(s.interval_minutes, 60) <> 0 then {misaligned}
                    else 0 end as final_problem,
                case when p.problem <> 0 then p.problem_value
                    when final_problem = {misaligned} then cast(p.read_at as varchar) end
            from ({projection.sql}) p
            left join meter_spans s on p.meter_id = s.meter_id and p.read_at >= s.from_at and p.read_at < s.to_at
            """
        )
        repeated = projection.clock.repeated
        if repeated and self.workspace.scalar(f"select count(*) from stage where file_no = {number} and is_repeated"):
            self._separate_repeated_hours(number, int(repeated.total_seconds()) // 60)

    def _separate_repeated_hours(self, number: int, minutes: int) -> None:
        check = self.number_check(repeated_hour_check("read_at"))
        self.workspace.connection.execute(
            f"""
            create or replace temp table repeated as
            select rowid as id, count(*) over (partition by key) as times,
                row_number() over (partition by key order by {ROW}) as occurrence
            from stage where file_no = {number} and is_repeated and problem = 0 and span_no is not null;
            update stage set problem = {check}, problem_value = cast({_READ_AT} as varchar)
            where rowid in (select id from repeated where times <> 2);
            update stage set key = key + {minutes}
            where rowid in (select id from repeated where times = 2 and occurrence = 2);
            """
        )

    def judge(self) -> None:
        """Run the checks that need the meters, the other rows and earlier deliveries."""
        # A meter's rows are all orphans or none, so settled rows of other meters decide nothing here.
        self.leave_settled_rows()
        self._refuse_unknown_meters()
        self._refuse_removed_months()
        self._settle_duplicates()
        if any(work.source.register_kind == "cumulative" for work, _ in self.files.values()):
            self._registers_to_energy()
        self._sum_by_meter()
        self._refuse_wrong_units()
        self._refuse_absurd_values()
        self._compare_with_earlier()

    def _refuse_unknown_meters(self) -> None:
        unmatched = "span_no is null"
        orphaned = f"{unmatched} and meter_id not in (select meter_id from meter_numbers)"
        self.refuse_of_erased("meter_id", orphaned)
        self.refuse(orphan_check("meter_id", "meters"), orphaned, "meter_id")
        self.refuse(
            RowCheck(
                Reason.OUTSIDE_METER_LIFE,
                "read_at",
                "is before the meter was installed or after it was removed; correct it, or the dates of the meter",
            ),
            unmatched,
            _READ_AT,
        )
        if self.delivery.is_retry:
            self.workspace.connection.execute(
                f"update stage set known_at = greatest(s.known_at, timestamp '{self.delivery.known_at}') "
                "from meter_spans s where stage.span_no = s.span_no and stage.known_at is null and stage.problem = 0"
            )

    def _refuse_removed_months(self) -> None:
        """Refuse readings of months whose readings were removed for their age: they would stand for the whole month."""
        first_kept = self.workspace.first_kept_month
        if first_kept is None:
            return
        self.refuse(
            RowCheck(
                Reason.PAST_RETENTION,
                "read_at",
                f"is before {first_kept:%Y-%m}, from which on readings are kept (KILOWISE_RETAINED_READING_MONTHS); "
                "nothing to do",
            ),
            f"{_DAY} < {(first_kept - _EPOCH).days}",
            _READ_AT,
        )

    def _settle_duplicates(self) -> None:
        connection = self.workspace.connection
        connection.execute(
            f"""
            create or replace temp table repeated as
            select rowid as id, key, row_number() over (partition by key order by file_no, {ROW}) as occurrence,
                hash(kwh, kvarh, export_kwh, quality) as content
            from stage where problem = 0
                and key in (select key from stage where problem = 0 group by key having count(*) > 1)
            """
        )
        if self.workspace.scalar("select count(*) from repeated"):
            self.refuse(
                conflict_check("meter_id, read_at"),
                "rowid in (select id from repeated where key in "
                "(select key from repeated group by key having count(distinct content) > 1))",
            )
            connection.execute(
                "update stage set is_duplicate = true where problem = 0 "
                "and rowid in (select id from repeated where occurrence > 1)"
            )

    def _registers_to_energy(self) -> None:
        """Turn register values into the energy of the interval that each of them closes."""
        opening = self.number_check(
            RowCheck(
                Reason.REGISTER_OPENING,
                "kwh",
                "is the first register value of the meter and closes no interval; nothing to do",
            )
        )
        gap = self.number_check(
            RowCheck(
                Reason.REGISTER_GAP,
                "kwh",
                "follows a gap, and the energy of several intervals cannot be told apart; deliver the missing values",
            )
        )
        roll_over = self.number_check(
            RowCheck(
                Reason.REGISTER_ROLL_OVER,
                "kwh",
                "is below the register value before it (roll-over or exchanged meter); deliver the interval's energy, "
                "or the new meter under its own meter_id",
            )
        )
        numbers = [number for number, (work, _) in self.files.items() if work.source.register_kind == "cumulative"]
        files = f"file_no in ({', '.join(map(str, numbers))})"
        self.workspace.connection.execute(
            f"""
            create or replace temp table register_values as
            select rowid as id, key, kwh from stage
            where problem = 0 and not is_duplicate and kwh is not null and {files}
            union all
            select null, (cast(n.meter_no as bigint) << {_MINUTE_BITS}) | (epoch_us(r.read_at) // 60000000),
                r.register_kwh
            from register_state r join meter_numbers n using (meter_id);
            create or replace temp table register_steps as
            select id, lag(key) over by_meter as start_key, kwh - lag(kwh) over by_meter as energy, key
            from register_values
            window by_meter as (partition by key >> {_MINUTE_BITS} order by key, id nulls first);
            create or replace temp table new_registers as
            select n.meter_id, max({_READ_AT}) as read_at, arg_max(v.kwh, v.key) as register_kwh
            from register_values v join meter_numbers n on n.meter_no = v.key >> {_MINUTE_BITS}
            where v.id is not null group by n.meter_id;
            update stage set problem = j.problem, problem_value = cast(stage.kwh as varchar)
            from (
                select r.id, case when r.start_key is null then {opening} when r.energy < 0 then {roll_over}
                    when r.key - r.start_key <> s.interval_minutes then {gap} else 0 end as problem
                from register_steps r join stage on stage.rowid = r.id join meter_spans s using (span_no)
            ) j
            where stage.rowid = j.id and j.problem > 0;
            update stage set key = r.start_key, kwh = r.energy from register_steps r
            where stage.rowid = r.id and stage.problem = 0;
            """
        )
        folder = self.target / "meter_registers"
        folder.mkdir(parents=True)
        self.workspace.connection.execute(
            f"copy new_registers to {literal(str(folder / 'part-0.parquet'))} ({PARQUET_OPTIONS});"
            "delete from register_state where meter_id in (select meter_id from new_registers);"
            "insert into register_state by name from new_registers"
        )

    def _sum_by_meter(self) -> None:
        """Aggregate the readings once for all checks that look at a meter as a whole."""
        self.workspace.connection.execute(
            """
            create or replace temp table meter_sums as
            select file_no, span_no, cast(sum(kwh) as double) as kwh, count(kwh) as readings, max(kwh) as max_kwh,
                max(abs(kvarh)) as max_kvarh, max(export_kwh) as max_export_kwh
            from stage where problem = 0 and not is_duplicate group by file_no, span_no
            """
        )

    def _refuse_absurd_values(self) -> None:
        """Refuse what no meter of this kind can pass in one interval."""
        check = "is more than the meter can pass in one interval; correct the value, its unit or the meter's multiplier"
        for column, limit in (
            ("kwh", "s.max_kwh"),
            ("kvarh", str(MAX_KWH_PER_INTERVAL)),
            ("export_kwh", str(MAX_KWH_PER_INTERVAL)),
        ):
            spans = [
                str(span)
                for (span,) in self.workspace.rows(
                    f"select distinct span_no from meter_sums m join meter_spans s using (span_no) "
                    f"where m.max_{column} > {limit}"
                )
            ]
            if spans:
                self.refuse(
                    RowCheck(Reason.IMPOSSIBLE_VALUE, column, check),
                    "rowid in (select stage.rowid from stage join meter_spans s using (span_no) "
                    f"where span_no in ({', '.join(spans)}) and abs(stage.{column}) > {limit})",
                    column,
                )

    def _refuse_wrong_units(self) -> None:
        """Refuse energy that is about a thousand times too high for the meter: Wh under the name of kWh."""
        low, high = _SUSPICIOUS_UNIT_RATIO
        limit = self.workspace.limits.household_daily_kwh
        connection = self.workspace.connection
        connection.execute(
            f"""
            create or replace temp table unit_means as
            select t.file_no, t.span_no, t.daily_kwh, s.interval_minutes, s.is_residential, s.contract_capacity_kva,
                h.daily_kwh as usual_daily_kwh,
                t.daily_kwh > {limit} and s.is_residential as is_above_household,
                coalesce(t.daily_kwh / h.daily_kwh between {low} and {high}, false) as is_above_history,
                coalesce(t.daily_kwh / 24 > 5 * s.contract_capacity_kva, false) as is_above_capacity
            from (
                select m.file_no, m.span_no, m.kwh * 1440 / m.readings / s.interval_minutes as daily_kwh
                from meter_sums m join meter_spans s using (span_no)
                where m.readings * s.interval_minutes >= {_MINIMUM_HOURS * 60} and m.kwh > 0
            ) t
            join meter_spans s using (span_no)
            left join (
                select meter_id, sum(kwh) * 24 / sum(hours) as daily_kwh from meter_history
                group by meter_id having sum(hours) >= {_MINIMUM_HISTORY_HOURS} and daily_kwh >= 0.5
            ) h on h.meter_id = s.meter_id
            """
        )
        suspects = "is_above_household or is_above_history or is_above_capacity"
        if not self.workspace.scalar(f"select count(*) from unit_means where {suspects}"):
            return
        # A single absurd value raises the mean of a month; a wrong unit raises the median as well.
        connection.execute(
            f"""
            create or replace temp table unit_verdicts as
            select u.file_no, u.span_no, coalesce(m.daily_kwh, 0) > case
                    when u.is_above_household then {limit}
                    when u.is_above_history then u.usual_daily_kwh * {low // 3}
                    when u.is_above_capacity then u.contract_capacity_kva * 24 else 1e300 end as is_wrong,
                u.is_residential or u.usual_daily_kwh is not null or u.contract_capacity_kva > 0 as is_judged
            from unit_means u
            left join (
                select file_no, span_no, median(kwh) * 1440 / any_value(s.interval_minutes) as daily_kwh
                from stage join meter_spans s using (span_no)
                where problem = 0 and not is_duplicate
                    and (file_no, span_no) in (select (file_no, span_no) from unit_means where {suspects})
                group by file_no, span_no
            ) m on m.file_no = u.file_no and m.span_no = u.span_no
            """
        )
        check = RowCheck(
            Reason.WRONG_UNIT,
            "kwh",
            "is about a thousand times what this meter can use: Wh instead of kWh? Set units: {kwh: Wh} under "
            "entities.meter_readings in the mapping, or correct the file, and land again",
        )
        verdicts = self.workspace.rows(
            "select file_no, count(*) filter (is_wrong), count(*) filter (is_judged) from unit_verdicts "
            "group by file_no"
        )
        for number, wrong, judged in verdicts:
            if not wrong:
                continue
            is_whole_file = 2 * wrong >= judged
            rows = (
                "true"
                if is_whole_file
                else (f"span_no in (select span_no from unit_verdicts where file_no = {number} and is_wrong)")
            )
            self.refuse(check, f"file_no = {number} and not is_duplicate and {rows}", "kwh")
            place = self.delivery.place(self.files[number][0].name)
            self.staged.findings.append(
                f"{place}: {wrong} of {judged} meters read about a thousand times too much, so "
                f"{'the whole file' if is_whole_file else 'their rows'} went to quarantine; kwh looks like Wh: set "
                "units: {kwh: Wh} under entities.meter_readings in the mapping and land again"
            )

    def _compare_with_earlier(self) -> None:
        """Mark exact duplicates of earlier deliveries and number corrections of them."""
        connection = self.workspace.connection
        months = [
            month.isoformat()
            for (month,) in self.workspace.rows(
                f"select distinct cast(date_trunc('month', make_timestamp(day * 86400000000)) as date) from "
                f"(select distinct {_DAY} as day from stage where problem = 0 and not is_duplicate) order by 1"
            )
        ]
        self.staged.read_months = months
        connection.execute(
            "create or replace temp table earlier (key bigint, interval_minutes smallint, kwh decimal(14,4), "
            "kvarh decimal(14,4), export_kwh decimal(14,4), quality varchar, revision integer)"
        )
        for month in months:
            if paths := self.workspace.month_paths.get(month):
                self._collect_earlier(month, paths)
        if not self.workspace.scalar("select count(*) from earlier"):
            return
        connection.execute(
            """
            create or replace temp table versions as
            select s.rowid as id, max(e.revision) as revision,
                arg_max(s.kwh is not distinct from e.kwh and s.kvarh is not distinct from e.kvarh
                    and s.export_kwh is not distinct from e.export_kwh and s.quality = e.quality
                    and m.interval_minutes = e.interval_minutes, e.revision) as is_same
            from stage s join earlier e on s.key = e.key join meter_spans m on s.span_no = m.span_no
            where s.problem = 0 and not s.is_duplicate
            group by s.rowid;
            drop table earlier;
            """
        )
        if self.workspace.scalar("select count(*) from versions"):
            connection.execute(
                """
                update stage set is_duplicate = true where rowid in (select id from versions where is_same);
                update stage set revision = v.revision + 1 from versions v where stage.rowid = v.id and not v.is_same;
                """
            )

    def _collect_earlier(self, month: str, paths: list[Path]) -> None:
        """Collect readings of earlier deliveries that the delivery may repeat or correct.

        The smaller side decides how: a few late readings pick their instants out of a whole month that lies there; the
        few hours that lie there of a whole new month are taken as they are.
        """
        files = ", ".join(literal(str(path)) for path in paths)
        relation = f"read_parquet([{files}], hive_partitioning = false)"
        in_month = f"problem = 0 and not is_duplicate and {_in_month(month)}"
        new_rows = self.workspace.scalar(f"select count(*) from stage where {in_month}")
        earlier_rows = self.workspace.scalar(f"select count(*) from {relation}")
        instants = f"where p.read_at in (select distinct {_READ_AT} from stage where {in_month})"
        self.workspace.connection.execute(
            f"""
            insert into earlier
            select (cast(n.meter_no as bigint) << {_MINUTE_BITS}) | (epoch_us(p.read_at) // 60000000),
                p.interval_minutes, p.kwh, p.kvarh, p.export_kwh, p.quality, p.revision
            from {relation} p join meter_numbers n using (meter_id)
            {instants if new_rows < earlier_rows else ""}
            """
        )

    def write(self) -> None:
        """Write what is loaded, one folder per month, sorted by meter and time."""
        connection = self.workspace.connection
        loaded = "stage.problem = 0 and not stage.is_duplicate"
        months = [
            month
            for month in self.staged.read_months
            if self.workspace.scalar(f"select count(*) from stage where {loaded} and {_in_month(month)}")
        ]
        self.staged.read_months = months
        if not months:
            return
        for month in months:
            folder = self.target / "meter_readings" / f"read_month={month}"
            folder.mkdir(parents=True)
            connection.execute(
                f"""
                copy (
                    select s.meter_id, s.customer_key, {_READ_AT} as read_at,
                        cast(s.interval_minutes as smallint) as interval_minutes,
                        stage.kwh, stage.kvarh, stage.export_kwh, stage.quality,
                        {literal(self.delivery.delivery_id)} as delivery_id,
                        coalesce(stage.known_at, timestamp '{self.delivery.known_at}') as known_at,
                        {self.source_file_sql()} as source_file, stage.revision
                    from stage join meter_spans s using (span_no)
                    where {loaded} and {_in_month(month)}
                    order by stage.key
                ) to {literal(str(folder / "part-0.parquet"))} ({PARQUET_OPTIONS}, row_group_size {_ROW_GROUP_ROWS})
                """
            )
        folder = self.target / "meter_totals"
        folder.mkdir(parents=True)
        connection.execute(
            f"""
            create or replace temp table new_totals as
            select s.meter_id, sum(t.readings * s.interval_minutes) / 60.0 as hours, sum(t.kwh) as kwh
            from (
                select span_no, count(kwh) as readings, cast(coalesce(sum(kwh), 0) as double) as kwh
                from stage where {loaded} and revision = 0 group by span_no
            ) t join meter_spans s using (span_no)
            group by s.meter_id;
            copy (select meter_id, cast(hours as double) as hours, kwh from new_totals order by meter_id)
            to {literal(str(folder / "part-0.parquet"))} ({PARQUET_OPTIONS});
            insert into meter_history by name select meter_id, hours, kwh from new_totals;
            """
        )


def _in_month(month: str) -> str:
    first = date.fromisoformat(month)
    following = (first + timedelta(days=32)).replace(day=1)
    return f"{_DAY} >= {(first - _EPOCH).days} and {_DAY} < {(following - _EPOCH).days}"
