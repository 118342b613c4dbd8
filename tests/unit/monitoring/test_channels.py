"""The channels against real servers on the loopback interface."""

import json
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from monitoring.alerts import AlertMessage, DeliveryError
from monitoring.channels import LogChannel, MailChannel, MailServer, WebhookChannel
from tests.unit.monitoring.mail_server import HOST, Mailbox, mail_server, write_certificate

MESSAGE = AlertMessage(
    message_id="credit_risk-2026-08/1/2026-08-act",
    incident_id="credit_risk-2026-08",
    number=1,
    kind="opened",
    use_case="credit_risk",
    release="0003-202608-abc",
    month=date(2026, 8, 1),
    outcome="act",
    previous_outcome=None,
    since_month=date(2026, 8, 1),
    owner="credit risk model owner",
    title="Credit risk 2026-08: act",
    title_zh="信用风险 2026-08：需处理",
    sentence="The model has needed attention since 2026-08.",
    sentence_zh="该模型自 2026-08 起需要留意。",
    reasons=('the share of “<b>&"high"” went up',),
    reasons_zh=("占比上升",),
    first_steps=("A column is missing: ask the source.",),
    first_steps_zh=("字段缺失：询问来源。",),
    page_url="http://127.0.0.1:3200/site/credit_risk/index.html",
    report_url=None,
    sent_at=datetime(2026, 9, 5, 8, tzinfo=UTC),
)
FOLLOW_UP = MESSAGE.model_copy(update={"number": 3, "kind": "closed", "outcome": "stable", "first_steps": ()})


