"""PySAM's ``Utilityrate5`` as the peer of the bill engine: the same URDB records and loads for both.

Its conventions are 8,760 hours of a year that starts on a Monday, no holidays, no daylight saving and no rounding, so
both sides use ``YEAR``, an empty day calendar and four decimals of money. The records go to it by a translation of our
own: the one that PySAM brings along changes its input, sets the ratchet of every month and drops flat demand
charges that come without ``flatdemandmonths``.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from ml.tariffs.calendar import DayCalendar
from ml.tariffs.exact import QUANTITY_DECIMALS, IntArray
from ml.tariffs.load_cube import LoadCube

YEAR = 2018
HOURS = 8760
_NO_LIMIT = 1e38
_TIER_UNITS = {"kWh": 0, "kWh/kW": 1, "kWh daily": 2, "kWh/kW daily": 3}


def _record(name: str, **fields: object) -> dict[str, Any]:
    return {
        "label": name.replace(" ", "_"),
        "name": name,
        "utility": "Peer",
        "sector": "Commercial",
        "startdate": int(datetime(YEAR, 1, 1, tzinfo=UTC).timestamp()),
        **fields,
    }


def _clock(winter: str, summer: str | None = None) -> list[list[int]]:
    """Return twelve rows of hours from one digit per hour; ``summer`` holds from June to September."""
    rows = [summer if summer is not None and month in range(5, 9) else winter for month in range(12)]
    return [[int(digit) for digit in row] for row in rows]


def _prices(*periods: list[tuple[float, float | None]], unit: str = "kWh") -> list[list[dict[str, object]]]:
    """Return an energy rate structure of (rate, max) tiers."""
    return [
        [{"rate": rate, "adj": 0.0125, "unit": unit} | ({} if limit is None else {"max": limit}) for rate, limit in p]
        for p in periods
    ]


def _demand(*periods: list[tuple[float, float | None]]) -> list[list[dict[str, object]]]:
    return [[{"rate": rate} | ({} if limit is None else {"max": limit}) for rate, limit in p] for p in periods]


_FLAT = {
    "energyratestructure": _prices([(0.1234, None)]),
    "energyweekdayschedule": _clock("0" * 24),
    "energyweekendschedule": _clock("0" * 24),
}
_TIERS = _FLAT | {"energyratestructure": _prices([(0.09, 3000.0), (0.12, 9000.5), (0.185, None)])}
_TOU_CLOCK = {
    "energyweekdayschedule": _clock("000000011111111111111000", "222222222222333333332222"),
    "energyweekendschedule": _clock("0" * 24, "2" * 24),
}
_TOU = _TOU_CLOCK | {
    "energyratestructure": _prices([(0.0712, None)], [(0.09368, None)], [(0.066, None)], [(0.21, None)])
}
_TIERS_BY_TOU = _TOU_CLOCK | {
    "energyratestructure": _prices(
        *([(base, 4000.0), (base + 0.031, 11000.0), (base + 0.082, None)] for base in (0.07, 0.11, 0.065, 0.21))
    )
}
_FLAT_DEMAND = {
    "flatdemandstructure": _demand([(7.51, None)], [(16.2, None)]),
    "flatdemandmonths": [0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0],
}
_TIERED_DEMAND = {
    "flatdemandstructure": _demand([(4.5, 20.0), (9.25, 45.0), (13.59, None)]),
    "flatdemandmonths": [0] * 12,
}
_TOU_DEMAND = {
    "demandratestructure": _demand([(0.0, None)], [(8.83, None)], [(29.54, None)]),
    "demandweekdayschedule": _clock("000000001111111111111000", "000000000000112222220000"),
    "demandweekendschedule": _clock("0" * 24, "000000000000111111110000"),
}

CASES: dict[str, dict[str, Any]] = {
    case["name"]: case
    for case in (
        _record("flat", **_FLAT),
        _record("tiers", **_TIERS),
        _record("time of use", **_TOU),
        _record("tiers by time of use", **_TIERS_BY_TOU),
        _record(
            "tiers per day",
            **_FLAT | {"energyratestructure": _prices([(0.09, 120.0), (0.14, None)], unit="kWh daily")},
        ),
        _record(
            "tiers per kW",
            **_FLAT | {"energyratestructure": _prices([(0.12, 120.0), (0.09, 250.0), (0.05, None)], unit="kWh/kW")},
            **_FLAT_DEMAND,
        ),
        _record("flat demand", **_FLAT, **_FLAT_DEMAND),
        _record("flat demand with tiers", **_FLAT, **_TIERED_DEMAND),
        _record("time-of-use demand", **_FLAT, **_TOU_DEMAND),
        _record("time of use with both demands", **_TOU, **_TOU_DEMAND, **_FLAT_DEMAND),
        _record("ratchet", **_FLAT, **_FLAT_DEMAND, lookbackpercent=80, lookbackrange=11),
        _record(
            "ratchet of summer months",
            **_FLAT,
            **_FLAT_DEMAND,
            lookbackpercent=95,
            lookbackmonths=[0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0],
        ),
        _record("fixed per month", **_FLAT, fixedchargefirstmeter=71.25, fixedchargeunits="$/month"),
        _record("fixed per day", **_FLAT, fixedchargefirstmeter=0.75, fixedchargeunits="$/day"),
        _record("fixed per year", **_FLAT, fixedchargefirstmeter=345.0, fixedchargeunits="$/year"),
        _record("minimum per month", **_TOU, mincharge=1290.5, minchargeunits="$/month"),
        _record("minimum per year", **_TOU, mincharge=17000.0, minchargeunits="$/year"),
        _record("fuel adjustment", **_TOU, fueladjustmentsmonthly=[0.001 * month - 0.004 for month in range(12)]),
    )
}


def loads(count: int, seed: int = 7) -> IntArray:
    """Return hourly loads of small businesses in 1e-4 kWh, shape (count, 8760)."""
    random = np.random.default_rng(seed)
    hour = np.arange(HOURS)
    is_weekend = (hour // 24) % 7 >= 5
    daytime = np.clip(np.sin((hour % 24 - 6) / 14 * np.pi), 0, None)
    season = 1 + 0.35 * np.cos((hour / 24 - 200) / 365 * 2 * np.pi)
    size = random.uniform(5, 40, (count, 1))
    shape = 0.3 + daytime * np.where(is_weekend, 0.35, 1.0) * season
    noise = random.gamma(12, 1 / 12, (count, HOURS))
    return np.rint(size * shape * noise * 10**QUANTITY_DECIMALS).astype(np.int64)


def cube_of(load: IntArray) -> LoadCube:
    """Return the load cube of ``loads``."""
    starts = np.datetime64(date(YEAR, 1, 1)) + np.arange(HOURS).astype("timedelta64[h]")
    keys = [f"c{index:06d}" for index in range(len(load))]
    return LoadCube.from_series(keys, starts, load, interval_minutes=60, days=DayCalendar())


def peer_model(record: Mapping[str, Any]) -> Any:
    """Return ``Utilityrate5`` with a rate set and no load yet.

    Raises:
        RuntimeError: If PySAM is not installed.
    """
    try:
        from PySAM import Utilityrate5
    except ModuleNotFoundError as error:
        remedy = "pip install --no-deps --require-hashes -r requirements-peers.lock"
        raise RuntimeError(f"PySAM is not installed, so there is nothing to compare with: {remedy}") from error

    model = Utilityrate5.new()
    rates = {
        "en_electricity_rates": 1,
        "ur_metering_option": 0,
        "ur_monthly_fixed_charge": _monthly_fixed(record),
        "ur_monthly_min_charge": record.get("mincharge", 0) if record.get("minchargeunits") == "$/month" else 0,
        "ur_annual_min_charge": record.get("mincharge", 0) if record.get("minchargeunits") == "$/year" else 0,
        "ur_sell_eq_buy": 0,
        "ur_nm_yearend_sell_rate": 0,
        "ur_en_ts_buy_rate": 0,
        "ur_en_ts_sell_rate": 0,
        "rate_escalation": [0],
        **_energy(record),
        **_demands(record),
    }
    for name, value in rates.items():
        model.ElectricityRates.__setattr__(name, value)
    model.Lifetime.analysis_period = 1
    model.Lifetime.inflation_rate = 0
    model.Lifetime.system_use_lifetime_output = 0
    model.SystemOutput.gen = [0.0] * HOURS
    model.SystemOutput.degradation = [0.0]
    model.Load.load_escalation = [0.0]
    return model


def peer_annual_bill(model: Any, load_kw: list[float]) -> float:
    """Set one load, execute and return the year's bill without a system."""
    model.Load.load = load_kw
    model.execute()
    return float(model.Outputs.utility_bill_wo_sys_year1)


