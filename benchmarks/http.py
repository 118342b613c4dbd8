"""The API over HTTP: one credit score and a batch, against bare FastAPI with the same model and validation.

Both servers run one process on the first core, the load generator (wrk) on the second. They are measured in turns,
so that a slow minute of the machine slows both, and the medians count. Bodies are the features of customers of the
released snapshot, sent inline, because the peer has no snapshot; by id is shown beside it. The model is the one that
the main job released, in the state folder of this checkout or, without one, in a fresh one.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx
import orjson

from benchmarks import fastapi_peer
from benchmarks.harness import PROJECT_ROOT, Figure, Measurement, benchmark, run_measured
from serving.identity import customer_key
from serving.model_store import ModelStore
from serving.settings import ServingSettings

CONNECTIONS = (1, 16, 64)
ROUNDS = 5
SECONDS_PER_ROUND = 3
SINGLE_BODIES = 400
BATCH_SIZE = 1_000
BATCHES = 40
OVERLOAD_CONNECTIONS = 512
SCORE_PATH = "/v1/credit_risk/score"
LOAD_SCRIPT = Path(__file__).with_name("http_load.lua")
SERVER_CORE, CLIENT_CORE = "0", "1"


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw in one round."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    busy_count: int


@dataclass(frozen=True, slots=True)
class Server:
    """A running server and the address that scores."""

    name: str
    url: str


@benchmark(
    Figure("http_credit_vs_fastapi", unit="ratio", bar=0.5, better="higher"),
    Figure("http_credit_p99_ms", unit="ms", bar=15, better="lower"),
    Figure("http_batch_1000_ms", unit="ms", bar=100, better="lower"),
)
def http() -> Sequence[Measurement]:
    """Measure single scores at 1, 16 and 64 connections in turns with the peer, then batches and an overload.

    Raises:
        RuntimeError: If wrk is missing, an answer is neither a result nor 429, or the two servers answer differently.
    """
    if shutil.which("wrk") is None:
        raise RuntimeError("the HTTP figures need the load generator wrk: `apt-get install wrk`")
    with tempfile.TemporaryDirectory(prefix="kilowise-bench-") as folder, ExitStack() as servers:
        home = released_home(Path(folder))
        inline, by_id, batch = _write_bodies(home, Path(folder))
        ours = servers.enter_context(_kilowise(home))
        peer = servers.enter_context(_fastapi(home))
        _require_equal_answers(ours, peer, inline)
        print(
            f"{'single credit scores':28} {'connections':>11} {'requests/s':>11} {'p50 ms':>8} {'p99 ms':>8} {'429':>6}"
        )
        rounds: dict[tuple[str, int], list[Load]] = {}
        for connections in CONNECTIONS:
            for _ in range(ROUNDS):
                for server in (ours, peer):
                    rounds.setdefault((server.name, connections), []).append(_load(server, inline, connections))
            for server in (ours, peer):
                _print_line(f"{server.name}, inline features", connections, rounds[server.name, connections])
            _print_line(f"{ours.name}, by id", connections, [_load(ours, by_id, connections)])
        _print_line("Kilowise, overload", OVERLOAD_CONNECTIONS, [_load(ours, by_id, OVERLOAD_CONNECTIONS)])
        batch_ms = _batch_ms(ours, batch)
    at_16 = rounds[ours.name, 16], rounds[peer.name, 16]
    # Of neighbouring rounds, so that a change of the machine's speed halfway does not count.
    ratio = median(a.requests_per_second / b.requests_per_second for a, b in zip(*at_16, strict=True))
    return [
        Measurement(
            "http_credit_vs_fastapi",
            ratio,
            peer="bare FastAPI (requests/s)",
            peer_value=median(load.requests_per_second for load in at_16[1]),
            ratio=ratio,
        ),
        Measurement(
            "http_credit_p99_ms",
            median(load.p99_ms for load in at_16[0]),
            peer="bare FastAPI (p99, ms)",
            peer_value=median(load.p99_ms for load in at_16[1]),
        ),
        Measurement("http_batch_1000_ms", batch_ms, rows=BATCH_SIZE),
    ]


def released_home(folder: Path) -> Path:
    """Return a copy of the state folder's releases, made by the main job when there are none yet."""
    source = ServingSettings().home
    home = folder / "home"
    if ModelStore(source).current_name("credit_risk") is None:
        run = run_measured(
            [sys.executable, "-m", "orchestration", "run"],
            cwd=PROJECT_ROOT,
            env={**os.environ, "KILOWISE_HOME": str(home)},
        )
        if run.return_code != 0:
            raise RuntimeError(f"the main job failed:\n{run.output[-4000:]}")
        return home
    for part in ("releases", "models"):
        shutil.copytree(source / part, home / part)
    return home


