"""Puts the latest verdict on each served release where the API reads it. The judging is in ``monitoring``."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestration.lifecycle import latest_verdicts
from orchestration.settings import PlatformSettings

if TYPE_CHECKING:
    from serving.model_verdicts import ModelVerdict


def publish_verdicts(settings: PlatformSettings) -> "tuple[ModelVerdict, ...]":
    """Write the file that the API reads for each use case with a verdict on its served release.

    Returns:
        What was written.

    Raises:
        AcknowledgementError: If the record of acknowledgements is damaged.
    """
    from monitoring.acknowledgements import told_outcome
    from serving.model_verdicts import ModelVerdict, write_model_verdict

    today = datetime.now(UTC).date()
    published = []
    for verdict in latest_verdicts(settings):
        told = told_outcome(verdict, settings.reports_dir, today)
        published.append(
            ModelVerdict(
                use_case=verdict.use_case,
                release=verdict.release,
                month=verdict.month,
                outcome=verdict.outcome,
                told_outcome=told.outcome,
                silenced_until=told.silenced_until,
                sentence=verdict.sentence("en"),
                sentence_zh=verdict.sentence("zh"),
                reviewed_at=verdict.reviewed_at,
            )
        )
    for written in published:
        write_model_verdict(settings.home, written)
    return tuple(published)
