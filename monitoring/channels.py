"""Ways to reach people: the log, a webhook, and e-mail."""

import hashlib
import logging
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ml.stored_words import in_chinese
from monitoring.alerts import AlertMessage, DeliveryError
from monitoring.verdicts import USE_CASE_TITLES

if TYPE_CHECKING:
    from jinja2 import Environment

logger = logging.getLogger(__name__)
# It would write every address that is posted to, and so the secret in it.
logging.getLogger("httpx").setLevel(logging.WARNING)

_WEBHOOK_TIMEOUT_SECONDS = 5.0
_MAIL_TIMEOUT_SECONDS = 10.0
_TEMPLATE_DIRECTORY = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class LogChannel:
    """Writes a line: a warning while something is wrong, else a note."""

    name: str = "log"

    @property
    def way(self) -> str:
        """The log fails with nothing else."""
        return self.name

    def takes(self, use_case: str) -> bool:  # noqa: ARG002 (a channel's signature)
        """Every model."""
        return True

    def send(self, message: AlertMessage) -> None:
        """Write the line."""
        level = logging.INFO if message.kind == "closed" else logging.WARNING
        logger.log(level, "%s. %s", message.title, " ".join((message.sentence, *message.reasons[:1])))


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    """Posts the message as JSON.

    The header ``Idempotency-Key`` is the ``message_id``. An answer of 2xx takes the message; a redirect does not, since
    following it would turn the message into a GET.

    Attributes:
        url: Where to; it may hold a secret, so that no log or error repeats it.
    """

    url: str = field(repr=False)
    name: str = "webhook"

    @property
    def way(self) -> str:
        """One receiver."""
        return self.name

    def takes(self, use_case: str) -> bool:  # noqa: ARG002 (a channel's signature)
        """Every model: the message names it."""
        return True

    def send(self, message: AlertMessage) -> None:
        """Post it.

        Raises:
            DeliveryError: If it was not answered by 2xx.
        """
        import httpx

        headers = {"Content-Type": "application/json", "Idempotency-Key": message.message_id, "User-Agent": "kilowise"}
        try:
            answer = httpx.post(
                self.url, content=message.model_dump_json(), headers=headers, timeout=_WEBHOOK_TIMEOUT_SECONDS
            )
        except httpx.UnsupportedProtocol:
            raise DeliveryError("the address must begin with http:// or https://", may_pass=False) from None
        except httpx.HTTPError as error:
            raise DeliveryError(str(error) or type(error).__name__, may_pass=True) from None
        if answer.is_success:
            return
        if answer.is_redirect:
            raise DeliveryError(f"HTTP {answer.status_code}: the receiver has moved, set its address", may_pass=False)
        asked = answer.headers.get("Retry-After", "")
        raise DeliveryError(
            f"HTTP {answer.status_code}",
            may_pass=answer.status_code >= 500 or answer.status_code in (408, 425, 429),
            retry_after_seconds=float(asked) if asked.isdecimal() else None,
        )


@dataclass(frozen=True, slots=True)
class MailServer:
    """The SMTP server that takes our mail.

    Attributes:
        host: Its name, which its certificate must bear.
        sender: Address in From.
        port: Its port.
        security: ``starttls`` begins in the clear and goes on encrypted or not at all, ``tls`` is encrypted from the
            first byte, ``none`` never.
        user: User to log in as; empty to send without a login.
        password_file: File with the password alone, read for every session, so that a new password needs no restart.
        ca_file: Certificates to trust instead of those of the system.
    """

    host: str
    sender: str
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None

    @contextmanager
    def session(self) -> Iterator[smtplib.SMTP]:
        """Connect, encrypt and log in; hang up at the end."""
        timeout = _MAIL_TIMEOUT_SECONDS
        if self.security == "tls":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=timeout, context=self._context())
        else:
            smtp = smtplib.SMTP(self.host, self.port, timeout=timeout)
        with smtp:
            if self.security == "starttls":
                smtp.starttls(context=self._context())
            if self.user and self.password_file:
                smtp.login(self.user, self.password_file.read_text(encoding="utf-8").strip())
            yield smtp

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)


