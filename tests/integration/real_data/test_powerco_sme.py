"""PowerCo: who of 10,224 business customers left within three months, by the function that the platform trains with."""

from pathlib import Path

import pytest

from ml.segmentation.config import PropensityConfig
from ml.segmentation.propensity_training import PropensityResult
from orchestration.propensity_study import PropensityMapping, study

MAPPING = Path(__file__).resolve().parents[2] / "mappings" / "propensity" / "powerco_sme.yaml"


@pytest.fixture(scope="module")
def clients(shared_data: Path) -> PropensityResult:
    return study(PropensityMapping.read(MAPPING), shared_data / "powerco_sme" / "clients.parquet")


def test_leaving_is_foretold_of_clients_that_were_held_out(clients: PropensityResult) -> None:
    auc = clients.metric("roc_auc")

    assert clients.is_released
    assert clients.holdout_description.startswith("Held out by customer: 2,485 rows of 2,485 customers")
    assert auc is not None
    assert auc.value is not None
    assert auc.lower is not None
    # Far more than the folds of the training clients give would mean that the outcome is among the inputs.
    assert 0.66 <= auc.value < 0.74
    assert auc.lower > 0.62


def test_it_is_better_than_time_alone_and_than_the_mean_rate(clients: PropensityResult) -> None:
    for name, margin in (("gain_over_tenure", PropensityConfig().minimum_gain), ("brier_gain", 0.0)):
        gain = clients.metric(name)
        assert gain is not None
        assert gain.lower is not None
        assert gain.lower > margin, name


def test_its_probabilities_mean_what_they_say(clients: PropensityResult) -> None:
    ratio, error = clients.metric("calibration_ratio"), clients.metric("expected_calibration_error")

    assert ratio is not None
    assert ratio.lower is not None
    assert ratio.upper is not None
    assert ratio.lower < 1 < ratio.upper
    assert error is not None
    assert error.value is not None
    assert error.value < 0.03
