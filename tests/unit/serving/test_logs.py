import json
import logging
from collections.abc import Iterator

import pytest

from serving.logs import REQUEST_ID, LogFormat, configure_logging, log_request

CONFIGURED = ("serving", "bentoml", "uvicorn.error")


@pytest.fixture(autouse=True)
def loggers_as_before() -> Iterator[None]:
    before = [(logging.getLogger(name), vars(logging.getLogger(name)).copy()) for name in CONFIGURED]
    token = REQUEST_ID.set(None)
    yield
    REQUEST_ID.reset(token)
    for logger, state in before:
        vars(logger).update(state)


def crash(message: str) -> None:
    raise ValueError(message)


def test_a_json_line_holds_level_logger_message_and_the_request(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json")
    REQUEST_ID.set("r1")

    logging.getLogger("serving.release_board").warning("release %s is refused", "0002")

    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["logger"]) == ("warning", "serving.release_board")
    assert line["message"] == "release 0002 is refused"
    assert line["request_id"] == "r1"
    assert line["at"].endswith("Z")


def test_outside_a_request_a_line_names_none(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json")

    logging.getLogger("serving").info("started")

    assert "request_id" not in json.loads(capsys.readouterr().err)


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("logger", CONFIGURED)
def test_a_crash_says_where_and_not_what_a_caller_sent(
    capsys: pytest.CaptureFixture[str], log_format: LogFormat, logger: str
) -> None:
    configure_logging(log_format)

    try:
        crash("customer C0000001 has no such thing")
    except ValueError:
        logging.getLogger(logger).exception("crashed")

    printed = capsys.readouterr().err
    assert "C0000001" not in printed
    assert "builtins.ValueError" in printed
    assert "test_logs.py" in printed


def test_the_request_line_has_the_template_of_the_route(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json")
    REQUEST_ID.set("r2")

    log_request(method="GET", route="/v1/customers/{customer_id}", status=200, seconds=0.01234, caller="crm")

    line = json.loads(capsys.readouterr().err)
    assert line["route"] == "/v1/customers/{customer_id}"
    assert (line["method"], line["status"], line["milliseconds"]) == ("GET", 200, 12.34)
    assert (line["caller"], line["request_id"]) == ("crm", "r2")


def test_text_lines_say_the_same_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("text")
    REQUEST_ID.set("r3")

    log_request(method="GET", route="/v1/releases", status=200, seconds=0.001, caller=None)

    line = capsys.readouterr().err
    assert "[INFO] [serving.requests] request method=GET route=/v1/releases status=200 milliseconds=1.0" in line
    assert line.endswith("request_id=r3\n")
