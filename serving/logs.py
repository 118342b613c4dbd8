"""What the API says to its operator: one line per event, as text or as JSON, with the request that it belongs to.

No line holds a body, a customer's id, a key or a path as it was typed. That goes for crashes too: an exception is
written as its type and the lines of code it passed, without its message, which may quote what a caller sent.
"""

import logging
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal

import orjson

LogFormat = Literal["text", "json"]

REQUEST_ID: ContextVar[str | None] = ContextVar("kilowise_request_id", default=None)
"""The request that the current task answers; None outside requests."""

REQUEST_LOGGER_NAME = "serving.requests"
FIELDS = "kilowise_fields"
"""Name of the attribute of a log record that holds its structured fields."""

# Ours, and those of the server around us, which would print exceptions with their messages.
_LOGGER_LEVELS = {"serving": logging.INFO, "bentoml": logging.WARNING, "uvicorn.error": logging.WARNING}

_ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

_request_logger = logging.getLogger(REQUEST_LOGGER_NAME)


class TextFormatter(logging.Formatter):
    """One line for a person; an exception adds a line per frame."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s [%(levelname)s] [%(name)s] %(message)s", "%Y-%m-%dT%H:%M:%S%z")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the base class names it
        """Return the line, with the fields of the record and its request at the end."""
        fields = getattr(record, FIELDS, {})
        request_id = REQUEST_ID.get()
        known = {**fields, **({"request_id": request_id} if request_id is not None else {})}
        return " ".join([super().formatMessage(record), *(f"{name}={value}" for name, value in known.items())])

    def formatException(self, ei: _ExceptionInfo) -> str:  # noqa: N802  # the base class names it
        """Return type and frames of an exception."""
        return "\n".join([_exception_type(ei), *(f"  {frame}" for frame in _frames(ei))])


class JsonFormatter(logging.Formatter):
    """One JSON object per line: ``at``, ``level``, ``logger``, ``message``, then what the event and the request add."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
            **getattr(record, FIELDS, {}),
        }
        request_id = REQUEST_ID.get()
        if request_id is not None:
            line["request_id"] = request_id
        if record.exc_info:
            line["exception"] = _exception_type(record.exc_info)
            line["stack"] = _frames(record.exc_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_UTC_Z).decode()


def configure_logging(log_format: LogFormat) -> None:
    """Send the lines of this package and of the server around it to standard error, in one form."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    for name, level in _LOGGER_LEVELS.items():
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.handlers = [handler]
        logger.propagate = False


def log_request(*, method: str, route: str, status: int, seconds: float, caller: str | None) -> None:
    """Write one line about an answered request.

    Args:
        method: HTTP method.
        route: Template of the route, such as ``/v1/customers/{customer_id}``; never the path.
        status: HTTP status of the answer.
        seconds: Time until the last byte of the answer.
        caller: Name of the caller's key, when it is known.
    """
    fields = {
        "method": method,
        "route": route,
        "status": status,
        "milliseconds": round(seconds * 1000, 2),
        **({} if caller is None else {"caller": caller}),
    }
    _request_logger.info("request", extra={FIELDS: fields})


def _exception_type(info: _ExceptionInfo) -> str:
    return "" if info[0] is None else f"{info[0].__module__}.{info[0].__qualname__}"


def _frames(info: _ExceptionInfo) -> list[str]:
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(info[2])]
