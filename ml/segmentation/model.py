"""A trained segmentation: centres, names and thresholds, and the rules by which a customer is assigned.

The model is plain JSON, with the trees of a propensity in a file of their own. Assigning looks at one row at a time,
so the answer for one customer, for a batch and in the training run is the same to the last bit.
"""

import dataclasses
import json
from collections.abc import Mapping
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml.bundle import canonical_json
from ml.columns import AS_OF_MONTH, CUSTOMER_KEY, names
from ml.errors import BundleError, KilowiseError
from ml.segmentation.clustering import distances_to_centres
from ml.segmentation.config import SegmentationConfig
from ml.segmentation.features import (
    DAILY_GROUPS,
    GROUP_NAMES,
    GROUP_NAMES_ZH,
    GROUPS,
    HOUR_SPACE,
    FloatArray,
    class_group_of,
    group_of,
    is_assignable,
    is_unused,
    prepare_features,
    present_weight,
    shape_matrix,
    space_of,
)
from ml.segmentation.life_cycle import life_cycle_stages, stages_in_force
from ml.segmentation.naming import UNKNOWN_LABEL, UNUSED_LABEL, Label
from ml.segmentation.propensity import TARGETS, PropensityModel
from ml.segmentation.schema import PREDICTIONS
from ml.segmentation.succession import Succession
from ml.segmentation.value_tiers import (
    ValueThresholds,
    channel_preferences,
    loyalty_tiers,
    payment_behaviours,
    value_tiers,
)
from ml.wording import Bilingual

MODEL_FILE = "model.json"
UNKNOWN_SEGMENT_ID = "unknown"
UNUSED_NUMBER = 0
"""R0 and B0 are the customers who are metered and use nothing; clusters are numbered from 1."""