def _monthly_fixed(record: Mapping[str, Any]) -> float:
    months = {"$/month": 1.0, "$/day": 365 / 12, "$/year": 1 / 12}
    amount = record.get("fixedchargefirstmeter", record.get("fixedmonthlycharge", 0))
    return float(amount) * months[record.get("fixedchargeunits", "$/month")]


def _energy(record: Mapping[str, Any]) -> dict[str, object]:
    """Return the energy matrices; monthly adjustments need an own period per month and period."""
    structure = record["energyratestructure"]
    weekday, weekend = np.array(record["energyweekdayschedule"]), np.array(record["energyweekendschedule"])
    adjustments = record.get("fueladjustmentsmonthly", [0.0])
    month = np.arange(12)[:, None] if len(adjustments) == 12 else np.zeros((12, 1), int)
    used = sorted({*(weekday + 100 * month).ravel().tolist(), *(weekend + 100 * month).ravel().tolist()})
    rows = [
        [
            number + 1,
            tier_number + 1,
            tier.get("max", _NO_LIMIT),
            _TIER_UNITS[tier["unit"]],
            tier["rate"] + tier.get("adj", 0) + adjustments[code // 100],
            0.0,
        ]
        for number, code in enumerate(used)
        for tier_number, tier in enumerate(structure[code % 100])
    ]
    return {
        "ur_ec_tou_mat": rows,
        "ur_ec_sched_weekday": (np.searchsorted(used, weekday + 100 * month) + 1).tolist(),
        "ur_ec_sched_weekend": (np.searchsorted(used, weekend + 100 * month) + 1).tolist(),
    }


def _demands(record: Mapping[str, Any]) -> dict[str, object]:
    has_flat, has_periods = "flatdemandstructure" in record, "demandratestructure" in record
    if not has_flat and not has_periods:
        return {"ur_dc_enable": 0, "ur_enable_billing_demand": 0}
    flat = record.get("flatdemandstructure", [[{"rate": 0.0}]])
    months = record.get("flatdemandmonths", [0] * 12)
    periods = record.get("demandratestructure", [[{"rate": 0.0}]])
    zero_clock = [[0] * 24] * 12
    values: dict[str, object] = {
        "ur_dc_enable": 1,
        "ur_dc_flat_mat": [[month, *row] for month in range(12) for row in _tier_rows(flat[months[month]])],
        "ur_dc_tou_mat": [[number + 1, *row] for number, tiers in enumerate(periods) for row in _tier_rows(tiers)],
        "ur_dc_sched_weekday": (np.array(record.get("demandweekdayschedule", zero_clock)) + 1).tolist(),
        "ur_dc_sched_weekend": (np.array(record.get("demandweekendschedule", zero_clock)) + 1).tolist(),
        "ur_enable_billing_demand": 0,
        "TOU_demand_single_peak": 0,
    }
    if "lookbackpercent" in record:
        is_looked_at = record.get("lookbackmonths", [1] * 12)
        values |= {
            "ur_enable_billing_demand": 1,
            "ur_billing_demand_minimum": 0,
            "ur_billing_demand_lookback_period": record.get("lookbackrange", 11),
            "ur_billing_demand_lookback_percentages": [[record["lookbackpercent"] * flag, 1] for flag in is_looked_at],
            "ur_dc_billing_demand_periods": [[number + 1, 1] for number in range(len(periods))],
            "ur_yearzero_usage_peaks": [0.0] * 12,
        }
    return values


def _tier_rows(tiers: list[dict[str, Any]]) -> list[list[float]]:
    return [
        [number + 1, tier.get("max", _NO_LIMIT), tier["rate"] + tier.get("adj", 0)] for number, tier in enumerate(tiers)
    ]
