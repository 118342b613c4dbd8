"""The kinds of customer: how their days look, how large they are, what they own.

Hourly templates are relative power for the part of the load that people switch (a base load lies under it). They are
drawn from general knowledge of Chinese county life: an early start, a cooked lunch at home, an evening peak before
ten. Levels of the residential kinds are calibrated against public household data, see docs/simulated-supplier.md.
"""

from dataclasses import dataclass

import numpy as np

Hours = tuple[float, ...]


@dataclass(frozen=True)
class Kind:
    """One kind of customer.

    Attributes:
        name: Hidden name of the kind.
        customer_class: Class in the supplier's files.
        share: Share among the customers of its class.
        median_kwh: Median annual energy without heating, cooling, vehicle and solar.
        sigma: Standard deviation of the logarithm of annual energy.
        base_share: Mean share of load that never switches off.
        burstiness: Exponent of the exponential noise: 0 steady, 1 very spiky.
        day_sigma: Standard deviation of the logarithm of a day's level.
        workday: Relative power by hour on working days.
        weekend: Relative power by hour on weekends.
        holiday_level: Level of holidays against weekends.
        festival_level: Level at the height of the Spring Festival against an ordinary day.
        away_chance: Chance that a month contains a journey, during which only the base load remains.
        industry_codes: Codes of the national classification to draw from.
    """

    name: str
    customer_class: str
    share: float
    median_kwh: float
    sigma: float
    base_share: float
    burstiness: float
    day_sigma: float
    workday: Hours
    weekend: Hours
    holiday_level: float
    festival_level: float
    away_chance: float = 0.0
    industry_codes: tuple[str, ...] = ()


def _hours(text: str) -> Hours:
    values = tuple(float(value) for value in text.split())
    if len(values) != 24:
        raise ValueError(f"a template needs 24 hours, got {len(values)}")
    return values


