"""Tells people about a verdict: once when a model's state changes, never once per run.

An incident opens when the latest month of a model is no longer stable, and closes when it is again. Only a change of
the outcome is told. An alert that could not be delivered stays pending and is sent with the next review.
"""

import json
import logging
import time
import urllib.error
import urllib.request
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from monitoring.verdicts import OUTCOME_WORDS, Outcome, Verdict, exclusive, read_verdicts, write_atomically

logger = logging.getLogger(__name__)

STATE_NAME = "incidents.json"
_ATTEMPTS = 3
_PAUSE_SECONDS = 0.5
_TIMEOUT_SECONDS = 5.0


class Incident(BaseModel):
    """What was last told about a model.

    Attributes:
        outcome: Outcome that was told.
        month: Month of that verdict.
        since_month: First month of the present run of months that were not stable; None while stable.
        is_delivered: Whether the webhook has taken it; True where none is configured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: Outcome
    month: date
    since_month: date | None
    is_delivered: bool


class Alert(BaseModel):
    """One message about one change of state."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    use_case: str
    release: str
    month: date
    outcome: Outcome
    previous_outcome: Outcome | None
    since_month: date | None
    owner: str
    title: str
    title_zh: str
    reasons: tuple[str, ...]
    reasons_zh: tuple[str, ...]
    report_path: str | None


_STATE: TypeAdapter[dict[str, Incident]] = TypeAdapter(dict[str, Incident])


def alert_on_change(verdict: Verdict, reports_dir: Path, webhook_url: str | None = None) -> Alert | None:
    """Send an alert if the verdict changes the state of its model.

    Args:
        verdict: A verdict that is already in the table of verdicts.
        reports_dir: Folder of reports, where the state is kept.
        webhook_url: Where the alert is posted as JSON; only the log is written if None.

    Returns:
        The alert, or None if nothing changed or the verdict is not about the latest reviewed month: reviewing the past
        again is no news.
    """
    if verdict.month < _latest_month(verdict, reports_dir):
        return None
    with exclusive(reports_dir, "incidents"):
        state = read_incidents(reports_dir)
        before = state.get(verdict.use_case)
        is_news = before.outcome != verdict.outcome if before else verdict.needs_attention
        is_pending = before is not None and not before.is_delivered
        since = None
        if verdict.needs_attention:
            since = before.since_month if before and before.since_month else verdict.month
        delivered = True
        alert = None
        if is_news or is_pending:
            alert = _alert(verdict, before.outcome if before and is_news else None, since)
            logger.log(
                logging.WARNING if verdict.needs_attention else logging.INFO, "%s: %s", alert.title, alert.reasons[0]
            )
            delivered = webhook_url is None or _post(alert, webhook_url)
        state[verdict.use_case] = Incident(
            outcome=verdict.outcome, month=verdict.month, since_month=since, is_delivered=delivered
        )
        write_atomically(reports_dir / STATE_NAME, _STATE.dump_json(state, indent=2))
    return alert


def read_incidents(reports_dir: Path) -> dict[str, Incident]:
    """Return what was last told, by use case."""
    path = reports_dir / STATE_NAME
    return _STATE.validate_json(path.read_bytes()) if path.exists() else {}


def _latest_month(verdict: Verdict, reports_dir: Path) -> date:
    table = read_verdicts(reports_dir)
    months = table.filter(table["use_case"] == verdict.use_case)["month"]
    return max(months.max() or verdict.month, verdict.month)


def _alert(verdict: Verdict, previous: Outcome | None, since: date | None) -> Alert:
    word, word_zh = OUTCOME_WORDS[verdict.outcome]
    told = [reason for reason in verdict.reasons if reason.severity != "info"] or list(verdict.reasons[:1])
    return Alert(
        use_case=verdict.use_case,
        release=verdict.release,
        month=verdict.month,
        outcome=verdict.outcome,
        previous_outcome=previous,
        since_month=since,
        owner=verdict.owner,
        title=f"Kilowise {verdict.use_case} {verdict.month:%Y-%m}: {word}",
        title_zh=f"Kilowise {verdict.use_case} {verdict.month:%Y-%m}：{word_zh}",
        reasons=tuple(reason.sentence_en for reason in told),
        reasons_zh=tuple(reason.sentence_zh for reason in told),
        report_path=verdict.report_path,
    )


def _post(alert: Alert, url: str) -> bool:
    """Post an alert; try again after failures that may pass, and tell whether it arrived."""
    if not url.startswith(("http://", "https://")):
        logger.error("alert not sent: the webhook address must begin with http:// or https://")
        return False
    body = json.dumps(alert.model_dump(mode="json"), ensure_ascii=False).encode()
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})  # noqa: S310 (checked above)
    problem = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE_SECONDS * 2 ** (attempt - 1))
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS):  # noqa: S310 (checked above)
                return True
        except urllib.error.HTTPError as error:
            problem = f"HTTP {error.code}"
            error.close()
            if 400 <= error.code < 500 and error.code != 429:
                break
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            problem = str(error)
    logger.error("alert for %s not delivered (%s); it will be sent with the next review", alert.use_case, problem)
    return False
