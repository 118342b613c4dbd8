import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.credit_risk.binning import Prior, monotone_edges

EVEN = Prior(rows=50, goods=900, bads=100)


def test_weights_of_evidence_are_those_of_the_formula_where_the_prior_is_small():
    prior = Prior(rows=1e-9, goods=900, bads=100)
    woe = prior.woe(np.array([600.0, 300.0]), np.array([20.0, 80.0]))
    assert woe == pytest.approx([math.log((600 / 900) / (20 / 100)), math.log((300 / 900) / (80 / 100))])


def test_an_empty_bin_proves_nothing_and_a_small_one_little():
    empty, small, large = EVEN.woe(np.array([0.0, 5.0, 500.0]), np.array([0.0, 5.0, 500.0]))
    assert empty == 0
    assert abs(small) < 0.6 < 2 < abs(large)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from([-1, 0, 1]),
    st.sampled_from([0.01, 0.05, 0.3]),
    st.sampled_from(["normal", "count", "constant", "empty"]),
)
def test_risk_moves_one_way_and_no_bin_is_small_whatever_the_data(seed: int, direction: int, share: float, kind: str):
    generator = np.random.default_rng(seed)
    values = {
        "normal": generator.normal(0, 100, 600),
        "count": generator.poisson(1.0, 600).astype(float),
        "constant": np.full(600, 7.0),
        "empty": np.full(600, np.nan),
    }[kind]
    values[generator.random(600) < 0.1] = np.nan
    labels = (generator.random(600) < 0.2 + 0.1 * (np.nan_to_num(values) > 0)).astype(float)
    prior = Prior(rows=50, goods=float((1 - labels).sum()), bads=float(labels.sum()))

    edges = monotone_edges(values, labels, direction=direction, prior=prior, minimum_share=share)

    assert list(edges) == sorted(set(edges))
    known = ~np.isnan(values)
    position = np.searchsorted(edges, values[known], side="right")
    bads = np.bincount(position, weights=labels[known], minlength=len(edges) + 1)
    counts = np.bincount(position, minlength=len(edges) + 1)
    if not edges:
        return
    steps = np.diff(prior.woe(counts - bads, bads))
    assert (steps < 0).all() or (steps > 0).all()
    assert not direction or (direction * steps < 0).all()
    assert counts.min() >= share * len(values)


def test_a_step_in_the_risk_is_found_where_it_is():
    values = np.arange(1000.0)
    labels = (values >= 700).astype(float) * (values % 2)
    prior = Prior(rows=50, goods=float((1 - labels).sum()), bads=float(labels.sum()))
    edges = monotone_edges(values, labels, direction=1, prior=prior, minimum_share=0.05)
    assert min(abs(edge - 700) for edge in edges) <= 20


def test_edges_can_be_read_on_paper():
    values = np.random.default_rng(0).normal(12_345.678, 900.0, 2000)
    labels = (values > 12_800).astype(float)
    prior = Prior(rows=50, goods=float((1 - labels).sum()), bads=float(labels.sum()))
    edges = monotone_edges(values, labels, direction=1, prior=prior, minimum_share=0.05)
    assert edges
    assert all(len(f"{edge:g}".rstrip("0").replace(".", "")) <= 3 for edge in edges)