KINDS = (
    Kind(
        "working_couple", "residential", 0.25, 1650, 0.58, 0.27, 1.10, 0.17,
        _hours(".5 .4 .35 .3 .35 .6 1.3 1.5 .8 .5 .5 .6 .8 .6 .5 .5 .7 1.3 2.0 2.3 2.3 2.1 1.5 .9"),
        _hours(".6 .45 .4 .3 .3 .45 .7 1.0 1.1 1.0 1.0 1.2 1.2 .9 .8 .8 1.0 1.3 1.8 2.1 2.1 1.9 1.4 .9"),
        1.0, 1.1, 0.30,
    ),
    Kind(
        "family", "residential", 0.30, 2150, 0.55, 0.27, 1.05, 0.15,
        _hours(".5 .4 .35 .35 .45 .8 1.6 1.5 .9 .8 .9 1.5 1.5 .9 .7 .7 .9 1.6 2.2 2.3 2.2 1.9 1.2 .7"),
        _hours(".55 .45 .4 .35 .4 .6 1.0 1.2 1.2 1.1 1.2 1.6 1.6 1.0 .9 .9 1.1 1.6 2.1 2.2 2.1 1.9 1.2 .75"),
        1.05, 1.3, 0.15,
    ),
    Kind(
        "retired", "residential", 0.20, 1450, 0.52, 0.28, 1.00, 0.14,
        _hours(".4 .35 .3 .35 .6 1.2 1.5 1.4 1.1 1.0 1.2 1.6 1.4 .8 .8 .9 1.2 1.8 2.0 1.9 1.6 1.0 .6 .45"),
        _hours(".4 .35 .3 .35 .6 1.2 1.5 1.4 1.1 1.1 1.3 1.7 1.5 .8 .8 .9 1.2 1.8 2.0 1.9 1.6 1.0 .6 .45"),
        1.15, 1.5, 0.12,
    ),
    Kind(
        "night_worker", "residential", 0.10, 1700, 0.58, 0.28, 1.10, 0.18,
        _hours("1.3 1.2 1.1 .9 .8 .8 1.0 1.1 .6 .5 .5 .6 .7 .8 1.2 1.5 1.7 1.8 1.8 1.7 1.6 1.6 1.5 1.4"),
        _hours("1.2 1.0 .9 .7 .6 .6 .8 1.0 .9 .9 1.0 1.2 1.3 1.2 1.2 1.4 1.6 1.8 1.9 1.9 1.9 1.8 1.6 1.4"),
        1.0, 1.1, 0.20,
    ),
    Kind(
        "migrant", "residential", 0.07, 520, 0.60, 0.50, 1.00, 0.25,
        _hours(".4 .35 .3 .3 .4 .8 1.3 1.3 .9 .8 .9 1.4 1.3 .8 .7 .7 .9 1.5 2.0 2.1 2.0 1.6 1.0 .6"),
        _hours(".4 .35 .3 .3 .4 .8 1.3 1.3 .9 .8 .9 1.4 1.3 .8 .7 .7 .9 1.5 2.0 2.1 2.0 1.6 1.0 .6"),
        1.6, 4.5, 0.45,
    ),
    Kind(
        "second_home", "residential", 0.04, 620, 0.60, 0.35, 0.90, 0.45,
        _hours(".3 .3 .3 .3 .3 .3 .3 .3 .3 .3 .3 .3 .3 .3 .3 .3 .3 .4 .5 .5 .5 .4 .3 .3"),
        _hours(".8 .5 .4 .4 .4 .6 1.1 1.8 2.2 2.2 2.4 3.0 2.8 2.1 1.8 1.8 2.2 3.0 3.6 3.8 3.6 3.2 2.2 1.3"),
        1.5, 1.6, 0.55,
    ),
    Kind(
        "vacant", "residential", 0.04, 75, 0.80, 0.85, 0.30, 0.10,
        _hours("1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
        _hours("1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"),
        1.0, 1.0,
    ),
    Kind(
        "office", "commercial", 0.28, 24_000, 1.10, 0.22, 0.22, 0.10,
        _hours(".2 .2 .2 .2 .2 .2 .3 .7 1.7 2.2 2.2 2.1 1.7 1.9 2.2 2.2 2.2 1.9 1.1 .6 .4 .3 .2 .2"),
        _hours(".2 .2 .2 .2 .2 .2 .2 .3 .5 .6 .6 .6 .5 .6 .6 .6 .5 .4 .3 .3 .2 .2 .2 .2"),
        0.6, 0.35, 0.0, ("L7200", "S9200", "J6600", "P8300"),
    ),
    Kind(
        "shop", "commercial", 0.42, 11_000, 0.95, 0.25, 0.28, 0.10,
        _hours(".25 .25 .25 .25 .25 .25 .3 .6 1.2 1.7 1.9 1.9 1.8 1.8 1.8 1.8 1.8 1.9 2.1 2.1 1.8 1.1 .4 .25"),
        _hours(".25 .25 .25 .25 .25 .25 .3 .6 1.2 1.8 2.1 2.1 2.0 2.0 2.0 2.0 2.1 2.2 2.3 2.3 2.0 1.3 .5 .25"),
        1.1, 0.55, 0.0, ("F5211", "F5239", "F5260"),
    ),
    Kind(
        "restaurant", "commercial", 0.20, 28_000, 0.90, 0.28, 0.32, 0.12,
        _hours(".4 .3 .3 .3 .4 .7 1.0 .8 .7 .9 1.6 2.3 2.2 1.2 .7 .7 1.2 2.2 2.5 2.4 1.9 1.2 .7 .5"),
        _hours(".4 .3 .3 .3 .4 .7 1.0 .8 .7 1.0 1.8 2.6 2.5 1.4 .8 .8 1.4 2.5 2.9 2.8 2.2 1.4 .8 .5"),
        1.15, 0.75, 0.0, ("H6210", "H6220"),
    ),
    Kind(
        "hotel", "commercial", 0.10, 130_000, 0.95, 0.42, 0.18, 0.10,
        _hours(".7 .6 .55 .55 .6 .8 1.2 1.4 1.2 1.0 .9 1.0 1.0 .9 .8 .8 .9 1.1 1.4 1.5 1.6 1.5 1.2 .9"),
        _hours(".8 .6 .55 .55 .6 .8 1.1 1.4 1.3 1.1 1.0 1.0 1.1 1.0 .9 .9 1.0 1.2 1.5 1.7 1.7 1.6 1.3 1.0"),
        1.3, 0.8, 0.0, ("H6110", "H6121"),
    ),
    Kind(
        "one_shift", "industrial", 0.45, 240_000, 1.05, 0.12, 0.16, 0.12,
        _hours(".2 .2 .2 .2 .2 .2 .4 1.2 2.3 2.5 2.5 2.2 1.2 2.2 2.5 2.5 2.4 1.9 .8 .5 .4 .3 .2 .2"),
        _hours(".2 .2 .2 .2 .2 .2 .3 .7 1.2 1.4 1.4 1.2 .7 1.2 1.4 1.4 1.3 .9 .4 .3 .2 .2 .2 .2"),
        0.35, 0.12, 0.0, ("C1800", "C2110", "C3310"),
    ),
    Kind(
        "two_shifts", "industrial", 0.30, 600_000, 1.05, 0.15, 0.14, 0.11,
        _hours(".3 .3 .3 .3 .3 .4 1.2 1.5 1.6 1.6 1.6 1.4 1.3 1.6 1.6 1.5 1.5 1.6 1.6 1.6 1.6 1.5 1.1 .5"),
        _hours(".3 .3 .3 .3 .3 .4 .9 1.2 1.3 1.3 1.3 1.1 1.0 1.3 1.3 1.2 1.1 1.0 .9 .9 .8 .7 .5 .3"),
        0.45, 0.15, 0.0, ("C1390", "C1711", "C2927"),
    ),
    Kind(
        "three_shifts", "industrial", 0.25, 1_500_000, 1.10, 0.35, 0.12, 0.07,
        _hours("1 1 1 1 1 1 .95 1.05 1.05 1.05 1.05 1 1 1.05 1.05 1.05 .95 1 1 1 1 1 .95 1"),
        _hours("1 1 1 1 1 1 .95 1 1 1 1 1 1 1 1 1 .95 1 1 1 1 1 .95 1"),
        0.9, 0.5, 0.0, ("C2614", "C3011", "C3120"),
    ),
    Kind(
        "irrigation", "agricultural", 0.6, 9_000, 0.9, 0.03, 0.60, 0.60,
        _hours(".6 .5 .5 .5 .7 1.2 1.7 1.8 1.7 1.5 1.3 1.1 .9 .9 1.0 1.2 1.4 1.5 1.2 .9 .8 .7 .7 .6"),
        _hours(".6 .5 .5 .5 .7 1.2 1.7 1.8 1.7 1.5 1.3 1.1 .9 .9 1.0 1.2 1.4 1.5 1.2 .9 .8 .7 .7 .6"),
        0.8, 0.2, 0.0, ("A0111", "A0121"),
    ),
    Kind(
        "greenhouse", "agricultural", 0.4, 16_000, 0.8, 0.35, 0.30, 0.15,
        _hours(".9 .9 .9 .9 1.0 1.1 1.3 1.3 1.2 1.1 1.0 .9 .8 .8 .8 .9 1.0 1.2 1.2 1.1 1.0 1.0 .9 .9"),
        _hours(".9 .9 .9 .9 1.0 1.1 1.3 1.3 1.2 1.1 1.0 .9 .8 .8 .8 .9 1.0 1.2 1.2 1.1 1.0 1.0 .9 .9"),
        1.0, 0.8, 0.0, ("A0141", "A0321"),
    ),
)  # fmt: skip

CLASS_SHARES = {"residential": 0.88, "commercial": 0.09, "industrial": 0.025, "agricultural": 0.005}

IRRIGATION_MONTH_FACTOR = np.array([0.2, 0.3, 1.5, 1.9, 2.1, 1.8, 0.9, 0.7, 0.9, 0.8, 0.4, 0.2], dtype=np.float32)

COOLING_PRESENCE = np.array(
    [.75, .65, .55, .5, .45, .4, .4, .35, .35, .4, .5, .7, .85, .85, .75, .7, .7, .8, .95, 1, 1, 1, 1, .9],
    dtype=np.float32,
)  # fmt: skip
BUSINESS_COOLING_PRESENCE = np.array(
    [.2, .2, .2, .2, .2, .2, .3, .6, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, .9, .8, .7, .5, .3, .2], dtype=np.float32
)  # fmt: skip
HEATING_PRESENCE = np.array(
    [.8, .75, .7, .7, .8, 1, 1.1, 1, .8, .7, .7, .8, .8, .7, .65, .7, .85, 1.05, 1.2, 1.25, 1.25, 1.2, 1.05, .9],
    dtype=np.float32,
)  # fmt: skip


def kind_indices(customer_class: str) -> list[int]:
    """Return the positions in KINDS of the kinds of one class."""
    return [index for index, kind in enumerate(KINDS) if kind.customer_class == customer_class]


def template_array() -> np.ndarray:
    """Return relative power, shape (kinds, day types, 24), scaled to mean 1 over an ordinary week."""
    templates = np.empty((len(KINDS), 3, 24), dtype=np.float32)
    for index, kind in enumerate(KINDS):
        workday, weekend = np.array(kind.workday), np.array(kind.weekend)
        mean = (5 * workday.mean() + 2 * weekend.mean()) / 7
        templates[index] = np.stack([workday, weekend, weekend * kind.holiday_level]) / mean
    return templates
