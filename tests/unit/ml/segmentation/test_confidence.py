import pandas as pd
import pytest

from ml.segmentation.confidence import confidence_table, kept_by_confidence

EARLIER = pd.DataFrame(
    {
        "customer_key": ["a", "b", "c", "d", "e", "f"],
        "segment_id": ["R1", "R1", "R2", "R2", "unknown", "R1"],
        "segment_confidence": [0.05, 0.09, 0.1, 1.0, None, 0.01],
    }
)
LATER = pd.DataFrame({"customer_key": ["e", "d", "c", "b", "a"], "segment_id": ["R1", "R2", "R2", "R2", "R1"]})


def test_bands_count_the_customers_known_at_both_times_and_the_share_that_stayed() -> None:
    bands = kept_by_confidence(EARLIER, LATER)
    assert bands.to_dict("list") == {
        "lower": [0.05, 0.1, 0.5],
        "upper": [0.1, 0.2, 1.0],
        "customers_count": [2, 1, 1],
        "kept_share": [0.5, 1.0, 1.0],
    }


def test_the_table_says_which_months_it_compares() -> None:
    table = confidence_table(EARLIER, LATER, "2026-08 and 2026-09")
    assert table.rows[0] == ("0.05 to 0.10", 2, pytest.approx(0.5))
    assert "2026-08 and 2026-09" in table.note
