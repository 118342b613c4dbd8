import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml.calibration import Calibrator, fit_calibrator

LIMITS = {"isotonic_minimum_events": 1000, "beta_minimum_events": 50}


def sample(rows: int, stretch: float, shift: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return log odds that are too wide or too high, and outcomes drawn from the right ones."""
    generator = np.random.default_rng(seed)
    true = generator.normal(-1.5, 1.2, rows)
    labels = (generator.random(rows) < 1 / (1 + np.exp(-true))).astype(float)
    return stretch * true + shift, labels


FITTED = [
    fit_calibrator(*sample(rows, stretch, shift), **LIMITS)
    for rows in (150, 1500, 12_000)
    for stretch, shift in ((1.0, 0.0), (2.0, 1.0), (0.5, -2.0))
] + [fit_calibrator(np.arange(9.0), np.zeros(9), **LIMITS)]


def test_the_method_follows_the_rarer_outcome():
    assert [fit.method for fit in FITTED] == ["shift"] * 3 + ["beta"] * 3 + ["isotonic"] * 3 + ["none"]


@pytest.mark.parametrize("calibrator", FITTED[3:9], ids=lambda fit: fit.method)
def test_predictions_are_right_on_average_and_in_every_fifth(calibrator: Calibrator):
    position = FITTED.index(calibrator)
    stretch, shift = ((1.0, 0.0), (2.0, 1.0), (0.5, -2.0))[position % 3]
    margins, labels = sample(20_000, stretch, shift, seed=99)
    predicted = calibrator.probabilities(margins)
    for group in np.array_split(np.argsort(margins), 5):
        assert predicted[group].mean() == pytest.approx(labels[group].mean(), abs=0.045)


@pytest.mark.parametrize("calibrator", FITTED, ids=lambda fit: fit.method)
def test_the_order_never_changes(calibrator: Calibrator):
    margins = np.linspace(-12, 12, 4001)
    assert (np.diff(calibrator.probabilities(margins)) > 0).all()


@pytest.mark.parametrize("calibrator", FITTED, ids=lambda fit: fit.method)
def test_saving_changes_no_bit(calibrator: Calibrator):
    loaded = Calibrator.model_validate_json(calibrator.model_dump_json())
    margins = np.random.default_rng(0).normal(size=500)
    np.testing.assert_array_equal(loaded.probabilities(margins), calibrator.probabilities(margins))


@given(st.integers(0, 9), st.lists(st.floats(-700, 700), min_size=1, max_size=40), st.integers(0, 39))
def test_a_row_gets_the_same_probability_alone_and_in_a_batch(which: int, margins: list[float], position: int):
    calibrator, position = FITTED[which], position % len(margins)
    batch = calibrator.probabilities(np.array(margins))
    assert batch[position] == calibrator.probabilities(np.array([margins[position]]))[0]
    assert ((batch >= 0) & (batch <= 1)).all()


def test_a_slope_against_the_outcome_is_never_fitted():
    margins, labels = sample(1500, 1.0, 0.0)
    calibrator = fit_calibrator(-margins, labels, **LIMITS)
    assert calibrator.method == "shift"
    assert calibrator.probabilities(-margins).mean() == pytest.approx(labels.mean(), abs=1e-6)


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "isotonic", "knots_x": [0, 1], "knots_y": [1, 0]},
        {"method": "isotonic", "knots_x": [1, 1], "knots_y": [0, 1]},
        {"method": "beta", "log_p": 0.0, "log_q": 0.0},
        {"method": "beta", "log_p": -1.0},
    ],
)
def test_a_calibration_that_could_change_the_order_is_refused(fields: dict[str, object]):
    with pytest.raises(ValidationError):
        Calibrator.model_validate(fields)


def test_a_handful_of_good_customers_at_the_end_is_not_promised_a_probability_of_nothing():
    margins, labels = sample(20_000, stretch=1.0, shift=0.0, seed=3)
    best = np.argsort(margins)[:6]
    labels[best] = 0.0

    calibrator = fit_calibrator(margins, labels, **LIMITS)

    assert calibrator.method == "isotonic"
    # By their log odds the best have a probability of 0.0025 to 0.0029; that six of them paid says little against it.
    assert calibrator.probabilities(margins[best]).mean() > 0.00025
