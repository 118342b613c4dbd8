"""Which channels the settings name, and that a broken one is said before anything is sent."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from monitoring.channels import MailChannel
from orchestration.alerting import alert_channels, recipients
from orchestration.settings import PlatformSettings

MAIL: dict[str, Any] = {
    "alert_email_to": {"all": ("ops@example.org",), "credit_risk": ("credit@example.org",)},
    "alert_email_from": "kilowise@example.org",
    "alert_smtp_host": "mail.example.org",
}


def settings(**choices: Any) -> PlatformSettings:
    return PlatformSettings(_env_file=None, **choices)  # type: ignore[call-arg]  # pydantic-settings' own


def test_log_is_always_told() -> None:
    assert [channel.name for channel in alert_channels(settings())] == ["log"]


def test_settings_name_the_channels() -> None:
    channels = alert_channels(settings(alert_webhook_url="https://alerts.example/kilowise", **MAIL))

    assert [channel.name for channel in channels] == [
        "log",
        "webhook",
        "email:ops@example.org",
        "email:credit@example.org",
    ]
    assert [channel.takes("segmentation") for channel in channels] == [True, True, True, False]


def test_mail_server_is_as_the_settings_say(tmp_path: Path) -> None:
    password = tmp_path / "password"
    login = {"alert_smtp_user": "kilowise", "alert_smtp_password_file": password}
    channel = alert_channels(settings(**MAIL, **login, alert_smtp_port=465, alert_smtp_security="tls"))[-1]

    assert isinstance(channel, MailChannel)
    server = channel.server
    assert (server.host, server.port, server.security, server.sender) == (
        "mail.example.org",
        465,
        "tls",
        "kilowise@example.org",
    )
    assert (server.user, server.password_file) == ("kilowise", password)


def test_address_that_stands_twice_hears_once() -> None:
    by_use_case = {"credit_risk": ("a", "b"), "all": ("a",), "segmentation": ("b",)}

    assert recipients(by_use_case) == {"a": (), "b": ("credit_risk", "segmentation")}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"alert_smtp_host": None}, "set alert_smtp_host, the mail server, too"),
        ({"alert_email_from": ""}, "set alert_email_from, the sender, too"),
        ({"alert_email_from": "kilowise"}, "'kilowise' is no e-mail address"),
        ({"alert_email_to": {"all": ("a@b\nBcc: c@d",)}}, "is no e-mail address"),
        ({"alert_email_to": {"credit": ("a@b.org",)}}, "'credit' is no use case; there are: all, segmentation"),
        ({"alert_smtp_user": "kilowise"}, "alert_smtp_user and alert_smtp_password_file belong together"),
        (
            {"alert_smtp_user": "k", "alert_smtp_password_file": "/p", "alert_smtp_security": "none"},
            "would send the password in the clear",
        ),
    ],
)
def test_mail_that_cannot_be_sent_is_refused_at_the_start(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        settings(**{**MAIL, **change})


def test_address_of_the_webhook_is_not_shown_with_the_settings() -> None:
    assert "geheim" not in repr(settings(alert_webhook_url="https://alerts.example/hook?token=geheim"))
