"""What scores and what trains, by profile: this process, or Spark."""

from typing import TYPE_CHECKING

from orchestration.settings import PlatformSettings

if TYPE_CHECKING:
    from orchestration.scoring import ScoringEngine

CLUSTER = "cluster"


def scoring_engine(settings: PlatformSettings) -> "ScoringEngine":
    """Return what scores the parts of a month."""
    if settings.profile == CLUSTER:
        from orchestration.forms.spark_scoring import SparkScoring

        return SparkScoring(settings)
    from orchestration.scoring import InSequence

    return InSequence()
