"""What customers ask, which programmes they join, and what inspectors find."""

import numpy as np
import polars as pl

from orchestration.ingestion.simulated_supplier.behaviour import NOT_PAID, Bills, PaymentBehaviour
from orchestration.ingestion.simulated_supplier.calendar import (
    MICROSECONDS_PER_MINUTE,
    UTC_OFFSET_HOURS,
    days_since_1970,
)
from orchestration.ingestion.simulated_supplier.config import SupplierConfig
from orchestration.ingestion.simulated_supplier.population import NEVER, Population
from orchestration.ingestion.simulated_supplier.randomness import stream

TOPICS = ("billing", "payment", "outage", "meter", "tariff_advice", "complaint", "new_service", "other")
CONTACT_CHANNELS = ("phone", "app", "wechat", "counter", "web")
CHANNEL_SHARES = (0.46, 0.2, 0.18, 0.12, 0.04)
MEAN_HOURS_TO_RESPOND = (0.2, 1.5, 1.0, 0.3, 6.0)
MEAN_HOURS_TO_CLOSE = (20.0, 9.0, 5.0, 40.0, 12.0, 50.0, 70.0, 14.0)
ORDINARY_TOPIC_SHARES = (0.24, 0.16, 0.08, 0.10, 0.14, 0.06, 0.12, 0.10)
TEXTS = (
    "{name}来电，电话{phone}，咨询本月电费为何偏高，要求核对抄表数。",
    "{name}咨询欠费金额和缴费方式，询问能否分期，联系电话{phone}。",
    "{name}反映家中停电，地址{address}，请尽快处理。",
    "{name}反映电表无显示，申请校验，联系电话{phone}。",
    "{name}咨询峰谷分时电价是否划算，希望得到建议。",
    "{name}对服务人员态度不满，要求回访，电话{phone}。",
    "{name}申请增容，安装地址{address}。",
    "{name}更新联系方式为{phone}。",
)
PROGRAMMES = ("app", "autopay", "e_bill", "energy_report", "demand_response")
INITIAL_MEMBERSHIP = {"app": 0.42, "autopay": 0.2, "e_bill": 0.3, "energy_report": 0.08, "demand_response": 0.0}
JOINING_PER_MONTH = {"app": 0.012, "autopay": 0.006, "e_bill": 0.008, "energy_report": 0.004, "demand_response": 0.0}
LEAVING_PER_MONTH = 0.004
INITIAL_CONSENT = {"phone": 0.16, "sms": 0.38, "app": 0.31, "wechat": 0.27, "email": 0.06}
CONSENTING_PER_MONTH = 0.006
WITHDRAWING_PER_MONTH = 0.008
BUSINESS_RESPONSE_SHARE = 0.18
INSPECTIONS_PER_MONTH = 0.004
INSPECTED_WHEN_STEALING = 0.05


def programme_enrolments(config: SupplierConfig, population: Population) -> pl.DataFrame:
    """Return one row per customer and programme: row, programme, joined_day, left_day, joined_month, left_month."""
    frames = []
    for programme in PROGRAMMES:
        random = stream(config.seed, "programme", programme)
        draws = random.random((population.size, 5))
        initial, joining = INITIAL_MEMBERSHIP[programme], JOINING_PER_MONTH[programme]
        eligible = np.ones(population.size, dtype=bool)
        if programme == "demand_response":
            eligible = population.capacity_kva >= 100
            initial, joining = BUSINESS_RESPONSE_SHARE, 0.01
        # A stressed customer is a little less likely to let the bank pay.
        tilt = np.exp(-0.35 * population.stress_mean) if programme == "autopay" else np.ones(population.size)
        spells = _spells(config, population, draws, eligible, initial * tilt, joining, LEAVING_PER_MONTH)
        frames.append(spells.select("row", pl.lit(programme).alias("programme"), pl.exclude("row")))
    return pl.concat(frames)


def marketing_consents(config: SupplierConfig, population: Population) -> pl.DataFrame:
    """Return one row per customer and channel: row, channel, joined_day, left_day, joined_month, left_month.

    Joining is giving the consent and leaving is withdrawing it.
    """
    everybody = np.ones(population.size, dtype=bool)
    frames = []
    for channel, share in INITIAL_CONSENT.items():
        draws = stream(config.seed, "consent", channel).random((population.size, 5))
        initial = np.full(population.size, share)
        spells = _spells(config, population, draws, everybody, initial, CONSENTING_PER_MONTH, WITHDRAWING_PER_MONTH)
        frames.append(spells.select("row", pl.lit(channel).alias("channel"), pl.exclude("row")))
    return pl.concat(frames)


