import json
import logging
import threading
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from monitoring import alerts
from monitoring.alerts import alert_on_change, read_incidents
from monitoring.verdicts import Outcome, record_verdict
from tests.unit.monitoring.test_verdicts import verdict


class Webhook:
    """A real server on the loopback interface that answers as told and keeps what it was sent."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.received: list[dict] = []
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = webhook.answers.pop(0) if webhook.answers else 204
                webhook.received.append(json.loads(body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                return

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"


@pytest.fixture
def webhook(monkeypatch) -> Iterator[Webhook]:
    monkeypatch.setattr(alerts, "_PAUSE_SECONDS", 0.01)
    hook = Webhook()
    thread = threading.Thread(target=hook.server.serve_forever, daemon=True)
    thread.start()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()
    thread.join()


def review(directory, month: int, outcome: Outcome, url: str | None = None):
    reviewed = verdict(month=date(2026, month, 1), outcome=outcome)
    record_verdict(reviewed, directory)
    return alert_on_change(reviewed, directory, url)


def test_one_alert_per_change_and_not_per_run(tmp_path, webhook) -> None:
    told = [
        review(tmp_path, month, outcome, webhook.url)
        for month, outcome in [(1, "stable"), (2, "watch"), (2, "watch"), (3, "watch"), (4, "act"), (5, "stable")]
    ]
    assert [alert.outcome if alert else None for alert in told] == [None, "watch", None, None, "act", "stable"]
    assert [message["outcome"] for message in webhook.received] == ["watch", "act", "stable"]
    assert webhook.received[1]["previous_outcome"] == "watch"
    assert webhook.received[1]["since_month"] == "2026-02-01"


def test_reviewing_the_past_again_is_no_news(tmp_path) -> None:
    review(tmp_path, 6, "stable")
    assert review(tmp_path, 2, "act") is None
    assert read_incidents(tmp_path)["credit_risk"].outcome == "stable"


def test_a_passing_failure_is_tried_again(tmp_path, webhook) -> None:
    webhook.answers = [503, 500]
    assert review(tmp_path, 1, "act", webhook.url)
    assert len(webhook.received) == 3
    assert read_incidents(tmp_path)["credit_risk"].is_delivered


def test_an_alert_that_did_not_arrive_is_sent_with_the_next_review(tmp_path, webhook, caplog) -> None:
    webhook.answers = [500, 500, 500]
    review(tmp_path, 1, "act", webhook.url)
    assert not read_incidents(tmp_path)["credit_risk"].is_delivered
    assert "not delivered (HTTP 500)" in caplog.text
    assert review(tmp_path, 2, "act", webhook.url)
    assert read_incidents(tmp_path)["credit_risk"].is_delivered
    assert review(tmp_path, 3, "act", webhook.url) is None


def test_a_refusal_is_not_repeated(tmp_path, webhook) -> None:
    webhook.answers = [404]
    review(tmp_path, 1, "act", webhook.url)
    assert len(webhook.received) == 1


def test_nobody_listening_is_logged_and_does_not_stop_the_review(tmp_path, webhook, caplog) -> None:
    webhook.server.server_close()
    assert review(tmp_path, 1, "act", webhook.url)
    assert "not delivered" in caplog.text


def test_only_web_addresses_are_called(tmp_path, caplog) -> None:
    review(tmp_path, 1, "act", "file:///etc/passwd")
    assert "must begin with http" in caplog.text


def test_without_a_webhook_the_log_tells(tmp_path, caplog) -> None:
    with caplog.at_level(logging.INFO):
        review(tmp_path, 1, "watch")
        review(tmp_path, 2, "stable")
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert read_incidents(tmp_path)["credit_risk"].is_delivered
