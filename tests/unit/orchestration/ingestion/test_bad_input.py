"""Every fault that a supplier's files can have: messages name file, row, column and remedy; what is good is loaded."""

# ruff: noqa: E501 -- tables of file contents and messages are read as tables

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration.ingestion.report import LandingReport
from tests.unit.orchestration.ingestion.supplier import (
    BILLS,
    CUSTOMERS,
    METERS,
    PAYMENTS,
    Supplier,
    file_report,
    hourly,
    readings_csv,
)

BILLS_HEADER = BILLS.splitlines()[0] + "\n"


def loaded(report: LandingReport) -> set[str]:
    return {file.entity for file in report.files if file.rows_loaded}


def parquet_bytes(tmp_path: Path) -> bytes:
    path = tmp_path / "good.parquet"
    pq.write_table(pa.table({"bill_id": [f"B{number}" for number in range(5000)]}), path)
    return path.read_bytes()


class TestUnreadableFiles:
    """A file that cannot be read at all is reported by name, and the others still load."""

    def test_empty_file(self, supplier: Supplier) -> None:
        supplier.basics(bills="")

        report = supplier.land()

        assert [item.message for item in report.unreadable] == [
            "2024-09/bills.csv is empty (0 bytes); deliver the file again"
        ]
        assert loaded(report) == {"customers", "meters"}

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"PK\x03\x04" + bytes(200), "an Excel workbook or a ZIP archive; export it as CSV"),
            (bytes(range(256)) * 10, "is binary data, not text; export it as CSV"),
            (b"\xff\xff\xff,\xff\xff\n" * 3, "is neither UTF-8 nor GB18030 text; name its encoding as csv.encoding"),
        ],
    )
    def test_binary_file(self, supplier: Supplier, content: bytes, words: str) -> None:
        supplier.basics(bills=content)

        report = supplier.land()

        assert report.unreadable[0].message.startswith("2024-09/bills.csv")
        assert words in report.unreadable[0].message
        assert loaded(report) == {"customers", "meters"}

    def test_truncated_parquet_file(self, supplier: Supplier, tmp_path: Path) -> None:
        supplier.basics()
        (supplier.inbox / "2024-09" / "bills.csv").unlink()
        supplier.deliver("2024-09", {"bills.parquet": parquet_bytes(tmp_path)[:-100]})

        report = supplier.land()

        assert [item.message for item in report.unreadable] == [
            "2024-09/bills.parquet ends too early: the Parquet file was truncated; deliver it again"
        ]
        assert loaded(report) == {"customers", "meters"}

    def test_damaged_parquet_file(self, supplier: Supplier, tmp_path: Path) -> None:
        content = bytearray(parquet_bytes(tmp_path))
        content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)
        path = tmp_path / "readings.parquet"
        path.write_bytes(content)
        supplier.basics()
        (supplier.inbox / "2024-09" / "payments.csv").unlink()
        supplier.deliver(
            "2024-09", {"inspections.parquet": bytes(content), "weather.parquet": b"no parquet at all" * 9}
        )

        report = supplier.land()

        messages = {item.source_file: item.message for item in report.unreadable}
        assert (
            "deliver it again" in messages["inspections.parquet"]
            or "lacks the column" in messages["inspections.parquet"]
        )
        assert messages["weather.parquet"] == (
            "2024-09/weather.parquet is no Parquet file, whatever its ending says; export it again as Parquet"
        )
        assert loaded(report) == {"customers", "meters", "bills"}

    def test_wrong_delimiter_in_the_mapping(self, supplier: Supplier) -> None:
        supplier.mapping(
            "source: other\nentities:\n  customers: {file: customers.csv, csv: {delimiter: ';'}}\n  meters: {file: meters.csv}\n"
        )
        supplier.basics()

        report = supplier.land()

        assert [item.message for item in report.unreadable] == [
            "2024-09/customers.csv is not separated by ';' but, it seems, by ','; correct csv.delimiter in the mapping or leave it out"
        ]

    @pytest.mark.parametrize("delimiter", [";", "\t", "|"])
    def test_other_delimiters_are_recognised(self, supplier: Supplier, delimiter: str) -> None:
        supplier.basics(bills=BILLS.replace(",", delimiter))

        assert file_report(supplier.land(), "bills").rows_loaded == 2

    def test_renamed_column(self, supplier: Supplier) -> None:
        supplier.basics(bills=BILLS.replace("due_date", "duedate"))

        [unreadable] = supplier.land().unreadable

        assert unreadable.message == (
            "2024-09/bills.csv lacks the column due_date of bills; its columns are bill_id, customer_id, period_start, period_end, "
            "kwh, amount, issued_date, duedate (is duedate the due_date?); rename the column, or say in the mapping "
            "which one it is (entities.bills.columns)"
        )

    def test_column_of_an_expression_is_missing(self, supplier: Supplier) -> None:
        supplier.mapping(
            "source: other\nentities:\n  customers:\n    file: customers.csv\n"
            "    columns: {customer_id: kundennummer, customer_class: customer_class}\n"
        )
        supplier.basics()

        [unreadable] = supplier.land().unreadable

        assert "the mapping's expression for customer_id, kundennummer, does not fit the file" in unreadable.message
        assert unreadable.message.endswith("; correct the mapping, or deliver the file again with the column")
        assert "its columns are customer_id, customer_class, name, phone" in unreadable.message

    def test_column_named_twice(self, supplier: Supplier) -> None:
        supplier.basics(bills=BILLS.replace("kwh", "amount"))

        [unreadable] = supplier.land().unreadable

        assert unreadable.message == "2024-09/bills.csv names the column amount twice in its header; rename one of them"

    def test_expression_that_fails_on_a_value_does_not_repeat_the_value(self, supplier: Supplier) -> None:
        supplier.mapping(
            "source: other\nentities:\n  customers:\n    file: customers.csv\n"
            "    columns: {customer_id: customer_id, contract_capacity_kva: cast(name as double)}\n"
        )
        supplier.basics()

        [unreadable] = supplier.land().unreadable

        assert "use try_cast" in unreadable.message
        assert "Zhang" not in unreadable.message

    def test_unreadable_file_is_tried_again_and_then_what_depends_on_it_loads(self, supplier: Supplier) -> None:
        supplier.basics(bills=BILLS_HEADER.encode() + b"\x00\x00\x00\x00")
        first = supplier.land()
        supplier.deliver("2024-09", {"bills.csv": BILLS})

        second = supplier.land()

        assert file_report(first, "payments").quarantined_by_reason == {"orphan": 2}
        assert second.unreadable == ()
        assert len(supplier.rows("bills")) == len(supplier.rows("payments")) == 2
        assert supplier.land().deliveries == ()

    def test_file_that_no_entity_reads_is_named(self, supplier: Supplier) -> None:
        supplier.basics()
        supplier.deliver("2024-09", {"bils.csv": BILLS})

        assert (
            "2024-09: no entity of the mapping reads bils.csv; add them to the mapping or ignore this"
            in supplier.land().findings
        )