class Webhook:
    """A server that answers as told and keeps what it was sent."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.received: list[tuple[str, dict, dict]] = []
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                webhook.received.append((self.command, dict(self.headers), json.loads(body)))
                status, headers = webhook.answers.pop(0) if webhook.answers else (204, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def do_GET(self) -> None:
                webhook.received.append((self.command, dict(self.headers), {}))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                return

        self.server = HTTPServer((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self.server.server_port}/hook?token=geheim"
        self.channel = WebhookChannel(self.url)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook()
    thread = threading.Thread(target=hook.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_certificate(tmp_path_factory.mktemp("tls") / "server.pem")


def channel_to(mailbox: Mailbox, recipient: str = "owner@example.org", **choices) -> MailChannel:
    security = choices.pop("security", "none")
    server = MailServer(
        host=HOST,
        port=mailbox.port,
        security=security,
        sender="kilowise@example.org",
        ca_file=mailbox.certificate,
        **choices,
    )
    return MailChannel(server, recipient)


def failure(channel: MailChannel | WebhookChannel) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        channel.send(MESSAGE)
    return caught.value


def test_webhook_gets_the_whole_message_under_its_id(webhook: Webhook, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    webhook.channel.send(MESSAGE)

    [(_, headers, body)] = webhook.received
    assert AlertMessage.model_validate(body) == MESSAGE
    assert headers["Idempotency-Key"] == MESSAGE.message_id
    assert headers["Content-Type"] == "application/json"
    assert "geheim" not in caplog.text


@pytest.mark.parametrize(
    ("status", "may_pass"), [(500, True), (503, True), (429, True), (408, True), (400, False), (404, False)]
)
def test_webhook_that_refuses_says_whether_to_try_again(webhook: Webhook, status: int, may_pass: bool) -> None:
    webhook.answers = [(status, {})]

    error = failure(webhook.channel)

    assert (str(error), error.may_pass, error.retry_after_seconds) == (f"HTTP {status}", may_pass, None)


def test_webhook_that_asks_for_patience_is_heard(webhook: Webhook) -> None:
    webhook.answers = [(429, {"Retry-After": "1800"})]

    assert failure(webhook.channel).retry_after_seconds == 1800


def test_webhook_that_has_moved_has_taken_nothing(webhook: Webhook) -> None:
    """A client that follows would send a GET without the message, be answered 200, and believe it delivered."""
    webhook.answers = [(302, {"Location": webhook.url})]

    error = failure(webhook.channel)

    assert not error.may_pass
    assert [method for method, _, _ in webhook.received] == ["POST"]


def test_nobody_listening_may_pass_and_gives_no_secret_away(webhook: Webhook) -> None:
    webhook.server.server_close()

    error = failure(webhook.channel)

    assert error.may_pass
    assert "geheim" not in f"{error} {webhook.channel!r}"


def test_only_web_addresses_are_called() -> None:
    assert not failure(WebhookChannel("file:///etc/passwd")).may_pass


def test_log_warns_while_something_is_wrong_and_notes_the_end(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        LogChannel().send(MESSAGE)
        LogChannel().send(FOLLOW_UP)

    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert caplog.messages[0].startswith("Credit risk 2026-08: act. The model has needed attention since 2026-08.")


def test_mail_goes_encrypted_after_starttls_and_a_login(certificate: Path, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("geheim\n")
    with mail_server(certificate) as mailbox:
        mailbox.password = "geheim"
        channel = channel_to(mailbox, security="starttls", user="kilowise", password_file=tmp_path / "password")
        channel.send(MESSAGE)

    [received] = mailbox.received
    assert (received.recipients, received.was_encrypted, received.user) == (("owner@example.org",), True, "kilowise")


def test_mail_goes_encrypted_from_the_first_byte(certificate: Path) -> None:
    with mail_server(certificate, is_encrypted_at_once=True) as mailbox:
        channel_to(mailbox, security="tls").send(MESSAGE)

    assert mailbox.received[0].was_encrypted


def test_mail_is_never_sent_in_the_clear_where_starttls_is_set() -> None:
    with mail_server() as mailbox:
        error = failure(channel_to(mailbox, security="starttls"))

    assert not error.may_pass
    assert mailbox.received == []


def test_mail_server_with_a_certificate_that_nobody_vouches_for_is_told_nothing(certificate: Path) -> None:
    with mail_server(certificate) as mailbox:
        mailbox.certificate = None
        error = failure(channel_to(mailbox, security="starttls"))

    assert "certificate is refused" in str(error)
    assert mailbox.received == []


def test_wrong_password_is_not_tried_again_at_once(certificate: Path, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("old")
    with mail_server(certificate) as mailbox:
        mailbox.password = "new"
        channel = channel_to(mailbox, security="starttls", user="kilowise", password_file=tmp_path / "password")
        error = failure(channel)

    assert str(error) == "the mail server answered 535 wrong password"
    assert not error.may_pass


@pytest.mark.parametrize(("code", "may_pass"), [(450, True), (550, False)])
def test_refused_recipient_is_told_by_code_and_not_by_address(code: int, may_pass: bool) -> None:
    with mail_server() as mailbox:
        mailbox.refused = {"owner@example.org": code}
        error = failure(channel_to(mailbox))

    assert str(error) == f"the mail server refused the recipient ({code})"
    assert (error.may_pass, error.is_of_recipient) == (may_pass, True)


def test_mail_server_that_is_away_may_come_back() -> None:
    with mail_server() as mailbox:
        pass
    assert failure(channel_to(mailbox)).may_pass


def test_mail_server_that_is_busy_may_have_time_later() -> None:
    with mail_server() as mailbox:
        mailbox.greeting = 421
        assert failure(channel_to(mailbox)).may_pass


def test_mail_says_it_twice_in_plain_text_and_html() -> None:
    with mail_server() as mailbox:
        channel_to(mailbox).send(MESSAGE)
    email = mailbox.received[0].email

    plain = email.get_body(("plain",)).get_content()
    html = email.get_body(("html",)).get_content()
    for text in (plain, html):
        assert MESSAGE.title in text
        assert MESSAGE.title_zh in text
        assert MESSAGE.sentence_zh in text
        assert MESSAGE.first_steps[0] in text
        assert MESSAGE.page_url in text
    assert MESSAGE.reasons[0] in plain
    assert "<b>" not in html
    assert "“&lt;b&gt;&amp;" in html
    assert (email["Importance"], email["Auto-Submitted"]) == ("high", "auto-generated")
    assert email["Date"].datetime == MESSAGE.sent_at


def test_mails_about_one_incident_are_one_thread() -> None:
    with mail_server() as mailbox:
        channel = channel_to(mailbox)
        first, third = channel.email(MESSAGE), channel.email(FOLLOW_UP)
    second_id = channel.email(MESSAGE.model_copy(update={"number": 2}))["Message-ID"]

    assert third["Subject"] == f"Re: {first['Subject']}"
    assert third["References"].split() == [first["Message-ID"], second_id]
    assert third["In-Reply-To"] == second_id
    assert third["Importance"] == "normal"


def test_recipients_have_threads_of_their_own_and_do_not_see_each_other() -> None:
    with mail_server() as mailbox:
        for recipient in ("a@example.org", "b@example.org"):
            channel_to(mailbox, recipient).send(MESSAGE)

    emails = [received.email for received in mailbox.received]
    assert [email["To"] for email in emails] == ["a@example.org", "b@example.org"]
    assert emails[0]["Message-ID"] != emails[1]["Message-ID"]
    assert "b@example.org" not in emails[0].as_string()


def test_recipient_of_one_model_hears_of_no_other() -> None:
    server = MailServer(host=HOST, sender="kilowise@example.org")

    assert MailChannel(server, "a@example.org").takes("segmentation")
    assert not MailChannel(server, "a@example.org", ("credit_risk",)).takes("segmentation")
