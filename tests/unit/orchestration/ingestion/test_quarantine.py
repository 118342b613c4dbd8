import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.ingestion.quarantine import Reason, RowCheck, row_message, shown_value

NUMBER = RowCheck(Reason.WRONG_TYPE, "amount", "is not a number")
CODE = RowCheck(Reason.NOT_ALLOWED, "customer_class", "is not one of", ("residential", "commercial"))


@pytest.mark.parametrize("value", ["12,5O", "-1", "1.000,50", "99.9", "2024-13-01", "2024-09-01 25:00", "12%"])
def test_figures_and_dates_are_shown(value: str) -> None:
    assert shown_value(value, NUMBER) == f'"{value}"'


@pytest.mark.parametrize(
    "value",
    [
        "Zhang Wei",
        "张三",
        "13900000001",
        "139 0000 0001",
        "37010219900101123X",
        "Quancheng Road 7",
        "+86-139-0000-0001",
    ],
)
def test_names_numbers_and_addresses_are_described_only(value: str) -> None:
    assert shown_value(value, NUMBER) == f"the value ({len(value)} characters)"


def test_misspelt_code_is_shown_and_anything_else_is_not() -> None:
    assert shown_value("residentail", CODE) == '"residentail"'
    assert shown_value("Zhang Wei", CODE) == "the value"


def test_secret_columns_are_never_shown() -> None:
    assert shown_value("12", RowCheck(Reason.ORPHAN, "customer_id", "is unknown", (), True)) == "the value"


def test_message_names_file_row_column_and_remedy() -> None:
    message = row_message("bills.csv", 17, NUMBER, "12,5O")

    assert message == 'bills.csv, row 17, column amount: "12,5O" is not a number'


@given(st.from_regex(r"1[3-9]\d{9}", fullmatch=True))
def test_no_mobile_number_is_ever_shown(number: str) -> None:
    assert number not in shown_value(number, NUMBER)
    assert number not in shown_value(number, CODE)
