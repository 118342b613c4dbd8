"""Small landings written straight in the landing contract, so that the dbt tests do not depend on the ingestion."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from orchestration.ingestion.contract import landing_tables, write_contract_delivery

Rows = Sequence[Mapping[str, Any]] | str
"""Rows of one entity: dictionaries, or a DuckDB query with the entity's columns."""

MONTHLY_LAG = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class LandingFactory:
    """Writes deliveries into a landing folder.

    Attributes:
        path: The landing folder; holds the bootstrap delivery from the start.
    """

    path: Path

    @classmethod
    def create(cls, path: Path) -> "LandingFactory":
        """Start a landing that holds no rows."""
        contract = path / "deliveries" / "0000-contract"
        contract.mkdir(parents=True)
        write_contract_delivery(contract)
        return cls(path)

    def deliver(
        self, delivery_id: str, known_at: dt.datetime, entities: Mapping[str, Rows], *, revision: int = 0
    ) -> None:
        """Write one delivery.

        Args:
            delivery_id: Name of the delivery's folder.
            known_at: UTC instant at which the rows became known, unless a row says otherwise.
            entities: Rows by entity; columns that are left out are null.
            revision: Revision of the rows, unless a row says otherwise.
        """
        folder = self.path / "deliveries" / delivery_id
        with duckdb.connect() as connection:
            connection.execute("set threads = 2; set preserve_insertion_order = false; set timezone = 'UTC'")
            summaries = []
            for entity, rows in entities.items():
                relation = _typed(connection, entity, rows, delivery_id, known_at, revision)
                target = folder / entity
                target.mkdir(parents=True)
                if entity == "meter_readings":
                    connection.execute(
                        f"copy (select *, date_trunc('month', read_at)::date as read_month from {relation} "
                        f"order by meter_id, read_at) to '{target}' (format parquet, partition_by (read_month))"
                    )
                    self._write(
                        connection,
                        folder,
                        "reading_months",
                        f"select distinct date_trunc('month', read_at)::date as read_month, "
                        f"timestamp '{known_at}' as landed_at from {relation}",
                        delivery_id,
                        known_at,
                    )
                else:
                    connection.execute(f"copy {relation} to '{target}/rows.parquet' (format parquet)")
                loaded = connection.execute(f"select count(*) from {relation}").fetchall()[0][0]
                summaries.append(
                    {
                        "entity": entity,
                        "source_file": f"{entity}.parquet",
                        "landed_at": known_at,
                        "rows_in": loaded,
                        "rows_loaded": loaded,
                        "rows_duplicate": 0,
                        "rows_quarantined": 0,
                    }
                )
            self._write(connection, folder, "deliveries", summaries, delivery_id, known_at)

    def _write(
        self,
        connection: duckdb.DuckDBPyConnection,
        folder: Path,
        table: str,
        rows: Rows,
        delivery_id: str,
        known_at: dt.datetime,
    ) -> None:
        relation = _typed(connection, table, rows, delivery_id, known_at, 0)
        (folder / table).mkdir(parents=True)
        connection.execute(f"copy {relation} to '{folder / table}/rows.parquet' (format parquet)")


def _typed(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    rows: Rows,
    delivery_id: str,
    known_at: dt.datetime,
    revision: int,
) -> str:
    """Store rows in a temporary table with the columns and types of the contract; return its name."""
    columns = landing_tables()[table]
    defaults = {
        "delivery_id": f"'{delivery_id}'",
        "known_at": f"timestamp '{known_at}'",
        "source_file": f"'{table}.parquet'",
        "revision": str(revision),
    }
    types = ", ".join(f"{column.name} {column.duckdb_type}" for column in columns)
    connection.execute(f"create or replace temp table landing_{table} ({types})")
    names = {column.name for column in columns}
    if isinstance(rows, str):
        given = [description[0] for description in connection.execute(f"select * from ({rows}) limit 0").description]
        unknown = set(given) - names
        filled = [name for name in defaults if name in names and name not in given]
        selected = ", ".join([*given, *(defaults[name] for name in filled)])
        connection.execute(
            f"insert into landing_{table} ({', '.join([*given, *filled])}) select {selected} from ({rows})"
        )
    else:
        unknown = {name for row in rows for name in row} - names
        for row in rows:
            filled = [name for name in defaults if name in names and name not in row]
            values = ", ".join([*("?" for _ in row), *(defaults[name] for name in filled)])
            connection.execute(
                f"insert into landing_{table} ({', '.join([*row, *filled])}) values ({values})", list(row.values())
            )
    if unknown:
        raise ValueError(f"The landing table {table} has no column {', '.join(sorted(unknown))}")
    return f"landing_{table}"


