"""What the API says of a customer's segment: the same as the model in a batch, in words, with what is missing."""

import numpy as np
import pandas as pd
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml.columns import CUSTOMER_KEY, names
from ml.segmentation.schema import SHAPE_COLUMNS
from serving import schemas
from tests.unit.serving.builders import customer_id, feature_table, key_of, segmentation_model
from tests.unit.serving.conftest import what_was_decided

PATH = "/v1/segmentation/assign"
EXAMPLE = schemas.SEGMENTATION_EXAMPLE


def test_the_segment_is_answered_in_words_with_its_runner_up(client: TestClient) -> None:
    result = client.post(PATH, json={"features": EXAMPLE}).json()["result"]
    assert result["prediction"]["segment_id"] == "R1"
    assert result["prediction"]["segment_confidence"] > 0
    assert result["prediction"]["segment_distance"] > 0
    assert result["segment"] == {
        "segment_id": "R1",
        "name": "Evening homes 0",
        "name_zh": "Evening客群0",
        "description": "Evening peak",
        "description_zh": "高峰明显",
        "actions": {"offer": "Offer a time-of-use tariff.", "avoid": "Do not call by day."},
        "actions_zh": {"offer": "推荐分时电价。", "avoid": "避免日间电话联系。"},
    }
    assert result["runner_up"] == {"segment_id": "R2", "name": "Daytime homes 0", "name_zh": "Daytime客群0"}
    assert result["missing"] is None
    assert result["missing_zh"] is None


def test_too_little_data_is_answered_with_what_is_missing(client: TestClient) -> None:
    few_days = {**EXAMPLE, "observed_days_count": 9}
    classless = {**EXAMPLE, "customer_class": None}
    body = {"items": [{"features": features} for features in (few_days, classless, EXAMPLE)]}
    young, unclear, known = client.post(PATH, json=body).json()["results"]
    assert young["segment"]["name"] == "Cannot say yet"
    assert young["segment"]["name_zh"] == "暂无法判断"
    assert young["runner_up"] is None
    assert young["missing"] == "Readings of 9 days are known; 28 are needed."
    assert young["missing_zh"] == "已有 9 天读数，至少需要 28 天。"
    assert unclear["missing"] == "The class of the customer is not known."
    assert known["missing"] is None


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(min_value=0, max_value=10_000))
def test_inline_features_alone_and_together_get_the_answer_of_the_batch(client: TestClient, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = feature_table("segmentation", 6, seed=seed)
    shapes = names(SHAPE_COLUMNS)
    rows[shapes] = rows[shapes].mask(rng.uniform(size=(6, len(shapes))) < 0.1)
    expected = segmentation_model().predict(rows)
    features = [
        {name: value for name, value in row.items() if name in schemas.SegmentationFeatures.model_fields}
        for row in rows.astype(object).where(rows.notna(), None).to_dict("records")
    ]
    together = client.post(PATH, json={"items": [{"features": one} for one in features]}).json()["results"]
    alone = [client.post(PATH, json={"features": one}).json()["result"] for one in features]
    assert what_was_decided(together) == what_was_decided(alone)
    for answer, row in zip(together, expected.to_dict("records"), strict=True):
        assert answer["prediction"] == {
            name: None if pd.isna(value) else value for name, value in row.items() if name != CUSTOMER_KEY
        }


def test_by_id_the_answer_is_that_of_the_batch_on_the_released_features(client: TestClient) -> None:
    rows = feature_table("segmentation")
    expected = segmentation_model().predict(rows).set_index(CUSTOMER_KEY)
    ids = [customer_id(number) for number in range(len(rows))]
    results = client.post(PATH, json={"customer_ids": ids}).json()["results"]
    for number, result in enumerate(results):
        row = expected.loc[key_of(number)]
        assert result["prediction"]["segment_id"] == row["segment_id"]
        assert result["segment"]["name"] == row["segment_name"]
        named = None if result["runner_up"] is None else result["runner_up"]["segment_id"]
        assert named == row["runner_up_segment_id"]
