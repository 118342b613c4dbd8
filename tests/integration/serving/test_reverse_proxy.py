"""nginx as it is to stand in front of everything: the kept configuration, started for real on loopback.

Behind it stand the API itself and, for the pages, a small application that says what reached it.
"""

import asyncio
import base64
import datetime
import getpass
import ipaddress
import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from serving.api_keys import Allowance, add_key
from serving.app import build_app
from serving.runtime import Runtime
from serving.settings import ServingSettings
from tests.unit.serving.builders import customer_id, publish

CONF_DIR = Path(__file__).resolve().parents[3] / "deploy" / "nginx"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
DOMAIN = "kilowise.test"
PERSON = ("ada", "correct horse")
CREDIT = "/v1/credit_risk/score"

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed; install it to test the reverse proxy")


@dataclass
class Proxy:
    """A running nginx and how to call it."""

    http_port: int
    https_port: int
    key: str
    folder: Path
    trusted: ssl.SSLContext

    def get(
        self, host: str, path: str = "/", *, method: str = "GET", tls: bool = True, **options: object
    ) -> httpx.Response:
        """Call a host of the proxy, whatever the name server says of it."""
        scheme, port = ("https", self.https_port) if tls else ("http", self.http_port)
        headers = {"Host": f"{host}.{DOMAIN}", **(options.pop("headers", None) or {})}  # type: ignore[dict-item]
        with httpx.Client(verify=self.trusted) as client:
            return client.request(
                method,
                f"{scheme}://127.0.0.1:{port}{path}",
                headers=headers,
                extensions={"sni_hostname": f"{host}.{DOMAIN}"},
                **options,  # type: ignore[arg-type]
            )

    def logs(self) -> str:
        """Return all that nginx wrote, but for failed sign-ins of people."""
        paths = sorted(set(self.folder.glob("*.log")) - {self.folder / "kilowise_pages_error.log"})
        return "".join(path.read_text() for path in paths)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def certificate(folder: Path) -> None:
    """Write a certificate of our own for the host names of the proxy."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, DOMAIN)])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName(f"*.{DOMAIN}"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    signed = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now, now.replace(year=now.year + 1)
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


async def page(scope: dict, receive: Callable, send: Callable) -> None:
    """Stand in for Dagster, the reports and Evidently, and for oauth2-proxy, which lets in who has a cookie."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept", "subprotocol": (scope["subprotocols"] or [None])[0]})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": f"echo {message['text']}"})
        return
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    status = 202 if "session=" in headers.get("cookie", "") else 401
    if not scope["path"].startswith("/oauth2/auth"):
        status = 200
    body = "\n".join(f"{name}: {value}" for name, value in headers.items()).encode()
    await send({"type": "http.response.start", "status": status, "headers": [(b"server", b"Inner/1.0")]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[[object], int]]:
    """Start applications on ports of their own."""
    running: list[tuple[uvicorn.Server, threading.Thread, socket.socket]] = []

    def start(application: object) -> int:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(application, log_config=None, lifespan="off", server_header=False))  # type: ignore[arg-type]
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
        thread.start()
        running.append((server, thread, listener))
        return int(listener.getsockname()[1])

    yield start
    for server, thread, listener in running:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, serve: Callable[[object], int]) -> Iterator[Proxy]:
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("nginx")
    settings = ServingSettings(home=home, log_predictions=False, _env_file=None)
    key = add_key(
        settings.api_keys_path,
        "shop",
        ["credit_risk"],
        now=datetime.datetime.now(datetime.UTC),
        allowance=Allowance(1_000, 1_000, None),
    )
    runtime = Runtime(settings)
    publish(runtime.board._store, tmp_path_factory.mktemp("work"), "credit_risk")
    runtime.start()
    api = build_app()
    api.state.runtime = runtime
    pages_port = serve(page)
    certificate(folder)
    proxy = start_nginx(
        folder,
        sign_in=(CONF_DIR / "sign_in_password.conf").read_text(),
        api_port=serve(api),
        pages_port=pages_port,
        key=key,
    )
    yield proxy
    stop_nginx(folder)
    runtime.stop()


