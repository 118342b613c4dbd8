"""What the confidence of an assignment means: how many customers keep their segment, by band of confidence."""

import numpy as np
import pandas as pd

from ml.columns import CUSTOMER_KEY
from ml.evaluation import EvaluationTable

BAND_EDGES = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Confidence is one minus nearest over second nearest distance: 0 lies between two segments, 1 on a centre."""


def kept_by_confidence(earlier: pd.DataFrame, later: pd.DataFrame) -> pd.DataFrame:
    """Return for each band of confidence how many customers are in the same segment later.

    Args:
        earlier: Predictions of the earlier rows; customers without a confidence are left out.
        later: Predictions of the same model for the same customers at another time or from other days.

    Returns:
        One row per band that holds a customer: lower and upper confidence, customers_count, kept_share.
    """
    both = earlier[[CUSTOMER_KEY, "segment_id", "segment_confidence"]].merge(
        later[[CUSTOMER_KEY, "segment_id"]], on=CUSTOMER_KEY, suffixes=("", "_later"), validate="one_to_one"
    )
    both = both[both["segment_confidence"].notna()]
    edges = np.array(BAND_EDGES)
    band = np.clip(np.searchsorted(edges, both["segment_confidence"], side="right") - 1, 0, len(edges) - 2)
    kept = (both["segment_id"] == both["segment_id_later"]).groupby(band).agg(["size", "mean"])
    return pd.DataFrame(
        {
            "lower": edges[kept.index],
            "upper": edges[kept.index + 1],
            "customers_count": kept["size"].to_numpy(),
            "kept_share": kept["mean"].to_numpy(),
        }
    )


def confidence_table(earlier: pd.DataFrame, later: pd.DataFrame, months_text: str) -> EvaluationTable:
    """Return the bands of confidence as a table of the model card.

    Args:
        earlier: Predictions of the earlier month.
        later: Predictions of the later month.
        months_text: The two months, for the note.
    """
    bands = kept_by_confidence(earlier, later)
    return EvaluationTable(
        name="confidence",
        title="What a confidence means",
        title_zh="归属置信度的含义",
        columns=("confidence", "customers", "same segment a month later"),
        rows=tuple(
            (f"{band['lower']:.2f} to {band['upper']:.2f}", int(band["customers_count"]), round(band["kept_share"], 4))
            for band in bands.to_dict("records")
        ),
        note=f"Customers assigned by this model in both months ({months_text}); the two trailing years share eleven "
        "months.",
    )