def _spells(
    config: SupplierConfig,
    population: Population,
    draws: np.ndarray,
    eligible: np.ndarray,
    initial: np.ndarray,
    joining: float,
    leaving: float,
) -> pl.DataFrame:
    """Return from when to when each customer takes part in something, at most once.

    Args:
        config: What to simulate.
        population: The customers.
        draws: Uniform draws, shape (customers, 5).
        eligible: Who can take part at all.
        initial: Chance by customer to take part from before the first month.
        joining: Chance per month to join.
        leaving: Chance per month to leave again.

    Returns:
        row, joined_day, left_day (-1 while it lasts), joined_month, left_month.
    """
    start_day = days_since_1970(config.start_month)
    is_member = eligible & (draws[:, 0] < initial) & (population.join_month < 0)
    waiting = np.floor(np.log(np.clip(draws[:, 1], 1e-12, 1)) / np.log1p(-joining)) if joining else NEVER
    joined_month = np.where(is_member, -1, np.maximum(population.join_month, 0) + np.minimum(waiting, NEVER))
    staying = np.floor(np.log(np.clip(draws[:, 2], 1e-12, 1)) / np.log1p(-leaving))
    left_month = np.maximum(joined_month, 0) + 1 + staying
    rows = np.flatnonzero(eligible & (joined_month < config.months) & (joined_month < population.close_month))
    month_starts = np.array([days_since_1970(config.month_at(month)) for month in range(config.months + 1)])
    joined_at = joined_month[rows].astype(np.int64)
    day_of_month = (27 * draws[rows, 3]).astype(np.int64)
    joined_day = np.where(
        joined_at < 0,
        np.maximum(start_day - 30 - (900 * draws[rows, 4]).astype(np.int64), population.registered_day[rows]),
        np.maximum(month_starts[np.maximum(joined_at, 0)] + day_of_month, population.registered_day[rows]),
    )
    left_at = np.where(left_month[rows] < config.months, left_month[rows], NEVER).astype(np.int64)
    left_day = np.where(left_at < NEVER, month_starts[np.minimum(left_at, config.months)] + day_of_month, -1)
    return pl.DataFrame(
        {
            "row": rows,
            "joined_day": joined_day,
            "left_day": left_day,
            "joined_month": joined_at,
            "left_month": left_at,
        }
    )


def autopay_months(config: SupplierConfig, population: Population, enrolments: pl.DataFrame) -> np.ndarray:
    """Return whether each customer pays automatically in each month, shape (customers, months)."""
    months = np.arange(config.months)
    has_autopay = np.zeros((population.size, config.months), dtype=bool)
    for row, joined, left in (
        enrolments.filter(pl.col("programme") == "autopay").select("row", "joined_month", "left_month").iter_rows()
    ):
        has_autopay[row] = (months > joined) & (months < left)
    return has_autopay


def contacts(
    config: SupplierConfig,
    population: Population,
    bills: Bills,
    behaviour: PaymentBehaviour,
    outage_rows: dict[int, np.ndarray],
    dead_meter_rows: dict[int, np.ndarray],
) -> pl.DataFrame:
    """Return one row per contact, with its month: some by chance, some because something happened.

    Args:
        config: What to simulate.
        population: Who contacts the supplier.
        bills: Bills; a jump of the amount makes people ask.
        behaviour: Payments; a customer in arrears calls about paying.
        outage_rows: Customers without supply at some time, by month.
        dead_meter_rows: Customers whose meter died, by month.
    """
    amount = np.zeros((population.size, config.months))
    amount[bills.row, bills.month] = bills.cents
    very_late = np.zeros((population.size, config.months), dtype=bool)
    settled = np.minimum(behaviour.settled, NOT_PAID)
    overdue = settled > bills.due + 10
    very_late[bills.row[overdue], bills.month[overdue]] = True
    frames = []
    for month in range(config.months):
        random = stream(config.seed, "contacts", month)
        draws = random.random((population.size, 8))
        present = amount[:, month] > 0
        events: list[tuple[np.ndarray, np.ndarray]] = []
        ordinary = np.flatnonzero(present & (draws[:, 0] < population.contact_rate))
        shares = np.cumsum(ORDINARY_TOPIC_SHARES)
        events.append((ordinary, np.minimum(np.searchsorted(shares, draws[ordinary, 1]), len(TOPICS) - 1)))
        if month >= 2:
            before, now = amount[:, month - 2], amount[:, month - 1]
            jump = np.flatnonzero((before > 0) & (now > 1.7 * before) & (now > 10_000) & (draws[:, 2] < 0.07))
            events.append((jump, np.zeros(jump.size, dtype=np.int64)))
            worried = np.flatnonzero(present & very_late[:, month - 2] & (draws[:, 3] < 0.25))
            events.append((worried, np.ones(worried.size, dtype=np.int64)))
        dark = outage_rows.get(month, np.zeros(0, dtype=np.int64))
        dark = dark[present[dark] & (draws[dark, 4] < 0.05)]
        events.append((dark, np.full(dark.size, 2)))
        broken = dead_meter_rows.get(month, np.zeros(0, dtype=np.int64))
        broken = broken[present[broken] & (draws[broken, 5] < 0.4)]
        events.append((broken, np.full(broken.size, 3)))
        rows = np.concatenate([event[0] for event in events]).astype(np.int64)
        topics = np.concatenate([event[1] for event in events]).astype(np.int64)
        frames.append(_contact_frame(config, population, month, rows, topics))
    return pl.concat(frames)


