"""Bills from the load cube: against PySAM on the same cases, and 20,000 customers on 100 tariffs."""

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import cycle, islice
from statistics import mean, median
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.harness import PROJECT_ROOT, Figure, Measurement, benchmark, run_measured
from benchmarks.pysam_peer import CASES, cube_of, loads, peer_annual_bill, peer_model
from ml.tariffs.catalogue import load_catalogue
from ml.tariffs.eligibility import CustomerTable
from ml.tariffs.exact import QUANTITY_DECIMALS
from ml.tariffs.load_cube import LoadCube
from ml.tariffs.pricing import price_cube, price_tariffs
from ml.tariffs.schema import Rounding, Tariff, load_tariff
from ml.tariffs.urdb import UrdbRules, load_urdb

CUSTOMERS, TARIFFS = 20_000, 100
COMPARED = 20
REPETITIONS = 5
HALF_A_CENT = 0.005
PEER_RULES = UrdbRules(rounding=Rounding(scope="total", decimals=4), day_charge="mean_day", missing_history="use_known")


@benchmark(
    Figure("bills_vs_pysam", unit="ratio", bar=1_000, better="higher"),
    Figure("bills_vs_pysam_with_setup", unit="ratio", bar=1_000, better="higher"),
)
def bills_vs_pysam() -> Sequence[Measurement]:
    """Compare seconds per annual bill over all cases; every compared bill must agree to half a cent.

    Ours: one ``price_tariffs`` of 20,000 customers on all cases, from a cube in memory to the lines and exact total of
    every month and the annual sum. Reading rates and binning loads are outside; cases with one clock share its sums, as
    tariffs of one catalogue do. PySAM in its best form (``bills_vs_pysam``): one model per case with the rate set, and
    per bill the load handed over as a list, ``execute`` and the annual sum read; making the list is outside. With
    set-up: the model is made anew for every bill. PySAM's time per bill is the mean over the cases of each case's
    median, ours that of the median of ``REPETITIONS`` runs.

    Raises:
        RuntimeError: If a bill differs.
    """
    compared = loads(COMPARED)
    cube_of_compared = cube_of(compared)
    tariffs, reused, with_setup = [], [], []
    for name, record in CASES.items():
        tariff = load_urdb(record, PEER_RULES)[0].tariff
        if tariff is None:
            raise RuntimeError(f"{name}: refused")
        tariffs.append(tariff)
        our_bills = price_cube(tariff, cube_of_compared).sum_amount
        model = peer_model(record)
        seconds = []
        for load, our_bill in zip(compared, our_bills, strict=True):
            load_kw = (load / 10**QUANTITY_DECIMALS).tolist()
            started_at = time.perf_counter()
            fresh_bill = peer_annual_bill(peer_model(record), load_kw)
            set_up_at = time.perf_counter()
            bill = peer_annual_bill(model, load_kw)
            seconds.append((time.perf_counter() - set_up_at, set_up_at - started_at))
            if max(abs(bill - our_bill), abs(fresh_bill - our_bill)) > HALF_A_CENT:
                raise RuntimeError(f"{name}: PySAM bills {bill} and {fresh_bill}, ours is {our_bill}")
        reused.append(median(without for without, _ in seconds))
        with_setup.append(median(setup for _, setup in seconds))
    cube = _large_cube(CUSTOMERS)
    customers = _customers(cube)
    runs = []
    for _ in range(REPETITIONS):
        started_at = time.perf_counter()
        price_tariffs(tariffs, cube, customers)
        runs.append(time.perf_counter() - started_at)
    ours = median(runs) / (CUSTOMERS * len(tariffs))
    return [
        Measurement(
            figure,
            mean(theirs) / ours,
            rows=CUSTOMERS * len(tariffs),
            peer=f"PySAM Utilityrate5, {form} (ms per bill)",
            peer_value=1_000 * mean(theirs),
            ratio=mean(theirs) / ours,
        )
        for figure, form, theirs in (
            ("bills_vs_pysam", "model reused", reused),
            ("bills_vs_pysam_with_setup", "with set-up", with_setup),
        )
    ]


@benchmark(
    Figure("bills_20000x100_seconds", unit="s", bar=60, better="lower"),
    Figure("bills_20000x100_peak_gb", unit="GB", bar=4, better="lower"),
)
def bills_20000x100() -> Sequence[Measurement]:
    """Price every customer on every tariff in a process of its own; making loads and reading tariffs is not timed.

    The memory is that of the whole process, loads included.

    Raises:
        RuntimeError: If the process fails.
    """
    run = run_measured([sys.executable, "-m", "benchmarks.bills"], cwd=PROJECT_ROOT, env=dict(os.environ))
    if run.return_code != 0:
        raise RuntimeError(f"pricing failed:\n{run.output[-4000:]}")
    answer = json.loads(run.output.splitlines()[-1])
    return [
        Measurement("bills_20000x100_seconds", answer["seconds"], rows=answer["monthly_bills"]),
        Measurement("bills_20000x100_peak_gb", run.peak_gb, rows=answer["monthly_bills"]),
    ]


