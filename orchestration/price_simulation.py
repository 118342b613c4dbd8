"""Price simulation on the published marts: reads what it needs, has it simulated, and writes the report.

No Dagster in here, and no calculation: the simulation is in ``ml.tariff_matching.price_simulation``.
"""

import re
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from ml.errors import InsufficientDataError, KilowiseError
from orchestration.ingestion.holidays import known_holidays
from orchestration.marts import MartsVersion, current_marts
from orchestration.settings import PlatformSettings
from orchestration.use_cases import present_catalogue

if TYPE_CHECKING:
    import pandas as pd

    from ml.tariff_matching.price_simulation import Mode, PriceSimulation
    from ml.tariffs.load_cube import LoadCube
    from ml.tariffs.schema import Tariff

FOLDER = "price_simulation"
REPORT = "index.html"
_FEATURE_MART = "customer_tariff_features"
_LOAD_MART = "customer_load_cube"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
_PARQUET_TABLES = ("customers", "load")


class ProposalError(KilowiseError):
    """What was asked to be simulated cannot be; the message says what to give instead."""


@dataclass(frozen=True, slots=True)
class SimulationRequest:
    """What to simulate.

    Attributes:
        proposal_paths: Files or folders with the proposed tariffs.
        mode: ``replace`` or ``offer``.
        uptake_share: Share of those who gain who take an offer.
        elasticity_set: Response that is shown beside no response.
        name: Name of the report; empty for the name of the first file.
    """

    proposal_paths: Sequence[Path]
    mode: str
    uptake_share: float
    elasticity_set: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """A finished simulation and where its report lies.

    Attributes:
        simulation: The result.
        folder: Folder with the page, ``customers.parquet``, ``load.parquet`` and the other tables as CSV.
        plots: Plots of the page by file name.
    """

    simulation: "PriceSimulation"
    folder: Path
    plots: Mapping[str, bytes]

    @property
    def page(self) -> Path:
        """The HTML page."""
        return self.folder / REPORT


def simulate(request: SimulationRequest, settings: PlatformSettings, *, today: date) -> SimulationReport:
    """Simulate proposed tariffs on the published marts and write the report, replacing an earlier one of its name.

    Args:
        request: What to simulate.
        settings: Settings of the platform.
        today: Day whose version of the elasticity set is used.

    Raises:
        KilowiseError: A mistake that a person can correct; the message says how.
    """
    from ml.tariff_matching.price_response import elasticity_set, zero_response
    from ml.tariff_matching.price_simulation import simulate_prices
    from ml.tariffs.calendar import DayCalendar
    from ml.tariffs.eligibility import CustomerTable

    name = _report_name(request)
    mode = _mode(request.mode)
    proposals = _read_proposals(request.proposal_paths, settings)
    response = elasticity_set(request.elasticity_set, today)
    marts = current_marts(settings.marts_dir)
    customers, loads = _customers_and_loads(marts)
    simulation = simulate_prices(
        loads,
        CustomerTable.from_frame(customers),
        dict(zip(customers["customer_key"], customers["tariff_id"], strict=True)),
        present_catalogue(marts, settings),
        proposals,
        mode=mode,
        days=DayCalendar(*known_holidays(settings.jurisdiction)),
        uptake_share=request.uptake_share,
        responses=[zero_response()] if response.is_zero else [zero_response(), response],
        segments=_latest_segments(settings),
    )
    return _write_report(simulation, settings.reports_dir / FOLDER / name)


def _mode(text: str) -> "Mode":
    from ml.tariff_matching.price_simulation import MODES

    mode = next((mode for mode in MODES if mode == text), None)
    if mode is None:
        raise ProposalError(f"mode {text!r} is not one of {', '.join(MODES)}.")
    return mode


