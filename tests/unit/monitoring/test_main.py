import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from monitoring.__main__ import main, make_server
from monitoring.settings import MonitoringSettings
from monitoring.site import build_site


@pytest.fixture
def address(tmp_path) -> Iterator[str]:
    build_site(tmp_path)
    (tmp_path / "reports" / "incident_log.json").write_text("{}")
    server = make_server(tmp_path / "reports", 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_root_leads_to_the_site(address) -> None:
    with urllib.request.urlopen(f"{address}/") as answer:
        assert answer.url.endswith("/site/index.html")
        assert b"No month has been reviewed yet" in answer.read()


@pytest.mark.parametrize(
    "path", ["/incident_log.json", "/credit_risk/", "/../releases/credit_risk/CURRENT", "/nothing.html"]
)
def test_only_existing_pages_are_served_and_no_state_or_listing(address, path) -> None:
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(address + path)
    assert refusal.value.code == 404
    refusal.value.close()


def test_the_server_listens_on_this_machine_only(tmp_path) -> None:
    with make_server(tmp_path, 0) as server:
        assert server.server_address[0] == "127.0.0.1"


def test_a_port_in_use_is_said_in_words(tmp_path, capsys) -> None:
    with make_server(tmp_path, 0) as server:
        assert main(["--home", str(tmp_path), "--port", str(server.server_port)]) == 1
    assert "is not free" in capsys.readouterr().err


def test_settings_come_from_the_environment(monkeypatch) -> None:
    monkeypatch.setenv("KILOWISE_REPORTS_PORT", "4300")
    assert MonitoringSettings().reports_port == 4300
