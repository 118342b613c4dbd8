"""Which challenger is tried on the live traffic of a use case: the file ``TRIAL`` beside the releases.

The challenger is a release of its own that no ``CURRENT`` names. The file is replaced atomically; servers follow it
like a pointer. Each start, renewal and end is kept in ``trials.jsonl``.
"""

import os
import uuid
from datetime import UTC, datetime
from pathlib import Path

import orjson
from pydantic import BaseModel, ConfigDict, Field

from ml.trials import Mode

TRIAL_FILE = "TRIAL"
TRIALS_FILE = "trials.jsonl"


class Trial(BaseModel):
    """A trial that is on.

    Attributes:
        trial_id: Names it, and draws who is in its share.
        use_case: One of ``ml.columns.USE_CASES``.
        mode: In shadow, or with a share of the customers.
        share: Share of the traffic that the challenger scores in shadow, or of the customers whom it answers.
        release: The challenger's release.
        bundle_version: The challenger.
        champion_version: Bundle that was served at the start; when another one is, the trial rests.
        started_at: Since when.
        started_by: Who asked for it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trial_id: str
    use_case: str
    mode: Mode
    share: float = Field(gt=0, le=1)
    release: str
    bundle_version: str
    champion_version: str
    started_at: datetime
    started_by: str


def read_trial(releases_dir: Path, use_case: str) -> Trial | None:
    """Return the trial of a use case, or None when none is on.

    Raises:
        ValidationError: The file is damaged.
    """
    try:
        return Trial.model_validate_json((releases_dir / use_case / TRIAL_FILE).read_bytes())
    except FileNotFoundError:
        return None


def write_trial(releases_dir: Path, trial: Trial, *, action: str, by: str) -> None:
    """Let servers try a challenger from now on."""
    path = releases_dir / trial.use_case / TRIAL_FILE
    temporary = path.with_name(f".{TRIAL_FILE}.{uuid.uuid4().hex}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(trial.model_dump_json(indent=2))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _remember(releases_dir, trial, action, by)


def remove_trial(releases_dir: Path, use_case: str, *, by: str) -> Trial | None:
    """End the trial of a use case and return it, or None when none was on."""
    trial = read_trial(releases_dir, use_case)
    if trial is not None:
        (releases_dir / use_case / TRIAL_FILE).unlink()
        _remember(releases_dir, trial, "stop", by)
    return trial


def past_trials(releases_dir: Path, use_case: str) -> list[Trial]:
    """Return the trials that ended or go on, latest first; of a renewed one its last state."""
    try:
        lines = (releases_dir / use_case / TRIALS_FILE).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    trials = (Trial.model_validate(orjson.loads(line)["trial"]) for line in lines)
    return list({trial.trial_id: trial for trial in trials}.values())[::-1]


def _remember(releases_dir: Path, trial: Trial, action: str, by: str) -> None:
    entry = {"at": datetime.now(UTC), "action": action, "by": by, "trial": trial.model_dump(mode="json")}
    with (releases_dir / trial.use_case / TRIALS_FILE).open("ab") as file:
        file.write(orjson.dumps(entry) + b"\n")