class Segment(BaseModel):
    """One segment of a release.

    Attributes:
        segment_id: Stable identifier: group and number, such as ``R2``.
        group: ``R`` residential, ``B`` business, ``RD`` and ``BD`` those with daily readings only; empty for
            ``unknown``.
        name: Unique English name.
        name_zh: Unique Chinese name.
        description: What marks the members, in one sentence.
        description_zh: The same in Chinese.
        offer: What to offer them, in one sentence.
        offer_zh: The same in Chinese.
        avoid: What to avoid, in one sentence.
        avoid_zh: The same in Chinese.
        tags: Codes of the rules that hold; the first one leads the name.
        name_tags: Codes that the name is made of, by which the next training keeps the name.
        centre: The numbers of the group's shape (``features.space_of``), of which the first 48 are the hours where
            readings have hours; empty for the segments that have no shape.
        customers_count: Members at training.
        share: Members among the assigned customers of the group.
        profile: Medians over the members, where known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    segment_id: str
    group: str
    name: str
    name_zh: str
    description: str
    description_zh: str
    offer: str
    offer_zh: str
    avoid: str
    avoid_zh: str
    tags: tuple[str, ...]
    name_tags: tuple[str, ...]
    centre: tuple[float, ...] = ()
    customers_count: int = 0
    share: float = 0.0
    profile: dict[str, float | None] = {}

    @classmethod
    def from_label(cls, segment_id: str, group: str, label: Label, **facts: object) -> "Segment":
        """Return the segment with the words of a label."""
        return cls.model_validate({"segment_id": segment_id, "group": group, **dataclasses.asdict(label), **facts})


class SegmentationModel(BaseModel):
    """Assigns customers to load-shape segments, value tiers and life-cycle stages.

    Attributes:
        config: Settings of the training, which hold the rules of the assignment too.
        segments: All segments, those without a shape (``R0``, ``B0``, ``unknown``) included.
        value_thresholds: By customer class; a class that had too few bills is absent.
        last_numbers: Highest number ever used by group, so that the number of a retired segment is not used again.
        judged_centres: By group, the centres that were found without the later window. The evaluation and every
            comparison with a champion are made with these, because ``segments`` have seen that window.
        succession: What became of the segments of the release before; ``None`` in a first release.
        propensities: Probabilities of leaving and of joining a programme, as far as the data supports them; they have
            files of their own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: SegmentationConfig
    segments: tuple[Segment, ...]
    value_thresholds: dict[str, ValueThresholds]
    last_numbers: dict[str, int]
    judged_centres: dict[str, tuple[tuple[float, ...], ...]]
    succession: Succession | None = None
    propensities: tuple[PropensityModel, ...] = Field((), exclude=True)

    def predict(self, features: pd.DataFrame) -> pd.DataFrame:
        """Assign customers.

        Args:
            features: Rows of ``customer_segmentation_features``: customer_key and the columns of ``FEATURES``.

        Returns:
            ``customer_key`` and the columns of ``PREDICTIONS``, in the order of the input and with its index.

        Raises:
            SchemaMismatchError: A column is missing or holds what it must not.
        """
        prepared = prepare_features(features)
        unused = is_unused(prepared, self.config.minimum_observed_days)
        assignable = is_assignable(prepared, self.config)
        groups = group_of(prepared, self.config)
        rows_count = len(prepared)
        segment_id = np.full(rows_count, UNKNOWN_SEGMENT_ID, dtype=object)
        runner_up: npt.NDArray[np.object_] = np.full(rows_count, None, dtype=object)
        distance = np.full(rows_count, np.nan)
        confidence = np.full(rows_count, np.nan)
        classes = class_group_of(prepared["customer_class"])
        segment_id[unused & (classes == "R")] = f"R{UNUSED_NUMBER}"
        segment_id[unused & (classes == "B")] = f"B{UNUSED_NUMBER}"
        for group in GROUPS:
            shaped = self.shaped_segments(group)
            rows = np.flatnonzero((groups == group) & assignable)
            if not shaped or not len(rows):
                continue
            ids = np.array([segment.segment_id for segment in shaped], dtype=object)
            space = space_of(group)
            shapes = shape_matrix(prepared.iloc[rows], self.config.shape_ceiling, space)
            distances = distances_to_centres(shapes, self.centres(group), space.weights)
            order = np.argsort(distances, axis=1, kind="stable")
            nearest = np.take_along_axis(distances, order[:, :1], axis=1)[:, 0]
            segment_id[rows] = ids[order[:, 0]]
            distance[rows] = nearest
            if len(shaped) > 1:
                second = np.take_along_axis(distances, order[:, 1:2], axis=1)[:, 0]
                runner_up[rows] = ids[order[:, 1]]
                confidence[rows] = 1.0 - np.divide(nearest, second, out=np.ones_like(nearest), where=second > 0)
        named = [self.segment(identifier) for identifier in segment_id]
        predictions = pd.DataFrame(
            {
                CUSTOMER_KEY: prepared[CUSTOMER_KEY].to_numpy(),
                "segment_id": segment_id,
                "segment_name": [segment.name for segment in named],
                "segment_name_zh": [segment.name_zh for segment in named],
                "segment_distance": distance,
                "segment_confidence": confidence,
                "runner_up_segment_id": runner_up,
                "value_tier": value_tiers(prepared, self.value_thresholds, self.config.behaviour),
                "life_cycle_stage": life_cycle_stages(prepared, unused, self.config),
                "loyalty_tier": loyalty_tiers(prepared, self.config.behaviour),
                "payment_behaviour": payment_behaviours(prepared, self.config.behaviour),
                "channel_preference": channel_preferences(prepared),
                **self._propensities(prepared),
            },
            index=features.index,
        )
        return predictions[[CUSTOMER_KEY, *names(PREDICTIONS)]]

    def missing_data(self, features: pd.DataFrame) -> list[Bilingual | None]:
        """Return for each customer why no segment can be said, in a sentence; ``None`` where one can.

        Args:
            features: Rows as for ``predict``.
        """
        prepared = prepare_features(features)
        weights = present_weight(shape_matrix(prepared, self.config.shape_ceiling, HOUR_SPACE), HOUR_SPACE.weights)
        unused = is_unused(prepared, self.config.minimum_observed_days)
        days = prepared["observed_days_count"].fillna(0).to_numpy()
        groups = group_of(prepared, self.config)
        return [
            self._missing_of(str(groups[row]), float(days[row]), float(weights[row]), bool(unused[row]))
            for row in range(len(prepared))
        ]

    def _missing_of(self, group: str, days: float, weight: float, is_customer_unused: bool) -> Bilingual | None:
        if not group:
            return Bilingual(en="The class of the customer is not known.", zh="客户用电类别未知。")
        minimum_days = self.config.minimum_observed_days
        if days < minimum_days:
            return Bilingual(
                en=f"Readings of {days:.0f} days are known; {minimum_days} are needed.",
                zh=f"已有 {days:.0f} 天读数，至少需要 {minimum_days} 天。",
            )
        if is_customer_unused:
            return None
        minimum_weight = self.config.minimum_shape_weight
        if weight < minimum_weight and (group not in DAILY_GROUPS or not self.shaped_segments(group)):
            return Bilingual(
                en=f"{weight:.0%} of the load shape is known; {minimum_weight:.0%} is needed.",
                zh=f"负荷曲线已知 {weight:.0%}，至少需要 {minimum_weight:.0%}。",
            )
        if not self.shaped_segments(group):
            return Bilingual(
                en=f"Too few {GROUP_NAMES[group]} customers had a load shape when this release was trained: they have "
                "no segments.",
                zh=f"训练时可用的{GROUP_NAMES_ZH[group]}负荷曲线过少，本版本未划分该类客群。",
            )
        return None

    def segment(self, segment_id: str) -> Segment:
        """Return the segment of an identifier.

        Raises:
            KilowiseError: There is no such segment in this release.
        """
        found = self._by_id.get(segment_id)
        if found is None:
            raise KilowiseError(f"segment {segment_id!r} is not one of {', '.join(self._by_id)}")
        return found

    def shaped_segments(self, group: str) -> tuple[Segment, ...]:
        """Return the segments of a group that have a centre, in the order of their numbers."""
        return tuple(segment for segment in self.segments if segment.group == group and segment.centre)

    def shaped_names(self) -> dict[str, Bilingual]:
        """Return the name of every segment that has a centre, by identifier."""
        return {one.segment_id: Bilingual(en=one.name, zh=one.name_zh) for one in self.segments if one.centre}

    def centres(self, group: str) -> FloatArray:
        """Return the centres of a group, one row per shaped segment."""
        return np.array([segment.centre for segment in self.shaped_segments(group)], dtype=np.float64)

    def to_files(self) -> dict[str, bytes]:
        """Return the model as files; ``from_files`` gives an equal model."""
        files = {MODEL_FILE: canonical_json(self.model_dump(mode="json"))}
        for propensity in self.propensities:
            files |= propensity.to_files()
        return files

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> "SegmentationModel":
        """Load a model.

        Raises:
            BundleError: The file is missing or is not a segmentation.
        """
        if MODEL_FILE not in files:
            raise BundleError(f"the segmentation bundle has no {MODEL_FILE}: train the model again")
        try:
            model = cls.model_validate(json.loads(files[MODEL_FILE]))
        except (ValueError, ValidationError) as error:
            raise BundleError(f"{MODEL_FILE} is not a segmentation of this version: {error}") from error
        found = (PropensityModel.from_files(target.name, files) for target in TARGETS)
        return model.model_copy(update={"propensities": tuple(one for one in found if one is not None)})

    def life_cycle_history(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return the life-cycle stage in force of every customer and month; see `life_cycle.stages_in_force`.

        Args:
            features: Feature rows of all months up to the last that is asked for.
        """
        prepared = prepare_features(features)
        unused = is_unused(prepared, self.config.minimum_observed_days)
        monthly = prepared[[CUSTOMER_KEY, AS_OF_MONTH]].assign(
            life_cycle_stage=life_cycle_stages(prepared, unused, self.config)
        )
        return monthly.assign(life_cycle_stage=stages_in_force(monthly))

    def _propensities(self, prepared: pd.DataFrame) -> dict[str, npt.NDArray[np.generic]]:
        """Return probability and reason by column; empty without a model, and for who is known to leave anyway."""
        found: dict[str, npt.NDArray[np.generic]] = {}
        is_asked = prepared["closing_in_days"].isna().to_numpy()
        for target in TARGETS:
            probabilities, reasons = np.full(len(prepared), np.nan), np.full(len(prepared), None, dtype=object)
            for model in self.propensities:
                if model.target == target.name:
                    probabilities[is_asked], reasons[is_asked] = model.predict(prepared[is_asked])
            found |= {target.probability: probabilities, target.reason: reasons}
        return found

    @cached_property
    def _by_id(self) -> dict[str, Segment]:
        return {segment.segment_id: segment for segment in self.segments}


def shapeless_segments() -> tuple[Segment, ...]:
    """Return the segments that every release has: no consumption by group, and unknown."""
    unused = tuple(
        Segment.from_label(
            f"{group}{UNUSED_NUMBER}",
            group,
            dataclasses.replace(
                UNUSED_LABEL, name=f"{UNUSED_LABEL.name}, {word}", name_zh=f"{UNUSED_LABEL.name_zh}{word_zh}"
            ),
        )
        for group, word, word_zh in (("R", "residential", "居民"), ("B", "business", "企业"))
    )
    return (*unused, Segment.from_label(UNKNOWN_SEGMENT_ID, "", UNKNOWN_LABEL))
