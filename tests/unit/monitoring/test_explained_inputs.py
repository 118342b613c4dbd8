"""The reference with some inputs spread as in the month, and the released model asked about it."""

import numpy as np
import pandas as pd
import pytest

from ml.columns import Column
from monitoring.explained_inputs import asking, spread_as_now

LOAD = Column("load", "numeric", "Load", "负荷")


def frame(values, customer_class="residential") -> pd.DataFrame:
    return pd.DataFrame({"load": values, "other": np.arange(len(values)), "customer_class": customer_class})


def test_values_take_the_spread_of_the_month_and_keep_their_order_and_what_is_missing() -> None:
    rng = np.random.default_rng(0)
    then = frame(np.where(np.arange(400) % 10 == 0, np.nan, rng.normal(size=400)))
    now = frame(rng.lognormal(2, 1, 300))
    spread = spread_as_now(then, now, [LOAD])
    known = then["load"].notna()
    quantiles = [0.1, 0.5, 0.9]
    assert spread["load"].notna().equals(known)
    assert (spread["load"][known].rank() == then["load"][known].rank()).mean() > 0.5
    assert np.quantile(spread["load"][known], quantiles) == pytest.approx(np.quantile(now["load"], quantiles), rel=0.05)
    assert spread["other"].equals(then["other"])


def test_a_class_that_one_side_hardly_has_stays_as_it_was() -> None:
    then = pd.concat([frame(np.ones(50)), frame(np.ones(50), "industrial")], ignore_index=True)
    now = pd.concat([frame(np.full(50, 2.0)), frame(np.full(5, 2.0), "industrial")], ignore_index=True)
    spread = spread_as_now(then, now, [LOAD])
    assert spread.groupby("customer_class")["load"].max().to_dict() == {"residential": 2.0, "industrial": 1.0}


def test_only_a_model_that_reads_nothing_but_its_rows_is_asked(tmp_path) -> None:
    assert asking("segmentation", tmp_path) is None
    assert asking("credit_risk", tmp_path) is None
