"""The record of what a verdict "act" led to: which challengers were opened or refused, why, and what became of them.

One file per use case, ``retrainings.jsonl``, that is only ever added to: a line for each change of state, and the last
line of an id says how it stands. Whether a challenger is opened is decided in ``orchestration.retraining``; here are
the form that both sides share, the reader and the writer.
"""

import os
from datetime import date, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml.append_only import append_line, exclusive
from ml.errors import KilowiseError

FILE_NAME = "retrainings.jsonl"

RetrainingStatus = Literal[
    "refused", "opened", "failed", "not_enough_data", "gate_refused", "awaits_approval", "released"
]
RETRAINING_WORDS: dict[RetrainingStatus, tuple[str, str]] = {
    "refused": ("No training", "未训练"),
    "opened": ("In training", "训练中"),
    "failed": ("Training failed", "训练失败"),
    "not_enough_data": ("Not enough data to train", "数据不足，无法训练"),
    "gate_refused": ("Refused by the gate", "未通过发布检验"),
    "awaits_approval": ("Awaits approval", "待批准"),
    "released": ("Released", "已发布"),
}


class RetrainingRecordError(KilowiseError):
    """The record of retrainings cannot be read."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Refusal(_Record):
    """One reason against a training.

    Attributes:
        code: Stable identifier of the rule, such as ``cooldown`` or ``broken_data``.
        sentence_en: What speaks against it and what to do, for a model owner.
        sentence_zh: The same in Chinese.
    """

    code: str
    sentence_en: str
    sentence_zh: str


class Retraining(_Record):
    """What one verdict led to, as it stood at one moment.

    Attributes:
        retraining_id: Same for all lines about one verdict; use case, month and release of that verdict.
        use_case: Use case of the model.
        month: Month of the verdict.
        release: Release that the verdict is about.
        status: How it stands.
        at: Moment from which it stands so.
        opened_at: When the last training was opened; None if none was.
        why_en: The verdict in one sentence.
        why_zh: The same in Chinese.
        refusals: Everything that speaks against a training; empty unless refused.
        run_id: Dagster run that trains; empty if none was opened, or before it is known.
        challenger_version: Version of the trained bundle; empty before there is one.
        gate_reason: The gate's decision in words; empty before there is one.
        released_as: Release that serves the challenger; empty unless released.
    """

    retraining_id: str
    use_case: str
    month: date
    release: str
    status: RetrainingStatus
    at: datetime
    opened_at: datetime | None = None
    why_en: str
    why_zh: str
    refusals: tuple[Refusal, ...] = Field(default=())
    run_id: str = ""
    challenger_version: str = ""
    gate_reason: str = ""
    released_as: str = ""

    @property
    def is_settled(self) -> bool:
        """Whether nothing more will come of it by itself."""
        return self.status in ("failed", "not_enough_data", "gate_refused", "released")


def record_retraining(retraining: Retraining, reports_dir: Path) -> None:
    """Add a line to the record of the use case; it is on the disk when this returns."""
    path = _path(reports_dir, retraining.use_case)
    with exclusive(path):
        _cut_torn_line(path)
        append_line(path, retraining.model_dump_json())


def read_retraining_lines(reports_dir: Path, use_case: str) -> tuple[Retraining, ...]:
    """Return every line of the record, oldest first; none if there is no record.

    Raises:
        RetrainingRecordError: If a line other than a torn last one cannot be read.
    """
    path = _path(reports_dir, use_case)
    if not path.exists():
        return ()
    # Bytes end lines at line ends only; a text would also at characters that a reason may hold, such as U+2028.
    content = path.read_bytes()
    lines = content.splitlines()
    if lines and not content.endswith(b"\n"):
        # A writer was killed before the line was whole; what it was about is decided again.
        lines.pop()
    read = []
    for number, line in enumerate(lines, start=1):
        try:
            read.append(Retraining.model_validate_json(line))
        except ValidationError as error:
            raise RetrainingRecordError(
                f"{path}: line {number} is not readable ({error.errors()[0]['msg']}); restore the file from a backup, "
                "or remove the line if its training is of no interest any more"
            ) from error
    return tuple(read)


def read_retrainings(reports_dir: Path, use_case: str) -> tuple[Retraining, ...]:
    """Return how each retraining stands now, the one that began first at the front."""
    latest = {line.retraining_id: line for line in read_retraining_lines(reports_dir, use_case)}
    return tuple(latest.values())


def _cut_torn_line(path: Path) -> None:
    """Remove what a killed writer left of a line, or the next one would be written behind it."""
    content = path.read_bytes()
    if not content.endswith(b"\n"):
        os.truncate(path, content.rfind(b"\n") + 1)


def _path(reports_dir: Path, use_case: str) -> Path:
    return reports_dir / use_case / FILE_NAME
