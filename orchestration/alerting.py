"""Who is told about incidents: the channels that the settings name. What is told is in ``monitoring``."""

from typing import TYPE_CHECKING

from orchestration.settings import EVERY_MODEL, PlatformSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitoring.alerts import Channel, DeliveryReport


def alert_channels(settings: PlatformSettings) -> "Sequence[Channel]":
    """Return the ways to reach people: always the log, and what the settings name."""
    from monitoring.channels import LogChannel, MailChannel, MailServer, WebhookChannel

    channels: list[Channel] = [LogChannel()]
    if settings.alert_webhook_url:
        channels.append(WebhookChannel(str(settings.alert_webhook_url)))
    if settings.alert_smtp_host:
        server = MailServer(
            host=settings.alert_smtp_host,
            port=settings.alert_smtp_port,
            security=settings.alert_smtp_security,
            user=settings.alert_smtp_user,
            password_file=settings.alert_smtp_password_file,
            ca_file=settings.alert_smtp_ca_file,
            sender=settings.alert_email_from,
        )
        channels += [
            MailChannel(server, recipient, use_cases)
            for recipient, use_cases in recipients(settings.alert_email_to).items()
        ]
    return channels


def recipients(addresses_by_use_case: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Return the use cases that each address hears of, none meaning all; an address that stands twice hears once."""
    everything = addresses_by_use_case.get(EVERY_MODEL, ())
    chosen: dict[str, tuple[str, ...]] = dict.fromkeys(everything, ())
    for use_case, addresses in addresses_by_use_case.items():
        for address in addresses:
            if address not in everything:
                chosen[address] = (*chosen.get(address, ()), use_case)
    return chosen


def tell_people(settings: PlatformSettings) -> "DeliveryReport":
    """Bring the incidents up to date with verdicts and silences, and tell every channel what it does not know yet."""
    from monitoring.alerts import deliver
    from monitoring.incidents import renew_incidents

    renew_incidents(settings.reports_dir)
    return deliver(settings.reports_dir, alert_channels(settings), settings.reports_url)
