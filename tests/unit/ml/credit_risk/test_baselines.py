import numpy as np
import pandas as pd

from ml.bundle import TrainingResult
from ml.credit_risk.baselines import DIMENSION_COLUMNS, baseline_scores
from ml.credit_risk.evaluation import BASELINES
from ml.credit_risk.labels import labelled_rows


def test_every_baseline_has_a_description_and_scores_every_row(marts: tuple[pd.DataFrame, pd.DataFrame]):
    rows = labelled_rows(*marts).rows
    scores = baseline_scores(rows.head(3000), rows.tail(500))
    assert set(scores) == set(BASELINES)
    assert all(len(values) == 500 and np.isfinite(values).all() for values in scores.values())


def test_the_logistic_baseline_sees_the_signal_and_no_customer_facts(trained: TrainingResult):
    logistic = trained.evaluation.baseline("logistic_dimensions")
    assert logistic is not None
    assert logistic.metric.value > 0.65
    assert not {"customer_class", "mean_bill_12m_amount", "contacts_6m_count"} & set(DIMENSION_COLUMNS)


def test_columns_without_any_value_do_not_stop_the_logistic_baseline(marts: tuple[pd.DataFrame, pd.DataFrame]):
    rows = labelled_rows(*marts).rows
    empty = rows.assign(**dict.fromkeys(DIMENSION_COLUMNS, np.nan))
    assert not baseline_scores(empty, empty.head(10))["logistic_dimensions"].any()
