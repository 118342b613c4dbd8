"""Serves customer segmentation: which segment a customer belongs to, how surely, and what to do for them."""

from collections.abc import Sequence
from typing import Any, ClassVar

from ml.segmentation.model import UNKNOWN_SEGMENT_ID, Segment, SegmentationModel
from ml.wording import Bilingual
from serving.released_model import ReleasedModel, ScoringInput, ScoringResult


class ReleasedSegmentation(ReleasedModel):
    """The segmentation of one release; adds the segment in words, the runner-up and what is missing to each answer."""

    is_cheap: ClassVar[bool] = False

    def _load(self, files: dict[str, bytes]) -> None:
        self._model = SegmentationModel.from_files(files)

    def _score(self, inputs: Sequence[ScoringInput]) -> list[ScoringResult]:
        features = self._feature_frame(inputs)
        predictions = self._prediction_records(self._model.predict(features))
        is_any_unknown = any(prediction["segment_id"] == UNKNOWN_SEGMENT_ID for prediction in predictions)
        missing = self._model.missing_data(features) if is_any_unknown else [None] * len(predictions)
        return [
            ScoringResult(prediction, self._details(prediction, lacking))
            for prediction, lacking in zip(predictions, missing, strict=True)
        ]

    def _details(self, prediction: dict[str, Any], missing: Bilingual | None) -> dict[str, Any]:
        runner_up_id = prediction["runner_up_segment_id"]
        return {
            "segment": _in_words(self._model.segment(prediction["segment_id"])),
            "runner_up": None if runner_up_id is None else _named(self._model.segment(runner_up_id)),
            "missing": missing.en if missing else None,
            "missing_zh": missing.zh if missing else None,
        }


def _in_words(segment: Segment) -> dict[str, Any]:
    return {
        **_named(segment),
        "description": segment.description,
        "description_zh": segment.description_zh,
        "actions": {"offer": segment.offer, "avoid": segment.avoid},
        "actions_zh": {"offer": segment.offer_zh, "avoid": segment.avoid_zh},
    }


def _named(segment: Segment) -> dict[str, Any]:
    return {"segment_id": segment.segment_id, "name": segment.name, "name_zh": segment.name_zh}


SERVING_CLASS = ReleasedSegmentation
