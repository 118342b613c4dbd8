"""What the release before says of the customers whom a training divides anew.

Usually its model is asked. After an upgrade that changed the columns of the load shape, or an erasure, there is none
that could be asked; then what the customers were told last is looked up, so that identifiers continue all the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from ml.columns import CUSTOMER_KEY
from ml.segmentation.features import GROUPS, require_columns
from ml.segmentation.model import UNUSED_NUMBER, SegmentationModel
from ml.segmentation.succession import number_of
from ml.wording import Bilingual

TOLD_COLUMNS = ("segment_id", "segment_name", "segment_name_zh")
"""What a batch of predictions tells of a customer's segment."""


@dataclass(frozen=True, slots=True)
class Predecessor:
    """What the release before says of the customers whom a training divides.

    Attributes:
        segment_ids: Segment by the release before of each row; missing where no customer was told anything.
        names: Name of its segments with a shape, by identifier.
        name_tags: What these names are made of; empty where its model is not at hand.
        last_numbers: Highest number by group that it knows of.
    """

    segment_ids: pd.Series
    names: Mapping[str, Bilingual]
    name_tags: Mapping[str, Sequence[str]]
    last_numbers: Mapping[str, int]

    @classmethod
    def of(
        cls, rows: pd.DataFrame, model: SegmentationModel | None, segments: pd.DataFrame | None
    ) -> "Predecessor | None":
        """Ask the model, or else look up what customers were told; ``None`` when there is neither."""
        if model is not None:
            return cls(
                segment_ids=model.predict(rows)["segment_id"],
                names=model.shaped_names(),
                name_tags={one.segment_id: one.name_tags for one in model.segments if one.centre},
                last_numbers=model.last_numbers,
            )
        if segments is None or segments.empty:
            return None
        require_columns(segments, [CUSTOMER_KEY, *TOLD_COLUMNS], "the segments of an earlier release")
        told = segments.assign(**{CUSTOMER_KEY: segments[CUSTOMER_KEY].astype(str)}).drop_duplicates(CUSTOMER_KEY)
        known = dict(zip(told[CUSTOMER_KEY], told["segment_id"], strict=True))
        by_id = told.drop_duplicates("segment_id")[list(TOLD_COLUMNS)].sort_values("segment_id")
        numbers = {
            (identifier, group): number
            for identifier in by_id["segment_id"]
            for group in GROUPS
            if (number := number_of(identifier, group)) is not None
        }
        shaped = {identifier for identifier, _ in numbers}
        return cls(
            segment_ids=rows[CUSTOMER_KEY].map(known),
            names={
                identifier: Bilingual(en=name, zh=name_zh)
                for identifier, name, name_zh in by_id.itertuples(index=False)
                if identifier in shaped
            },
            name_tags={},
            last_numbers={
                group: max((number for (_, own), number in numbers.items() if own == group), default=UNUSED_NUMBER)
                for group in GROUPS
            },
        )

    def ids_of(self, group: str) -> list[str]:
        """Return the identifiers of its segments in a group that have a shape."""
        return [identifier for identifier in self.names if number_of(identifier, group) is not None]


def last_used_numbers(predecessor: Predecessor | None, used_numbers: Mapping[str, int]) -> dict[str, int]:
    """Return the highest number that was ever used, by group, so that no number comes to mean something else.

    Args:
        predecessor: The release before, if any.
        used_numbers: Highest number by group over all releases, also those that were rolled back.
    """
    known = predecessor.last_numbers if predecessor else {}
    numbers = {group: max(known.get(group, UNUSED_NUMBER), used_numbers.get(group, UNUSED_NUMBER)) for group in GROUPS}
    return {group: number for group, number in numbers.items() if number > UNUSED_NUMBER}
