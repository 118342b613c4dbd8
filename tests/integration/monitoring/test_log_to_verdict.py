"""Walks the seam once: log and batch predictions to Evidently's page, verdict, table, workspace, alert and site."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import date
from pathlib import Path

import pytest

from ml.columns import USE_CASES
from monitoring.incidents import read_incidents
from monitoring.review import review_month
from monitoring.site import build_site
from monitoring.verdicts import read_verdicts
from monitoring.workspace import open_workspace
from tests.unit.monitoring.factories import MONTH, Platform, prediction_frame, reference_frame, write_release

PROJECT_ROOT = Path(__file__).resolve().parents[3]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fetch(address: str, seconds: float) -> bytes:
    """Return the body as soon as the address answers."""
    until = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return answer.read()
        except urllib.error.URLError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All three models, reviewed for one month."""
    home = tmp_path_factory.mktemp("home")
    for use_case in USE_CASES:
        platform = Platform(home, use_case)
        platform.write_reference(reference_frame(use_case))
        write_release(platform)
        platform.write_batch(prediction_frame(use_case, MONTH, 600, seed=1))
        logged = prediction_frame(use_case, MONTH, 30, seed=2).assign(source="online")
        platform.write_log(logged.assign(customer_key=logged["customer_key"] + "-online"), date(2026, 9, 3), "a")
        if use_case == "tariff_matching":
            platform.write_batch(prediction_frame(use_case, MONTH, 600, seed=1).drop(columns="annual_kwh"))
        review_month(use_case, MONTH, **platform.folders)
    build_site(home)
    return home


@pytest.mark.slow
def test_a_month_of_three_models_is_reviewed_and_shown(home) -> None:
    reports = home / "reports"
    table = read_verdicts(reports)
    assert dict(table.select("use_case", "outcome").rows()) == {
        "segmentation": "stable",
        "tariff_matching": "act",
        "credit_risk": "stable",
    }
    assert set(table["rows_current"]) == {630}
    for path in table["report_path"]:
        assert 1_000_000 < (reports / path).stat().st_size < 6_000_000
    workspace = open_workspace(reports)
    assert {
        project.name: len(workspace.list_runs(project.id)) for project in workspace.list_projects()
    } == dict.fromkeys(USE_CASES, 1)
    assert [(incident.use_case, incident.now.outcome) for incident in read_incidents(reports)] == [
        ("tariff_matching", "act")
    ]
    assert "(annual_kwh) is missing in 95 %" in (reports / "site" / "index.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_site_and_workspace_are_served_and_stop_together(home) -> None:
    port, workspace_port = free_port(), free_port()
    command = [sys.executable, "-m", "monitoring", "--home", str(home), "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--workspace-port", str(workspace_port)],
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert b"needs attention" in fetch(f"http://127.0.0.1:{port}/", 60)
        projects = fetch(f"http://127.0.0.1:{workspace_port}/api/projects", 120)
        assert all(use_case.encode() in projects for use_case in USE_CASES)
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert output.decode().endswith("Stopped.\n")
    with pytest.raises(urllib.error.URLError):
        fetch(f"http://127.0.0.1:{workspace_port}/api/version", 0)
