"""Personal data stay in the identities, and an erased customer leaves no trace."""

import orjson
import pytest

from orchestration.ingestion.identities import erase_customer, find_traces
from orchestration.ingestion.pseudonym import customer_key
from tests.unit.orchestration.ingestion.supplier import (
    BILLS,
    METERS,
    PAYMENTS,
    PSEUDONYM_KEY,
    Supplier,
    hourly,
    readings_csv,
)

PERSONAL = (
    "Zhang Wei",
    "370102199001011234",
    "13900000001",
    "Quancheng Road 7",
    "zhang@example.com",
    "my neighbour Wang",
)
CUSTOMERS = (
    "customer_id,customer_class,name,id_number,phone,address,email\n"
    "CUST-0001,residential,Zhang Wei,370102199001011234,13900000001,Quancheng Road 7,zhang@example.com\n"
    "CUST-0002,residential,Li Na,370102199001015678,13900000002,Quancheng Road 9,li@example.com\n"
)
CONTACTS = (
    "contact_id,customer_id,opened_at,closed_at,channel,topic,text,satisfaction\n"
    "K1,CUST-0001,2024-09-05 08:00,2024-09-05 09:00,phone,bill,my neighbour Wang says CUST-0001 pays too much,2\n"
    "K2,CUST-0002,2024-09-05 08:00,,app,outage,no light,5\n"
)
MAPPING = """
source: other
time_zone: UTC
entities:
  customers:
    file: customers.csv
    personal: {email: email}
  meters: {file: meters.csv}
  bills: {file: bills.csv}
  payments: {file: payments.csv}
  service_contacts: {file: service_contacts.csv}
  meter_readings: {file: meter_readings.csv}
"""


def with_ids(text: str) -> str:
    return text.replace("C1", "CUST-0001").replace("C2", "CUST-0002")


@pytest.fixture
def landed(supplier: Supplier) -> Supplier:
    supplier.mapping(MAPPING)
    # The last bill's columns have shifted: a name, a number and a telephone number stand under headings of figures.
    shifted = "B3,CUST-0001,Zhang Wei,370102199001011234,13900000001,Quancheng Road 7,2024-09-03,2024-09-20\n"
    supplier.basics(
        customers=CUSTOMERS,
        meters=with_ids(METERS),
        bills=with_ids(BILLS) + shifted,
        payments=PAYMENTS + "P3,B1,13900000001,Zhang Wei,Quancheng Road 7\n",
        service_contacts=CONTACTS,
        meter_readings=readings_csv(
            hourly("M1", "2024-09-01") + hourly("M2", "2024-09-01") + [("M1", "2024-09-02 00:00", -1)]
        ),
    )
    return supplier


def test_no_personal_value_leaves_the_restricted_folders(landed: Supplier) -> None:
    progress: list[str] = []
    report = landed.land(progress=progress.append)

    said = report.model_dump_json() + report.sentence() + "".join(progress)
    for value in (*PERSONAL, "CUST-0001"):
        assert value not in said
    for path in (landed.landing / "deliveries").rglob("*"):
        if path.is_file():
            content = str(landed.file_rows(path)) if path.suffix == ".parquet" else path.read_text()
            for value in (*PERSONAL, "CUST-0001"):
                assert value not in content, path
    assert report.quarantined_by_reason == {"wrong_type": 2, "impossible_value": 1}


def test_identities_hold_what_the_customer_table_leaves_out(landed: Supplier) -> None:
    landed.land()

    [path] = (landed.landing / "identities").glob("*.parquet")
    rows = {row["customer_id"]: row for row in landed.file_rows(path) if row["entity"] == "customers"}
    first = rows["CUST-0001"]
    assert (first["name"], first["id_number"], first["phone"], first["address"]) == PERSONAL[:4]
    assert orjson.loads(first["personal"]) == {"email": "zhang@example.com"}
    assert first["customer_key"] == customer_key("CUST-0001", PSEUDONYM_KEY)
    [contact] = [row for row in landed.file_rows(path) if row["record_id"] == "K1"]
    assert contact["text"].startswith("my neighbour Wang")


