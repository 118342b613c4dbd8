"""Who the customers are: kinds, sizes, appliances, place in the grid, dates, and hidden dispositions.

Everything here is drawn once per customer and does not depend on how many months are simulated. Customers of a
new-customer wave are appended after the others, in blocks of their own, so the others keep every draw.
"""

import itertools
from dataclasses import dataclass, fields

import numpy as np

from orchestration.ingestion.simulated_supplier.calendar import days_since_1970
from orchestration.ingestion.simulated_supplier.config import SupplierConfig
from orchestration.ingestion.simulated_supplier.kinds import CLASS_SHARES, KINDS, kind_indices
from orchestration.ingestion.simulated_supplier.randomness import stream
from orchestration.ingestion.simulated_supplier.scenarios import wave_customers

BLOCK_CUSTOMERS = 500
WAVE_FIRST_NUMBER = 5_000_000
WAVE_FIRST_TRANSFORMER = 90_000
DISTRICTS = ("chengguan", "dongjiao", "xihe", "nanshan", "beigang")
DISTRICT_NAMES_ZH = ("城关街道", "东郊镇", "西河镇", "南山乡", "北港镇")
DISTRICT_SHARES = (0.34, 0.22, 0.18, 0.12, 0.14)
CUSTOMERS_PER_TRANSFORMER = 70
TRANSFORMERS_PER_FEEDER = 8
NEVER = 10**6
LATE_JOINERS_SHARE = 0.05
JOIN_HORIZON_MONTHS = 36
CLOSE_CHANCE_PER_MONTH = 0.0018
SWITCHED_OFF_SHARE = 0.3
WORKSHOP_SHARE = 0.015
COOLED_HOMES_SHARE = 0.86
ELECTRICALLY_HEATED_HOMES_SHARE = 0.22
VEHICLE_SHARE = 0.06
THIEVES_SHARE = 0.012
CONTRACT_SIZES_KVA = np.array(
    [10, 15, 20, 30, 50, 80, 100, 125, 160, 200, 250, 315, 400, 500, 630, 800, 1000, 1250, 1600, 2000, 2500, 3150,
     4000, 5000, 6300, 8000, 10000, 12500, 16000, 20000]
)  # fmt: skip


@dataclass(frozen=True)
class Population:
    """Customers as parallel arrays, one element each.

    Attributes:
        number: Running number; the customer id is made from it.
        kind: Position in KINDS.
        customer_class: Class name.
        district: Position in DISTRICTS.
        transformer: Running number of the transformer area.
        feeder: Running number of the feeder.
        join_month: Month index of the start of supply, negative when before the simulation.
        registered_day: Start of supply as days since 1970.
        close_month: Month index in which supply ends, NEVER for most.
        close_day_of_month: Day of that month on which supply ends.
        annual_kwh: Annual energy of people and machines (without heating, cooling, vehicle, solar).
        base_share: Share of that load which never switches off.
        burstiness: Exponent of the interval noise.
        day_sigma: Standard deviation of the logarithm of a day's level.
        phase_hours: How much later than the template the customer lives.
        second_kind: Kind that is mixed into the template.
        mix: Share of the second kind.
        weekend_tilt: Factor on weekends and holidays.
        cooling_kw_per_degree: Electric power per degree above the threshold.
        cooling_from_c: Threshold of cooling.
        heating_kw_per_degree: Electric power per degree below the threshold.
        heating_from_c: Threshold of heating.
        vehicle_kw: Charging power, 0 without a vehicle.
        vehicle_hour: Usual hour at which charging starts.
        solar_kw: Installed solar power.
        trend_per_year: Growth of the load, natural logarithm per year.
        tan_phi: Reactive over active energy; 0 where no reactive meter exists.
        capacity_kva: Contracted transformer capacity, 0 for residential customers.
        two_part: Whether the customer is billed for capacity or demand.
        meter_batch: Position of the meter's production batch in the unit interval.
        theft_month: Month index in which unrecorded use begins, NEVER for most.
        theft_share: Share of the load that goes unrecorded.
        stress_mean: Hidden mean of financial stress.
        stress_load_share: How strongly stress lowers the load.
        diligence: Hidden habit of paying on time.
        contact_rate: Ordinary service contacts per month.
    """

    number: np.ndarray
    kind: np.ndarray
    customer_class: np.ndarray
    district: np.ndarray
    transformer: np.ndarray
    feeder: np.ndarray
    join_month: np.ndarray
    registered_day: np.ndarray
    close_month: np.ndarray
    close_day_of_month: np.ndarray
    annual_kwh: np.ndarray
    base_share: np.ndarray
    burstiness: np.ndarray
    day_sigma: np.ndarray
    phase_hours: np.ndarray
    second_kind: np.ndarray
    mix: np.ndarray
    weekend_tilt: np.ndarray
    cooling_kw_per_degree: np.ndarray
    cooling_from_c: np.ndarray
    heating_kw_per_degree: np.ndarray
    heating_from_c: np.ndarray
    vehicle_kw: np.ndarray
    vehicle_hour: np.ndarray
    solar_kw: np.ndarray
    trend_per_year: np.ndarray
    tan_phi: np.ndarray
    capacity_kva: np.ndarray
    two_part: np.ndarray
    meter_batch: np.ndarray
    theft_month: np.ndarray
    theft_share: np.ndarray
    stress_mean: np.ndarray
    stress_load_share: np.ndarray
    diligence: np.ndarray
    contact_rate: np.ndarray

    @property
    def size(self) -> int:
        """Number of customers."""
        return len(self.number)

    def customer_ids(self) -> list[str]:
        """Return the supplier's ids."""
        return [f"C{number:07d}" for number in self.number]

    def blocks(self) -> list[slice]:
        """Return the customers in blocks that are simulated with draws of their own; a wave begins a new block."""
        wave_start = int(np.searchsorted(self.number, WAVE_FIRST_NUMBER))
        starts = [*range(0, wave_start, BLOCK_CUSTOMERS), *range(wave_start, self.size, BLOCK_CUSTOMERS)]
        return [slice(start, stop) for start, stop in itertools.pairwise([*starts, self.size])]


