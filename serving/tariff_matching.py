"""Serves tariff matching: the best tariff for a customer, what it saves, and the alternatives."""

from collections.abc import Sequence
from typing import ClassVar

import pandas as pd
import pyarrow as pa

from ml.columns import AS_OF_MONTH, CUSTOMER_KEY
from ml.tariff_matching.model import TariffMatchingModel
from serving.released_model import ReleasedModel, ScoringInput, ScoringResult

LOAD_CUBE_TABLE = "customer_load_cube"
"""Name under which a release's snapshot holds the load of each customer."""

INTERVAL_AMOUNTS_TABLE = "customer_interval_amounts"
"""Name of the monthly bills under tariffs with interval prices; releases without such tariffs have no such table."""


DETAILS = (
    "reason",
    "reason_zh",
    "bill",
    "compared_tariff_id",
    "breakdown",
    "break_evens",
    "response",
    "alternatives",
    "not_priced",
    "observed_months_count",
    "load_first_month",
    "load_last_month",
)
"""What an answer says beside the prediction, by its name in the advice."""


class ReleasedTariffMatching(ReleasedModel):
    """The tariff model of one release; prices the load that was released with it.

    Inline features carry no load by the hour, so their answer is an estimate from similar customers and marked so,
    unless the request also names a customer whose load the snapshot holds.
    """

    is_cheap: ClassVar[bool] = False

    def _load(self, files: dict[str, bytes]) -> None:
        self._model = TariffMatchingModel.from_files(files)

    def _score(self, inputs: Sequence[ScoringInput]) -> list[ScoringResult]:
        if len(inputs) > 1 and any(item.tables is not None for item in inputs):
            return [self._score([item])[0] for item in inputs]
        keys = [item.customer_key for item in inputs if item.customer_key is not None]
        if len(set(keys)) < len(keys):
            # The model prices one row per customer; a batch may ask for the same customer with other features.
            return [self._score([item])[0] for item in inputs]
        frame = self._feature_frame(inputs)
        frame[AS_OF_MONTH] = pd.to_datetime(pd.Series([item.as_of_month for item in inputs], dtype=object))
        frame["district"] = self._districts(inputs)
        cube, amounts = self._load_of(inputs, frame[CUSTOMER_KEY][0], keys)
        results = []
        interval_amounts = None if amounts is None else amounts.to_pandas()
        for advice in self._model.advise(frame, cube, interval_amounts=interval_amounts):
            details = advice.to_dict()
            results.append(
                ScoringResult(
                    prediction=dict(advice.prediction),
                    details={name: details[name] for name in DETAILS},
                )
            )
        return results

    def _load_of(
        self, inputs: Sequence[ScoringInput], first_key: str, keys: Sequence[str]
    ) -> tuple[pa.Table | None, pa.Table | None]:
        """Return load cube and monthly bills under interval prices: of the snapshot, or made of the only raw rows."""
        made = inputs[0].tables
        if made is None:
            return self.features.table(LOAD_CUBE_TABLE, keys), self.features.table(INTERVAL_AMOUNTS_TABLE, keys)
        cube = made[LOAD_CUBE_TABLE]
        position = cube.schema.get_field_index(CUSTOMER_KEY)
        return cube.set_column(position, CUSTOMER_KEY, pa.array([first_key] * len(cube), pa.string())), None

    def _districts(self, inputs: Sequence[ScoringInput]) -> list[str | None]:
        """Return where the customers are, also of those whose features came with the request."""
        keys = [item.customer_key for item in inputs if item.district is None and item.customer_key is not None]
        known = self.features.get_many(keys)
        return [known[item.customer_key].district if item.customer_key in known else item.district for item in inputs]


SERVING_CLASS = ReleasedTariffMatching
