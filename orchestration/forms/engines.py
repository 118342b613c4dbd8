"""What scores and what trains, by profile: this process, or Spark."""

from typing import TYPE_CHECKING

from orchestration.settings import PlatformSettings

if TYPE_CHECKING:
    from ml.boosting import Trainer
    from orchestration.scoring import ScoringEngine

CLUSTER = "cluster"


def scoring_engine(settings: PlatformSettings) -> "ScoringEngine":
    """Return what scores the parts of a month."""
    if settings.profile == CLUSTER:
        from orchestration.forms.spark_scoring import SparkScoring

        return SparkScoring(settings)
    from orchestration.scoring import InSequence

    return InSequence()


def trainer(settings: PlatformSettings) -> "Trainer":
    """Return what grows trees: of few rows this process in any form, of many the cluster where there is one."""
    if settings.profile == CLUSTER:
        from orchestration.forms.spark_training import SparkTrainer

        return SparkTrainer(settings)
    from ml.boosting import LocalTrainer

    return LocalTrainer()