def _class_counts(customers: int) -> dict[str, int]:
    small = {name: max(1, round(share * customers)) for name, share in CLASS_SHARES.items() if name != "residential"}
    return {"residential": customers - sum(small.values()), **small}


def _draw_kinds(random: np.random.Generator, counts: dict[str, int]) -> np.ndarray:
    drawn = []
    for customer_class, count in counts.items():
        indices = kind_indices(customer_class)
        shares = np.array([KINDS[index].share for index in indices])
        drawn.append(random.choice(indices, size=count, p=shares / shares.sum()))
    return random.permutation(np.concatenate(drawn))


def _from_kinds(kind: np.ndarray, attribute: str) -> np.ndarray:
    return np.array([getattr(item, attribute) for item in KINDS])[kind]


def peak_estimate_kw(kind: np.ndarray, annual_kwh: np.ndarray) -> np.ndarray:
    """Return roughly the largest hourly power of a business, from its energy and template."""
    templates = np.array([max(item.workday) / np.mean(item.workday) for item in KINDS])
    return annual_kwh / 8760 * templates[kind] * 1.5


def _registered_days(config: SupplierConfig, random: np.random.Generator, join_month: np.ndarray) -> np.ndarray:
    start = days_since_1970(config.start_month)
    before = start - 30 - random.integers(0, 12 * 365, size=len(join_month))
    day_of_month = random.integers(0, 27, size=len(join_month))
    months = np.unique(join_month[join_month >= 0])
    first_days = {int(month): days_since_1970(config.month_at(int(month))) for month in months}
    joined = np.array([first_days.get(int(month), 0) for month in join_month]) + day_of_month
    return np.where(join_month >= 0, joined, before).astype(np.int64)


@dataclass(frozen=True)
class _Draft:
    """What the parts of a population are drawn from."""

    config: SupplierConfig
    label: str
    kind: np.ndarray

    @property
    def size(self) -> int:
        return len(self.kind)

    @property
    def kind_name(self) -> np.ndarray:
        return _from_kinds(self.kind, "name")

    def is_class(self, name: str) -> np.ndarray:
        return _from_kinds(self.kind, "customer_class") == name

    def random(self, aspect: str) -> np.random.Generator:
        return stream(self.config.seed, "population", self.label, aspect)


def _build(config: SupplierConfig, label: str, counts: dict[str, int], first_number: int) -> Population:
    draft = _Draft(config, label, _draw_kinds(stream(config.seed, "population", label), counts))
    size_deviation = draft.random("size").standard_normal(draft.size)
    annual_kwh = _annual_kwh(draft, size_deviation)
    return Population(
        number=first_number + np.arange(draft.size),
        kind=draft.kind,
        customer_class=_from_kinds(draft.kind, "customer_class"),
        annual_kwh=annual_kwh,
        **_grid_place(draft),
        **_life_time(draft),
        **_habits(draft),
        **_appliances(draft, annual_kwh, size_deviation),
        **_connection(draft, annual_kwh),
        **_dispositions(draft),
    )


