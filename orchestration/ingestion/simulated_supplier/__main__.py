"""Write simulated deliveries from the command line: ``python -m orchestration.ingestion.simulated_supplier``."""

import argparse
import datetime as dt
from pathlib import Path

from orchestration.ingestion.simulated_supplier.config import Scenario, SupplierConfig
from orchestration.ingestion.simulated_supplier.deliveries import write_deliveries


def _scenario(text: str) -> Scenario:
    name, _, month = text.partition("@")
    return Scenario.model_validate({"name": name, "from_month": month})


def main() -> None:
    """Parse the command line, write the deliveries, print the counts."""
    defaults = SupplierConfig()
    parser = argparse.ArgumentParser(prog="python -m orchestration.ingestion.simulated_supplier", description=__doc__)
    parser.add_argument("--inbox", type=Path, required=True, help="folder that receives one folder per delivery")
    parser.add_argument("--customers", type=int, default=defaults.customers)
    parser.add_argument("--months", type=int, default=defaults.months)
    parser.add_argument("--start-month", type=dt.date.fromisoformat, default=defaults.start_month)
    parser.add_argument("--interval-minutes", type=int, default=defaults.interval_minutes, choices=(15, 30, 60))
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--clean", action="store_true", help="deliver no rows that landing must refuse")
    parser.add_argument(
        "--scenario", type=_scenario, action="append", default=[], metavar="NAME@YYYY-MM-01",
        help="switch a scenario on from a month onward; may be given several times",
    )  # fmt: skip
    arguments = parser.parse_args()
    config = SupplierConfig(
        customers=arguments.customers,
        months=arguments.months,
        start_month=arguments.start_month,
        interval_minutes=arguments.interval_minutes,
        seed=arguments.seed,
        scenarios=tuple(arguments.scenario),
        dirty=not arguments.clean,
    )
    report = write_deliveries(config, arguments.inbox, progress=print)
    print(
        f"{len(report.written)} of {len(report.deliveries)} deliveries written in {report.seconds:.1f} s: "
        f"{report.total('rows'):,} rows, of which {report.total('quarantined'):,} to be refused and "
        f"{report.total('duplicates'):,} repeated"
    )


if __name__ == "__main__":
    main()
