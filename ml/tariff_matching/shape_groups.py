"""Groups of customers whose loads have like shapes, found in the customers that a forecast is learned from.

The released segments are no input: they are learned from all customers and from later months, so a back-test that used
them would know what it foretells. These groups are part of a fitted forecast and are learned with it, from the months
before the decision and from the same customers as its trees. Classes are grouped apart, as segments are.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # publishes no type information

from ml.columns import CUSTOMER_CLASSES
from ml.tariff_matching.blocks import block_kwh
from ml.tariff_matching.features import FloatArray
from ml.tariffs.load_cube import LoadCube

GROUPS_PER_CLASS = 3
CUSTOMERS_PER_GROUP_MIN = 20
"""A class has one group for so many customers to learn from, up to ``GROUPS_PER_CLASS``."""

_SEED = 7
_STARTS_COUNT = 3
_SMALL_KWH = 0.1


@dataclass(frozen=True, slots=True)
class ShapeGroups:
    """Centres of the groups.

    Attributes:
        classes: Class code of every group.
        centres: Shape of every group, columns as in ``load_shapes``.
    """

    classes: tuple[int, ...] = ()
    centres: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def fit(cls, shapes: FloatArray, classes: npt.NDArray[np.intp]) -> "ShapeGroups":
        """Find the groups of every class by k-means.

        Args:
            shapes: Of the customers to learn from, see ``load_shapes``.
            classes: Their class codes.
        """
        group_classes: list[int] = []
        centres: list[tuple[float, ...]] = []
        for code in range(len(CUSTOMER_CLASSES)):
            members = shapes[classes == code]
            if not len(members):
                continue
            count = min(max(len(members) // CUSTOMERS_PER_GROUP_MIN, 1), GROUPS_PER_CLASS)
            # One thread: sums in another order would give other last digits on another machine.
            with warnings.catch_warnings(), threadpool_limits(limits=1):
                # There may be fewer different shapes than groups; some of these are then one.
                warnings.simplefilter("ignore", ConvergenceWarning)
                fitted = KMeans(n_clusters=count, n_init=_STARTS_COUNT, random_state=_SEED).fit(members)
            found = sorted(tuple(float(value) for value in np.round(row, 5)) for row in fitted.cluster_centers_)
            group_classes += [code] * len(found)
            centres += found
        return cls(tuple(group_classes), tuple(centres))

    def codes(self, shapes: FloatArray, classes: npt.NDArray[np.intp]) -> FloatArray:
        """Return the position of every customer's nearest group of its class, NaN where the class has none."""
        codes = np.full(len(shapes), np.nan)
        of_group = np.array(self.classes, dtype=np.intp)
        for code in np.unique(classes):
            positions = np.flatnonzero(of_group == code)
            if len(positions):
                members = np.flatnonzero(classes == code)
                centres = np.array([self.centres[position] for position in positions])
                distances = ((shapes[members, None, :] - centres[None]) ** 2).sum(axis=2)
                codes[members] = positions[distances.argmin(axis=1)]
        return codes


def load_shapes(history: LoadCube) -> FloatArray:
    """Return the share of every block of hours in the energy of the months read, one row per customer."""
    energy = np.ascontiguousarray((block_kwh(history) * history.present[:, :, None]).sum(axis=1))
    shapes: FloatArray = np.round(energy / np.maximum(energy.sum(axis=1, keepdims=True), _SMALL_KWH), 6)
    return shapes
