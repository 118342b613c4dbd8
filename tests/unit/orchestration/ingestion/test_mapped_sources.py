"""What a mapping can say, landed: names, reshaping, joins, filters, units, time, decimals."""

from datetime import date, datetime
from decimal import Decimal

import orjson

from tests.unit.orchestration.ingestion.supplier import CUSTOMERS, METERS, Supplier


def test_names_filter_and_expressions(supplier: Supplier) -> None:
    supplier.mapping("""
source: city_works
entities:
  customers:
    file: ["kunden*.csv"]
    csv: {delimiter: ";", encoding: gb18030, decimal: ",", null_values: ["", "-"]}
    where: typ <> 'X'
    columns:
      customer_id: '"Kunden Nr"'
      customer_class: "case typ when 'H' then 'residential' else 'commercial' end"
      district: bezirk
      contract_capacity_kva: leistung
      registered_date: strptime(seit, '%d.%m.%Y')
    attributes: {rooms: try_cast(zimmer as integer)}
    personal: {nickname: name}
""")
    text = (
        "Kunden Nr;typ;bezirk;leistung;seit;zimmer;name\n"
        "1;H;历下;12,5;01.02.2020;4;Anna\n2;G;-;-;15.03.2021;-;Bo\n3;X;;;;;\n"
    )
    supplier.deliver("d", {"kunden_2024.csv": text.encode("gb18030")})

    report = supplier.land()

    assert report.rows_in == report.rows_loaded == 2
    rows = supplier.rows("customers", "customer_class, district, contract_capacity_kva, registered_date, attributes")
    assert [(*row[:4], orjson.loads(row[4])) for row in rows] == [
        ("commercial", None, None, date(2021, 3, 15), {"rooms": None}),
        ("residential", "历下", 12.5, date(2020, 2, 1), {"rooms": 4}),
    ]


def test_wide_readings_are_unpivoted_and_joined(supplier: Supplier) -> None:
    supplier.mapping("""
source: wide
time_zone: Asia/Shanghai
entities:
  customers: {file: customers.csv}
  meters: {file: meters.csv}
  meter_readings:
    file: "wide*.csv"
    lookups: {names: names.csv}
    from: |
      select names.meter, day, cast(substr(hour, 2) as integer) as hour, kwh
      from (unpivot source on columns('^h') into name hour value kwh) join names using (device)
    columns:
      meter_id: meter
      read_at: cast(day as timestamp) + to_hours(hour)
      kwh: kwh
    units: {kwh: Wh}
    known_at: cast(day as timestamp) + interval 1 day
""")
    supplier.deliver("d", {
        "customers.csv": CUSTOMERS, "meters.csv": METERS,
        "wide.csv": "device,day,h0,h1\nx,2024-09-01,1500,250\ny,2024-09-01,bad,9\n",
        "names.csv": "device,meter\nx,M1\ny,M2\n",
    })  # fmt: skip

    report = supplier.land()

    assert supplier.rows("meter_readings", "meter_id, read_at, kwh, known_at") == [
        ("M1", datetime(2024, 8, 31, 16), Decimal("1.5000"), datetime(2024, 9, 1, 16)),
        ("M1", datetime(2024, 8, 31, 17), Decimal("0.2500"), datetime(2024, 9, 1, 16)),
        ("M2", datetime(2024, 8, 31, 17), Decimal("0.0090"), datetime(2024, 9, 1, 16)),
    ]
    assert report.quarantined_by_reason == {"wrong_type": 1}


def test_file_without_header_and_a_single_delivery_at_the_root(supplier: Supplier) -> None:
    supplier.mapping("""
source: bare
deliveries: "."
entities:
  customers:
    file: c.txt
    csv: {header: false, column_names: [customer_id, customer_class]}
""")
    (supplier.inbox / "c.txt").write_text("C1,residential\nC2,commercial\n")

    report = supplier.land()

    assert [file.rows_loaded for file in report.files] == [2]
    assert report.deliveries[0].name == "bare"


def test_entity_from_several_kinds_of_files(supplier: Supplier) -> None:
    supplier.mapping("""
source: two
entities:
  customers:
    - {file: homes.csv, columns: {customer_id: id, customer_class: "'residential'"}}
    - {file: firms.csv, columns: {customer_id: id, customer_class: "'commercial'"}}
""")
    supplier.deliver("d", {"homes.csv": "id\nC1\nC2\n", "firms.csv": "id\nC2\nC3\n"})

    report = supplier.land()

    assert report.quarantined_by_reason == {"duplicate_key": 2}
    assert supplier.rows("customers", "customer_class") == [("commercial",), ("residential",)]


def test_missing_lookup_is_named(supplier: Supplier) -> None:
    supplier.mapping("""
source: lacking
entities:
  customers:
    file: c.csv
    lookups: {codes: "codes*.csv"}
    from: select * from source join codes using (id)
    columns: {customer_id: id}
""")
    supplier.deliver("d", {"c.csv": "id\nC1\n"})

    [unreadable] = supplier.land().unreadable

    assert unreadable.message == "d/c.csv: no file matches its lookup codes: codes*.csv; deliver it as well"


def test_entity_without_any_file_is_a_finding(supplier: Supplier) -> None:
    supplier.mapping("source: gaps\nentities: {customers: {file: c.csv}, bills: {file: b.csv}}\n")
    supplier.deliver("d", {"c.csv": "customer_id\nC1\n"})

    assert (
        "entities.bills[0]: no delivery has a file b.csv; deliver it, or correct the mapping"
        in supplier.land().findings
    )


def test_amounts_of_another_currency_are_converted_by_the_mapping_or_quarantined(supplier: Supplier) -> None:
    supplier.mapping("""
source: two_currencies
entities:
  customers: {file: customers.csv}
  bills:
    file: bills.csv
    columns:
      bill_id: bill_id
      customer_id: customer_id
      period_start: date '2024-09-01'
      period_end: date '2024-10-01'
      amount: "cast(amount as decimal(18, 2)) * case currency when 'CNY' then 1.00 when 'HKD' then 0.91 end"
      issued_date: date '2024-10-02'
      due_date: date '2024-10-22'
""")
    bills = "bill_id,customer_id,amount,currency\nB1,C1,100.00,CNY\nB2,C1,100.00,HKD\nB3,C2,100.00,EUR\n"
    supplier.deliver("d", {"customers.csv": CUSTOMERS, "bills.csv": bills})

    report = supplier.land()

    assert supplier.rows("bills", "bill_id, amount") == [("B1", Decimal("100.00")), ("B2", Decimal("91.00"))]
    [refused] = [file.quarantined_by_reason for file in report.files if file.entity == "bills"]
    assert refused == {"missing_value": 1}