@dataclass(frozen=True, slots=True)
class MailChannel:
    """Sends one recipient an e-mail; what belongs to one incident is one thread in the recipient's mailbox.

    Attributes:
        server: Server that takes the mail.
        recipient: Address of the recipient.
        use_cases: Models that the recipient hears of; empty for all.
    """

    server: MailServer
    recipient: str
    use_cases: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Each recipient is remembered alone, so that one who is refused takes nothing from the others."""
        return f"email:{self.recipient}"

    @property
    def way(self) -> str:
        """The server, which fails for all recipients at once."""
        return "email"

    def takes(self, use_case: str) -> bool:
        """Tell whether the recipient hears of a model."""
        return not self.use_cases or use_case in self.use_cases

    def send(self, message: AlertMessage) -> None:
        """Hand the e-mail over to the server.

        Raises:
            DeliveryError: If the server does not take it.
        """
        try:
            with self.server.session() as smtp:
                smtp.send_message(self.email(message))
        except (smtplib.SMTPException, OSError) as error:
            raise _mail_error(error) from None

    def email(self, message: AlertMessage) -> EmailMessage:
        """Return the message as an e-mail with a plain and an HTML part, each in English and Chinese."""
        model, model_zh = USE_CASE_TITLES[message.use_case]
        since = f"{message.since_month:%Y-%m}"
        # Mail programs make a thread only of equal subjects, so what changes stands in the first line of the text.
        subject = f"Kilowise: {model}, incident since {since} / {model_zh}，{since} 起的事件"
        email = EmailMessage()
        email["From"] = self.server.sender
        email["To"] = self.recipient
        email["Date"] = message.sent_at
        email["Subject"] = subject if message.number == 1 else f"Re: {subject}"
        email["Message-ID"] = self._message_id(message.incident_id, message.number)
        if message.number > 1:
            earlier = [self._message_id(message.incident_id, number) for number in range(1, message.number)]
            email["In-Reply-To"] = earlier[-1]
            email["References"] = " ".join(earlier)
        # Keeps answering machines quiet (RFC 3834).
        email["Auto-Submitted"] = "auto-generated"
        email["Importance"] = "high" if message.outcome == "act" else "normal"
        email.set_content(_templates().get_template("alert.txt.j2").render(message=message))
        email.add_alternative(_templates().get_template("alert.html.j2").render(message=message), subtype="html")
        return email

    def _message_id(self, incident_id: str, number: int) -> str:
        domain = self.server.sender.rpartition("@")[2].rstrip(">")
        thread = hashlib.sha256(f"{incident_id} {self.recipient}".encode()).hexdigest()[:16]
        return f"<{incident_id}.{thread}.{number}@{domain}>"


def _mail_error(error: smtplib.SMTPException | OSError) -> DeliveryError:
    """Return what went wrong in words, without the recipient's address."""
    match error:
        case smtplib.SMTPRecipientsRefused():
            code = next((code for code, _ in error.recipients.values()), 550)
            problem = f"the mail server refused the recipient ({code})"
            return DeliveryError(problem, may_pass=code < 500, is_of_recipient=True)
        case smtplib.SMTPResponseException():
            text = error.smtp_error
            answer = text.decode(errors="replace") if isinstance(text, bytes) else text
            return DeliveryError(f"the mail server answered {error.smtp_code} {answer}", may_pass=error.smtp_code < 500)
        case smtplib.SMTPNotSupportedError():
            return DeliveryError(f"the mail server cannot do what is set: {error}", may_pass=False)
        case ssl.SSLCertVerificationError():
            return DeliveryError(f"the mail server's certificate is refused: {error.verify_message}", may_pass=False)
    return DeliveryError(f"{type(error).__name__}: {error}", may_pass=True)


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATE_DIRECTORY),
        autoescape=select_autoescape(enabled_extensions=("html.j2",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["in_chinese"] = in_chinese
    return environment
