"""The bento on its own: built from a clean clone, run in an environment that holds only what the bento's lock names.

`make bento` runs these tests, as every push does; `make test` does not, since they download packages. They see what is
committed, not what is only edited.
"""

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pandas as pd
import pytest
import yaml

from ml.tariff_matching.training import train
from ml.tariffs.catalogue import load_catalogue
from serving import schemas
from serving.model_store import ModelStore
from tests.unit.serving.builders import approval, customer_id, publish, tariff_tables

PROJECT_ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def bento(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the bento, as whoever unpacks its archive has it."""
    work_dir = tmp_path_factory.mktemp("build")
    clone = work_dir / "clone"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", PROJECT_ROOT, clone], check=True)
    environment = {**os.environ, "BENTOML_HOME": str(work_dir / "store"), "BENTOML_DO_NOT_TRACK": "True"}
    bentoml = [sys.executable, "-m", "bentoml"]
    built = subprocess.run(
        [*bentoml, "build", "--output", "tag"], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    tag = built.stdout.split("__tag__:")[1].strip()
    archive = work_dir / "kilowise.bento"
    subprocess.run([*bentoml, "export", tag, str(archive)], env=environment, capture_output=True, check=True)
    unpacked = work_dir / "bento"
    with tarfile.open(archive) as content:
        content.extractall(unpacked, filter="data")
    # Nothing of what built it is left to lean on.
    shutil.rmtree(clone)
    shutil.rmtree(work_dir / "store")
    return unpacked


@pytest.fixture(scope="module")
def python(bento: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Interpreter of a fresh environment with the packages that the bento names, each checked against its hash."""
    environment = tmp_path_factory.mktemp("environment") / "venv"
    lock = bento / "src" / "requirements-serving.lock"
    python = environment / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    uv = Path(sys.executable).with_name("uv")
    by_uv = [uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", lock]
    # As in the Makefile: where uv cannot reach an index that pip can, pip does the same from the same hashes.
    if not uv.exists() or subprocess.run(by_uv, check=False).returncode != 0:
        by_pip = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", lock]
        subprocess.run(by_pip, check=True)
    return python


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """State folder with a small release of each use case."""
    home, work_dir = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("bundles")
    store = ModelStore(home)
    for use_case in ("segmentation", "credit_risk"):
        publish(store, work_dir, use_case)
    features, cube = tariff_tables()
    bundle = train(features, cube, load_catalogue()).write(work_dir / "tariff_matching")
    store.store_bundle(work_dir / "tariff_matching")
    store.publish_release(
        "tariff_matching",
        bundle.version,
        features,
        gate=approval("tariff_matching"),
        approved_by="automatic policy",
        marts_version="m1",
        customer_tables={"customer_load_cube": cube},
    )
    return home


class Server:
    """A server whose environment holds nothing but what its operator must set."""

    def __init__(self, command: list[str | Path], *, working_dir: Path, home: Path, work_dir: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        self.log = work_dir / "server.log"
        environment = {
            "PATH": "/usr/bin:/bin",
            "KILOWISE_HOME": str(home),
            "KILOWISE_PORT": str(port),
            "BENTOML_HOME": str(work_dir / "bentoml"),
            "BENTOML_PORT": str(port),
            "BENTOML_HOST": "127.0.0.1",
            "BENTOML_DO_NOT_TRACK": "True",
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=working_dir, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self.client.get("/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        pytest.fail(f"the bento did not get ready:\n{self.log.read_text()}")

    def stop(self) -> int:
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


@pytest.fixture(scope="module")
def server(bento: Path, python: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server as the container image and the systemd unit start it."""
    server = Server(
        [python, "-m", "serving"],
        working_dir=bento / "src",
        home=home,
        work_dir=tmp_path_factory.mktemp("run"),
    )
    server.wait_until_ready()
    yield server
    if server.process.poll() is None:
        server.stop()


def test_the_bento_holds_the_api_and_the_models_code_and_nothing_else(bento: Path) -> None:
    source = bento / "src"

    assert {entry.name for entry in source.iterdir() if entry.is_dir()} == {"serving", "ml"}
    assert not list(source.rglob("__pycache__"))
    assert yaml.safe_load((bento / "bento.yaml").read_text())["models"] == []


def test_its_packages_are_the_locked_ones_without_the_platforms(python: Path) -> None:
    listed = subprocess.run(
        [python, "-c", "import importlib.metadata as m; print(*(d.name for d in m.distributions()), sep='\\n')"],
        capture_output=True,
        text=True,
        check=True,
    )
    installed = {name.lower().replace("_", "-") for name in listed.stdout.split()}

    assert {"bentoml", "xgboost-cpu", "scikit-learn"} <= installed
    assert not installed & {"dagster", "dbt-core", "evidently", "pytest"}


def test_bentoml_containerize_would_install_the_locked_versions_too(bento: Path) -> None:
    packed = (bento / "env" / "python" / "requirements.txt").read_text()

    pins = set(re.findall(r"^[a-z0-9._-]+(?:\[\S+\])?==[^\s;]+", packed, re.MULTILINE))
    lock = (bento / "src" / "requirements-serving.lock").read_text()
    assert pins == set(re.findall(r"^[a-z0-9._-]+(?:\[\S+\])?==[^\s;]+", lock, re.MULTILINE))


def test_every_use_case_answers(server: Server) -> None:
    by_id = {"customer_id": customer_id(1)}

    segment = server.client.post("/v1/segmentation/assign", json=by_id)
    advice = server.client.post("/v1/tariff_matching/recommend", json={"features": schemas.TARIFF_MATCHING_EXAMPLE})
    score = server.client.post("/v1/credit_risk/score", json=by_id)

    schemas.SegmentationAnswer.model_validate_json(segment.content)
    # The catalogue of tariffs and the credit policies are files beside the code.
    assert schemas.TariffMatchingAnswer.model_validate_json(advice.content).model_dump()["result"]["alternatives"]
    assert schemas.CreditRiskAnswer.model_validate_json(score.content).model_dump()["result"]["policy"]


def test_its_pages_are_packed(server: Server) -> None:
    assert "Kilowise" in server.client.get("/docs").text
    assert server.client.get("/openapi.json").json()["paths"]
    assert "kilowise_release_info" in server.client.get("/metrics").text


def test_sigterm_ends_it_with_its_log_written(server: Server, home: Path) -> None:
    request_id = server.client.post("/v1/credit_risk/score", json={"customer_id": customer_id(2)}).json()["request_id"]

    assert server.stop() == 0

    files = (home / "predictions" / "log" / "credit_risk").rglob("*.parquet")
    logged = pd.concat(pd.read_parquet(io.BytesIO(file.read_bytes())) for file in files)
    assert request_id in set(logged["request_id"])
    assert "Traceback" not in server.log.read_text()


def test_bentoml_serves_it_by_itself_too(bento: Path, python: Path, home: Path, tmp_path: Path) -> None:
    server = Server([python.with_name("bentoml"), "serve", bento], working_dir=tmp_path, home=home, work_dir=tmp_path)
    server.wait_until_ready()

    answer = server.client.post("/v1/credit_risk/score", json={"customer_id": customer_id(1)})

    assert json.loads(answer.content)["result"]["prediction"]["credit_rating"]
    assert server.stop() == 0