def _write_bodies(home: Path, folder: Path) -> tuple[Path, Path, Path]:
    """Write the bodies of each kind, one per line: inline features, ids, and one batch of ids."""
    store = ModelStore(home)
    manifest = store.current_release("credit_risk")
    assert manifest is not None
    snapshot = store.open_snapshot(manifest)
    pseudonym_key = ServingSettings().pseudonym_key.get_secret_value().encode()
    known = {}
    for number in range(1, 2 * BATCH_SIZE + 1):
        customer_id = f"C{number:07d}"
        row = snapshot.get(customer_key(customer_id, pseudonym_key))
        if row is not None:
            known[customer_id] = row.features
    ids = list(known)[:SINGLE_BODIES]
    # A small supplier has fewer customers than a batch has entries.
    batch = (list(known) * (BATCH_SIZE // len(known) + 1))[:BATCH_SIZE]
    bodies: dict[str, list[dict[str, object]]] = {
        "inline": [{"features": known[customer_id]} for customer_id in ids],
        "by_id": [{"customer_id": customer_id} for customer_id in ids],
        "batch": [{"customer_ids": batch}],
    }
    for name, lines in bodies.items():
        (folder / name).write_bytes(b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines))
    return folder / "inline", folder / "by_id", folder / "batch"


@contextmanager
def _kilowise(home: Path) -> Iterator[Server]:
    port = _free_port()
    with _running(["serving"], home, port, ready="/readyz"):
        yield Server("Kilowise", f"http://127.0.0.1:{port}{SCORE_PATH}")


@contextmanager
def _fastapi(home: Path) -> Iterator[Server]:
    port = _free_port()
    arguments = ["benchmarks.fastapi_peer", "--home", str(home), "--port", str(port)]
    with _running(arguments, home, port, ready="/openapi.json"):
        yield Server("FastAPI", f"http://127.0.0.1:{port}{fastapi_peer.PATH}")


@contextmanager
def _running(module: Sequence[str], home: Path, port: int, *, ready: str) -> Iterator[None]:
    with (home.parent / f"{module[0]}.log").open("wb") as log:
        process = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE, sys.executable, "-m", *module],
            cwd=PROJECT_ROOT,
            env={**os.environ, "KILOWISE_HOME": str(home), "KILOWISE_PORT": str(port), "OMP_NUM_THREADS": "1"},
            stdout=log,
            stderr=log,
        )
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}{ready}", process)
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"no server answers at {url}")


def _require_equal_answers(ours: Server, peer: Server, bodies: Path) -> None:
    for body in bodies.read_bytes().splitlines()[:20]:
        answers = [httpx.post(s.url, content=body, headers={"Content-Type": "application/json"}) for s in (ours, peer)]
        if [answer.status_code for answer in answers] != [200, 200]:
            raise RuntimeError(f"a server refuses the benchmark's body: {[answer.text[:300] for answer in answers]}")
        if answers[0].json()["result"]["prediction"] != answers[1].json()["prediction"]:
            raise RuntimeError("the two servers do not answer by the same model")


def _load(server: Server, bodies: Path, connections: int) -> Load:
    command = ["taskset", "-c", CLIENT_CORE, "wrk", "--threads", "1", "--connections", str(connections)]
    command += ["--duration", f"{SECONDS_PER_ROUND}s", "--timeout", "30s", "--script", str(LOAD_SCRIPT), server.url]
    finished = subprocess.run(
        command, env={**os.environ, "BODIES": str(bodies)}, capture_output=True, text=True, check=True
    )
    seen = json.loads(finished.stdout.splitlines()[-1])
    if seen["socket_errors"] or not set(seen["statuses"]) <= {"200", "429"}:
        raise RuntimeError(f"{server.name} answered {seen} at {connections} connections")
    busy_count = seen["statuses"].get("429", 0)
    return Load((seen["requests"] - busy_count) / seen["seconds"], seen["p50_ms"], seen["p99_ms"], busy_count)


def _batch_ms(server: Server, bodies: Path) -> float:
    """Return the median time of a batch, called one after the other."""
    content = bodies.read_bytes()
    seconds = []
    with httpx.Client(timeout=60, headers={"Content-Type": "application/json"}) as client:
        for _ in range(BATCHES):
            began = time.perf_counter()
            answer = client.post(server.url, content=content)
            seconds.append(time.perf_counter() - began)
            if answer.status_code != 200:
                raise RuntimeError(f"a batch was answered {answer.status_code}: {answer.text[:300]}")
    return median(seconds) * 1_000


def _print_line(name: str, connections: int, rounds: Sequence[Load]) -> None:
    rate, p50, p99 = (
        median(getattr(load, field) for load in rounds) for field in ("requests_per_second", "p50_ms", "p99_ms")
    )
    busy_count = sum(load.busy_count for load in rounds)
    print(f"{name:28} {connections:>11} {rate:>11,.0f} {p50:>8.2f} {p99:>8.2f} {busy_count:>6}", flush=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