def test_changed_telephone_number_is_a_new_version_and_an_unchanged_one_is_not(landed: Supplier) -> None:
    landed.land()
    landed.deliver("2024-10", {"customers.csv": CUSTOMERS.replace("13900000001", "13911111111")})

    report = landed.land()

    assert (report.rows_loaded, report.rows_duplicate) == (1, 1)
    paths = (landed.landing / "identities").glob("*.parquet")
    phones = {row["phone"] for path in paths for row in landed.file_rows(path) if row["customer_id"] == "CUST-0001"}
    assert phones >= {"13900000001", "13911111111"}


def test_erased_customer_leaves_no_trace_and_others_stay_whole(landed: Supplier) -> None:
    landed.land()
    tables = ("customers", "meters", "bills", "payments", "meter_readings", "service_contacts")
    is_other = f"customer_key <> '{customer_key('CUST-0001', PSEUDONYM_KEY)}'"
    others = {table: landed.rows(table, where=is_other) for table in tables}
    places = find_traces(landed.landing, "CUST-0001", PSEUDONYM_KEY)

    report = erase_customer(landed.landing, "CUST-0001", PSEUDONYM_KEY)

    assert {place.split("/")[0] for place in places} == {"deliveries", "identities", "quarantine"}
    assert report.rows_removed > 24
    assert find_traces(landed.landing, "CUST-0001", PSEUDONYM_KEY) == []
    assert {table: landed.rows(table) for table in others} == others
    assert landed.quarantine() == []
    content = b"".join(
        path.read_bytes() for path in landed.landing.rglob("*") if path.is_file() and path.suffix != ".parquet"
    )
    assert b"CUST-0001" not in content


def test_erased_customer_does_not_come_back_with_a_later_delivery(landed: Supplier) -> None:
    landed.land()
    erase_customer(landed.landing, "CUST-0001", PSEUDONYM_KEY)
    landed.deliver(
        "2024-10",
        {"customers.csv": CUSTOMERS.replace("Road", "Street"), "bills.csv": with_ids(BILLS).replace("B1", "B8")},
    )

    report = landed.land()

    assert report.quarantined_by_reason == {"erased_customer": 2}
    assert report.messages == ()
    assert find_traces(landed.landing, "CUST-0001", PSEUDONYM_KEY) == []


def test_meters_and_bills_of_an_erased_customer_are_refused_without_keeping_the_row(landed: Supplier) -> None:
    landed.land()
    erase_customer(landed.landing, "CUST-0001", PSEUDONYM_KEY)
    landed.deliver(
        "2024-10",
        {
            "payments.csv": PAYMENTS.replace("P1,", "P8,").replace("P2,", "P9,"),
            "meter_readings.csv": readings_csv(hourly("M1", "2024-10-01") + hourly("M2", "2024-10-01")),
        },
    )

    report = landed.land()

    assert report.quarantined_by_reason == {"erased_customer": 25}
    assert report.rows_loaded == 25
    kept = landed.quarantine("value, raw_row")
    assert len(kept) == 25
    assert set(kept) == {(None, None)}


def test_meter_that_an_erased_customer_gets_later_is_not_taken_up(landed: Supplier) -> None:
    landed.land()
    erase_customer(landed.landing, "CUST-0001", PSEUDONYM_KEY)
    landed.deliver("2024-10", {"meters.csv": with_ids(METERS).replace("M1", "M8")})
    landed.land()
    landed.deliver("2024-11", {"meter_readings.csv": readings_csv(hourly("M8", "2024-11-01"))})

    report = landed.land()

    assert report.quarantined_by_reason == {"erased_customer": 24}
    assert landed.rows("meter_readings", where="meter_id = 'M8'") == []


def test_erasure_can_be_repeated(landed: Supplier) -> None:
    landed.land()
    erase_customer(landed.landing, "CUST-0001", PSEUDONYM_KEY)

    assert erase_customer(landed.landing, "CUST-0001", PSEUDONYM_KEY).rows_removed == 0


def test_traces_are_found_in_every_kind_of_place(landed: Supplier) -> None:
    landed.land()
    (landed.landing / "note.txt").write_text("call CUST-0001 back")
    (landed.landing / "other.txt").write_text("CUST-00012 is somebody else")

    places = find_traces(landed.landing, "CUST-0001", PSEUDONYM_KEY)

    assert "note.txt" in places
    assert "other.txt" not in places
    assert any(place.endswith("raw_row") for place in places)
    assert any(place.endswith("customer_key") and "meter_readings" in place for place in places)