def _report_name(request: SimulationRequest) -> str:
    if not request.proposal_paths:
        raise ProposalError("proposal_paths is empty: give at least one file with a proposed tariff.")
    name = request.name or request.proposal_paths[0].stem
    if not _NAME.fullmatch(name):
        raise ProposalError(
            f"{name!r} cannot name a report: choose a `name` of letters, digits, points, dashes and underscores."
        )
    return name


def _read_proposals(paths: Sequence[Path], settings: PlatformSettings) -> "list[Tariff]":
    from ml.tariffs.catalogue import load_catalogue

    for path in paths:
        if not path.exists():
            raise ProposalError(
                f"There is no file {path}; give the path of a tariff in YAML, from the root of the file system or from "
                f"the folder in which Dagster was started ({Path.cwd()})."
            )
    proposals = list(load_catalogue(paths, built_in=False).tariffs)
    for tariff in proposals:
        if tariff.currency != settings.currency:
            raise ProposalError(
                f"{tariff.tariff_id}: its prices are in {tariff.currency}, the platform's currency is "
                f"{settings.currency}; propose it in {settings.currency}."
            )
    return proposals


def _customers_and_loads(marts: MartsVersion) -> "tuple[pd.DataFrame, LoadCube]":
    """Return the customers as known last, and the loads of the twelve months that end with their latest month."""
    from ml.splits import add_months
    from ml.tariff_matching.config import TariffMatchingConfig
    from ml.tariff_matching.features import latest_rows, prepare_features, window
    from ml.tariff_matching.price_simulation import MONTHS_COUNT
    from ml.tariffs.load_cube import LoadCube

    customers = latest_rows(prepare_features(marts.read(_FEATURE_MART)))
    if customers.empty:
        raise InsufficientDataError(f"The mart {_FEATURE_MART} has no customer, so there is nobody to simulate for.")
    last_month = max(customers["as_of_month"])
    first_month = add_months(last_month, 1 - MONTHS_COUNT)
    rows = marts.read_table(_LOAD_MART, filters=[("month", ">=", first_month), ("month", "<=", last_month)])
    cube = LoadCube.from_frame(rows)
    if len(cube.months) < MONTHS_COUNT:
        raise InsufficientDataError(
            f"A price simulation needs {MONTHS_COUNT} months of loads; the marts hold {len(cube.months)} up to "
            f"{last_month:%Y-%m}. Land earlier readings and run refresh_data."
        )
    known = customers["customer_key"].isin(cube.customer_keys)
    keys = customers.loc[known, "customer_key"].to_numpy(dtype=object)
    return customers, window(cube.take(keys), last_month, MONTHS_COUNT, TariffMatchingConfig())


def _latest_segments(settings: PlatformSettings) -> dict[str, str]:
    """Return the segment of each customer in the latest scored month; empty before the first scoring."""
    import pyarrow.parquet as pq

    paths = sorted((settings.predictions_dir / "batch" / "segmentation").glob("as_of_month=*/predictions.parquet"))
    if not paths:
        return {}
    scored = pq.read_table(paths[-1], columns=["customer_key", "segment_name"], partitioning=None).to_pandas()
    scored = scored.dropna()
    return dict(zip(scored["customer_key"].astype(str), scored["segment_name"].astype(str), strict=True))


def _write_report(simulation: "PriceSimulation", folder: Path) -> SimulationReport:
    """Write page and tables to a folder that becomes visible by one rename."""
    from ml.tariff_matching.price_simulation_report import plots, render_report, tables

    images = plots(simulation)
    incoming = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    incoming.mkdir(parents=True)
    try:
        (incoming / REPORT).write_text(render_report(simulation, folder.name, images), encoding="utf-8")
        for name, table in tables(simulation).items():
            if name in _PARQUET_TABLES:
                table.to_parquet(incoming / f"{name}.parquet", index=False)
            else:
                table.to_csv(incoming / f"{name}.csv", index=False)
        if folder.exists():
            shutil.rmtree(folder)
        incoming.rename(folder)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    return SimulationReport(simulation, folder, images)
