"""What a mapping file may say, and how an error in it is named."""

# ruff: noqa: E501 -- a table of YAML texts and messages is read as a table

from pathlib import Path

import pytest

from orchestration.ingestion.contract import ENTITIES
from orchestration.ingestion.errors import MappingError
from orchestration.ingestion.mapping import load_mapping

EXAMPLES = Path(__file__).resolve().parents[3] / "mappings"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "supplier.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def message_for(tmp_path: Path, text: str) -> str:
    with pytest.raises(MappingError) as caught:
        load_mapping(write(tmp_path, text))
    return str(caught.value)


def test_built_in_mapping_covers_every_entity() -> None:
    mapping = load_mapping()

    assert set(mapping.entities) == set(ENTITIES)
    assert mapping.time_zone == "UTC"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_worked_examples_are_valid(path: Path) -> None:
    assert load_mapping(path).source == path.stem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("entities: {customers: {file: a.csv}}", "source: Field required"),
        ("source: s\nentities: {custommers: {file: a.csv}}", "entities.custommers: no such entity; did you mean customers?"),
        ("source: s\nentities: {bills: {file: b.csv, colums: {}}}", "entities.bills[0].colums: unknown key; did you mean columns?"),
        ("source: s\nentities: {bills: {file: b.csv, csv: {delimeter: ';'}}}", "entities.bills[0].csv.delimeter: unknown key; did you mean delimiter?"),
        ("source: s\nentities: {bills: {file: b.csv, columns: {amont: x}}}", "entities.bills[0].columns.amont: bills has no such column; did you mean amount?"),
        ("source: s\nentities: {customers: {file: b.csv, columns: {district: x}}}",
         "entities.customers[0].columns: customer_id is required for customers (The supplier's id of the customer) and not mapped"),
        ("source: s\nentities: {meter_readings: {file: r.csv, units: {kwh: kJ}}}", "entities.meter_readings[0].units.kwh: 'kJ' is not one of Wh, kWh, MWh"),
        ("source: s\nentities: {bills: {file: b.csv, units: {amount: cent}}}", "entities.bills[0].units.amount: this column has no unit to convert"),
        ("source: s\ntime_zone: Mars/Base\nentities: {}", "time_zone: 'Mars/Base' is no IANA time zone"),
        ("source: s\nentities: {bills: {file: b.csv, attributes: extra}}", "entities.bills[0].attributes: only customers take free attributes"),
        ("source: s\nentities: {bills: {file: b.csv, register: cumulative}}", "entities.bills[0].register: only meter_readings"),
        ("source: s\nentities: {bills: {file: b.csv, lookups: {c: c.csv}}}", "entities.bills[0].lookups: further files are of use only together with `from`"),
        ("source: s\nentities: {bills: {file: b.csv, csv: {header: false}}}", "a file without header needs column_names"),
        ("source: Not A Name\nentities: {}", "source: String should match pattern"),
        ("just text", "holds no mapping; it must start with source: and entities:"),
        ("source: [", "is not valid YAML"),
    ],
)  # fmt: skip
def test_error_names_the_path_and_the_remedy(tmp_path: Path, text: str, expected: str) -> None:
    message = message_for(tmp_path, text)

    assert message.startswith("supplier.yaml")
    assert expected in message


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    message = message_for(
        tmp_path, "source: s\nentities:\n  bils: {file: a}\n  payments: {file: p, columns: {paid: x}}\n"
    )

    assert len(message.splitlines()) == 6


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="does not exist; give the path of a YAML mapping"):
        load_mapping(tmp_path / "nowhere.yaml")


def test_fingerprint_follows_what_decides_how_rows_are_read(tmp_path: Path) -> None:
    plain, described, other = (
        load_mapping(write(tmp_path, text))
        for text in (
            "source: s\nentities: {bills: {file: b.csv}}",
            "source: s\ndescription: the same\nentities: {bills: {file: b.csv}, meters: {file: m.csv}}",
            "source: s\nentities: {bills: {file: b.csv, where: amount > 0}}",
        )
    )

    def fingerprint(mapping: object) -> str:
        return mapping.fingerprint("bills", mapping.entities["bills"][0])  # type: ignore[attr-defined]  # a SourceMapping

    assert fingerprint(plain) == fingerprint(described)
    assert fingerprint(plain) != fingerprint(other)