def price_all() -> dict[str, float]:
    """Price 20,000 customers on 100 tariffs over twelve months and return the seconds."""
    cube = _large_cube(CUSTOMERS)
    customers = _customers(cube)
    tariffs = list(islice(many_tariffs(), TARIFFS))
    started_at = time.perf_counter()
    offers = price_tariffs(tariffs, cube, customers)
    seconds = time.perf_counter() - started_at
    if not offers.is_eligible.all() or len(offers.offers) != TARIFFS or not (offers.sum_units > 0).all():
        raise RuntimeError("not every customer was billed on every tariff")
    return {"seconds": seconds, "monthly_bills": CUSTOMERS * TARIFFS * len(cube.months)}


def many_tariffs() -> Iterator[Tariff]:
    """Yield tariffs without end, each with prices and a clock of its own.

    Their shapes are those of the built-in catalogue, one for each billing basis, and of the cases of the peer, for
    everybody, in one currency: tiers per month and year, periods, demand, contracted demand, capacity, minima; every
    other one with a basic charge has a power factor adjustment.
    """
    shapes = [
        _with_one_basis(json.loads(tariff.to_json()), basis)
        for tariff in load_catalogue().tariffs
        if tariff.route.kind == "cube"
        for basis in (tariff.billing_bases or (None,))
    ]
    for record in CASES.values():
        tariff = load_urdb(record, PEER_RULES)[0].tariff
        if tariff is not None and tariff.route.kind == "cube":
            shapes.append(json.loads(tariff.to_json()))
    for number, shape in enumerate(cycle(shapes)):
        yield load_tariff(_variant(shape, number))


def _with_one_basis(document: dict[str, Any], basis: str | None) -> dict[str, Any]:
    kept = [part for part in document["components"] if part.get("billing_basis") in {None, basis}]
    return document | {"components": kept}


def _variant(shape: dict[str, Any], number: int) -> dict[str, Any]:
    """Return the shape with other prices and the clock moved by some hours."""
    hours = number % 24
    document = _scaled(shape, Decimal(1) + Decimal(number) / 1000)
    components = document["components"]
    if number % 2 and any(part["kind"] in {"capacity", "contracted_demand"} for part in components):
        base = [part["name"] for part in components]
        components.append({"kind": "power_factor", "name": "Power factor", "standard": "0.90", "base": base})
    document |= {"tariff_id": f"bench_{number}", "currency": "CNY", "eligibility": {}, "valid_from": "2018-01-01"}
    document.pop("valid_to", None)
    for schedule in document.get("calendar", {}).get("schedules", ()):
        schedule["periods"] = {
            period: [_moved(text, hours) for text in ranges] for period, ranges in schedule["periods"].items()
        }
    return document


def _scaled(value: Any, factor: Decimal, key: str = "") -> Any:
    """Return a copy of a document whose prices are multiplied."""
    if isinstance(value, dict):
        return {name: _scaled(item, factor, "prices" if key == "prices" else name) for name, item in value.items()}
    if isinstance(value, list):
        return [_scaled(item, factor, key) for item in value]
    if key in {"price", "prices", "fixed", "floating"}:
        return str((Decimal(value) * factor).quantize(Decimal("1e-6")))
    return value


def _moved(text: str, hours: int) -> str:
    """Return a range such as ``08:00-22:30`` some hours later; the whole day stays."""
    start, end = text.split("-")
    if (start, end) == ("00:00", "24:00"):
        return text
    moved = [f"{(int(clock[:2]) + hours) % 24:02d}{clock[2:]}" for clock in (start, end)]
    return "-".join(moved)


def _large_cube(count: int) -> LoadCube:
    """Return the cube of many customers, binned in parts so that their readings need not fit into memory."""
    parts = [cube_of(loads(min(1_000, count - start), seed=start)) for start in range(0, count, 1_000)]
    keys = [f"c{index:06d}" for index in range(count)]
    return LoadCube.from_arrays(
        keys,
        parts[0].months,
        kwh=np.concatenate([part.kwh for part in parts]),
        peak_kw=np.concatenate([part.peak_kw for part in parts]),
        slot_minutes=parts[0].slot_minutes,
        kvarh=np.concatenate([part.month_kwh() * 4 // 10 for part in parts]),
    )


def _customers(cube: LoadCube) -> CustomerTable:
    largest_kw = cube.month_peak_kw().max(axis=1) / 10**QUANTITY_DECIMALS
    facts = pd.DataFrame(
        {
            "customer_key": cube.customer_keys,
            "customer_class": "commercial",
            "contract_capacity_kva": np.ceil(largest_kw * 1.25),
            "contracted_kw": np.ceil(largest_kw * 0.9),
        }
    )
    return CustomerTable.from_frame(facts)


if __name__ == "__main__":
    print(json.dumps(price_all()))
