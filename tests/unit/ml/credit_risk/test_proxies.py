import numpy as np
import pandas as pd
import pytest

from ml.credit_risk.proxies import proxy_table

Marts = tuple[pd.DataFrame, pd.DataFrame]


@pytest.fixture(scope="module")
def rows(marts: Marts) -> pd.DataFrame:
    features, _ = marts
    return features[features["as_of_month"] == features["as_of_month"].max()]


def test_inputs_that_do_not_know_the_district_tell_next_to_nothing(rows: pd.DataFrame):
    table = proxy_table(rows, [("tenure_months", 0.3)], seed=1)
    told = pd.DataFrame(table.rows, columns=table.columns)
    assert told["group"].tolist() == ["east", "north", "west"]
    assert told["customers"].sum() == len(rows)
    assert (told["all inputs"] < 0.25).all()
    assert (told["best alone"] < 0.25).all()


def test_an_input_that_stands_for_a_district_is_named_with_its_share(rows: pd.DataFrame):
    east = (rows["district"] == "east").to_numpy()
    noise = np.random.default_rng(1).normal(0, 0.1, len(rows))
    standing_in = rows.assign(mean_satisfaction_12m=np.where(east, np.nan, 4 + noise))
    table = proxy_table(standing_in, [("mean_satisfaction_12m", 0.3)], seed=1)
    told = pd.DataFrame(table.rows, columns=table.columns).set_index("group").loc["east"]
    assert told["best input"] == "mean_satisfaction_12m"
    assert told["best alone"] == 1
    assert told["all inputs"] > 0.95
    assert told["share in the model"] == 0.3


def test_small_groups_and_missing_districts_are_not_looked_at(rows: pd.DataFrame):
    few = rows.assign(district=np.where(np.arange(len(rows)) < 20, "tiny", None))
    nothing = proxy_table(few, [], seed=1)
    assert (nothing.rows, nothing.note) == ((), "There are no two groups of 50 customers or more to tell apart.")
    assert proxy_table(rows.drop(columns="district"), [], seed=1).rows == ()
