"""What the landing holds in all: every row counts once, also when its file is read again for its orphans."""

from datetime import datetime

from orchestration.ingestion.report import LandingReport
from orchestration.ingestion.totals import EntityTotals, landed_totals
from tests.unit.orchestration.ingestion.supplier import BILLS, CUSTOMERS, METERS, PAYMENTS, Supplier, file_report

BILLS_HEADER = BILLS.splitlines()[0] + "\n"
BILL_9 = BILLS_HEADER + "B9,C1,2024-09-01,2024-10-01,1,7,2024-10-03,2024-10-20\n"
# Two rows wait for bills, and one will never be right.
WAITING = PAYMENTS + "P8,B8,2024-10-08,7,app\nP9,B9,2024-10-09,7,app\nP3,B1,soon,1,app\n"


def counts(report: LandingReport, entity: str) -> tuple[int, int, int, int]:
    file = file_report(report, entity)
    return file.rows_in, file.rows_loaded, file.rows_duplicate, file.rows_quarantined


def payments_in_all(supplier: Supplier) -> EntityTotals:
    return landed_totals(supplier.landing)["payments"]


def test_totals_of_nothing_are_zeros(supplier: Supplier) -> None:
    assert payments_in_all(supplier) == EntityTotals(0, 0, 0, 0)


def test_file_read_again_accounts_for_its_orphans_only(supplier: Supplier) -> None:
    supplier.basics(payments=WAITING)
    first = supplier.land()
    supplier.deliver("2024-10", {"bills.csv": BILL_9})

    again = supplier.land()

    assert counts(first, "payments") == (5, 2, 0, 3)
    assert counts(again, "payments") == (2, 1, 0, 1)
    assert file_report(again, "payments").quarantined_by_reason == {"orphan": 1}
    assert again.sentence() == "2 deliveries: 3 rows in = 2 loaded + 0 exact duplicates + 1 quarantined"


def test_row_refused_again_counts_once_in_all(supplier: Supplier) -> None:
    supplier.basics(payments=WAITING)
    supplier.land()
    supplier.deliver("2024-10", {"bills.csv": BILL_9})
    supplier.land()
    assert payments_in_all(supplier) == EntityTotals(rows_in=5, rows_loaded=3, rows_duplicate=0, rows_quarantined=2)

    supplier.deliver("2024-11", {"bills.csv": BILL_9.replace("B9", "B8")})
    supplier.land()

    assert payments_in_all(supplier) == EntityTotals(rows_in=5, rows_loaded=4, rows_duplicate=0, rows_quarantined=1)


def test_row_refused_and_taken_up_by_one_landing_counts_once(supplier: Supplier) -> None:
    supplier.basics(payments=WAITING)
    supplier.deliver("2024-10", {"bills.csv": BILL_9})

    report = supplier.land()

    totals = landed_totals(supplier.landing).values()
    assert report.rows_in == sum(total.rows_in for total in totals) == 2 + 2 + 2 + 5 + 1
    assert report.rows_quarantined == sum(total.rows_quarantined for total in totals) == 2
    assert report.quarantined_by_reason == {"orphan": 1, "wrong_type": 1}
    assert report.rows_in == report.rows_loaded + report.rows_duplicate + report.rows_quarantined


def test_orphan_delivered_once_more_with_its_parent_is_a_duplicate(supplier: Supplier) -> None:
    supplier.basics(payments=PAYMENTS + "P9,B9,2024-10-09,7,app\n")
    supplier.land()
    payments_again = PAYMENTS.splitlines()[0] + "\nP9,B9,2024-10-09,7,app\n"
    supplier.deliver("2024-10", {"bills.csv": BILL_9, "payments.csv": payments_again})

    supplier.land()

    assert payments_in_all(supplier) == EntityTotals(rows_in=4, rows_loaded=3, rows_duplicate=1, rows_quarantined=0)


def test_file_read_again_does_not_undo_a_later_correction(supplier: Supplier) -> None:
    supplier.basics(bills=BILLS + "B9,C9,2024-08-01,2024-09-01,1,7,2024-09-03,2024-09-20\n")
    supplier.deliver("2024-09", {}, "2024-10-01T00:00:00Z")
    supplier.land()
    supplier.deliver("2024-10", {"bills.csv": BILLS.replace("55.10", "44.10")}, "2024-11-01T00:00:00Z")
    supplier.land()
    supplier.deliver("2024-11", {"customers.csv": CUSTOMERS.replace("C2", "C9")}, "2024-12-01T00:00:00Z")

    supplier.land()

    assert supplier.rows("bills", "revision, cast(amount as varchar)", "bill_id = 'B1'") == [(0, "55.10"), (1, "44.10")]
    assert supplier.rows("bills", "revision, known_at", "bill_id = 'B9'") == [(0, datetime(2024, 12, 1))]


def test_orphan_that_contradicts_a_loaded_row_of_its_file_is_refused(supplier: Supplier) -> None:
    supplier.basics(payments=PAYMENTS + "P1,B9,2024-09-10,55.10,app\n")
    supplier.land()
    supplier.deliver("2024-10", {"bills.csv": BILL_9})

    again = supplier.land()

    assert counts(again, "payments") == (1, 0, 0, 1)
    assert file_report(again, "payments").quarantined_by_reason == {"duplicate_key": 1}
    assert supplier.rows("payments", "bill_id, revision", "payment_id = 'P1'") == [("B1", 0)]
    assert payments_in_all(supplier) == EntityTotals(rows_in=3, rows_loaded=2, rows_duplicate=0, rows_quarantined=1)


def test_reshaped_file_is_taken_up_by_the_content_of_its_rows(supplier: Supplier) -> None:
    supplier.mapping("""
source: wide
time_zone: UTC
entities:
  customers: {file: customers*.csv}
  meters: {file: "meters*.csv"}
  meter_readings:
    file: "wide*.csv"
    from: |
      select meter, cast(substr(hour, 2) as integer) as hour, kwh
      from (unpivot source on columns('^h') into name hour value kwh)
    columns: {meter_id: meter, read_at: timestamp '2024-09-01' + to_hours(hour), kwh: kwh}
""")
    header, first, second = METERS.splitlines(keepends=True)
    wide = "meter,h0,h1\nM1,1,bad\nM2,2,bad\nM3,3,3\n"
    supplier.deliver("a", {"customers.csv": CUSTOMERS, "meters.csv": header + first, "wide.csv": wide})
    supplier.land()
    supplier.deliver("b", {"meters_new.csv": header + second})

    again = supplier.land()

    # The value of M2 that is no number was refused for that before anybody asked for its meter.
    assert counts(again, "meter_readings") == (3, 1, 0, 2)
    assert landed_totals(supplier.landing)["meter_readings"] == EntityTotals(
        rows_in=6, rows_loaded=2, rows_duplicate=0, rows_quarantined=4
    )