class TestEncodings:
    """Chinese suppliers export GB18030, spreadsheets add a byte order mark."""

    @pytest.mark.parametrize("encoding", ["gb18030", "utf-8-sig", "utf-16"])
    def test_encoding_is_recognised(self, supplier: Supplier, encoding: str) -> None:
        text = "customer_id,customer_class,district\nC1,residential,历下区\n"
        supplier.deliver("d", {"customers.csv": text.encode(encoding)})

        supplier.land()

        assert supplier.rows("customers", "district") == [("历下区",)]

    def test_wrong_encoding_in_the_mapping(self, supplier: Supplier) -> None:
        supplier.mapping("source: other\nentities: {customers: {file: customers.csv, csv: {encoding: ascii}}}\n")
        supplier.deliver("d", {"customers.csv": "customer_id,customer_class,district\nC1,residential,历下区\n"})

        [unreadable] = supplier.land().unreadable

        assert unreadable.message == (
            "d/customers.csv is not ascii text; correct csv.encoding in the mapping or leave it out"
        )


class TestBadRows:
    """A bad row goes to quarantine with its reason; the rows around it load."""

    def test_value_of_the_wrong_type(self, supplier: Supplier) -> None:
        supplier.basics(bills=BILLS.replace("65.20", '"12,5O"'))

        report = supplier.land()

        assert (
            '2024-09/bills.csv, row 3, column amount: "12,5O" is not a number; correct the value and deliver the file again'
            in report.messages
        )
        assert supplier.rows("bills", "bill_id") == [("B1",)]
        assert supplier.quarantine() == [
            ("bills", "bills.csv", 3, "wrong_type"),
            ("payments", "payments.csv", 3, "orphan"),
        ]

    def test_quarantine_keeps_the_raw_row(self, supplier: Supplier) -> None:
        supplier.basics(bills=BILLS.replace("65.20", "much"))

        supplier.land()

        [row] = [row for row in supplier.quarantine('reason, "column", value, raw_row') if row[0] == "wrong_type"]
        assert row[:3] == ("wrong_type", "amount", "much")
        assert '"bill_id":"B2"' in row[3]

    @pytest.mark.parametrize(
        ("entity", "content", "reason", "words"),
        [
            ("bills", BILLS.replace("B2", ""), "missing_value", "2024-09/bills.csv, row 3, column bill_id: the value is missing; fill it in"),
            ("bills", BILLS.replace("B2,C2,2024-08-01,2024-09-01", "B2,C2,2024-09-01,2024-08-01"), "impossible_value",
             'column period_end: "2024-08-01" is not after period_start'),
            ("bills", BILLS.replace("2024-09-20\n", "2024-09-31\n"), "wrong_type", '"2024-09-31" is not a date (YYYY-MM-DD)'),
            ("customers", CUSTOMERS.replace("C2,residential", "C2,residentail"), "not_allowed",
             '2024-09/customers.csv, row 3, column customer_class: "residentail" is not one of residential, commercial'),
            ("meters", METERS.replace("M2,C2,60", "M2,C2,61"), "not_allowed", '2024-09/meters.csv, row 3, column interval_minutes'),
            ("meters", METERS.replace("M2,C2,60", "M2,C2,60.5"), "wrong_type", '"60.5" is not a whole number'),
            ("meters", METERS.replace("C2", "C9"), "orphan",
             "2024-09/meters.csv, row 3, column customer_id: the value names no customer that was delivered and loaded"),
            ("payments", PAYMENTS.replace("B2", "B9"), "orphan", '2024-09/payments.csv, row 3, column bill_id: "B9" names no bill'),
            ("bills", BILLS.replace("B2,C2", "B2,C9"), "orphan", "2024-09/bills.csv, row 3, column customer_id: the value names no customer"),
        ],
    )  # fmt: skip
    def test_reason_and_message(self, supplier: Supplier, entity: str, content: str, reason: str, words: str) -> None:
        supplier.basics(**{entity: content})

        report = supplier.land()

        assert reason in file_report(report, entity).quarantined_by_reason
        assert any(words in message for message in report.messages), report.messages

    def test_rows_with_too_few_or_too_many_columns(self, supplier: Supplier) -> None:
        lines = BILLS.splitlines()
        content = "\n".join([lines[0], "B7,C1,2024-08-01", lines[1], lines[2] + ",extra,columns", "B8,C1,x,y,1,1,z,z"])
        supplier.basics(bills=content + "\n")

        report = supplier.land()

        file = file_report(report, "bills")
        assert (file.rows_in, file.rows_loaded, file.rows_quarantined) == (4, 1, 3)
        assert (
            "2024-09/bills.csv, row 2: the row has fewer than the 8 columns of the header; correct it and deliver the file again"
            in report.messages
        )
        assert (
            "2024-09/bills.csv, row 4: the row has more than the 8 columns of the header; correct it and deliver the file again"
            in report.messages
        )
        assert any(message.startswith("2024-09/bills.csv, row 5, column period_start:") for message in report.messages)

    def test_file_truncated_within_a_row(self, supplier: Supplier) -> None:
        supplier.basics(bills=BILLS[: BILLS.index("120,65.20")])

        report = supplier.land()

        assert supplier.rows("bills", "bill_id") == [("B1",)]
        assert file_report(report, "bills").quarantined_by_reason == {"malformed_row": 1}

    def test_same_key_with_different_content_in_one_delivery(self, supplier: Supplier) -> None:
        supplier.basics(bills=BILLS + BILLS.splitlines()[1].replace("55.10", "99.99") + "\n")

        report = supplier.land()

        assert file_report(report, "bills").quarantined_by_reason == {"duplicate_key": 2}
        assert supplier.rows("bills", "bill_id") == [("B2",)]

    def test_exact_duplicate_in_one_delivery_is_loaded_once(self, supplier: Supplier) -> None:
        supplier.basics(bills=BILLS + BILLS.splitlines()[1] + "\n")

        report = supplier.land()

        assert file_report(report, "bills").rows_duplicate == 1
        assert len(supplier.rows("bills")) == 2

    def test_orphan_is_taken_up_when_its_parent_arrives(self, supplier: Supplier) -> None:
        supplier.basics(payments=PAYMENTS + "P9,B9,2024-10-09,7,app\n")
        supplier.deliver("2024-09", {}, "2024-10-01T00:00:00Z")
        supplier.land()
        supplier.deliver(
            "2024-10",
            {"bills.csv": BILLS_HEADER + "B9,C1,2024-09-01,2024-10-01,1,7,2024-10-03,2024-10-20\n"},
            "2024-11-01T00:00:00Z",
        )

        report = supplier.land()

        assert supplier.rows("payments", "payment_id, known_at", "payment_id = 'P9'") == [("P9", datetime(2024, 11, 1))]
        assert (file_report(report, "payments").rows_in, file_report(report, "payments").rows_loaded) == (1, 1)
        assert supplier.land().deliveries == ()

    def test_orphans_of_orphans_are_taken_up_once_and_then_left_alone(self, supplier: Supplier) -> None:
        supplier.deliver("a", {"meters.csv": METERS, "bills.csv": BILLS, "payments.csv": PAYMENTS,
                               "meter_readings.csv": readings_csv(hourly("M1", "2024-09-01"))})  # fmt: skip
        supplier.land()
        supplier.deliver("b", {"customers.csv": CUSTOMERS})
        second = supplier.land()
        supplier.deliver("c", {"weather.csv": "district,observed_at,temperature_c\nD,2024-09-01 00:00,20\n"})

        third = supplier.land()

        assert [len(supplier.rows(table)) for table in ("meters", "bills", "payments", "meter_readings")] == [
            2,
            2,
            2,
            24,
        ]
        assert [delivery.name for delivery in second.deliveries] == ["b", "a", "a"]
        assert [delivery.name for delivery in third.deliveries] == ["c"]


