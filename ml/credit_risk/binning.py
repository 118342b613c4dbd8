"""Monotone binning and weights of evidence.

Own code instead of optbinning: that would bring ortools, some 100 MB with a solver, for what a supplier's fifty
fine bins do not need. Fine bins by quantile are joined until the weights of evidence rise or fall throughout (the pool
adjacent violators algorithm, Ayer et al. 1955) and every bin holds enough rows; both are the demands that optbinning
makes, without its search for the best of all cuts.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.evaluation import FloatArray

FINE_BINS = 50
EDGE_DIGITS = 3
"""Significant digits of an edge, so that a printed card can be read; bins are counted with the rounded edges."""


@dataclass(frozen=True, slots=True)
class Prior:
    """What every bin is mixed with: rows at the overall rates, so that a small or an empty bin proves little.

    Attributes:
        rows: How many such rows.
        goods: Rows without a default behind the scorecard.
        bads: Rows with one.
    """

    rows: float
    goods: float
    bads: float

    def woe(self, goods: FloatArray, bads: FloatArray) -> FloatArray:
        """Return the weights of evidence, ``ln((goods / all goods) / (bads / all bads))``; 0 for an empty bin."""
        total = self.goods + self.bads
        mixed_goods = goods + self.rows * self.goods / total
        mixed_bads = bads + self.rows * self.bads / total
        return np.asarray(np.log(mixed_goods / self.goods) - np.log(mixed_bads / self.bads), dtype=np.float64)

    def information_value(self, goods: FloatArray, bads: FloatArray) -> float:
        """Return ``sum (goods / all goods - bads / all bads) * WOE``, how much a column tells about the outcome."""
        return float(((goods / self.goods - bads / self.bads) * self.woe(goods, bads)).sum())


def monotone_edges(
    values: FloatArray, labels: FloatArray, *, direction: int, prior: Prior, minimum_share: float
) -> tuple[float, ...]:
    """Return the edges of bins ``[edge, next edge)`` whose weights of evidence rise or fall throughout.

    Args:
        values: Values of one column; NaN is left out.
        labels: 1 for a default, 0 otherwise.
        direction: +1 when the risk may only rise with the value, -1 when it may only fall; 0 takes the direction
            that tells more.
        prior: What the bins are mixed with.
        minimum_share: Smallest share of all rows that a bin may hold.
    """
    known = ~np.isnan(values)
    values_known, labels_known = values[known], labels[known]
    if not len(values_known):
        return ()
    quantiles = np.quantile(values_known, np.linspace(0, 1, FINE_BINS + 1)[1:-1], method="inverted_cdf")
    edges = np.unique([_rounded(edge) for edge in quantiles])
    position = np.searchsorted(edges, values_known, side="right")
    bads = _sums(position, labels_known, len(edges) + 1)
    goods = _sums(position, 1 - labels_known, len(edges) + 1)
    least = minimum_share * len(values)
    candidates = [_joined(edges, goods, bads, sign, prior, least) for sign in ((direction,) if direction else (1, -1))]
    return max(candidates, key=lambda candidate: candidate[0])[1]


def _joined(
    edges: FloatArray, goods: FloatArray, bads: FloatArray, direction: int, prior: Prior, least: float
) -> tuple[float, tuple[float, ...]]:
    """Join neighbours until the order holds and no bin is small; return information value and edges."""
    while len(edges):
        woe = prior.woe(goods, bads)
        # Risk rises with the value where the weight of evidence falls.
        wrong = direction * (woe[1:] - woe[:-1])
        counts = goods + bads
        smallest = int(np.argmin(counts))
        if wrong.max() >= 0:
            left = int(np.argmax(wrong))
        elif counts[smallest] < least:
            left = _nearer_neighbour(woe, smallest)
        else:
            break
        edges = _without(edges, left)
        goods, bads = _join(goods, left), _join(bads, left)
    return prior.information_value(goods, bads), tuple(float(edge) for edge in edges)


def _nearer_neighbour(woe: FloatArray, position: int) -> int:
    """Return the left bin of the pair that joins a bin with the neighbour that is most like it."""
    if position == 0:
        return 0
    if position == len(woe) - 1:
        return position - 1
    return (
        position - 1 if abs(woe[position] - woe[position - 1]) <= abs(woe[position + 1] - woe[position]) else position
    )


def _join(counts: FloatArray, left: int) -> FloatArray:
    joined = _without(counts, left + 1)
    joined[left] += counts[left + 1]
    return joined


def _without(values: FloatArray, position: int) -> FloatArray:
    # np.delete would take most of the time of the whole binning.
    return np.concatenate((values[:position], values[position + 1 :]))


def _sums(position: npt.NDArray[np.int64], weights: FloatArray, count: int) -> FloatArray:
    return np.bincount(position, weights=weights, minlength=count).astype(np.float64)


def _rounded(value: float) -> float:
    return float(f"{value:.{EDGE_DIGITS}g}")
