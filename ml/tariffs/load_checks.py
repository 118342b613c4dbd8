"""Whether a load can be in the units that it claims."""

import numpy as np

from ml.errors import SchemaMismatchError
from ml.tariffs.eligibility import CustomerTable
from ml.tariffs.exact import QUANTITY_DECIMALS
from ml.tariffs.load_cube import LoadCube
from ml.wording import plural

LARGEST_SHARE_OF_CAPACITY = 10
"""Largest credible power in multiples of the contracted kVA; a transformer trips far below."""

LARGEST_HOME_KW = 500.0
"""Largest credible power of a home in kW; its service fuse blows far below."""

LARGEST_KW = 2_000_000.0
"""Largest credible power of any customer in kW, that of the largest aluminium smelters."""


def check_scale(cube: LoadCube, customers: CustomerTable | None = None) -> None:
    """Refuse loads that look like W or Wh taken for kW or kWh.

    A thousandfold error passes every other check and is billed without a word. Loads that are a thousand times too
    small (MWh taken for kWh) cannot be told from small ones.

    Args:
        cube: Loads.
        customers: Contracted capacity and class, any order; without them only what no customer draws is refused.

    Raises:
        SchemaMismatchError: The largest power of a customer is not credible.
    """
    largest_kw = cube.month_peak_kw().max(axis=1, initial=0) / 10**QUANTITY_DECIMALS
    limit = np.full(len(cube), LARGEST_KW)
    if customers is not None:
        aligned = customers.aligned_to(cube.customer_keys)
        limit = np.where(aligned.customer_class == "residential", LARGEST_HOME_KW, limit)
        capacity = aligned.contract_capacity_kva
        limit = np.where(capacity > 0, LARGEST_SHARE_OF_CAPACITY * capacity, limit)
    suspicious = np.flatnonzero(largest_kw > limit)
    if len(suspicious):
        first = suspicious[0]
        raise SchemaMismatchError(
            f"load of customer {cube.customer_keys[first]}: a largest power of {largest_kw[first]:,.0f} kW is above "
            f"the {limit[first]:,.0f} kW that are credible ({plural(len(suspicious), 'customer')}); the readings look "
            "like W or Wh: divide them by 1,000, or set the unit where they are read"
        )
