"""Price simulation as an operator starts it: the report of a proposal, and mistakes in one sentence."""

import re
import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from orchestration.definitions import build_definitions
from orchestration.settings import PROJECT_ROOT
from tests.integration.platform_home import PlatformHome

EXAMPLE = PROJECT_ROOT / "docs" / "examples" / "sd_res_tier_tou_deeper_valley.yaml"
OP = "simulate_proposed_prices"


@pytest.fixture(scope="module")
def home(finished_home: PlatformHome, tmp_path_factory: pytest.TempPathFactory) -> PlatformHome:
    """A home with what a simulation reads, and nothing else."""
    path = tmp_path_factory.mktemp("simulation") / "home"
    for folder in ("marts", "predictions/batch/segmentation"):
        shutil.copytree(finished_home.path / folder, path / folder)
    return PlatformHome(path, finished_home.choices)


def simulate(home: PlatformHome, **config: Any) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return (
            build_definitions(home.settings)
            .resolve_job_def("simulate_prices")
            .execute_in_process(
                instance=instance,
                raise_on_error=False,
                run_config={
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                    "ops": {OP: {"config": config}},
                },
            )
        )


def test_report_holds_page_and_tables_that_agree_and_the_run_shows_the_key_figures(home: PlatformHome) -> None:
    result = simulate(home, proposal_paths=[str(EXAMPLE)], elasticity_set="high", name="deeper_valley")

    assert result.success
    [output] = [event for event in result.all_events if event.event_type_value == "STEP_OUTPUT"]
    metadata = output.step_output_data.metadata
    folder = home.settings.reports_dir / "price_simulation" / "deeper_valley"
    assert metadata["report"].value.endswith("/price_simulation/deeper_valley/index.html")
    assert "base64," in metadata["plot_peak"].value
    customers = pd.read_parquet(folder / "customers.parquet")
    calm = customers[customers["elasticity_set"] == "zero"]
    affected = calm[calm["is_affected"]]
    assert set(affected["present_tariff_id"]) == {"sd_res_tier_tou"}
    assert affected["change_amount"].gt(0).any()
    assert affected["change_amount"].lt(0).any()
    assert calm["segment"].nunique() > 2
    revenue = pd.read_csv(folder / "revenue.csv")
    year = revenue[revenue["month"].isna() & (revenue["elasticity_set"] == "zero")]
    assert year["change_amount"].item() == pytest.approx(calm["change_amount"].sum())
    assert f"{year['change_amount'].item():+,.2f} CNY a year" in metadata["revenue"].value
    assert metadata["customers"].value.startswith(f"{len(affected):,} of {len(calm):,} affected")
    assert "电价模拟" in (folder / "index.html").read_text(encoding="utf-8")
    assert {path.name for path in folder.parent.iterdir()} == {"deeper_valley"}


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"proposal_paths": ["/nowhere/tariff.yaml"]}, "There is no file /nowhere/tariff.yaml; give the path of"),
        ({"proposal_paths": []}, "proposal_paths is empty: give at least one file"),
        ({"mode": "try"}, "mode 'try' is not one of replace, offer."),
        ({"name": "../site"}, "'../site' cannot name a report: choose a `name` of letters"),
        ({"elasticity_set": "much"}, "no elasticity set 'much' on "),
        ({"mode": "offer"}, "sd_res_tier_tou: a present tariff has this id; give the new tariff an id of its own"),
    ],
)
def test_mistake_of_a_person_is_one_sentence(home: PlatformHome, config: dict[str, Any], sentence: str) -> None:
    result = simulate(home, **({"proposal_paths": [str(EXAMPLE)]} | config))

    assert not result.success
    [failure] = result.get_step_failure_events()
    assert failure.step_failure_data.user_failure_data.description.startswith(sentence)
    assert failure.step_failure_data.error.cause is None


def test_invalid_tariff_and_one_that_nobody_is_on_are_named(home: PlatformHome, tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    invalid, unused = tmp_path / "invalid.yaml", tmp_path / "unused.yaml"
    invalid.write_text(text.replace("limits_kwh: [2520, 4800]", "limits_kwh: [4800, 2520]"), encoding="utf-8")
    unused.write_text(re.sub(r"tariff_id: .*", "tariff_id: sd_res_shared", text), encoding="utf-8")

    said = []
    for path in (invalid, unused):
        [failure] = simulate(home, proposal_paths=[str(path)]).get_step_failure_events()
        said.append(failure.step_failure_data.user_failure_data.description)

    assert said[0].startswith("invalid.yaml: sd_res_tier_tou: components[0].tiers")
    assert "must be larger than 4800, found 2520" in said[0]
    assert said[1].startswith("nobody with a load that can be priced is on sd_res_shared")
