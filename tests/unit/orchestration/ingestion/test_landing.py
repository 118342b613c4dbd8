"""Good deliveries: what lands, what a repeated, corrected or grown delivery changes, and what never becomes visible."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from orchestration.ingestion.contract import CONTRACT_DELIVERY_ID, landing_columns, landing_tables
from orchestration.ingestion.errors import LandingLockedError
from orchestration.ingestion.landing import pending_files
from orchestration.ingestion.locking import locked
from orchestration.ingestion.pseudonym import customer_key
from tests.unit.orchestration.ingestion.supplier import (
    BILLS,
    CUSTOMERS,
    METERS,
    PSEUDONYM_KEY,
    Supplier,
    file_report,
    hourly,
    readings_csv,
)

KEY_1 = customer_key("C1", PSEUDONYM_KEY)


def test_empty_inbox_still_publishes_a_typed_file_for_every_table(supplier: Supplier) -> None:
    report = supplier.land()

    assert "the inbox holds no delivery" in report.findings[0]
    for table, columns in landing_tables().items():
        assert supplier.rows(table) == []
        pattern = f"{supplier.landing}/deliveries/{CONTRACT_DELIVERY_ID}/{table}/**/*.parquet"
        described = supplier.describe(pattern)
        assert described == {column.name: column.duckdb_type for column in columns}


def test_landed_files_have_exactly_the_types_of_the_contract(supplier: Supplier) -> None:
    supplier.basics(meter_readings=readings_csv(hourly("M1", "2024-09-01")))
    supplier.land()

    for table in ("customers", "meters", "bills", "payments", "meter_readings"):
        pattern = f"{supplier.landing}/deliveries/2024-09-*/{table}/**/*.parquet"
        assert supplier.describe(pattern) == {column.name: column.duckdb_type for column in landing_columns(table)}


def test_first_delivery_lands_with_pseudonyms_and_time_of_delivery(supplier: Supplier) -> None:
    supplier.basics(meter_readings=readings_csv([("M1", "2024-09-01 00:00", "1.2345"), ("M1", "2024-09-01T01:00Z", 2)]))
    supplier.deliver("2024-09", {}, delivered_at="2024-10-02T09:00:00+08:00")

    report = supplier.land()

    assert report.rows_in == report.rows_loaded == 10
    known_at = datetime(2024, 10, 2, 1)
    assert supplier.rows("meter_readings", "* exclude (delivery_id, read_month)", "meter_id = 'M1'") == [
        ("M1", KEY_1, datetime(2024, 9, 1, hour), 60, kwh, None, None, "actual", known_at, "meter_readings.csv", 0)
        for hour, kwh in enumerate((Decimal("1.2345"), Decimal("2.0000")))
    ]
    assert supplier.rows("payments", "payment_id, customer_key, amount", "payment_id = 'P1'") == [
        ("P1", KEY_1, Decimal("55.10"))
    ]
    assert supplier.rows("reading_months", "read_month") == [(date(2024, 9, 1),)]
    assert supplier.rows(
        "deliveries", "entity, rows_in, rows_loaded, rows_duplicate, rows_quarantined", "entity = 'bills'"
    ) == [("bills", 2, 2, 0, 0)]


def test_landing_again_changes_nothing_and_publishes_nothing(supplier: Supplier) -> None:
    supplier.basics(meter_readings=readings_csv(hourly("M1", "2024-09-01")))
    supplier.land()
    before = supplier.published()

    report = supplier.land()

    assert report.deliveries == ()
    assert report.skipped_files == 5
    assert supplier.published() == before


def test_same_files_under_another_name_are_a_duplicated_delivery(supplier: Supplier) -> None:
    supplier.basics()
    supplier.land()
    supplier.deliver("2024-09 copy", {path.name: path.read_bytes() for path in (supplier.inbox / "2024-09").iterdir()})

    report = supplier.land()

    assert report.deliveries == ()
    assert report.findings == (
        "2024-09 copy: every file was landed before under another name; nothing was loaded twice",
    )


def test_same_rows_in_another_file_are_exact_duplicates(supplier: Supplier) -> None:
    supplier.basics(meter_readings=readings_csv(hourly("M1", "2024-09-01")))
    supplier.land()
    supplier.deliver(
        "2024-10", {"bills.csv": BILLS + "\n", "meter_readings.csv": readings_csv(hourly("M1", "2024-09-01", hours=23))}
    )

    report = supplier.land()

    assert report.rows_loaded == 0
    assert report.rows_duplicate == 2 + 23
    assert len(supplier.rows("meter_readings")) == 24


def test_corrections_get_a_revision_and_the_later_time_of_knowledge(supplier: Supplier) -> None:
    supplier.basics(meter_readings=readings_csv(hourly("M1", "2024-09-01")))
    supplier.deliver("2024-09", {}, delivered_at="2024-10-02T00:00:00Z")
    supplier.land()
    correction = readings_csv([("M1", "2024-09-01 05:00", 0.75), ("M1", "2024-09-01 06:00", 0.5)])
    corrected_bills = BILLS.replace("55.10", "54.10")
    supplier.deliver(
        "2024-10", {"meter_readings.csv": correction, "bills.csv": corrected_bills}, "2024-11-02T00:00:00Z"
    )

    report = supplier.land()

    assert file_report(report, "meter_readings").rows_corrected == 1
    assert file_report(report, "meter_readings").rows_duplicate == 1
    assert supplier.rows("meter_readings", "kwh, known_at, revision", "read_at = timestamp '2024-09-01 05:00'") == [
        (Decimal("0.5000"), datetime(2024, 10, 2), 0),
        (Decimal("0.7500"), datetime(2024, 11, 2), 1),
    ]
    assert supplier.rows("bills", "amount, revision", "bill_id = 'B1'") == [
        (Decimal("54.10"), 1),
        (Decimal("55.10"), 0),
    ]


def test_first_versions_are_unique_per_key(supplier: Supplier) -> None:
    for number, value in enumerate((0.5, 0.75, 0.5), start=1):
        rows = readings_csv([("M1", "2024-09-01 05:00", value), ("M1", f"2024-09-02 0{number}:00", 1)])
        supplier.deliver(f"d{number}", {"customers.csv": CUSTOMERS, "meters.csv": METERS, "meter_readings.csv": rows})
    supplier.land()

    versions = supplier.rows("meter_readings", "revision, kwh", "read_at = timestamp '2024-09-01 05:00'")

    assert versions == [(0, Decimal("0.5000")), (1, Decimal("0.7500")), (2, Decimal("0.5000"))]


def test_file_that_joins_a_landed_folder_is_known_only_from_its_landing(supplier: Supplier) -> None:
    supplier.basics()
    supplier.deliver("2024-09", {}, delivered_at="2024-10-02T00:00:00Z")
    supplier.land()
    supplier.deliver("2024-09", {"meter_readings.csv": readings_csv(hourly("M1", "2024-09-01"))})

    report = supplier.land(landed_at=datetime(2024, 12, 1, tzinfo=UTC))

    assert [file.entity for file in report.files] == ["meter_readings"]
    assert {row[0] for row in supplier.rows("meter_readings", "known_at")} == {datetime(2024, 12, 1)}


def test_landing_in_one_go_or_delivery_by_delivery_gives_the_same_rows(tmp_path: Path) -> None:
    suppliers = []
    for name in ("once", "stepwise"):
        (tmp_path / name).mkdir()
        suppliers.append(Supplier(tmp_path / name))
    once, stepwise = suppliers
    deliveries = [
        {"customers.csv": CUSTOMERS, "meters.csv": METERS, "bills.csv": BILLS},
        {"meter_readings.csv": readings_csv(hourly("M1", "2024-09-30") + hourly("M2", "2024-09-30"))},
        {"meter_readings.csv": readings_csv(hourly("M1", "2024-09-30", 0.7, hours=3) + hourly("M1", "2024-10-01"))},
    ]
    for number, files in enumerate(deliveries):
        for one in suppliers:
            one.deliver(f"d{number}", files, f"2024-1{number}-02T00:00:00Z")
        stepwise.land()
    once.land()

    for table in ("customers", "meters", "bills", "meter_readings", "reading_months"):
        columns = "* exclude (landed_at)" if table == "reading_months" else "*"
        assert once.rows(table, columns) == stepwise.rows(table, columns)


def test_readings_are_partitioned_by_utc_month_and_sorted(supplier: Supplier) -> None:
    rows = hourly("M2", "2024-09-30") + hourly("M1", "2024-10-01") + hourly("M1", "2024-09-30")
    supplier.basics(meter_readings=readings_csv(rows))

    supplier.land()

    files = sorted(supplier.landing.glob("deliveries/2024-09-*/meter_readings/*/*.parquet"))
    assert [path.parent.name for path in files] == ["read_month=2024-09-01", "read_month=2024-10-01"]
    for path in files:
        order = supplier.in_file_order(path, "meter_id, read_at")
        assert order == sorted(order)


def test_meter_multiplier_is_applied_once(supplier: Supplier) -> None:
    meters = "meter_id,customer_id,interval_minutes,multiplier\nM1,C1,60,40\nM2,C2,60,\n"
    supplier.basics(
        meters=meters, meter_readings=readings_csv([("M1", "2024-09-01 00:00", 0.5), ("M2", "2024-09-01 00:00", 0.5)])
    )

    supplier.land()

    assert supplier.rows("meter_readings", "kwh") == [(Decimal("0.5000"),), (Decimal("20.0000"),)]


def test_further_columns_of_customers_become_attributes(supplier: Supplier) -> None:
    supplier.deliver("d", {"customers.csv": "customer_id,customer_class,tenure,rooms\nC1,residential,owner,4\n"})

    supplier.land()

    [(attributes,)] = supplier.rows("customers", "attributes")
    assert orjson.loads(attributes) == {"tenure": "owner", "rooms": "4"}


def test_tariff_documents_land_as_json(supplier: Supplier) -> None:
    text = "tariffs:\n- tariff_id: flat\n  version: '2024'\n  valid_from: 2024-01-01\n  components: [{kind: energy}]\n"
    supplier.deliver("d", {"tariffs.yaml": text})

    report = supplier.land()

    assert report.rows_loaded == 1
    [(tariff_id, version, valid_from, document)] = supplier.rows(
        "tariffs", "tariff_id, version, valid_from, tariff_json"
    )
    assert (tariff_id, version, valid_from) == ("flat", "2024", date(2024, 1, 1))
    assert orjson.loads(document)["components"] == [{"kind": "energy"}]


def test_pending_files_are_those_that_a_landing_would_read(supplier: Supplier) -> None:
    supplier.basics()
    before = pending_files(supplier.inbox, None, supplier.landing)
    supplier.land()

    assert [name.split("@")[0] for name in before] == [
        f"2024-09/{entity}.csv" for entity in ("bills", "customers", "meters", "payments")
    ]
    assert pending_files(supplier.inbox, None, supplier.landing) == []


def test_delivery_id_depends_on_name_and_content_only(tmp_path: Path) -> None:
    ids = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        supplier = Supplier(tmp_path / name)
        supplier.basics()
        supplier.land()
        ids.append(supplier.published())

    assert ids[0] == ids[1]


def test_two_landings_at_the_same_time_are_refused(supplier: Supplier) -> None:
    supplier.landing.mkdir()
    with locked(supplier.landing), pytest.raises(LandingLockedError, match="another process is landing"):
        supplier.land()


def test_restricted_folders_are_closed_to_others(supplier: Supplier) -> None:
    supplier.basics()
    supplier.land()

    for name in ("identities", "quarantine", ".incoming"):
        assert (supplier.landing / name).stat().st_mode & 0o777 == 0o700


def test_progress_names_each_delivery(supplier: Supplier) -> None:
    sentences: list[str] = []
    supplier.basics()
    supplier.land(progress=sentences.append)

    assert sentences[0] == "2024-09: customers (1 files)"
    assert "2024-09: 8 rows landed" in sentences[-1]
