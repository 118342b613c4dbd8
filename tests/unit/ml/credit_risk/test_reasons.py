import math
import re

import pytest

from ml.columns import names
from ml.credit_risk.reasons import CLASSES_ZH, reason
from ml.credit_risk.schema import DIMENSIONS, FEATURES

NUMERIC = [column.name for column in FEATURES if column.kind == "numeric"]


@pytest.mark.parametrize("code", names(FEATURES))
@pytest.mark.parametrize("known", [True, False])
def test_every_column_has_a_text_in_both_languages(code: str, known: bool):
    value = (7.0 if code in NUMERIC else "residential") if known else None
    found = reason(code, 0.3, value)
    assert found.code == code
    assert found.dimension in DIMENSIONS
    assert found.value == value
    assert found.text
    assert found.improvement.endswith(".")
    assert found.improvement_zh.endswith("。")
    assert any("\u4e00" <= character <= "\u9fff" for character in found.text_zh)


def test_the_text_states_the_value():
    assert reason("late_bills_12m_count", 0.3, 4.0).text == "4 late bills in the last 12 months"
    assert reason("recovery_rate_due_3m_pct", 0.3, 61.6).text_zh == "近三月到期电费中有 62% 按期缴纳"


@pytest.mark.parametrize("code", NUMERIC)
def test_one_of_something_is_not_spoken_of_as_many(code: str):
    text = reason(code, 0.3, 1.0).text
    assert not re.search(r"(?<![\d.,])1 (\w+ )?(bill|contact|day|inspection|month|payment)s\b", text)
    assert not re.match(r"1 \w.* were ", text)


@pytest.mark.parametrize("value", [0.0, 2.0, 11.0, 21.0])
def test_other_counts_are_many(value: float):
    assert reason("late_bills_12m_count", 0.3, value).text == f"{value:.0f} late bills in the last 12 months"


def test_a_missing_value_is_called_missing():
    for value in (None, math.nan):
        found = reason("mean_satisfaction_12m", 0.1, value)
        assert found.text.startswith("Not known: mean satisfaction")
        assert found.value is None


def test_classes_are_translated_and_unseen_ones_are_shown_as_they_are():
    assert reason("customer_class", 0.1, "industrial").text_zh.endswith(CLASSES_ZH["industrial"])
    assert reason("customer_class", 0.1, "space station").text_zh.endswith("space station")


def test_a_missing_value_is_improved_by_telling_it():
    assert reason("tenure_months", 0.1, None).improvement == "It improves as soon as the supplier knows it."
    assert "every month on supply" in reason("tenure_months", 0.1, 3.0).improvement
