"""Readings to load cube and daily load: our dbt models against the bare aggregates over the same Parquet files."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from benchmarks.harness import PROJECT_ROOT, Figure, Measurement, benchmark

CUSTOMERS, MONTHS = 2_000, 25
MODELS = ("int_interval_load_aggregates", "customer_load_cube", "customer_monthly_load")

# What somebody would write who needs these tables once: fixed offset instead of a time zone, no holidays, no
# corrections, no point in time, no tests.
BARE_AGGREGATES = """
create table cube as
select customer_key, date_trunc('month', local_at) as month, isodow(local_at) >= 6 as is_weekend,
       hour(local_at) as slot, sum(kwh) as kwh, max(kwh) as peak_kwh, sum(kvarh) as kvarh,
       sum(export_kwh) as export_kwh, count(*) as readings
from (select *, read_at + interval 8 hour as local_at from read_parquet('{readings}'))
group by all;
create table daily as
select customer_key, cast(local_at as date) as local_date,
       sum(kwh) as kwh, max(kwh) as peak_kwh, sum(kvarh) as kvarh, sum(export_kwh) as export_kwh, count(*) as readings
from (select *, read_at + interval 8 hour as local_at from read_parquet('{readings}'))
group by all;
"""


@benchmark(Figure("cube_vs_duckdb", unit="ratio", bar=0.7, better="higher"))
def cube_vs_duckdb() -> Sequence[Measurement]:
    """Land a simulated supplier, build the models with dbt, and run the bare aggregates on the same files."""
    with tempfile.TemporaryDirectory(prefix="kilowise-bench-") as folder:
        home = Path(folder)
        rows = _land(home)
        ours = _dbt_seconds(home)
        bare = _bare_seconds(home)
    return [
        Measurement(
            "cube_vs_duckdb",
            bare / ours,
            rows=rows,
            peer="bare DuckDB aggregates (s)",
            peer_value=bare,
            ratio=bare / ours,
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


def _bare_seconds(home: Path) -> float:
    import duckdb

    readings = home / "landing" / "deliveries" / "*" / "meter_readings" / "*" / "*.parquet"
    with duckdb.connect(str(home / "bare.duckdb"), config={"threads": 2, "memory_limit": "2GB"}) as connection:
        started_at = time.monotonic()
        connection.execute(BARE_AGGREGATES.format(readings=readings))
        return time.monotonic() - started_at
