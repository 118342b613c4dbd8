"""A real SMTP server on the loopback interface that keeps what it is sent and refuses what it is told to."""

import base64
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Received:
    """One e-mail that the server took.

    Attributes:
        recipients: Addresses of the envelope.
        email: The e-mail.
        was_encrypted: Whether it came over TLS.
        user: Who was logged in; empty if nobody.
    """

    recipients: tuple[str, ...]
    email: EmailMessage
    was_encrypted: bool
    user: str


@dataclass
class Mailbox:
    """What the server does and what it got.

    Attributes:
        port: Where it listens.
        certificate: Its certificate, which a client must trust; None if it does not encrypt.
        password: What a user must give; empty if nobody need log in.
        refused: Addresses that it refuses, with the code of the answer.
        greeting: Code with which it greets.
        received: What it took.
        connections: How often somebody connected.
    """

    port: int = 0
    certificate: Path | None = None
    password: str = ""
    refused: dict[str, int] = field(default_factory=dict)
    greeting: int = 220
    received: list[Received] = field(default_factory=list)
    connections: int = 0


class _Session(socketserver.StreamRequestHandler):
    mailbox: Mailbox
    context: ssl.SSLContext | None
    is_encrypted_at_once: bool

    def setup(self) -> None:
        self._encrypted = self.is_encrypted_at_once
        if self._encrypted and self.context:
            self.request = self.context.wrap_socket(self.request, server_side=True)
        super().setup()
        self._user, self._recipients = "", []

    def handle(self) -> None:
        self.mailbox.connections += 1
        self._answer(f"{self.mailbox.greeting} ready")
        while line := self.rfile.readline().decode().strip():
            verb, _, rest = line.partition(" ")
            if verb.upper() == "QUIT":
                self._answer("221 bye")
                return
            getattr(self, f"_on_{verb.lower()}", self._on_unknown)(rest)

    def finish(self) -> None:
        super().finish()
        # Encrypting detached the socket that the server would close.
        self.connection.close()

    def _answer(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    def _on_unknown(self, _rest: str) -> None:
        self._answer("502 not implemented")

    def _on_ehlo(self, _rest: str) -> None:
        offers = ["STARTTLS"] if self.context and not self._encrypted else []
        offers += ["AUTH PLAIN"] if self.mailbox.password else []
        lines = ["kilowise.test", *offers, "8BITMIME"]
        self._answer(*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}")

    def _on_starttls(self, _rest: str) -> None:
        assert self.context is not None
        self._answer("220 go on")
        self.connection = self.context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self._encrypted = True

    def _on_auth(self, rest: str) -> None:
        _, user, password = base64.b64decode(rest.partition(" ")[2]).decode().split("\0")
        if password != self.mailbox.password:
            self._answer("535 wrong password")
            return
        self._user = user
        self._answer("235 welcome")

    def _on_mail(self, _rest: str) -> None:
        self._recipients = []
        self._answer("530 log in first" if self.mailbox.password and not self._user else "250 ok")

    def _on_rcpt(self, rest: str) -> None:
        address = rest.partition("<")[2].partition(">")[0]
        if code := self.mailbox.refused.get(address):
            self._answer(f"{code} no mailbox {address}")
            return
        self._recipients.append(address)
        self._answer("250 ok")

    def _on_rset(self, _rest: str) -> None:
        self._answer("250 ok")

    def _on_data(self, _rest: str) -> None:
        self._answer("354 go on")
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        email = message_from_bytes(b"".join(lines), policy=policy.default)
        self.mailbox.received.append(Received(tuple(self._recipients), email, self._encrypted, self._user))
        self._answer("250 taken")


class _Server(socketserver.ThreadingTCPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that hang up: some tests are about that."""


@contextmanager
def mail_server(certificate: Path | None = None, *, is_encrypted_at_once: bool = False) -> Iterator[Mailbox]:
    """Run a server; with a certificate (file with key and certificate) it encrypts, at once or on STARTTLS."""
    mailbox = Mailbox(certificate=certificate)
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    session = type(
        "Session",
        (_Session,),
        {"mailbox": mailbox, "context": context, "is_encrypted_at_once": is_encrypted_at_once},
    )
    with _Server((HOST, 0), session) as server:
        mailbox.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield mailbox
        finally:
            server.shutdown()
            thread.join()


def write_certificate(path: Path) -> Path:
    """Write a key and a certificate for the loopback address that nobody signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Kilowise test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