class TestMeters:
    """A meter belongs to one customer at a time and lives from its installation to its removal."""

    def test_meter_with_two_customers_at_once(self, supplier: Supplier) -> None:
        supplier.basics(meters=METERS + "M2,C1,60,2024-03-01\n")

        report = supplier.land()

        assert file_report(report, "meters").quarantined_by_reason == {"two_customers": 2}
        assert '2024-09/meters.csv, row 3, column meter_id: "M2" stands at two customers at the same time' in " ".join(
            report.messages
        )

    def test_meter_that_passes_on_belongs_to_each_customer_in_turn(self, supplier: Supplier) -> None:
        meters = "meter_id,customer_id,interval_minutes,installed_date,removed_date\nM1,C1,60,,2024-09-10\nM1,C2,60,2024-09-11,\n"
        supplier.basics(
            meters=meters, meter_readings=readings_csv(hourly("M1", "2024-09-09") + hourly("M1", "2024-09-12"))
        )

        supplier.land()

        owners = supplier.rows(
            "meter_readings",
            "read_at < timestamp '2024-09-11', count(distinct customer_key), count(*)",
            "true group by 1",
        )
        assert owners == [(False, 1, 24), (True, 1, 24)]
        assert len({row[0] for row in supplier.rows("meter_readings", "distinct customer_key")}) == 2

    def test_later_delivery_overrules_who_has_the_meter(self, supplier: Supplier) -> None:
        supplier.basics(meter_readings=readings_csv(hourly("M1", "2024-09-01")))
        supplier.deliver("2024-10", {"meters.csv": "meter_id,customer_id,interval_minutes,installed_date\nM1,C2,60,2024-10-01\n",
                                     "meter_readings.csv": readings_csv(hourly("M1", "2024-10-02") + hourly("M1", "2024-09-20"))})  # fmt: skip
        supplier.land()

        months = supplier.rows(
            "meter_readings",
            "read_at >= timestamp '2024-10-01', count(distinct customer_key), count(*)",
            "true group by 1",
        )
        assert months == [(False, 1, 48), (True, 1, 24)]
        assert supplier.rows("meters", "revision", "meter_id = 'M1'") == [(0,), (1,)]

    def test_readings_outside_the_life_of_the_meter(self, supplier: Supplier) -> None:
        # 2024-01-01 in Shanghai begins at 16:00 UTC of the day before.
        rows = [("M1", "2023-12-31 15:00", 1), ("M1", "2023-12-31 16:00", 1), ("MX", "2024-01-01 00:00", 1)]
        supplier.basics(meter_readings=readings_csv(rows))

        report = supplier.land()

        assert file_report(report, "meter_readings").quarantined_by_reason == {"outside_meter_life": 1, "orphan": 1}
        assert supplier.rows("meter_readings", "read_at") == [(datetime(2023, 12, 31, 16),)]