def start_nginx(folder: Path, *, sign_in: str, api_port: int, pages_port: int, key: str) -> Proxy:
    """Fill in the kept configuration and start nginx with it."""
    (folder / "htpasswd").write_text(f"{PERSON[0]}:{{PLAIN}}{PERSON[1]}\n")
    (folder / "sign_in.conf").write_text(
        sign_in.replace("/etc/kilowise/htpasswd", str(folder / "htpasswd")).replace(
            "127.0.0.1:4180", f"127.0.0.1:{pages_port}"
        )
    )
    http_port, https_port = free_port(), free_port()
    values = {
        "KILOWISE_DOMAIN": DOMAIN,
        "KILOWISE_TLS_CERTIFICATE": folder / "cert.pem",
        "KILOWISE_TLS_KEY": folder / "key.pem",
        "KILOWISE_SIGN_IN": folder / "sign_in.conf",
        "KILOWISE_PAGES_CONF": CONF_DIR / "pages.conf",
        "KILOWISE_LOG_DIR": folder,
        "KILOWISE_HTTP_LISTEN": f"127.0.0.1:{http_port}",
        "KILOWISE_HTTPS_LISTEN": f"127.0.0.1:{https_port}",
        "KILOWISE_API_ADDRESS": f"127.0.0.1:{api_port}",
        **{f"KILOWISE_{name}_ADDRESS": f"127.0.0.1:{pages_port}" for name in ("DAGSTER", "REPORTS", "WORKSPACE")},
    }
    template = (CONF_DIR / "kilowise.conf.template").read_text()
    filled = re.sub(r"\$\{(KILOWISE_\w+)\}", lambda match: str(values[match[1]]), template)
    (folder / "kilowise.conf").write_text(filled)
    paths = "".join(
        f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"user {getpass.getuser()};\npid {folder}/nginx.pid;\nerror_log {folder}/error.log warn;\n"
        f"events {{ worker_connections 256; }}\nhttp {{\n{paths}include {folder}/kilowise.conf;\n}}\n"
    )
    subprocess.run(
        [str(NGINX), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")], check=True, timeout=20
    )
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", https_port)).close()
            break
        except OSError:
            time.sleep(0.01)
    return Proxy(http_port, https_port, key, folder, ssl.create_default_context(cafile=folder / "cert.pem"))


def stop_nginx(folder: Path) -> None:
    """End the nginx that was started here, by its own process file."""
    run_nginx(folder, "-s", "stop")


def run_nginx(folder: Path, *arguments: str) -> None:
    command = [str(NGINX), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log"), *arguments]
    subprocess.run(command, check=True, timeout=20)


def test_every_variable_of_the_template_is_explained_and_used() -> None:
    named = set(re.findall(r"\$\{(KILOWISE_\w+)\}", (CONF_DIR / "kilowise.conf.template").read_text()))
    given = set(re.findall(r"(?m)^(KILOWISE_\w+)=", (CONF_DIR / "proxy.env").read_text()))

    assert named == given


@pytest.mark.parametrize("host", ["dagster", "reports", "workspace"])
def test_pages_ask_who_is_there(proxy: Proxy, host: str) -> None:
    assert proxy.get(host).status_code == 401
    assert proxy.get(host, auth=(PERSON[0], "wrong")).status_code == 401

    signed_in = proxy.get(host, "/any/page?x=1", auth=PERSON)

    assert signed_in.status_code == 200
    assert "authorization" not in signed_in.text
    assert signed_in.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert signed_in.headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in signed_in.headers["Content-Security-Policy"]
    assert signed_in.headers["Referrer-Policy"] == "same-origin"
    assert signed_in.headers["Server"] == "nginx"


def test_pages_over_http_lead_to_https(proxy: Proxy) -> None:
    answer = proxy.get("dagster", "/runs?x=1", tls=False)

    assert answer.status_code == 308
    assert answer.headers["Location"] == f"https://dagster.{DOMAIN}/runs?x=1"


def test_the_api_over_http_is_refused_and_not_redirected(proxy: Proxy) -> None:
    answer = proxy.get("api", CREDIT, tls=False, headers={"X-API-Key": proxy.key})

    assert answer.status_code == 403
    assert "HTTPS only" in answer.json()["title"]
    assert answer.json().keys() == {"type", "title", "detail", "field", "allowed", "request_id"}


def test_other_hosts_get_no_answer(proxy: Proxy) -> None:
    for tls in (True, False):
        with pytest.raises(httpx.TransportError):
            proxy.get("elsewhere", tls=tls)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_current_versions_of_tls_are_spoken(proxy: Proxy, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context(cafile=proxy.folder / "cert.pem")
    context.minimum_version = context.maximum_version = version

    with (
        socket.create_connection(("127.0.0.1", proxy.https_port)) as connection,
        context.wrap_socket(connection, server_hostname=f"api.{DOMAIN}") as secured,
    ):
        assert secured.version() == version.name.replace("_", ".")


def dagster_socket(proxy: Proxy, *, origin: str | None, password: str = PERSON[1]) -> str:
    """Open a web socket as Dagster's page does, and return what comes back."""
    credentials = base64.b64encode(f"{PERSON[0]}:{password}".encode()).decode()
    with (
        socket.create_connection(("127.0.0.1", proxy.https_port)) as connection,
        connect(
            f"wss://dagster.{DOMAIN}/graphql",
            sock=connection,
            ssl=proxy.trusted,
            origin=origin,  # type: ignore[arg-type]
            subprotocols=["graphql-transport-ws"],  # type: ignore[list-item]
            additional_headers={"Authorization": f"Basic {credentials}"},
        ) as web_socket,
    ):
        web_socket.send("subscribe")
        return str(web_socket.recv(timeout=10))


def test_graphql_subscriptions_pass(proxy: Proxy) -> None:
    assert dagster_socket(proxy, origin=f"https://dagster.{DOMAIN}") == "echo subscribe"


def test_web_sockets_without_sign_in_or_of_another_site_are_refused(proxy: Proxy) -> None:
    for origin, password, status in (
        (f"https://dagster.{DOMAIN}", "wrong", 401),
        ("https://elsewhere.example", PERSON[1], 403),
        (f"https://elsewhere.example/https://dagster.{DOMAIN}", PERSON[1], 403),
    ):
        with pytest.raises(InvalidStatus) as refused:
            dagster_socket(proxy, origin=origin, password=password)
        assert refused.value.response.status_code == status


@pytest.mark.parametrize("host", ["dagster", "workspace"])
def test_another_site_cannot_make_a_signed_in_person_act(proxy: Proxy, host: str) -> None:
    def post(origin: str | None) -> int:
        headers = {} if origin is None else {"Origin": origin}
        return proxy.get(host, "/graphql", method="POST", auth=PERSON, headers=headers).status_code

    assert post(f"https://{host}.{DOMAIN}") == 200
    assert post(None) == 200
    assert post("https://elsewhere.example") == 403
    assert post("null") == 403
    assert post(f"https://{host}.{DOMAIN}.elsewhere.example") == 403


def test_the_reports_can_only_be_read(proxy: Proxy) -> None:
    assert proxy.get("reports", method="POST", auth=PERSON).status_code == 403


def test_the_api_is_called_with_its_keys_and_needs_no_password(proxy: Proxy) -> None:
    with_key = proxy.get(
        "api", CREDIT, method="POST", json={"customer_id": customer_id(1)}, headers={"X-API-Key": proxy.key}
    )
    without = proxy.get("api", CREDIT, method="POST", json={"customer_id": customer_id(1)})

    assert [with_key.status_code, without.status_code] == [200, 401]
    for answer in (with_key, without):
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
        assert answer.headers.get_list("X-Content-Type-Options") == ["nosniff"]
        assert answer.headers["Server"] == "nginx"


def test_a_caller_cannot_claim_another_address(proxy: Proxy) -> None:
    claimed = {"X-Forwarded-For": "198.51.100.9", "X-API-Key": "guess"}

    proxy.get("api", "/v1/releases", headers=claimed)
    audit = proxy.folder.parent.glob("home*/audit/denied/*.jsonl")
    for _ in range(300):
        text = "".join(path.read_text() for path in audit)
        if "unknown_key" in text:
            break
        time.sleep(0.01)
        audit = proxy.folder.parent.glob("home*/audit/denied/*.jsonl")

    assert "unknown_key" in text
    assert "198.51.100" not in text


def test_metrics_stay_inside(proxy: Proxy) -> None:
    assert proxy.get("api", "/metrics", headers={"X-API-Key": proxy.key}).status_code == 404


def test_the_page_of_the_api_keeps_its_policy(proxy: Proxy) -> None:
    policies = proxy.get("api", "/docs").headers.get_list("Content-Security-Policy")

    assert len(policies) == 1
    assert "script-src 'sha256-" in policies[0]


def test_what_is_too_large_is_refused_in_the_one_shape_before_it_is_sent(proxy: Proxy) -> None:
    head = f"POST {CREDIT} HTTP/1.1\r\nHost: api.{DOMAIN}\r\nContent-Length: 100000000\r\nConnection: close\r\n\r\n"

    with (
        socket.create_connection(("127.0.0.1", proxy.https_port), timeout=10) as connection,
        proxy.trusted.wrap_socket(connection, server_hostname=f"api.{DOMAIN}") as secured,
    ):
        secured.sendall(head.encode())
        answer = secured.recv(65_536)
        while not answer.endswith(b"}"):
            answer += secured.recv(65_536)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["type"] == "body_too_large"


def test_the_logs_name_no_key_no_password_no_customer_and_no_address(proxy: Proxy) -> None:
    secret = {"X-API-Key": proxy.key}
    proxy.get("api", "/v1/customers/C0000042?name=Ada", headers=secret)
    proxy.get("api", "/v1/C0000042/x", headers=secret)
    proxy.get("dagster", "/C0000042?token=C0000042", auth=PERSON)
    time.sleep(0.05)

    logs = proxy.logs()

    assert "/v1/customers/{customer_id} " in logs
    assert " ada dagster." in logs
    for planted in ("C0000042", proxy.key, PERSON[1], "127.0.0.1", "name=Ada"):
        assert planted not in logs


def test_an_api_that_is_gone_is_503_in_the_one_shape(tmp_path: Path) -> None:
    certificate(tmp_path)
    sign_in = (CONF_DIR / "sign_in_password.conf").read_text()
    # Held and never listened on, so that nobody else can be there.
    with socket.socket() as gone:
        gone.bind(("127.0.0.1", 0))
        api_port = int(gone.getsockname()[1])
        proxy = start_nginx(tmp_path, sign_in=sign_in, api_port=api_port, pages_port=api_port, key="")
        try:
            answer = proxy.get("api", "/v1/customers/C0000042")
        finally:
            stop_nginx(tmp_path)

    assert answer.status_code == 503
    assert answer.json()["type"] == "unavailable"
    assert answer.headers["Retry-After"] == "5"
    assert "C0000042" not in proxy.logs()


def test_sign_in_may_be_left_to_an_identity_provider(tmp_path: Path, serve: Callable[[object], int]) -> None:
    certificate(tmp_path)
    sign_in = (CONF_DIR / "sign_in_oidc.conf").read_text()
    proxy = start_nginx(tmp_path, sign_in=sign_in, api_port=free_port(), pages_port=serve(page), key="")
    try:
        unknown = proxy.get("dagster", "/runs")
        known = proxy.get("dagster", "/runs", headers={"Cookie": "session=1"})
        start_page = proxy.get("dagster", "/oauth2/sign_in")
    finally:
        stop_nginx(tmp_path)

    assert unknown.status_code == 302
    assert unknown.headers["Location"].startswith(f"https://dagster.{DOMAIN}/oauth2/sign_in?rd=")
    assert [known.status_code, start_page.status_code] == [200, 200]
