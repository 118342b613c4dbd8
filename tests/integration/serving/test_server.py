"""The real server: started as `make serve` starts it, called over sockets."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pandas as pd
import pytest

from ml.tariff_matching.model import TariffMatchingModel
from ml.tariff_matching.training import train
from ml.tariffs.catalogue import load_catalogue
from serving import schemas
from tests.integration.serving.servers import PROJECT_ROOT, Server, start_server, wait_until
from tests.unit.serving.builders import approval, customer_id, key_of, publish, tariff_tables

SEGMENTATION = "/v1/segmentation/assign"
TARIFF = "/v1/tariff_matching/recommend"
CREDIT = "/v1/credit_risk/score"

pytestmark = pytest.mark.slow


@dataclass
class ObservedServer(Server):
    """A running server, what it said before the first release, and what its tariff model predicts."""

    before_first_release: dict[str, httpx.Response] = field(default_factory=dict)
    tariff_predictions: pd.DataFrame = field(default_factory=pd.DataFrame)


def publish_tariff_matching(server: ObservedServer) -> None:
    features, cube = tariff_tables()
    result = train(features, cube, load_catalogue())
    manifest = result.write(server.work_dir / "tariff")
    server.store.store_bundle(server.work_dir / "tariff")
    server.store.publish_release(
        "tariff_matching",
        manifest.version,
        features,
        gate=approval("tariff_matching"),
        approved_by="automatic policy",
        marts_version="m1",
        customer_tables={"customer_load_cube": cube},
    )
    latest = features[features["as_of_month"] == features["as_of_month"].max()].reset_index(drop=True)
    model = TariffMatchingModel.from_files(result.model.to_files())
    server.tariff_predictions = model.predict(latest, cube).set_index("customer_key")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObservedServer]:
    """A server that started with nothing released and then saw the first releases appear."""
    home, work_dir = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("work")
    server = ObservedServer(**vars(start_server(home, work_dir)))
    for path in ("/readyz", "/docs", "/v1/releases"):
        server.before_first_release[path] = httpx.get(server.url + path)
    server.before_first_release[CREDIT] = httpx.post(server.url + CREDIT, json={"customer_id": "a"})
    for use_case in ("segmentation", "credit_risk"):
        publish(server.store, work_dir, use_case)
    publish_tariff_matching(server)
    wait_until(
        lambda: not httpx.get(server.url + "/v1/releases").json()["missing"], 20, "the first releases were not taken up"
    )
    yield server
    if server.process.poll() is None:
        server.stop()


def test_without_any_release_the_server_lives_and_says_what_to_do(server: ObservedServer) -> None:
    before = server.before_first_release

    assert before["/readyz"].status_code == 503
    assert "make run" in before["/readyz"].text
    assert before["/docs"].status_code == 200
    assert before["/v1/releases"].json()["missing"] == ["segmentation", "tariff_matching", "credit_risk"]
    assert before[CREDIT].status_code == 503
    assert before[CREDIT].json()["type"] == "no_release"


def test_the_first_release_makes_it_ready_without_a_restart(server: ObservedServer) -> None:
    assert server.status_of("/readyz") == 200

    answer = httpx.post(server.url + CREDIT, json={"customer_id": customer_id(1)})

    schemas.CreditRiskAnswer.model_validate_json(answer.content)


def test_the_server_listens_on_loopback_only(server: ObservedServer) -> None:
    port = int(server.url.rsplit(":", 1)[1])
    hexadecimal = f":{port:04X}"

    listening = [
        line.split()[1]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text().splitlines()[1:]
        if line.split()[1].endswith(hexadecimal) and line.split()[3] == "0A"
    ]

    assert listening == [f"0100007F{hexadecimal}"]


def test_a_damaged_release_is_not_served(server: ObservedServer) -> None:
    served = server.served_release("credit_risk")
    assert served is not None
    folder = server.store.releases_dir / "credit_risk"
    damaged = folder / "0099-202608-ffffffffff"
    damaged.mkdir()
    manifest = json.loads((folder / served / "release.json").read_text())
    (damaged / "release.json").write_text(json.dumps({**manifest, "name": damaged.name}))
    (damaged / "features.sqlite").write_bytes(b"half a file")
    (folder / "CURRENT").write_text(damaged.name)

    failed = 'kilowise_release_loads_total{outcome="failed",use_case="credit_risk"} 1.0'
    wait_until(lambda: failed in httpx.get(server.url + "/metrics").text, 10, "the damaged release was not noticed")

    assert httpx.post(server.url + CREDIT, json={"customer_id": customer_id(1)}).json()["release"] == served
    server.store.rollback("credit_risk", served, by="test", reason="repair")


def test_protocol_errors_have_the_one_shape(server: ObservedServer) -> None:
    json_type = {"Content-Type": "application/json"}
    with httpx.Client(base_url=server.url) as client:
        refused = {
            400: client.post(CREDIT, content=b"{", headers=json_type),
            404: client.get("/v2/anything"),
            405: client.delete(CREDIT),
            413: client.post(CREDIT, content=b" " * 5_000_000, headers=json_type),
            415: client.post(CREDIT, content=b"a=1", headers={"Content-Type": "application/x-www-form-urlencoded"}),
            422: client.post(CREDIT, json={"customer_id": 1}),
        }

    for status, response in refused.items():
        assert response.status_code == status
        assert schemas.Problem.model_validate_json(response.content).request_id == response.headers["X-Request-Id"]


def test_head_is_answered_as_get_without_the_body(server: ObservedServer) -> None:
    head, get = httpx.head(f"{server.url}/v1/releases"), httpx.get(f"{server.url}/v1/releases")

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(get.content))
    assert httpx.head(server.url + CREDIT).status_code == 405


def test_tariff_advice_equals_the_models(server: ObservedServer) -> None:
    wanted = {"customer_ids": [customer_id(number) for number in range(20)]}

    response = httpx.post(server.url + TARIFF, json=wanted, timeout=30)

    schemas.TariffMatchingBatchAnswer.model_validate_json(response.content)
    for number, entry in enumerate(response.json()["results"]):
        expected = server.tariff_predictions.loc[key_of(number)]
        for column in ("recommended_tariff_id", "expected_saving_amount", "saving_probability"):
            assert entry["prediction"][column] == expected[column]
    assert any(entry["prediction"]["is_switch_recommended"] for entry in response.json()["results"])


def test_tariff_advice_explains_itself(server: ObservedServer) -> None:
    body = {"customer_ids": [customer_id(number) for number in range(20)]}

    results = httpx.post(server.url + TARIFF, json=body, timeout=30).json()["results"]

    entry = next(one for one in results if one["prediction"]["is_switch_recommended"])
    recommended = next(one for one in entry["alternatives"] if one["is_recommended"])
    current = next(one for one in entry["alternatives"] if one["is_current"])
    assert entry["compared_tariff_id"] == recommended["tariff_id"]
    assert sum(line["now_amount"] for line in entry["breakdown"]) == pytest.approx(current["past_amount"], abs=0.05)
    assert sum(line["proposed_amount"] for line in entry["breakdown"]) == pytest.approx(
        recommended["past_amount"], abs=0.05
    )
    assert entry["bill"]["lower_amount"] <= entry["bill"]["expected_amount"] <= entry["bill"]["upper_amount"]
    assert all(one["why_not"] for one in entry["alternatives"] if not one["is_recommended"])
    assert all(one["reason"] for one in entry["not_priced"])
    assert entry["load_last_month"] is not None


def test_tariff_advice_without_a_known_load_is_an_estimate_and_says_so(server: ObservedServer) -> None:
    body = {"features": schemas.TARIFF_MATCHING_EXAMPLE}

    answer = schemas.TariffMatchingAnswer.model_validate_json(httpx.post(server.url + TARIFF, json=body).content)

    result = answer.model_dump()["result"]
    assert result["prediction"]["load_basis"] == "annual_energy"
    assert result["observed_months_count"] == 0
    assert result["alternatives"]


def test_metrics_are_summed_over_the_processes(server: ObservedServer) -> None:
    text = httpx.get(server.url + "/metrics").text

    assert 'kilowise_requests_total{route="/v1/credit_risk/score",status="200"}' in text
    assert "kilowise_release_info" in text
    assert customer_id(1) not in text


def test_bentoml_build_packs_serving_and_ml_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "bentoml", "build", "--output", "tag"],
        cwd=PROJECT_ROOT,
        env={**os.environ, "BENTOML_HOME": str(tmp_path), "BENTOML_DO_NOT_TRACK": "True"},
        capture_output=True,
        check=True,
    )

    (source,) = tmp_path.glob("bentos/kilowise/*/src")
    assert {entry.name for entry in source.iterdir() if entry.is_dir()} == {"serving", "ml"}
    assert (source / "serving" / "templates" / "docs.html.j2").is_file()
    assert list((source / "ml" / "tariffs" / "catalogue").glob("*.yaml"))