class TestReadings:
    """Values that no meter can pass, wrong units, and missing months."""

    def test_negative_and_absurd_values(self, supplier: Supplier) -> None:
        rows = [
            ("M1", "2024-09-01 00:00", -1),
            ("M1", "2024-09-01 01:00", 101),
            ("M1", "2024-09-01 02:00", 99),
            ("M1", "2024-09-01 03:00", 1e7),
        ]
        supplier.basics(meter_readings=readings_csv(rows))

        report = supplier.land()

        assert file_report(report, "meter_readings").quarantined_by_reason == {"impossible_value": 3}
        assert (
            '2024-09/meter_readings.csv, row 2, column kwh: "-1" is negative; correct the value and deliver the file again'
            in report.messages
        )
        assert any(
            "row 3, column kwh" in message and "more than the meter can pass" in message for message in report.messages
        )

    def test_reading_off_the_interval_grid(self, supplier: Supplier) -> None:
        supplier.basics(meter_readings=readings_csv([("M1", "2024-09-01 00:07", 1), ("M1", "2024-09-01 00:30", 1)]))

        report = supplier.land()

        assert file_report(report, "meter_readings").quarantined_by_reason == {"impossible_value": 2}

    def test_missing_value_needs_its_quality(self, supplier: Supplier) -> None:
        content = "meter_id,read_at,kwh,quality\nM1,2024-09-01 00:00,,missing\nM1,2024-09-01 01:00,,\n"
        supplier.basics(meter_readings=content)

        report = supplier.land()

        assert supplier.rows("meter_readings", "kwh, quality") == [(None, "missing")]
        assert file_report(report, "meter_readings").quarantined_by_reason == {"missing_value": 1}

    def test_watt_hours_under_the_name_of_kilowatt_hours(self, supplier: Supplier) -> None:
        supplier.basics(meter_readings=readings_csv(hourly("M1", "2024-09-01", 420) + hourly("M2", "2024-09-01", 35)))

        report = supplier.land()

        assert file_report(report, "meter_readings").quarantined_by_reason == {"wrong_unit": 48}
        assert report.findings[0].startswith(
            "2024-09/meter_readings.csv: 1 of 2 meters read about a thousand times too much, so the whole file"
        )
        assert "set units: {kwh: Wh} under entities.meter_readings" in report.findings[0]

    def test_unit_in_the_mapping_makes_the_same_file_load(self, supplier: Supplier) -> None:
        supplier.basics(meter_readings=readings_csv(hourly("M1", "2024-09-01", 420) + hourly("M2", "2024-09-01", 35)))
        supplier.land()
        supplier.mapping(
            "source: other\ntime_zone: UTC\nentities:\n  customers: {file: customers.csv}\n  meters: {file: meters.csv}\n"
            "  meter_readings: {file: meter_readings.csv, units: {kwh: Wh}}\n"
        )

        report = supplier.land()

        assert file_report(report, "meter_readings").rows_loaded == 48
        assert supplier.rows("meter_readings", "max(kwh)") == [(Decimal("0.4200"),)]

    def test_unit_is_judged_by_the_history_of_meters_of_unknown_class(self, supplier: Supplier) -> None:
        customers = "customer_id\nC1\nC2\n"
        days = [
            row
            for day in range(1, 9)
            for row in hourly("M1", f"2024-09-0{day}", 2) + hourly("M2", f"2024-09-0{day}", 3)
        ]
        supplier.basics(customers=customers, meter_readings=readings_csv(days))
        supplier.land()
        supplier.deliver(
            "2024-10",
            {"meter_readings.csv": readings_csv(hourly("M1", "2024-10-01", 2000) + hourly("M2", "2024-10-01", 4))},
        )

        report = supplier.land()

        assert file_report(report, "meter_readings").quarantined_by_reason == {"wrong_unit": 48}

    def test_single_absurd_value_does_not_condemn_the_file(self, supplier: Supplier) -> None:
        rows = [*hourly("M1", "2024-09-01", 0.4, hours=23), ("M1", "2024-09-01 23:00", 60_000)]
        supplier.basics(meter_readings=readings_csv(rows))

        report = supplier.land()

        assert file_report(report, "meter_readings").quarantined_by_reason == {"impossible_value": 1}

    def test_month_missing_altogether(self, supplier: Supplier) -> None:
        supplier.basics(meter_readings=readings_csv(hourly("M1", "2024-09-10") + hourly("M1", "2024-12-10")))

        report = supplier.land()

        assert "no readings at all for 2024-10, 2024-11; ask the supplier for these months" in report.findings

    def test_rows_are_accounted_for_in_every_file(self, supplier: Supplier) -> None:
        rows = (
            hourly("M1", "2024-09-01")
            + hourly("M1", "2024-09-01", 0.6, hours=2)
            + hourly("MX", "2024-09-01")
            + [("M1", "x", "y")]
        )
        supplier.basics(meter_readings=readings_csv(rows), payments=PAYMENTS + "P3,,,,\n", bills=BILLS + "short\n")

        report = supplier.land()

        assert all(file.is_reconciled for file in report.files)
        assert report.rows_in == report.rows_loaded + report.rows_duplicate + report.rows_quarantined
        for entity in ("meter_readings", "payments", "bills", "customers", "meters"):
            assert len(supplier.rows(entity)) == file_report(report, entity).rows_loaded
            refused = [row for row in supplier.quarantine() if row[0] == entity]
            assert len(refused) == file_report(report, entity).rows_quarantined


