"""The latest drift verdict on each served model, as operators and callers see it: a metric, and a field of the API.

Reviews are made elsewhere. Who makes them puts a small file beside the releases of a use case,
``<home>/releases/<use_case>/verdict.json``, and replaces it atomically. It is read when somebody asks: there are three
of them, and nobody asks often. A file that is missing, damaged or about another release than the served one is no
verdict.
"""

import logging
import os
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from ml.columns import USE_CASES
from serving import metrics

logger = logging.getLogger(__name__)

VERDICT_FILE = "verdict.json"

Outcome = Literal["stable", "watch", "act", "not_enough_data"]


class ModelVerdict(BaseModel):
    """What the latest review said of a release.

    Attributes:
        use_case: Use case of the release.
        release: Name of the release.
        month: First day of the reviewed month.
        outcome: Verdict on that month.
        told_outcome: The same without the findings that somebody silenced.
        silenced_until: Last day on which these findings are silenced; None if none is.
        sentence: The verdict in a sentence.
        sentence_zh: The same in Chinese.
        reviewed_at: When the review was made.
    """

    # A server may be older than who writes the file.
    model_config = ConfigDict(frozen=True, extra="ignore")

    use_case: str
    release: str
    month: date
    outcome: Outcome
    told_outcome: Outcome
    silenced_until: date | None = None
    sentence: str
    sentence_zh: str
    reviewed_at: datetime

    def is_silenced(self, on: date) -> bool:
        """Tell whether what is told on a day is calmer than the verdict."""
        return self.silenced_until is not None and on <= self.silenced_until and self.told_outcome != self.outcome


def write_model_verdict(home: Path, verdict: ModelVerdict) -> None:
    """Put a verdict beside the releases of its use case; no reader ever sees a part of it, and an equal one stays."""
    path = _path(home, verdict.use_case)
    content = (verdict.model_dump_json(indent=1) + "\n").encode()
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def read_model_verdict(home: Path, use_case: str, release: str) -> ModelVerdict | None:
    """Return the latest verdict on a release, or None if there is none.

    Args:
        home: The state folder.
        use_case: Use case of the release.
        release: Name of the release that answers.
    """
    path = _path(home, use_case)
    try:
        verdict = ModelVerdict.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        logger.warning("the verdict on %s cannot be read (%s); the next review writes it anew", use_case, error)
        return None
    return verdict if verdict.release == release else None


def expose_model_verdicts(home: Path, releases: Mapping[str, str], on: date) -> None:
    """Set the metrics of the verdicts.

    Args:
        home: The state folder.
        releases: Name of the release that answers, by use case.
        on: Today, which decides whether a silence still holds.
    """
    for use_case in USE_CASES:
        release = releases.get(use_case)
        verdict = None if release is None else read_model_verdict(home, use_case, release)
        for outcome in get_args(Outcome):
            metrics.MODEL_VERDICT.labels(use_case, outcome).set(verdict is not None and verdict.outcome == outcome)
        metrics.MODEL_VERDICT_SILENCED.labels(use_case).set(verdict is not None and verdict.is_silenced(on))
        month = datetime.combine(verdict.month, time(), tzinfo=UTC).timestamp() if verdict else 0
        metrics.MODEL_VERDICT_MONTH.labels(use_case).set(month)


def _path(home: Path, use_case: str) -> Path:
    return home / "releases" / use_case / VERDICT_FILE
