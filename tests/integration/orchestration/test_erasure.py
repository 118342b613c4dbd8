"""A customer who is erased: no file of the home names them afterwards, by id, key or personal value."""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from orchestration.erasure import erase
from tests.integration.orchestration.personal_traces import files_below, traces
from tests.integration.orchestration.soundness import assert_derived_is_whole
from tests.integration.platform_home import USE_CASES, PlatformHome


@dataclass(frozen=True, slots=True)
class Customer:
    """Everything that names one customer.

    Attributes:
        customer_id: The supplier's id.
        values: Key, id and those personal values that no other customer has.
    """

    customer_id: str
    values: tuple[str, ...]


def scored_customer_with_personal_data(home: PlatformHome) -> Customer:
    """Return a customer whom all models scored and who has told the service desk something."""
    scored = [set(frame["customer_key"]) for frame in home.predictions().values()]
    with duckdb.connect() as connection:
        connection.execute(f"create view identities as from read_parquet('{home.path}/landing/identities/*.parquet')")
        keys = connection.execute("select distinct customer_key from identities where text is not null").fetchall()
        key = min(set.intersection(*scored) & {key for (key,) in keys})
        rows = connection.execute(
            "select customer_id, unnest([name, id_number, phone, address, text]) as value from identities "
            "where customer_key = ?",
            [key],
        ).fetchall()
        shared = connection.execute(
            "select unnest([name, id_number, phone, address, text]) from identities where customer_key <> ?", [key]
        ).fetchall()
    personal = {value for _, value in rows if value is not None} - {value for (value,) in shared}
    assert len(personal) >= 4
    return Customer(rows[0][0], (rows[0][0], key, *sorted(personal)))


def found(home: PlatformHome, customer: Customer) -> list[str]:
    """Return what names a customer, the supplier's inbox aside, which an erasure does not touch."""
    inbox = home.settings.inbox_dir
    searched = [path for path in files_below(home.path) if inbox not in path.parents]
    return traces(searched, home.path, customer.values)


def test_every_kind_of_file_loses_the_customer(finished_home: PlatformHome, tmp_path: Path) -> None:
    home = finished_home.copy_to(tmp_path / "home")
    customer = scored_customer_with_personal_data(home)
    before = found(home, customer)
    places = {place.rsplit(" in ", 1)[1].split("/")[0] for place in before}
    assert {"landing", "marts", "warehouse", "models", "releases", "predictions"} <= places
    said: list[str] = []

    erased = erase(home.settings, customer.customer_id, lambda _settings: 0, said.append)

    assert found(home, customer) == []
    assert erased
    assert [value for value in customer.values if value in "".join(said)] == []
    # What cannot lose a customer is gone as a whole, for the next run to make anew; what can is still there.
    assert not (home.settings.marts_dir / "CURRENT").exists()
    assert not home.settings.warehouse_path.exists()
    assert home.released_bundles() == dict.fromkeys(USE_CASES)
    assert all(len(frame) for frame in home.predictions().values())
    assert len(home.predictions()) == len(finished_home.predictions())
    assert_derived_is_whole(home)