def _annual_kwh(draft: _Draft, size_deviation: np.ndarray) -> np.ndarray:
    random = draft.random("annual energy")
    annual = _from_kinds(draft.kind, "median_kwh") * np.exp(_from_kinds(draft.kind, "sigma") * size_deviation)
    # A heavy upper tail that a log-normal lacks: a few homes with a workshop, pond pump or shop inside.
    has_workshop = draft.is_class("residential") & (random.random(draft.size) < WORKSHOP_SHARE)
    annual = np.where(has_workshop, annual * random.uniform(2, 5, draft.size), annual)
    is_switched_off = (draft.kind_name == "vacant") & (random.random(draft.size) < SWITCHED_OFF_SHARE)
    return np.where(is_switched_off, 0.0, annual).astype(np.float32)


def _grid_place(draft: _Draft) -> dict[str, np.ndarray]:
    random = draft.random("grid")
    per_district = max(1, round(draft.config.customers / CUSTOMERS_PER_TRANSFORMER / len(DISTRICTS)))
    district = random.choice(len(DISTRICTS), size=draft.size, p=DISTRICT_SHARES)
    transformer = district * per_district + random.integers(0, per_district, draft.size)
    return {"district": district, "transformer": transformer, "feeder": transformer // TRANSFORMERS_PER_FEEDER}


def _life_time(draft: _Draft) -> dict[str, np.ndarray]:
    random = draft.random("life time")
    joins_later = random.random(draft.size) < LATE_JOINERS_SHARE
    join_month = np.where(joins_later, random.integers(1, JOIN_HORIZON_MONTHS, draft.size), -1)
    months_stayed = random.geometric(CLOSE_CHANCE_PER_MONTH, draft.size)
    return {
        "join_month": join_month,
        "registered_day": _registered_days(draft.config, random, join_month),
        "close_month": np.maximum(join_month, 0) + 1 + months_stayed,
        "close_day_of_month": random.integers(1, 28, draft.size),
    }


def _habits(draft: _Draft) -> dict[str, np.ndarray]:
    random, size, kind = draft.random("habits"), draft.size, draft.kind
    is_residential = draft.is_class("residential")
    same_class = {name: kind_indices(name) for name in CLASS_SHARES}
    second_kind = [
        same_class[name][int(draw * len(same_class[name]))]
        for name, draw in zip(_from_kinds(kind, "customer_class"), random.random(size), strict=True)
    ]
    is_pure = np.isin(draft.kind_name, ["vacant", "second_home", "migrant"])
    base_share = _from_kinds(kind, "base_share") * np.exp(0.3 * random.standard_normal(size))
    burstiness = _from_kinds(kind, "burstiness") * np.exp(0.18 * random.standard_normal(size))
    day_sigma = _from_kinds(kind, "day_sigma") * np.exp(0.35 * random.standard_normal(size))
    weekend_sigma = np.where(is_residential, 0.12, 0.06)
    trend = random.normal(0.02, np.where(is_residential, 0.06, 0.11))
    leaps = random.uniform(0.2, 0.5, size) * random.choice([-1, 0, 1], size=size, p=[0.04, 0.92, 0.04])
    return {
        "base_share": np.clip(base_share, 0.02, 0.95).astype(np.float32),
        "burstiness": np.clip(burstiness, 0.05, 1.3).astype(np.float32),
        "day_sigma": day_sigma.astype(np.float32),
        "phase_hours": random.normal(0.0, 0.8, size).astype(np.float32),
        "second_kind": np.where(is_pure, kind, second_kind),
        "mix": random.beta(1.2, 4.0, size).astype(np.float32),
        "weekend_tilt": np.exp(weekend_sigma * random.standard_normal(size)).astype(np.float32),
        "trend_per_year": (trend + leaps).astype(np.float32),
    }


def _appliances(draft: _Draft, annual_kwh: np.ndarray, size_deviation: np.ndarray) -> dict[str, np.ndarray]:
    random, size = draft.random("appliances"), draft.size
    lived_in = draft.is_class("residential") & (draft.kind_name != "vacant")
    is_commercial, is_industrial = draft.is_class("commercial"), draft.is_class("industrial")
    mean_kw = annual_kwh / 8760
    # Who uses much has a larger home to cool and heat, but not only.
    wealth = np.exp(0.45 * (0.6 * size_deviation + 0.8 * random.standard_normal(size)))
    cooling = np.select(
        [lived_in & (random.random(size) < COOLED_HOMES_SHARE), is_commercial, is_industrial],
        [0.042 * wealth, mean_kw * random.uniform(0.03, 0.11, size), mean_kw * random.uniform(0.0, 0.015, size)],
    )
    heating = np.select(
        [
            lived_in & (random.random(size) < ELECTRICALLY_HEATED_HOMES_SHARE),
            is_commercial,
            draft.kind_name == "greenhouse",
        ],
        [0.045 * wealth, mean_kw * random.uniform(0.005, 0.05, size), mean_kw * 0.06],
    )
    drives = lived_in & (random.random(size) < VEHICLE_SHARE)
    has_roof = np.select([lived_in, is_industrial], [0.045, 0.12]) > random.random(size)
    solar_kw = np.where(is_industrial, 1.5 * mean_kw, random.uniform(5, 20, size))
    return {
        "cooling_kw_per_degree": cooling.astype(np.float32),
        "cooling_from_c": random.uniform(24.0, 27.5, size).astype(np.float32),
        "heating_kw_per_degree": heating.astype(np.float32),
        "heating_from_c": random.uniform(6.0, 12.0, size).astype(np.float32),
        "vehicle_kw": np.where(drives, random.choice([3.3, 7.0], size=size, p=[0.35, 0.65]), 0.0).astype(np.float32),
        "vehicle_hour": random.choice([19, 21, 22, 22, 23, 23, 0], size=size),
        "solar_kw": np.where(has_roof, solar_kw, 0.0).astype(np.float32),
    }


def _connection(draft: _Draft, annual_kwh: np.ndarray) -> dict[str, np.ndarray]:
    random, size = draft.random("connection"), draft.size
    wanted_kva = peak_estimate_kw(draft.kind, annual_kwh) * np.exp(random.uniform(0.15, 0.9, size))
    size_index = np.minimum(np.searchsorted(CONTRACT_SIZES_KVA, wanted_kva), len(CONTRACT_SIZES_KVA) - 1)
    is_industrial = draft.is_class("industrial")
    is_business = is_industrial | draft.is_class("commercial")
    capacity = np.where(draft.is_class("residential"), 0, CONTRACT_SIZES_KVA[size_index])
    # From 315 kVA two-part is the rule, between 100 and 315 kVA the customer's choice.
    chooses_two_part = is_industrial & (capacity > 100) & (random.random(size) < 0.7)
    return {
        "capacity_kva": capacity.astype(np.float64),
        "two_part": is_business & ((capacity >= 315) | chooses_two_part),
        "tan_phi": np.where(capacity >= 100, np.clip(random.normal(0.46, 0.14, size), 0.12, 0.95), 0.0),
        "meter_batch": random.random(size),
    }


def _dispositions(draft: _Draft) -> dict[str, np.ndarray]:
    random, size = draft.random("dispositions"), draft.size
    is_residential = draft.is_class("residential")
    steals = random.random(size) < THIEVES_SHARE
    return {
        "theft_month": np.where(steals, random.integers(-12, JOIN_HORIZON_MONTHS, size), NEVER),
        "theft_share": random.uniform(0.25, 0.8, size).astype(np.float32),
        "stress_mean": random.normal(0.0, 1.0, size),
        "stress_load_share": np.where(is_residential, 0.02, 0.06) * random.uniform(0.3, 1.7, size),
        "diligence": random.normal(0.0, 1.0, size),
        "contact_rate": random.gamma(1.2, np.where(is_residential, 0.035, 0.07), size),
    }


def build_population(config: SupplierConfig) -> Population:
    """Return every customer whom the simulation will ever know, ordered by number."""
    population = _build(config, "county", _class_counts(config.customers), first_number=1)
    start, count = wave_customers(config)
    if count == 0:
        return population
    wave = _build_wave(config, start, count)
    return Population(
        **{
            field.name: np.concatenate([getattr(population, field.name), getattr(wave, field.name)])
            for field in fields(Population)
        }
    )


def _build_wave(config: SupplierConfig, start: int, count: int) -> Population:
    """Return a new housing estate: young families with heat pumps and vehicles, some shops, all in one district."""
    shops = max(1, round(count * 0.06))
    wave = _build(config, "wave", {"residential": count - shops, "commercial": shops}, WAVE_FIRST_NUMBER)
    random = stream(config.seed, "wave appliances")
    is_residential = wave.customer_class == "residential"
    family = kind_indices("residential")[1]
    heated = is_residential & (random.random(count) < 0.8)
    driving = is_residential & (random.random(count) < 0.35)
    join_month = np.full(count, start)
    values = {field.name: getattr(wave, field.name) for field in fields(Population)}
    values |= {
        "kind": np.where(is_residential & (random.random(count) < 0.75), family, wave.kind),
        "district": np.full(count, 1),
        "transformer": wave.transformer // len(DISTRICTS) + WAVE_FIRST_TRANSFORMER,
        "join_month": join_month,
        "registered_day": _registered_days(config, random, join_month),
        "close_month": np.full(count, NEVER),
        "heating_kw_per_degree": np.where(heated, 0.09, wave.heating_kw_per_degree).astype(np.float32),
        "vehicle_kw": np.where(driving, 7.0, wave.vehicle_kw).astype(np.float32),
        "stress_mean": wave.stress_mean + 0.4 * is_residential,
    }
    values["feeder"] = values["transformer"] // TRANSFORMERS_PER_FEEDER
    return Population(**values)