class TestRegisters:
    """Suppliers that deliver register values instead of the energy of an interval."""

    MAPPING = (
        "source: other\ntime_zone: UTC\nentities:\n  customers: {file: customers.csv}\n  meters: {file: meters.csv}\n"
        "  meter_readings: {file: meter_readings.csv, register: cumulative}\n"
    )

    def test_energy_is_the_difference_and_belongs_to_the_start_of_the_interval(self, supplier: Supplier) -> None:
        supplier.mapping(self.MAPPING)
        supplier.basics(
            meter_readings=readings_csv([("M1", f"2024-09-01 0{hour}:00", 99_000 + 1.5 * hour) for hour in range(4)])
        )

        report = supplier.land()

        assert file_report(report, "meter_readings").quarantined_by_reason == {"register_opening": 1}
        assert supplier.rows("meter_readings", "read_at, kwh") == [
            (datetime(2024, 9, 1, hour), Decimal("1.5000")) for hour in range(3)
        ]

    def test_next_delivery_continues_the_register(self, supplier: Supplier) -> None:
        supplier.mapping(self.MAPPING)
        supplier.basics(meter_readings=readings_csv([("M1", "2024-09-01 00:00", 100), ("M1", "2024-09-01 01:00", 101)]))
        supplier.land()
        supplier.deliver("2024-10", {"meter_readings.csv": readings_csv([("M1", "2024-09-01 02:00", 103)])})

        supplier.land()

        assert supplier.rows("meter_readings", "read_at, kwh") == [
            (datetime(2024, 9, 1, 0), Decimal("1.0000")),
            (datetime(2024, 9, 1, 1), Decimal("2.0000")),
        ]

    def test_roll_over_and_gap_are_refused_with_their_reason(self, supplier: Supplier) -> None:
        supplier.mapping(self.MAPPING)
        values = [(0, 99_998), (1, 99_999), (2, 1), (3, 3), (6, 9), (7, 10)]
        supplier.basics(
            meter_readings=readings_csv([("M1", f"2024-09-01 0{hour}:00", value) for hour, value in values])
        )

        report = supplier.land()

        assert file_report(report, "meter_readings").quarantined_by_reason == {
            "register_opening": 1, "register_roll_over": 1, "register_gap": 1,
        }  # fmt: skip
        assert any(
            'row 4, column kwh: "1.0000" is below the register value before it' in message
            for message in report.messages
        )


