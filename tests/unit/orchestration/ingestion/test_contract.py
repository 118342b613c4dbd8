from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from ml.columns import MARKETING_CHANNELS
from orchestration.ingestion.contract import (
    ENTITIES,
    PROVENANCE_COLUMNS,
    Entity,
    contract_fingerprint,
    landing_columns,
    landing_tables,
    write_contract_delivery,
)


@pytest.mark.parametrize("entity", ENTITIES.values(), ids=lambda entity: entity.name)
def test_key_is_required_unless_it_tells_parts_apart(entity: Entity) -> None:
    for name in entity.key:
        assert entity.column(name).required


@pytest.mark.parametrize("entity", ENTITIES.values(), ids=lambda entity: entity.name)
def test_what_is_referred_to_lands_before_what_refers_to_it(entity: Entity) -> None:
    order = list(ENTITIES)
    for reference in entity.references:
        assert order.index(reference.entity) < order.index(entity.name)
        assert reference.column in entity.column_names


@pytest.mark.parametrize("name", ENTITIES)
def test_no_customer_id_and_no_personal_column_lands(name: str) -> None:
    landed = {column.name for column in landing_columns(name)}

    assert "customer_id" not in landed
    assert landed.isdisjoint(ENTITIES[name].personal_columns)
    assert {column.name for column in PROVENANCE_COLUMNS} <= landed


def test_personal_columns_are_those_of_the_design() -> None:
    personal = {entity.name: entity.personal_columns for entity in ENTITIES.values() if entity.personal_columns}

    assert personal == {"customers": ("name", "id_number", "phone", "address"), "service_contacts": ("text",)}


def test_bootstrap_delivery_has_a_zero_row_file_per_table(tmp_path: Path) -> None:
    write_contract_delivery(tmp_path / "0000-contract")

    for name, columns in landing_tables().items():
        [path] = (tmp_path / "0000-contract" / name).rglob("*.parquet")
        table = pq.read_table(path, partitioning=None)
        assert table.num_rows == 0
        assert table.column_names == [column.name for column in columns]


def test_fingerprint_is_stable_within_a_version() -> None:
    assert contract_fingerprint() == contract_fingerprint()
    assert len(contract_fingerprint()) == 64


def test_dbt_knows_the_channels_of_the_consents() -> None:
    project = Path(__file__).resolve().parents[4] / "dbt_project" / "dbt_project.yml"

    assert (
        tuple(yaml.safe_load(project.read_text(encoding="utf-8"))["vars"]["marketing_channels"]) == MARKETING_CHANNELS
    )
