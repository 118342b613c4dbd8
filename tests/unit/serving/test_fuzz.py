"""Whatever a caller sends, the server answers, and never with a fault of its own."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from serving import schemas
from serving.app import build_app
from serving.runtime import Runtime
from serving.settings import ServingSettings
from tests.unit.serving.asgi import Answer, call, run
from tests.unit.serving.builders import customer_id

BODIES_COUNT = 10_000
ROUTES = {
    "/v1/segmentation/assign": schemas.SEGMENTATION_EXAMPLE,
    "/v1/tariff_matching/recommend": schemas.TARIFF_MATCHING_EXAMPLE,
    "/v1/credit_risk/score": schemas.CREDIT_RISK_EXAMPLE,
}
ERASED = customer_id(29)
IDS = [customer_id(1), ERASED, "nobody", "", "x" * 129, "户号 0001-Ä", "a\n", "\u202e", "\x00", "../../etc/passwd"]
NUMBERS = [0, -0.0, -1, 1e-320, 1e308, -1e308, 10**30, -(10**400), 2**63, 0.1 + 0.2, float("nan"), float("inf")]
ODD: list[Any] = [
    *IDS,
    *NUMBERS,
    None,
    True,
    "12",
    "12 kWh",
    "1990-01-01",
    [],
    {},
    [[]],
    [None],
    {"value": 1, "unit": "MWh"},
    "\U0001f600",
    "' OR 1=1 --",
]
UNITS = ["annual_mwh", "annual_kwh ", "ANNUAL_KWH", "peak_w", "kwh", "__proto__", "protected_attribute"]


@pytest.fixture(scope="module")
def app(complete_home: Path) -> Iterator[FastAPI]:
    runtime = Runtime(ServingSettings(home=complete_home, log_predictions=False, max_batch_items=50))
    runtime.start()
    app = build_app()
    app.state.runtime = runtime
    yield app
    runtime.stop()


def nested(generator: random.Random, depth: int) -> Any:
    opening = generator.choice(["[", '{"features":', '{"items":['])
    return json.loads("[" * depth + "]" * depth) if opening == "[" else {"features": nested_objects(depth)}


def nested_objects(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(depth):
        inner = {"features": inner}
    return inner


def wrong_values(generator: random.Random, example: dict[str, Any]) -> dict[str, Any]:
    features = dict(example)
    for _ in range(generator.randint(1, 4)):
        features[generator.choice(list(features))] = generator.choice(ODD)
    return {"features": features}


def unknown_fields(generator: random.Random, example: dict[str, Any]) -> dict[str, Any]:
    return {"features": {**example, generator.choice(UNITS): generator.choice(ODD)}}


def odd_customers(generator: random.Random, example: dict[str, Any]) -> dict[str, Any]:
    kind = generator.choice(["customer_id", "customer_ids", "items", "features", "raw", "both"])
    if kind == "customer_ids":
        return {kind: generator.choices([*IDS[:3], generator.choice(ODD)], k=generator.randint(0, 5))}
    if kind == "items":
        items = [{"customer_id": generator.choice(IDS)}, {"features": example}, generator.choice(ODD), {"raw": {}}]
        return {kind: generator.choices(items, k=generator.randint(0, 3))}
    if kind == "both":
        return {"customer_id": generator.choice(IDS), "features": generator.choice(ODD)}
    return {kind: generator.choice(ODD)}


def raw_rows(generator: random.Random, _example: dict[str, Any]) -> dict[str, Any]:
    entities = ["customer", "meters", "meter_readings", "bills", "payments", "service_contacts", "no_such_entity"]
    row = {generator.choice(["bill_id", "kwh", "amount", "unit"]): generator.choice(ODD)}
    return {"raw": {generator.choice(entities): generator.choice([row, [row], *ODD])}}


def other_shapes(generator: random.Random, _example: dict[str, Any]) -> Any:
    return nested(generator, generator.choice([1, 10, 150])) if generator.random() < 0.3 else generator.choice(ODD)


def fuzzed_bodies(count: int) -> Iterator[tuple[str, bytes]]:
    """Yield paths and bodies: wrong values, fields, customers and shapes, a quarter of them broken afterwards."""
    generator = random.Random(20261122)
    kinds = [wrong_values, unknown_fields, odd_customers, raw_rows, other_shapes]
    for _ in range(count):
        path = generator.choice(list(ROUTES))
        content = bytearray(json.dumps(generator.choice(kinds)(generator, ROUTES[path])).encode())
        if generator.random() < 0.25:
            for _ in range(generator.randint(1, 4)):
                content[generator.randrange(len(content))] = generator.randrange(256)
            content = content[: generator.randint(0, len(content))]
        yield path, bytes(content)


def test_ten_thousand_fuzzed_bodies_make_no_server_error(app: FastAPI) -> None:
    statuses: Counter[int] = Counter()
    faults: list[tuple[str, bytes, Answer]] = []

    async def send_all() -> None:
        for path, content in fuzzed_bodies(BODIES_COUNT):
            answer = await call(app, path, content, headers={"Content-Type": "application/json"})
            statuses[answer.status] += 1
            if answer.status >= 500:
                faults.append((path, content[:500], answer))
            elif answer.status != 200:
                assert json.loads(answer.body).keys() == schemas.Problem.model_fields.keys()

    run(send_all())

    assert faults == []
    # 409: raw data, for which the releases of these tests hold no definitions.
    assert set(statuses) == {200, 400, 404, 409, 422}
    assert statuses.total() == BODIES_COUNT


@pytest.mark.parametrize(
    ("content", "statuses"),
    [
        (b" " * 10_000_000, {413}),
        (b'{"customer_ids": ["' + b"a" * 10_000_000 + b'"]}', {413}),
        (b"[" * 3_000_000, {400}),
        (b'{"features": {"annual_kwh": ' + b"9" * 3_000_000 + b"}}", {400, 422}),
        (b'{"customer_id": "' + b"\xff" * 3_000_000 + b'"}', {400}),
        (b'{"items": [' + b'{"customer_id": "a"},' * 150_000 + b'{"customer_id": "a"}]}', {422}),
        (b'{"features": {' + b",".join(b'"f%d": 1' % number for number in range(200_000)) + b"}}", {422}),
    ],
    ids=["blanks", "long id", "deep", "digits", "invalid utf-8", "many items", "many fields"],
)
@pytest.mark.parametrize("in_pieces", [False, True], ids=["declared", "in pieces"])
def test_large_bodies_are_refused(app: FastAPI, content: bytes, statuses: set[int], in_pieces: bool) -> None:
    headers = {"Content-Type": "application/json"}
    pieces = [content[start : start + 65_536] for start in range(0, len(content), 65_536)]
    if not in_pieces:
        headers["Content-Length"] = str(len(content))

    answer: Answer = run(call(app, "/v1/segmentation/assign", pieces, headers=headers))

    assert answer.status in statuses
    assert len(answer.body) < 1_000


def test_an_erased_customer_is_as_unknown_as_a_stranger(app: FastAPI) -> None:
    for path in ROUTES:
        erased, stranger = (
            json.loads(
                run(
                    call(
                        app,
                        path,
                        json.dumps({"customer_id": one}).encode(),
                        headers={"Content-Type": "application/json"},
                    )
                ).body
            )
            for one in (ERASED, "nobody")
        )
        assert erased["type"] == "unknown_customer"
        assert {**erased, "request_id": ""} == {**stranger, "request_id": ""}


def test_fuzzed_lines_are_each_answered(app: FastAPI) -> None:
    lines = [content.replace(b"\n", b" ") for path, content in fuzzed_bodies(600) if path.endswith("score")]

    answer: Answer = run(
        call(app, "/v1/credit_risk/score", b"\n".join(lines), headers={"Content-Type": "application/x-ndjson"})
    )

    answered = [json.loads(line) for line in answer.body.splitlines()]
    assert answer.status == 200
    assert answered[-1]["summary"]["lines_count"] == len(answered) - 1 == sum(bool(line.strip()) for line in lines)
    assert answered[-1]["summary"]["errors_count"] > 0


@pytest.mark.parametrize("name", ["Kilowise-Release", "Idempotency-Key", "Content-Type", "Accept", "If-None-Match"])
@pytest.mark.parametrize("value", ["", " ", '"', "\x7f", "é" * 300, "*", "a" * 9_000, "../../x", "0001-x", "a;b=c;d"])
def test_odd_headers_are_refused_or_do_no_harm(app: FastAPI, name: str, value: str) -> None:
    headers = {"Content-Type": "application/json", name: value}

    answers = [
        run(call(app, "/v1/credit_risk/score", b'{"customer_id": "C0000001"}', headers=headers)),
        run(call(app, "/v1/releases", method="GET", headers=headers)),
    ]

    assert all(answer.status < 500 for answer in answers)
