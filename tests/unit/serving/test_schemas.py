import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml.columns import Column, names
from ml.credit_risk import schema as credit_risk
from ml.segmentation import schema as segmentation
from ml.tariff_matching import schema as tariff_matching
from serving import schemas

CASES = [
    (segmentation, schemas.SegmentationFeatures, schemas.SegmentationRequest, schemas.SEGMENTATION_EXAMPLE),
    (tariff_matching, schemas.TariffMatchingFeatures, schemas.TariffMatchingRequest, schemas.TARIFF_MATCHING_EXAMPLE),
    (credit_risk, schemas.CreditRiskFeatures, schemas.CreditRiskRequest, schemas.CREDIT_RISK_EXAMPLE),
]


@pytest.mark.parametrize(("module", "features", "_request", "_example"), CASES)
def test_request_features_are_the_columns_of_the_mart(module: Any, features: Any, _request: Any, _example: Any) -> None:
    assert list(features.model_fields) == names(module.FEATURES)


@pytest.mark.parametrize(("_module", "features", "request_model", "example"), CASES)
def test_examples_are_accepted(_module: Any, features: Any, request_model: Any, example: dict[str, Any]) -> None:
    features.model_validate_json(json.dumps(example))
    for body in request_model.model_json_schema()["examples"]:
        request_model.model_validate_json(json.dumps(body))


@pytest.mark.parametrize(("_module", "features", "_request", "_example"), CASES)
def test_every_field_is_described_in_both_languages(_module: Any, features: Any, _request: Any, _example: Any) -> None:
    for name, field in features.model_json_schema()["properties"].items():
        assert " / " in field["description"], name


BOUNDED = [
    (features, column, example)
    for module, features, _, example in CASES
    for column in module.FEATURES
    if column.kind == "numeric"
]


@pytest.mark.parametrize(("features", "column", "example"), BOUNDED, ids=lambda value: getattr(value, "name", ""))
def test_bounds_are_inclusive_and_enforced(features: Any, column: Column, example: dict[str, Any]) -> None:
    low = -schemas.LARGEST_NUMBER if column.minimum is None else column.minimum
    high = schemas.LARGEST_NUMBER if column.maximum is None else column.maximum

    for accepted in (low, high):
        features.model_validate({**example, column.name: float(accepted)})
    for refused in (low - abs(low) * 1e-6 - 1e-6, high + abs(high) * 1e-6 + 1e-6):
        with pytest.raises(ValidationError):
            features.model_validate({**example, column.name: refused})


@pytest.mark.parametrize("value", ["12", True, [12], {"value": 12}, float("nan"), float("inf")])
def test_only_numbers_are_numbers(value: object) -> None:
    with pytest.raises(ValidationError):
        schemas.CreditRiskFeatures.model_validate({**schemas.CREDIT_RISK_EXAMPLE, "tenure_months": value})


def test_unknown_fields_are_refused_at_every_level() -> None:
    for body in (
        {"customer_id": "a", "note": "x"},
        {"features": {**schemas.CREDIT_RISK_EXAMPLE, "protected": 1}},
        {"items": [{"customer_id": "a", "note": "x"}]},
    ):
        with pytest.raises(ValidationError, match="extra_forbidden"):
            schemas.CreditRiskRequest.model_validate(body)


FIELDS = {
    "customer_id": "a",
    "customer_ids": ["a"],
    "features": schemas.CREDIT_RISK_EXAMPLE,
    "items": [{"customer_id": "a"}],
}


@given(st.sets(st.sampled_from(sorted(FIELDS))))
def test_exactly_one_way_to_name_customers(chosen: set[str]) -> None:
    body = {name: FIELDS[name] for name in chosen}

    if len(chosen) == 1:
        schemas.CreditRiskRequest.model_validate(body)
    else:
        with pytest.raises(ValidationError, match="exactly one of"):
            schemas.CreditRiskRequest.model_validate(body)


@pytest.mark.parametrize("customer_id", ["", "a\n", "a\x00", "\u202e", "x" * 129, 7, None])
def test_odd_customer_ids_are_refused(customer_id: object) -> None:
    with pytest.raises(ValidationError):
        schemas.CreditRiskRequest.model_validate({"customer_id": customer_id})


def test_customer_ids_of_any_script_are_accepted() -> None:
    assert schemas.CreditRiskRequest.model_validate({"customer_id": "户号 0001-Ä"}).customer_id == "户号 0001-Ä"


def test_an_item_needs_something() -> None:
    with pytest.raises(ValidationError, match="an item needs"):
        schemas.CreditRiskRequest.model_validate({"items": [{}]})
