"""Raw data of one customer: from the body of a request to the answer, with the features made by the marts' own SQL.

In one process and without a socket, because an answer takes a thousand times as long as the socket. Of the three use
cases the slowest counts. The releases are those of this checkout's state folder or, without them, of a fresh one.
"""

import json
import math
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness import Figure, Measurement, benchmark
from benchmarks.http import released_home
from serving.app import build_app
from serving.routes.predictions import ROUTES
from serving.runtime import Runtime
from serving.settings import ServingSettings

with warnings.catch_warnings():
    # Starlette asks for httpx2, which the lock does not hold yet.
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

REQUESTS = 15
HOURS = 365 * 24
LAST_HOUR = datetime(2026, 8, 31, 15, tzinfo=UTC)


@benchmark(
    Figure("raw_year_ms", unit="ms", bar=1_000, better="lower"),
    Figure("raw_bills_ms", unit="ms", bar=300, better="lower"),
)
def raw_data() -> Sequence[Measurement]:
    """Answer raw data of a customer: a year of hourly readings with bills and payments, then bills and payments alone.

    Raises:
        RuntimeError: If a request is refused.
    """
    bills = bills_of_a_year()
    year = {**bills, **readings_of_a_year()}
    with tempfile.TemporaryDirectory(prefix="kilowise-bench-") as folder:
        home = released_home(Path(folder))
        runtime = Runtime(ServingSettings(home=home, log_predictions=False))
        runtime.start()
        app = build_app()
        app.state.runtime = runtime
        client = TestClient(app)
        try:
            slowest_year, slowest_bills = (
                max(_median_ms(client, route.path, body) for route in ROUTES) for body in (year, bills)
            )
        finally:
            runtime.stop()
    return [Measurement("raw_year_ms", slowest_year, rows=HOURS), Measurement("raw_bills_ms", slowest_bills, rows=24)]


def bills_of_a_year() -> dict[str, Any]:
    """Return a household with twelve bills, each paid."""
    months = [(2025 + (8 + number) // 12, (8 + number) % 12 + 1) for number in range(13)]
    bills = [
        {
            "bill_id": f"B{number:02d}",
            "period_start": f"{year}-{month:02d}-01",
            "period_end": f"{next_year}-{next_month:02d}-01",
            "kwh": 240 + 10 * number,
            "amount": 131.5 + 5 * number,
            "issued_date": f"{next_year}-{next_month:02d}-03",
            "due_date": f"{next_year}-{next_month:02d}-20",
        }
        for number, ((year, month), (next_year, next_month)) in enumerate(pairwise(months))
    ]
    payments = [
        {
            "payment_id": f"P{number:02d}",
            "bill_id": bill["bill_id"],
            "paid_date": str(bill["issued_date"])[:8] + "18",
            "amount": bill["amount"],
            "channel": "app",
        }
        for number, bill in enumerate(bills)
    ]
    customer = {
        "customer_class": "residential",
        "voltage_level": "lt1kV",
        "supply_route": "catalogue",
        "contract_capacity_kva": 8,
        "registered_date": "2019-05-01",
    }
    return {"as_of_month": "2026-08-01", "customer": customer, "bills": bills, "payments": payments}


def readings_of_a_year() -> dict[str, Any]:
    """Return a meter with a year of hourly readings."""
    first = LAST_HOUR - timedelta(hours=HOURS - 1)
    return {
        "meters": [{"meter_id": "M1", "interval_minutes": 60}],
        "meter_readings": [
            {
                "meter_id": "M1",
                "read_at": (first + timedelta(hours=hour)).isoformat(),
                "kwh": round(0.4 + 0.3 * math.sin(hour / 24 * 2 * math.pi) + hour % 7 / 10, 4),
            }
            for hour in range(HOURS)
        ],
    }


def _median_ms(client: TestClient, path: str, raw: Mapping[str, Any]) -> float:
    content = json.dumps({"raw": raw}).encode()
    times = []
    for _ in range(REQUESTS):
        started = time.perf_counter()
        answer = client.post(path, content=content, headers={"Content-Type": "application/json"})
        times.append((time.perf_counter() - started) * 1000)
        if answer.status_code != 200:
            raise RuntimeError(f"{path} refused raw data: {answer.text}")
    return median(times)
