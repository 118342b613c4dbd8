"""Raw rows are kept without names, few an hour, and give the same features again."""

from serving.raw_keeping import RawKeeper, packed, unpacked
from serving.raw_schemas import RawCustomer

RAW = RawCustomer.model_validate_json(
    """{
    "as_of_month": "2026-09-01",
    "customer": {"customer_id": "C-SECRET", "customer_class": "residential"},
    "meters": [{"meter_id": "METER-9", "interval_minutes": 60}],
    "meter_readings": [{"meter_id": "METER-9", "read_at": "2026-09-01T00:00:00Z", "kwh": 0.5}],
    "bills": [{"bill_id": "BILL-2", "period_start": "2026-08-01", "period_end": "2026-09-01", "amount": 55.1,
               "issued_date": "2026-09-03", "due_date": "2026-09-20"}],
    "payments": [{"payment_id": "PAY-B", "bill_id": "BILL-2", "paid_date": "2026-09-10", "amount": 5.1},
                 {"payment_id": "PAY-A", "bill_id": "BILL-2", "paid_date": "2026-09-10", "amount": 50}],
    "service_contacts": []
    }"""
)


def test_what_is_kept_names_nobody_and_keeps_the_order_of_ids() -> None:
    kept = unpacked(packed(RAW))

    text = kept.model_dump_json()
    assert not any(name in text for name in ("C-SECRET", "METER", "BILL", "PAY-"))
    assert kept.payments is not None
    assert [payment.payment_id for payment in kept.payments] == ["000001", "000000"]


def test_everything_else_is_as_it_was() -> None:
    kept = unpacked(packed(RAW)).model_dump()
    sent = RAW.model_dump()

    assert kept["service_contacts"] == []
    assert kept["inspections"] is None
    assert {**kept["meter_readings"][0], "meter_id": "METER-9"} == sent["meter_readings"][0]
    assert {**kept["bills"][0], "bill_id": "BILL-2"} == sent["bills"][0]


def test_few_are_kept_an_hour() -> None:
    now = 0.0
    keeper = RawKeeper(2, clock=lambda: now)

    assert [keeper.keep(RAW) is not None for _ in range(3)] == [True, True, False]

    now = 3600.0
    assert keeper.keep(RAW) is not None
    assert RawKeeper(0).keep(RAW) is None