def _contact_frame(
    config: SupplierConfig, population: Population, month: int, rows: np.ndarray, topics: np.ndarray
) -> pl.DataFrame:
    order = np.lexsort((topics, rows))
    rows, topics = rows[order], topics[order]
    # One generator per customer would be slow; indexing one draw per customer and topic keeps appended customers apart.
    draws = stream(config.seed, "contact details", month).random((population.size, len(TOPICS), 6), dtype=np.float32)
    draws = draws[rows, topics]
    first_day = days_since_1970(config.month_at(month))
    days = (config.month_at(month + 1) - config.month_at(month)).days
    earliest = np.maximum(first_day, population.registered_day[rows])
    day = earliest + (draws[:, 0] * np.maximum(first_day + days - 1 - earliest, 1)).astype(np.int64)
    minute_of_day = (480 + 720 * draws[:, 1]).astype(np.int64)
    opened = (day * 1440 + minute_of_day - UTC_OFFSET_HOURS * 60) * MICROSECONDS_PER_MINUTE
    channel = np.minimum(np.searchsorted(np.cumsum(CHANNEL_SHARES), draws[:, 5]), len(CONTACT_CHANNELS) - 1)
    hours = np.array(MEAN_HOURS_TO_CLOSE)[topics] * -np.log(np.clip(draws[:, 2], 1e-4, 1))
    closed = opened + (15 + 60 * hours).astype(np.int64) * MICROSECONDS_PER_MINUTE
    responded = np.minimum(_responded(config, population, month, rows, topics, channel) + opened, closed)
    mood = 5.3 - 0.9 * np.log1p(hours / 12) - 1.2 * (topics == TOPICS.index("complaint")) - 1.6 * draws[:, 3]
    satisfaction = np.clip(np.rint(mood), 1, 5).astype(np.int64)
    answered = draws[:, 4] < 0.55
    return pl.DataFrame(
        {
            "row": rows,
            "month": np.full(rows.size, month),
            "topic": topics,
            "channel": channel,
            "opened_us": opened,
            "responded_us": responded,
            "closed_us": closed,
            "satisfaction": np.where(answered, satisfaction, 0),
        }
    )


def _responded(
    config: SupplierConfig,
    population: Population,
    month: int,
    rows: np.ndarray,
    topics: np.ndarray,
    channel: np.ndarray,
) -> np.ndarray:
    """Return the microseconds from opening to the first answer, by channel; a stream of its own, so nothing moves."""
    draws = stream(config.seed, "contact response", month).random((population.size, len(TOPICS)), dtype=np.float32)
    hours = np.array(MEAN_HOURS_TO_RESPOND)[channel] * -np.log(np.clip(draws[rows, topics], 1e-4, 1))
    return (1 + 60 * hours).astype(np.int64) * MICROSECONDS_PER_MINUTE


def inspections(config: SupplierConfig, population: Population, dead_meter_rows: dict[int, np.ndarray]) -> pl.DataFrame:
    """Return one row per inspection: row, month, day, outcome. Some thieves are found, some never."""
    frames = []
    found = np.zeros(population.size, dtype=bool)
    for month in range(config.months):
        draws = stream(config.seed, "inspections", month).random((population.size, 4))
        present = (population.join_month < month) & (population.close_month > month)
        steals = (population.theft_month <= month) & ~found
        chance = np.where(steals, INSPECTED_WHEN_STEALING, INSPECTIONS_PER_MONTH)
        broken = np.zeros(population.size, dtype=bool)
        broken[dead_meter_rows.get(month, np.zeros(0, dtype=np.int64))] = True
        rows = np.flatnonzero(present & ((draws[:, 0] < chance) | (broken & (draws[:, 1] < 0.6))))
        caught = steals[rows] & (draws[rows, 2] < 0.8)
        found[rows[caught]] = True
        outcome = np.select(
            [caught & (draws[rows, 3] < 0.5), caught, broken[rows], draws[rows, 3] < 0.02],
            ["theft", "tampering", "meter_fault", "meter_fault"],
            default="normal",
        )
        first_day = days_since_1970(config.month_at(month))
        day = first_day + (27 * draws[rows, 1]).astype(np.int64)
        frames.append(
            pl.DataFrame(
                {"row": rows, "month": np.full(rows.size, month), "day": day, "outcome": outcome.tolist()},
                schema_overrides={"outcome": pl.String},
            )
        )
    return pl.concat(frames)