def deliver_history(
    landing: LandingFactory,
    *,
    customers: int,
    months: int,
    first_month: dt.date = dt.date(2024, 9, 1),
    interval_minutes: int = 60,
    zone: str = "Europe/Berlin",
    first: int = 0,
) -> None:
    """Deliver a plain history month by month: master data first, then readings, bills, payments and contacts.

    Some bills are paid late, some in two parts, some not at all; every fourth customer has gaps. Values follow from
    hashes of customer and time, so the same call writes the same rows.

    Args:
        landing: Landing to write to.
        customers: Number of customers.
        months: Number of local months.
        first_month: First local month.
        interval_minutes: Length of a reading interval.
        zone: Zone of the local months.
        first: Months to skip, to append to a history that was delivered before.
    """
    people = f"(select n, md5('customer' || n) as customer_key, 'M' || n as meter_id from range({customers}) as t(n))"
    if first == 0:
        landing.deliver(
            f"{first_month:%Y-%m}-00-master",
            dt.datetime.combine(first_month, dt.time()),
            {
                "customers": f"""
                    select customer_key, ['residential', 'commercial', 'industrial'][1 + n % 3] as customer_class,
                        'district_' || n % 4 as district, '1-10(20)kV' as voltage_level, 'catalogue' as supply_route,
                        10.0 + n % 90 as contract_capacity_kva, 100.0 + n % 50 as credit_limit_amount,
                        date '{first_month}' - cast(30 + n % 2000 as integer) as registered_date
                    from {people}""",
                "meters": f"""
                    select meter_id, customer_key, {interval_minutes} as interval_minutes, 1.0 as multiplier,
                        date '{first_month}' as installed_date
                    from {people}""",
                "tariff_enrolments": f"""
                    select customer_key, date '{first_month}' as valid_from, 'tariff_' || n % 3 as tariff_id
                    from {people}""",
                "programme_enrolments": f"""
                    select customer_key, 'app' as programme, date '{first_month}' as joined_date
                    from {people} where n % 5 = 0""",
            },
        )
    for index in range(first, months):
        month = add_months(first_month, index)
        start, end = month_start_at(month, zone), month_start_at(add_months(month, 1), zone)
        readings = f"""
            select meter_id, customer_key, read_at, {interval_minutes} as interval_minutes, 'actual' as quality,
                round((0.2 + 0.1 * (n % 7) + 0.3 * (extract(hour from read_at) in (10, 11, 12))::int
                    + (hash(n, read_at) % 1000) / 2500.0) * {interval_minutes} / 60, 4) as kwh
            from {people},
                range(timestamp '{start}', timestamp '{end}', interval {interval_minutes} minute) as r(read_at)
            where n % 4 <> 3 or hash(n, read_at, 'gap') % 200 > 0"""
        bills = f"""
            select 'B' || n || '-{month:%Y%m}' as bill_id, customer_key, date '{month}' as period_start,
                date '{add_months(month, 1)}' as period_end, kwh, round(kwh * 0.6, 2) as amount,
                date '{add_months(month, 1)}' as issued_date, date '{add_months(month, 1)}' + 20 as due_date, n,
                hash(n, '{month}', 'habit') % 100 as habit
            from {people}
            join (select customer_key as k, sum(kwh) as kwh from ({readings}) group by all) on k = customer_key"""
        landing.deliver(
            f"{month:%Y-%m}-01-month",
            end + MONTHLY_LAG,
            {
                "meter_readings": readings,
                "bills": f"select * exclude (n, habit) from ({bills})",
                "service_contacts": f"""
                    select 'S' || n || '-{month:%Y%m}' as contact_id, customer_key, 'phone' as channel,
                        ['billing', 'outage'][1 + n % 2] as topic, cast(1 + n % 5 as smallint) as satisfaction,
                        timestamp '{start}' + to_hours(cast(n % 600 as integer)) as opened_at,
                        timestamp '{start}' + to_hours(cast(n % 600 + n % 40 as integer)) as closed_at
                    from {people} where hash(n, '{month}', 'contact') % 12 = 0""",
                "inspections": f"""
                    select 'I' || n || '-{month:%Y%m}' as inspection_id, customer_key,
                        date '{month}' + 5 as inspected_date, ['normal', 'normal', 'theft'][1 + n % 3] as outcome
                    from {people} where hash(n, '{month}', 'inspection') % 60 = 0""",
                "weather": f"""
                    select 'district_' || d as district, observed_at,
                        15 + d + 10 * sin(epoch(observed_at) / 5e6) as temperature_c
                    from range(4) as t(d),
                        range(timestamp '{start}', timestamp '{end}', interval 1 hour) as r(observed_at)""",
            },
        )
        # What is due on the 21st of the next month is paid in the month after the bill's.
        paid = f"({bills})"
        landing.deliver(
            f"{month:%Y-%m}-02-payments",
            month_start_at(add_months(month, 2), zone) + MONTHLY_LAG,
            {
                "payments": f"""
                    select 'P' || bill_id as payment_id, bill_id, customer_key,
                        due_date - 3 + cast(n % 3 as integer) as paid_date,
                        case when habit between 80 and 85 then round(amount / 2, 2) else amount end as amount,
                        'bank' as channel
                    from {paid} where habit < 86
                    union all
                    select 'Q' || bill_id, bill_id, customer_key, due_date + cast(1 + n % 8 as integer),
                        amount - case when habit between 80 and 85 then round(amount / 2, 2) else 0 end, 'counter'
                    from {paid} where habit between 80 and 85 or habit between 86 and 93"""
            },
        )


def month_start_at(month: dt.date, zone: str) -> dt.datetime:
    """Return the UTC instant, without zone, at which a local month starts."""
    return dt.datetime.combine(month, dt.time(), ZoneInfo(zone)).astimezone(dt.UTC).replace(tzinfo=None)


def add_months(month: dt.date, count: int) -> dt.date:
    """Return the month that lies `count` months later."""
    number = month.year * 12 + month.month - 1 + count
    return dt.date(number // 12, number % 12 + 1, 1)
