"""What a person sees in the terminal while a run works: one line per step, and the messages of our assets."""

import logging
import re
import sys
import time

import dagster as dg

# Dagster and dagster-dbt log through the same logger as the assets; these lines of theirs help nobody at a terminal.
_FRAMEWORK_LINES = (
    "A dbt subsetted execution",
    "Copying `",
    "Dependencies for step",
    "Finished dbt command",
    "Running dbt command",
    "Skipping step",
    # The tests of models that were left out because nothing changed.
    "op 'dbt_models_after_scoring' did not yield",
)
_EVENT_ATTRIBUTE = "dagster_event"
# One clock for all jobs of a process: a main run is two of them, and a person reads one.
_STARTED_AT = time.monotonic()
_WRAPPERS = ("Dagster", "RetryRequested")
_OWN_ERROR = re.compile(r"^(ml|serving|monitoring|orchestration|dagster)(\.\w+)+: ")


class _ProgressHandler(logging.Handler):
    """Prints the start, the end and the own messages of each step; leaves out the framework's bookkeeping."""

    def __init__(self) -> None:
        super().__init__()
        self._step_started_at: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        meta = getattr(record, "dagster_meta", {}) or {}
        event = getattr(record, _EVENT_ATTRIBUTE, None) or meta.get(_EVENT_ATTRIBUTE)
        if event is None:
            message = str(meta.get("orig_message") or record.getMessage())
            if record.levelno >= logging.INFO and not message.startswith(_FRAMEWORK_LINES):
                self._write("  " + message)
            return
        kind, step = event.event_type_value, event.step_key or ""
        if kind == "STEP_START":
            self._step_started_at[step] = time.monotonic()
            self._write(f"> {_readable(step)}")
        elif kind == "STEP_SUCCESS":
            self._write(f"  done in {time.monotonic() - self._step_started_at.get(step, time.monotonic()):.1f} s")
        elif kind == "STEP_FAILURE":
            self._write(f"! {_readable(step)} {failure_sentence(event)}")
        elif kind == "STEP_SKIPPED":
            self._write(f"- {_readable(step)} skipped")

    def _write(self, line: str) -> None:
        sys.stderr.write(f"[{time.monotonic() - _STARTED_AT:6.1f} s] {line}\n")
        sys.stderr.flush()


def failure_sentence(event: dg.DagsterEvent) -> str:
    """Return what a person should know of a failed step, to be read after its name."""
    checks = _blocking_checks(event)
    return f"stops what follows it: {checks} did not pass" if checks else f"failed: {_reason(event)}"


def _readable(step: str) -> str:
    return step.replace("__", "/")


def _blocking_checks(event: dg.DagsterEvent) -> str:
    """Return the blocking checks that a step reported as failed; empty when the step itself failed."""
    error = getattr(event.event_specific_data, "error", None)
    if error is None or error.cls_name != "DagsterAssetCheckFailedError":
        return ""
    # A sentence, then per line an asset and its checks.
    return ", ".join(line.split(": ", 1)[1] for line in error.message.strip().splitlines()[1:])


def _reason(event: dg.DagsterEvent) -> str:
    error = getattr(event.event_specific_data, "error", None)
    # The framework wraps what was raised; what was raised is worded for people, and its own cause is not.
    while error is not None and error.cause is not None and (error.cls_name or "").startswith(_WRAPPERS):
        error = error.cause
    if error is None:
        return "see the run in the Dagster UI"
    return _OWN_ERROR.sub("", error.message.strip())


@dg.logger({}, description="One readable line per step, for a person at a terminal.")
def progress_logger(init_context: dg.InitLoggerContext) -> logging.Logger:
    """Return the logger that `make run` shows."""
    logger = logging.getLogger(f"kilowise.progress.{id(init_context)}")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    logger.addHandler(_ProgressHandler())
    return logger
