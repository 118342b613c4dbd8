"""What the API answers by id, of features and of raw rows is what the offline path says, or the check fails."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration.serving_parity import Parity, check_parity
from orchestration.use_cases import USE_CASES
from serving import schemas
from serving.identity import customer_key
from serving.runtime import Runtime
from serving.settings import ServingSettings
from tests.integration.platform_home import PlatformHome
from tests.unit.serving.conftest import client_of

RAW = {
    "as_of_month": "2026-09-01",
    "customer": {"customer_class": "residential", "registered_date": "2020-01-01"},
    "bills": [
        {
            "bill_id": f"B{month}",
            "period_start": f"2026-0{month}-01",
            "period_end": f"2026-0{month + 1}-01",
            "kwh": 200 + month,
            "amount": 110.55,
            "issued_date": f"2026-0{month + 1}-03",
            "due_date": f"2026-0{month + 1}-20",
        }
        for month in range(1, 9)
    ],
    "payments": [
        {"payment_id": f"P{month}", "bill_id": f"B{month}", "paid_date": f"2026-0{month + 1}-22", "amount": 110.55}
        for month in range(1, 8)
    ],
}
REQUESTS: Mapping[str, tuple[str, dict[str, object]]] = {
    "segmentation": ("/v1/segmentation/assign", schemas.SEGMENTATION_EXAMPLE),
    "tariff_matching": ("/v1/tariff_matching/recommend", schemas.TARIFF_MATCHING_EXAMPLE),
    "credit_risk": ("/v1/credit_risk/score", schemas.CREDIT_RISK_EXAMPLE),
}


def known_ids(home: PlatformHome, count: int) -> list[str]:
    """Return ids of the simulated supplier whose customers are in every release."""
    secret = home.settings.pseudonym_key.get_secret_value().encode()
    stores = [home.store.load(home.store.current_release(name)).features for name in REQUESTS]  # type: ignore[arg-type]  # released
    ids = (f"C{number:07d}" for number in range(1, 200))
    return [name for name in ids if all(store.get(customer_key(name, secret)) for store in stores)][:count]


@pytest.fixture(scope="module")
def answered(finished_home: PlatformHome, tmp_path_factory: pytest.TempPathFactory) -> PlatformHome:
    """A home whose API has answered each use case by id, of features and of raw rows."""
    home = finished_home.copy_to(tmp_path_factory.mktemp("answered") / "home")
    runtime = Runtime(ServingSettings(home=home.path, _env_file=None))  # type: ignore[call-arg]  # pydantic-settings
    runtime.start()
    client = client_of(runtime)
    ids = known_ids(home, 5)
    for path, example in REQUESTS.values():
        for body in ({"customer_ids": ids}, {"features": example}, {"raw": RAW}):
            answer = client.post(path, json=body)
            assert answer.status_code == 200, answer.text
    runtime.stop()
    return home


def parity_of(home: PlatformHome, use_case: str) -> Parity:
    (found,) = [one for one in USE_CASES if one.name == use_case]
    return check_parity(found, home.settings, now=datetime.now(UTC))


@pytest.mark.parametrize("use_case", REQUESTS)
def test_online_equals_offline(answered: PlatformHome, use_case: str) -> None:
    parity = parity_of(answered, use_case)

    assert parity.is_equal, parity.sentence
    assert (parity.decisions_count, parity.replayed_count, parity.marts_count, parity.raw_count) == (7, 7, 5, 1)
    assert parity.not_comparable == {}


def log_files(home: PlatformHome) -> list[Path]:
    return sorted((home.settings.predictions_dir / "log" / "credit_risk").rglob("*.parquet"))


@pytest.mark.parametrize(
    ("column", "what"), [("default_probability", "computed again"), ("bills_12m_count", "the mart has")]
)
def test_any_difference_is_told_with_its_request(answered: PlatformHome, column: str, what: str) -> None:
    before = {path: path.read_bytes() for path in log_files(answered)}
    for path in before:
        table = pq.read_table(path, partitioning=None)
        changed = pa.array(np.nextafter(table[column].to_numpy(zero_copy_only=False), 1e6))
        pq.write_table(table.set_column(table.column_names.index(column), column, changed), path)
    try:
        parity = parity_of(answered, "credit_risk")
    finally:
        for path, content in before.items():
            path.write_bytes(content)

    assert not parity.is_equal
    assert any(column in difference and what in difference for difference in parity.differences)
    assert "Request" in parity.sentence


def test_without_answers_there_is_nothing_to_compare(finished_home: PlatformHome) -> None:
    parity = parity_of(finished_home, "segmentation")

    assert parity.is_equal
    assert "no answer" in parity.sentence
