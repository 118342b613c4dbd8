"""Readings to load cube and daily load: our dbt models against bare aggregates over the same Parquet files."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.harness import PROJECT_ROOT, Figure, Measurement, benchmark

if TYPE_CHECKING:
    import duckdb

CUSTOMERS, MONTHS = 2_000, 25
MODELS = ("int_interval_load_aggregates", "customer_load_cube")
HOLIDAYS = PROJECT_ROOT / "dbt_project" / "seeds" / "holidays.csv"
SUMS = "sum(kwh) as kwh, max(kwh) as peak_kwh, sum(kvarh) as kvarh, sum(export_kwh) as export_kwh, count(*) as readings"

# What somebody would write who needs the same sums once: the zone of the readings, their holidays, and no corrections,
# no point in time, no parallel meters, no tests. The first line saves it a join order that costs as much again.
SAME_SUMS = f"""
set disabled_optimizers = 'join_order,build_side_probe_side';
create table cube as
select customer_key, date_trunc('month', local_at) as month,
       case when is_working_day then 'workday' when not is_working_day then 'holiday'
            when isodow(local_at) >= 6 then 'weekend' else 'workday' end as day_type,
       hour(local_at) as slot, {SUMS}
from (select *, timezone('Asia/Shanghai', timezone('UTC', read_at)) as local_at
      from read_parquet('{{readings}}') where quality <> 'missing') as readings
left join (select * from read_csv('{HOLIDAYS}') where jurisdiction = 'CN') as holidays
  on cast(local_at as date) = holiday_date
group by all;
create table daily as
select customer_key, cast(local_at as date) as local_date, {SUMS}
from (select *, timezone('Asia/Shanghai', timezone('UTC', read_at)) as local_at
      from read_parquet('{{readings}}') where quality <> 'missing')
group by all;
"""

# The least that has the name: a fixed offset in place of a zone, and no holidays. Its cube has other day types.
FIXED_OFFSET = f"""
create table cube as
select customer_key, date_trunc('month', local_at) as month, isodow(local_at) >= 6 as is_weekend,
       hour(local_at) as slot, {SUMS}
from (select *, read_at + interval 8 hour as local_at from read_parquet('{{readings}}'))
group by all;
create table daily as
select customer_key, cast(local_at as date) as local_date, {SUMS}
from (select *, read_at + interval 8 hour as local_at from read_parquet('{{readings}}'))
group by all;
"""

# Cells and days whose energy differs from ours: at most one per corrected reading, which the peer counts twice.
DIFFERENCES = """
with ours as (
    select customer_key, month, day_type, slot, kwh from ours.marts.customer_load_cube
    union all
    select customer_key, local_date, 'day', -1, sum(kwh) from ours.intermediate.int_interval_load_aggregates
    where grain = 'day' and visible_until_month_number is null and interval_count > 0 group by all
),
bare as (
    select customer_key, month, day_type, slot, kwh from cube
    union all
    select customer_key, local_date, 'day', -1, kwh from daily
)
select count(*) from ours full join bare using (customer_key, month, day_type, slot)
where ours.kwh is distinct from bare.kwh
"""


@benchmark(
    Figure("cube_vs_duckdb", unit="ratio", bar=0.7, better="higher"),
    Figure("cube_vs_duckdb_same_sums", unit="ratio", bar=0.7, better="higher"),
)
def cube_vs_duckdb() -> Sequence[Measurement]:
    """Land a simulated supplier, build the models with dbt, and run the bare aggregates on the same files."""
    with tempfile.TemporaryDirectory(prefix="kilowise-bench-") as folder:
        home = Path(folder)
        rows = _land(home)
        ours = _dbt_seconds(home)
        same_sums = _bare_seconds(home, SAME_SUMS, checked=True)
        fixed_offset = _bare_seconds(home, FIXED_OFFSET, checked=False)
    return [
        Measurement(name, bare / ours, rows=rows, peer=peer, peer_value=bare, ratio=bare / ours)
        for name, peer, bare in (
            ("cube_vs_duckdb", "bare DuckDB aggregates, UTC+8, no holidays (s)", fixed_offset),
            ("cube_vs_duckdb_same_sums", "bare DuckDB aggregates, same sums (s)", same_sums),
        )
    ]


def _land(home: Path) -> int:
    from orchestration.ingestion.landing import land_deliveries
    from orchestration.ingestion.mapping import load_mapping
    from orchestration.ingestion.simulated_supplier.config import SupplierConfig
    from orchestration.ingestion.simulated_supplier.deliveries import write_deliveries
    from orchestration.ingestion.totals import landed_totals
    from orchestration.settings import DEVELOPMENT_PSEUDONYM_KEY

    config = SupplierConfig(customers=CUSTOMERS, months=MONTHS, start_month=date(2024, 9, 1))
    write_deliveries(config, home / "inbox")
    land_deliveries(
        home / "inbox",
        load_mapping(None),
        home / "landing",
        pseudonym_key=DEVELOPMENT_PSEUDONYM_KEY,
        time_zone="Asia/Shanghai",
    )
    return landed_totals(home / "landing")["meter_readings"].rows_loaded


def _dbt_seconds(home: Path) -> float:
    variables = {"landing_path": str(home / "landing"), "warehouse_path": str(home / "kilowise.duckdb")}
    command = [
        str(Path(sys.executable).parent / "dbt"),
        "--quiet",
        "run",
        "--select",
        "+customer_load_cube",
        "+customer_monthly_load",
        "--vars",
        json.dumps(variables),
        "--profiles-dir",
        ".",
        "--target-path",
        str(home / "target"),
    ]
    subprocess.run([*command[:2], "seed", *command[6:]], cwd=PROJECT_ROOT / "dbt_project", check=True)
    subprocess.run(command, cwd=PROJECT_ROOT / "dbt_project", check=True)
    results = json.loads((home / "target" / "run_results.json").read_text(encoding="utf-8"))["results"]
    return sum(r["execution_time"] for r in results if r["unique_id"].rsplit(".", 1)[-1] in MODELS)


def _bare_seconds(home: Path, aggregates: str, *, checked: bool) -> float:
    import duckdb

    readings = home / "landing" / "deliveries" / "*" / "meter_readings" / "*" / "*.parquet"
    with duckdb.connect(config={"threads": 2, "memory_limit": "2GB"}) as connection:
        connection.execute(f"attach '{home / 'bare.duckdb'}' as bare; use bare")
        started_at = time.monotonic()
        connection.execute(aggregates.format(readings=readings))
        seconds = time.monotonic() - started_at
        if checked:
            connection.execute(f"attach '{home / 'kilowise.duckdb'}' as ours (read_only)")
            differences = _count(connection, DIFFERENCES)
            corrected = _count(connection, f"select count(*) from read_parquet('{readings}') where revision > 0")
            if differences > 2 * corrected:
                raise RuntimeError(f"{differences} cells and days differ, but only {corrected} readings were corrected")
    (home / "bare.duckdb").unlink()
    return seconds


def _count(connection: "duckdb.DuckDBPyConnection", sql: str) -> int:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return int(row[0])