class TestClockChange:
    """Local times that never existed or existed twice (Europe/Berlin 2024: 31 March and 27 October)."""

    MAPPING = (
        "source: other\ntime_zone: Europe/Berlin\nentities:\n  customers: {file: customers.csv}\n  meters: {file: meters.csv}\n"
        "  weather: {file: weather.csv}\n  meter_readings: {file: meter_readings.csv}\n"
    )

    def land(self, supplier: Supplier, rows: list[tuple[str, str, object]], **files: str) -> LandingReport:
        supplier.mapping(self.MAPPING)
        supplier.basics(meter_readings=readings_csv(rows), **files)
        return supplier.land(time_zone="Europe/Berlin")

    def test_summer_and_winter_time(self, supplier: Supplier) -> None:
        self.land(supplier, [("M1", "2024-07-01 12:00", 1), ("M1", "2024-12-01 12:00", 1)])

        assert supplier.rows("meter_readings", "read_at") == [(datetime(2024, 7, 1, 10),), (datetime(2024, 12, 1, 11),)]

    def test_skipped_local_time(self, supplier: Supplier) -> None:
        report = self.land(supplier, [("M1", f"2024-03-31 0{hour}:00", 1) for hour in (1, 2, 3)])

        assert supplier.rows("meter_readings", "read_at") == [(datetime(2024, 3, 31, 0),), (datetime(2024, 3, 31, 1),)]
        assert report.messages == (
            '2024-09/meter_readings.csv, row 3, column read_at: "2024-03-31 02:00" is a local time that the clock change skipped; '
            "deliver it with its offset from UTC",
        )

    def test_repeated_local_time_in_order_is_resolved(self, supplier: Supplier) -> None:
        hours = [("M1", f"2024-10-27 0{hour}:00", number) for number, hour in enumerate((1, 2, 2, 3))]

        self.land(supplier, hours)

        assert supplier.rows("meter_readings", "read_at, kwh") == [
            (datetime(2024, 10, 26, 23 + number) if number < 1 else datetime(2024, 10, 27, number - 1), Decimal(number))
            for number in range(4)
        ]

    def test_repeated_local_time_delivered_once_is_refused(self, supplier: Supplier) -> None:
        report = self.land(supplier, [("M1", f"2024-10-27 0{hour}:00", 1) for hour in (1, 2, 3)])

        assert file_report(report, "meter_readings").quarantined_by_reason == {"clock_change": 1}

    def test_offset_in_the_text_settles_it(self, supplier: Supplier) -> None:
        self.land(supplier, [("M1", "2024-10-27 02:00+02:00", 1), ("M1", "2024-10-27T02:00:00+0100", 2)])

        assert supplier.rows("meter_readings", "read_at, kwh") == [
            (datetime(2024, 10, 27, 0), Decimal(1)),
            (datetime(2024, 10, 27, 1), Decimal(2)),
        ]

    def test_repeated_hour_of_the_weather(self, supplier: Supplier) -> None:
        weather = "district,observed_at,temperature_c\n" + "".join(
            f"D,2024-10-27 02:{m},{t}\n" for t, m in ((8, "00"), (7, "00"), (9, "30"))
        )

        report = self.land(supplier, hourly("M1", "2024-10-25"), weather=weather)

        assert supplier.rows("weather", "observed_at, temperature_c") == [
            (datetime(2024, 10, 27, 0), 8.0),
            (datetime(2024, 10, 27, 1), 7.0),
        ]
        assert file_report(report, "weather").quarantined_by_reason == {"clock_change": 1}
