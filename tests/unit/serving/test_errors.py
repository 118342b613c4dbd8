"""The table of errors is the errors that the code raises."""

import re
from pathlib import Path

import serving
from serving.errors import ERROR_TYPES, TITLES, ApiError

RAISED = {
    (kind, int(status))
    for path in Path(serving.__file__).parent.rglob("*.py")
    for status, kind in re.findall(r"ApiError\(\s*(\d{3}),\s*\"(\w+)\"", path.read_text(encoding="utf-8"))
}


def test_every_error_that_is_raised_is_documented_with_its_status() -> None:
    assert {(kind, status) for kind, status in RAISED if status not in ERROR_TYPES[kind].statuses} == set()


def test_every_documented_error_says_what_to_do() -> None:
    for kind, error_type in ERROR_TYPES.items():
        assert error_type.statuses, kind
        assert error_type.title[0].isupper()
        assert error_type.remedy.endswith("."), kind
        assert TITLES[kind] == error_type.title


def test_an_error_has_the_one_shape() -> None:
    error = ApiError(422, "invalid_request", "say less", field="a.b", allowed=["x"])

    assert error.body("id") == {**error.problem(), "request_id": "id"}
    assert list(error.body("id")) == ["type", "title", "detail", "field", "allowed", "request_id"]
