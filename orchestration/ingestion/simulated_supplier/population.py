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


WAVE_FIRST_NUMBER = 5_000_000


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
    return annual_kwh / 8760 * templates[kind] * 1.9


def _registered_days(config: SupplierConfig, random: np.random.Generator, join_month: np.ndarray) -> np.ndarray:
    start = days_since_1970(config.start_month)
    before = start - 30 - random.integers(0, 12 * 365, size=len(join_month))
    day_of_month = random.integers(0, 27, size=len(join_month))
    months = np.unique(join_month[join_month >= 0])
    first_days = {int(month): days_since_1970(config.month_at(int(month))) for month in months}
    joined = np.array([first_days.get(int(month), 0) for month in join_month]) + day_of_month
    return np.where(join_month >= 0, joined, before).astype(np.int64)


def _build(config: SupplierConfig, label: str, counts: dict[str, int], first_number: int) -> Population:
    random = stream(config.seed, "population", label)
    size = sum(counts.values())
    kind = _draw_kinds(random, counts)
    customer_class = _from_kinds(kind, "customer_class")
    is_residential = customer_class == "residential"
    is_industrial = customer_class == "industrial"
    kind_name = _from_kinds(kind, "name")
    lived_in = is_residential & ~np.isin(kind_name, ["vacant"])

    z_size = random.standard_normal(size)
    annual = _from_kinds(kind, "median_kwh") * np.exp(_from_kinds(kind, "sigma") * z_size)
    # A heavy upper tail that a log-normal lacks: a few homes with a workshop, pond pump or shop inside.
    annual = np.where(is_residential & (random.random(size) < 0.015), annual * random.uniform(2, 5, size), annual)
    annual = np.where((kind_name == "vacant") & (random.random(size) < SWITCHED_OFF_SHARE), 0.0, annual)
    base_share = np.clip(_from_kinds(kind, "base_share") * np.exp(0.3 * random.standard_normal(size)), 0.02, 0.95)
    burstiness = np.clip(_from_kinds(kind, "burstiness") * np.exp(0.18 * random.standard_normal(size)), 0.05, 1.3)
    day_sigma = _from_kinds(kind, "day_sigma") * np.exp(0.35 * random.standard_normal(size))

    same_class = {name: kind_indices(name) for name in CLASS_SHARES}
    second = np.array([same_class[name][int(draw * len(same_class[name]))]
                       for name, draw in zip(customer_class, random.random(size), strict=True)])  # fmt: skip
    second = np.where(np.isin(kind_name, ["vacant", "second_home", "migrant"]), kind, second)
    mix = random.beta(1.2, 4.0, size)

    wealth = np.exp(0.45 * (0.6 * z_size + 0.8 * random.standard_normal(size)))
    owns_cooling = random.random(size) < np.where(lived_in, 0.86, 0.0)
    owns_heating = random.random(size) < np.where(lived_in, 0.22, 0.0)
    business_load = annual / 8760
    cooling = np.where(owns_cooling, 0.042 * wealth, 0.0)
    heating = np.where(owns_heating, 0.045 * wealth, 0.0)
    is_commercial = customer_class == "commercial"
    cooling = np.where(is_commercial, business_load * random.uniform(0.03, 0.11, size), cooling)
    heating = np.where(is_commercial, business_load * random.uniform(0.005, 0.05, size), heating)
    cooling = np.where(is_industrial, business_load * random.uniform(0.0, 0.015, size), cooling)
    is_greenhouse = kind_name == "greenhouse"
    heating = np.where(is_greenhouse, business_load * 0.06, heating)

    owns_vehicle = lived_in & (random.random(size) < 0.06)
    vehicle_kw = np.where(owns_vehicle, random.choice([3.3, 7.0], size=size, p=[0.35, 0.65]), 0.0)
    owns_solar = (lived_in & (random.random(size) < 0.045)) | (is_industrial & (random.random(size) < 0.12))
    solar_kw = np.where(owns_solar, np.where(is_industrial, business_load * 1.5, random.uniform(5, 20, size)), 0.0)

    joins_later = random.random(size) < LATE_JOINERS_SHARE
    join_month = np.where(joins_later, random.integers(1, JOIN_HORIZON_MONTHS, size), -1)
    lifetime = random.geometric(CLOSE_CHANCE_PER_MONTH, size)
    close_month = np.where(lifetime > JOIN_HORIZON_MONTHS * 4, NEVER, np.maximum(join_month, 0) + 1 + lifetime)

    peak_kw = peak_estimate_kw(kind, annual)
    wanted_kva = peak_kw * np.exp(random.uniform(0.1, 0.75, size))
    size_index = np.minimum(np.searchsorted(CONTRACT_SIZES_KVA, wanted_kva), len(CONTRACT_SIZES_KVA) - 1)
    capacity = np.where(is_residential, 0, CONTRACT_SIZES_KVA[size_index])
    chooses_two_part = random.random(size) < 0.55
    two_part = (capacity >= 315) | ((capacity > 100) & is_industrial & chooses_two_part)
    two_part &= ~is_residential & (customer_class != "agricultural")
    tan_phi = np.where(capacity >= 100, np.clip(random.normal(0.46, 0.14, size), 0.12, 0.95), 0.0)

    district = random.choice(len(DISTRICTS), size=size, p=DISTRICT_SHARES)
    transformers = max(len(DISTRICTS), round(sum(_class_counts(config.customers).values()) / CUSTOMERS_PER_TRANSFORMER))
    per_district = max(1, round(transformers / len(DISTRICTS)))
    transformer = district * per_district + random.integers(0, per_district, size)

    trend = np.where(is_residential, random.normal(0.02, 0.06, size), random.normal(0.02, 0.11, size))
    trend = np.where(random.random(size) < 0.04, trend - random.uniform(0.2, 0.5, size), trend)
    trend = np.where(random.random(size) < 0.04, trend + random.uniform(0.2, 0.5, size), trend)
    steals = random.random(size) < 0.012
    theft_month = np.where(steals, random.integers(-12, JOIN_HORIZON_MONTHS, size), NEVER)
    return Population(
        number=first_number + np.arange(size),
        kind=kind,
        customer_class=customer_class,
        district=district,
        transformer=transformer,
        feeder=transformer // TRANSFORMERS_PER_FEEDER,
        join_month=join_month,
        registered_day=_registered_days(config, random, join_month),
        close_month=close_month,
        close_day_of_month=random.integers(1, 28, size),
        annual_kwh=annual.astype(np.float32),
        base_share=base_share.astype(np.float32),
        burstiness=burstiness.astype(np.float32),
        day_sigma=day_sigma.astype(np.float32),
        phase_hours=random.normal(0.0, 0.8, size).astype(np.float32),
        second_kind=second,
        mix=mix.astype(np.float32),
        weekend_tilt=np.exp(np.where(is_residential, 0.12, 0.06) * random.standard_normal(size)).astype(np.float32),
        cooling_kw_per_degree=cooling.astype(np.float32),
        cooling_from_c=random.uniform(24.0, 27.5, size).astype(np.float32),
        heating_kw_per_degree=heating.astype(np.float32),
        heating_from_c=random.uniform(6.0, 12.0, size).astype(np.float32),
        vehicle_kw=vehicle_kw.astype(np.float32),
        vehicle_hour=random.choice([19, 21, 22, 22, 23, 23, 0], size=size),
        solar_kw=solar_kw.astype(np.float32),
        trend_per_year=trend.astype(np.float32),
        tan_phi=tan_phi.astype(np.float32),
        capacity_kva=capacity.astype(np.float64),
        two_part=two_part,
        meter_batch=random.random(size),
        theft_month=theft_month,
        theft_share=random.uniform(0.25, 0.8, size).astype(np.float32),
        stress_mean=random.normal(0.0, 1.0, size),
        stress_load_share=np.where(is_residential, 0.02, 0.06) * random.uniform(0.3, 1.7, size),
        diligence=random.normal(0.0, 1.0, size),
        contact_rate=random.gamma(1.2, np.where(is_residential, 0.035, 0.07), size),
    )


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
        "transformer": wave.transformer // len(DISTRICTS) + int(wave.transformer.max()) + 1,
        "join_month": join_month,
        "registered_day": _registered_days(config, random, join_month),
        "close_month": np.full(count, NEVER),
        "heating_kw_per_degree": np.where(heated, 0.09, wave.heating_kw_per_degree).astype(np.float32),
        "vehicle_kw": np.where(driving, 7.0, wave.vehicle_kw).astype(np.float32),
        "stress_mean": wave.stress_mean + 0.4 * is_residential,
    }
    values["feeder"] = values["transformer"] // TRANSFORMERS_PER_FEEDER
    return Population(**values)
