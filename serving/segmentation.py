"""Serves customer segmentation: which segment a customer belongs to, and what to do for it."""

from collections.abc import Sequence
from typing import Any, ClassVar

from ml.segmentation.model import Segment, SegmentationModel
from serving.released_model import ReleasedModel, ScoringInput, ScoringResult


class ReleasedSegmentation(ReleasedModel):
    """The segmentation of one release; adds the segment's description and actions to each answer."""

    runs_in_event_loop: ClassVar[bool] = False

    def _load(self, files: dict[str, bytes]) -> None:
        self._model = SegmentationModel.from_files(files)

    def _score(self, inputs: Sequence[ScoringInput]) -> list[ScoringResult]:
        predictions = self._prediction_records(self._model.predict(self._feature_frame(inputs)))
        return [
            ScoringResult(prediction, {"segment": _advice(self._model.segment(prediction["segment_id"]))})
            for prediction in predictions
        ]


def _advice(segment: Segment) -> dict[str, Any]:
    return {
        "description": segment.description,
        "description_zh": segment.description_zh,
        "actions": list(segment.actions),
        "actions_zh": list(segment.actions_zh),
    }


SERVING_CLASS = ReleasedSegmentation
