"""What the portrait suspects, against what the simulated supplier knows of its customers and never delivers."""

import pandas as pd
import pytest

from orchestration.ingestion.simulated_supplier.config import SupplierConfig
from orchestration.ingestion.simulated_supplier.simulation import Simulation
from orchestration.marts import current_marts
from tests.integration.platform_home import PlatformHome

HIDDEN = ("solar_kw", "vehicle_kw", "cooling_kw_per_degree", "heating_kw_per_degree")


@pytest.fixture(scope="module")
def homes(finished_home: PlatformHome) -> pd.DataFrame:
    """Households of the latest portrait beside the hidden truth about each."""
    settings = finished_home.settings
    supplier = SupplierConfig(
        customers=settings.simulated_customers,
        months=settings.simulated_months,
        start_month=settings.simulated_start_month,
        seed=settings.simulated_seed,
    )
    population = Simulation(supplier).population
    hidden = pd.DataFrame(
        {name: getattr(population, name) for name in HIDDEN} | {"customer_id": population.customer_ids()}
    )
    identities = pd.concat(
        [
            pd.read_parquet(path, columns=["customer_key", "customer_id"])
            for path in sorted((finished_home.path / "landing" / "identities").rglob("*.parquet"))
        ]
    ).drop_duplicates()
    portrait = current_marts(settings.after_models_marts_dir).read("customer_portrait")
    known = portrait.merge(identities, on="customer_key", validate="one_to_one").merge(hidden, on="customer_id")
    assert len(known) == len(portrait) > 300
    return known[known["customer_class"] == "residential"]


# The supplier is made by a seed, so the figures are exact: the bounds leave room for one or two households.
@pytest.mark.parametrize(
    ("suspected", "hidden", "precision", "recall"),
    [
        pytest.param("solar_is_suspected", "solar_kw", 0.9, 0.85, id="solar panels"),
        pytest.param("vehicle_is_suspected", "vehicle_kw", 0.9, 0.85, id="vehicle"),
        pytest.param("cooling_balance_c", "cooling_kw_per_degree", 0.94, 0.78, id="cooling"),
        pytest.param("heating_balance_c", "heating_kw_per_degree", 0.8, 0.9, id="heating"),
    ],
)
def test_what_is_suspected_is_mostly_true_and_mostly_found(
    homes: pd.DataFrame, suspected: str, hidden: str, precision: float, recall: float
) -> None:
    values = homes[suspected]
    is_found = (values.notna() if suspected.endswith("_c") else values.eq(True)).to_numpy(dtype=bool)
    is_true = (homes[hidden] > 0).to_numpy()

    assert 10 <= is_true.sum() < len(homes)
    found_rightly = (is_found & is_true).sum()
    assert found_rightly / is_found.sum() >= precision
    assert found_rightly / is_true.sum() >= recall
