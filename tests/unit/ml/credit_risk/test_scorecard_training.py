"""How much a column must tell to stand on the card is found by folds of customers."""

import numpy as np
import pandas as pd
import pytest

from ml.credit_risk.config import ScorecardConfig
from ml.credit_risk.labels import label_array, labelled_rows
from ml.credit_risk.scorecard_training import (
    ChosenRegressions,
    bin_columns,
    choose_regressions,
    mean_log_loss,
)
from ml.credit_risk.woe_scorecard import columns_of_frame
from ml.evaluation import FloatArray

Marts = tuple[pd.DataFrame, pd.DataFrame]
LEVELS = (0.02, 0.05, 0.1)
FOLDS = 3


@pytest.fixture(scope="module")
def rows(marts: Marts) -> pd.DataFrame:
    labelled = labelled_rows(*marts).rows
    return labelled[labelled["customer_key"] < f"{200:032x}"].reset_index(drop=True)


@pytest.fixture(scope="module")
def labels(rows: pd.DataFrame) -> FloatArray:
    return label_array(rows)


def _folds(rows: pd.DataFrame) -> list[np.ndarray]:
    fold = rows["customer_key"].map(lambda key: int(key, 16)) % FOLDS
    return [(fold == place).to_numpy() for place in range(FOLDS)]


def _choose(rows: pd.DataFrame, labels: FloatArray, config: ScorecardConfig) -> ChosenRegressions:
    folds = _folds(rows)
    return choose_regressions(
        [bin_columns(rows[~own], labels[~own], config) for own in folds],
        [columns_of_frame(rows[own]) for own in folds],
        labels,
        np.argmax(folds, axis=0),
        config,
    )


def test_columns_that_tell_too_little_do_not_stand_on_the_card(rows: pd.DataFrame, labels: FloatArray):
    all_columns = bin_columns(rows, labels, ScorecardConfig(minimum_informations=(0.0,)))
    few = all_columns.telling(0.1)
    assert 0 < len(few.characteristics) < len(all_columns.characteristics)
    assert all(one.information_value >= 0.1 for one in few.characteristics)
    assert few.woe.shape == (len(rows), len(few.characteristics))
    place = [one.column for one in all_columns.characteristics].index(few.characteristics[-1].column)
    assert (few.woe[:, -1] == all_columns.woe[:, place]).all()


def test_the_best_column_stands_even_when_it_tells_next_to_nothing(rows: pd.DataFrame, labels: FloatArray):
    binned = bin_columns(rows, labels, ScorecardConfig(minimum_informations=(1000.0,)))
    assert len(binned.characteristics) == 1


def test_the_lowest_level_within_a_standard_error_of_the_smallest_loss_is_chosen(
    rows: pd.DataFrame, labels: FloatArray
):
    folds = _folds(rows)

    def losses(chosen: ChosenRegressions) -> FloatArray:
        return np.array([mean_log_loss(chosen.margins[own], labels[own]) for own in folds])

    alone = [
        losses(_choose(rows, labels, ScorecardConfig(minimum_informations=(level,), penalties=(0.01,))))
        for level in LEVELS
    ]
    together = _choose(rows, labels, ScorecardConfig(minimum_informations=LEVELS, penalties=(0.01,)))

    least = min(alone, key=np.mean)
    worse = [found - least for found in alone]
    is_near = [bool(difference.mean() <= difference.std(ddof=1) / np.sqrt(len(folds))) for difference in worse]
    assert together.information == LEVELS[is_near.index(True)]
