"""Everything but readings as the supplier's CSV tables, split by the delivery that brings each row."""

import datetime as dt

import numpy as np
import polars as pl
import pyarrow as pa

from ml.tariffs.catalogue import Catalogue
from orchestration.ingestion.simulated_supplier.behaviour import CHANNELS, Bills, Payments
from orchestration.ingestion.simulated_supplier.billing import SUPPLY_ROUTE, Enrolment, voltage_levels
from orchestration.ingestion.simulated_supplier.calendar import days_since_1970
from orchestration.ingestion.simulated_supplier.config import SupplierConfig
from orchestration.ingestion.simulated_supplier.identities import (
    address,
    customer_name,
    identity_number,
    phone_number,
)
from orchestration.ingestion.simulated_supplier.kinds import KINDS
from orchestration.ingestion.simulated_supplier.metering import MeterChange, Metering
from orchestration.ingestion.simulated_supplier.population import DISTRICTS, NEVER, Population
from orchestration.ingestion.simulated_supplier.randomness import stream
from orchestration.ingestion.simulated_supplier.scenarios import (
    bill_amount_factor,
    capacity_lost_from,
    payment_delay_months,
)
from orchestration.ingestion.simulated_supplier.service import CONTACT_CHANNELS, TEXTS, TOPICS

EPOCH = dt.date(1970, 1, 1)
DELIVERY = "_delivery"
"""Column with the month index of the delivery that brings a row; never written."""


def day(value: int) -> dt.date:
    """Return the date of a number of days since 1970."""
    return EPOCH + dt.timedelta(days=int(value))


def _dates(days: np.ndarray, missing: int | None = None) -> pl.Series:
    series = pl.Series(days.astype(np.int32))
    if missing is not None:
        series = pl.select(pl.when(series != missing).then(series)).to_series()
    return series.cast(pl.Date)


def _delivered_in(config: SupplierConfig, days: np.ndarray) -> np.ndarray:
    """Return the month index in which each day lies; its delivery brings what happened on the day."""
    starts = np.array([days_since_1970(config.month_at(month)) for month in range(config.months + 13)])
    return np.searchsorted(starts, days, side="right") - 1


def customers_frame(config: SupplierConfig, population: Population) -> pl.DataFrame:
    """Return each customer when the supply begins, and again, with the last day, when it ends."""
    draws = stream(config.seed, "customer attributes").random((population.size, 3))
    is_residential = population.customer_class == "residential"
    building = np.where(draws[:, 0] < 0.62, "apartment", "house")
    building = np.where(is_residential, building, "business premises")
    codes = []
    for kind, draw in zip(population.kind, draws[:, 1], strict=True):
        choices = KINDS[kind].industry_codes
        codes.append(choices[int(draw * len(choices))] if choices else None)
    numbers = population.number.tolist()
    begun = np.maximum(_delivered_in(config, population.registered_day), 0)
    opened = pl.DataFrame(
        {
            "customer_id": population.customer_ids(),
            "customer_class": population.customer_class.tolist(),
            "name": [customer_name(n, c) for n, c in zip(numbers, population.customer_class, strict=True)],
            "id_number": [identity_number(number) for number in numbers],
            "phone": [phone_number(number) for number in numbers],
            "address": [address(n, int(d)) for n, d in zip(numbers, population.district, strict=True)],
            "district": [DISTRICTS[index] for index in population.district],
            "transformer_id": [f"T{index:05d}" for index in population.transformer],
            "feeder_id": [f"F{index:04d}" for index in population.feeder],
            "voltage_level": voltage_levels(population).tolist(),
            "contract_capacity_kva": pl.Series(population.capacity_kva).replace(0.0, None),
            "industry_code": pl.Series(codes, dtype=pl.String),
            "supply_route": [SUPPLY_ROUTE[name] for name in population.customer_class],
            "registered_date": _dates(population.registered_day),
            "closed_date": pl.Series([None] * population.size, dtype=pl.Date),
            "building_type": building.tolist(),
            "is_vulnerable": pl.Series(is_residential & (draws[:, 2] < 0.04)),
            DELIVERY: begun,
        }
    )
    leaving = np.flatnonzero(population.close_month < config.months)
    last_days = np.array([_last_day(config, population, int(row)) for row in leaving], dtype=np.int64)
    closed = opened[leaving.tolist()].with_columns(
        closed_date=_dates(last_days), **{DELIVERY: pl.Series(population.close_month[leaving].astype(np.int64))}
    )
    delivered = pl.concat([opened, closed])
    lost_from = capacity_lost_from(config)
    if lost_from is not None:
        delivered = _without_capacity(delivered, lost_from)
    return delivered.filter(pl.col(DELIVERY) < config.months)


def _without_capacity(delivered: pl.DataFrame, from_delivery: int) -> pl.DataFrame:
    """Deliver every customer again with one delivery, and from then on none with a contracted capacity."""
    latest = delivered.filter(pl.col(DELIVERY) <= from_delivery).unique("customer_id", keep="last", maintain_order=True)
    again = latest.filter(pl.col(DELIVERY) < from_delivery).with_columns(pl.lit(from_delivery).alias(DELIVERY))
    capacity = pl.when(pl.col(DELIVERY) < from_delivery).then("contract_capacity_kva")
    return pl.concat([delivered, again], how="vertical_relaxed").with_columns(capacity)


def _last_day(config: SupplierConfig, population: Population, row: int) -> int:
    month = config.month_at(int(population.close_month[row]))
    return days_since_1970(month) + int(population.close_day_of_month[row]) - 1


def meters_frame(config: SupplierConfig, metering: Metering, changes: dict[int, list[MeterChange]]) -> pl.DataFrame:
    """Return each meter when it is installed, and again when it is removed."""
    ids = metering.population.customer_ids()
    rows = [
        (
            metering.meter_id(change.row, change.suffix),
            ids[change.row],
            config.interval_minutes,
            float(metering.multiplier[change.row]),
            day(change.installed_day),
            None if change.removed_day is None else day(change.removed_day),
            month,
        )
        for month, month_changes in sorted(changes.items())
        for change in month_changes
    ]
    schema = {
        "meter_id": pl.String,
        "customer_id": pl.String,
        "interval_minutes": pl.Int64,
        "multiplier": pl.Float64,
        "installed_date": pl.Date,
        "removed_date": pl.Date,
        DELIVERY: pl.Int64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def enrolments_frame(config: SupplierConfig, population: Population, enrolments: list[Enrolment]) -> pl.DataFrame:
    """Return each enrolment when it begins, and again, with its last day, when it ends."""
    ids = population.customer_ids()
    begun = np.maximum(_delivered_in(config, population.registered_day), 0)
    rows: list[tuple[object, ...]] = []
    for item in enrolments:
        if item.first_month > population.close_month[item.row]:
            continue
        registered = day(population.registered_day[item.row])
        start = registered if item.first_month < 0 else config.month_at(item.first_month)
        first_delivery = max(item.first_month, int(begun[item.row]))
        facts = (item.tariff_id, item.billing_basis, item.contracted_kw)
        rows.append((ids[item.row], start, None, *facts, first_delivery))
        end, last_delivery = _enrolment_end(config, population, item)
        if end is not None:
            rows.append((ids[item.row], start, end, *facts, last_delivery))
    schema = {
        "customer_id": pl.String,
        "valid_from": pl.Date,
        "valid_to": pl.Date,
        "tariff_id": pl.String,
        "billing_basis": pl.String,
        "contracted_kw": pl.Float64,
        DELIVERY: pl.Int64,
    }
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return frame.filter(pl.col(DELIVERY) < config.months)


def _enrolment_end(config: SupplierConfig, population: Population, item: Enrolment) -> tuple[dt.date | None, int]:
    close_month = int(population.close_month[item.row])
    if close_month < NEVER and close_month < item.end_month:
        return day(_last_day(config, population, item.row)), close_month
    if item.end_month < NEVER:
        return config.month_at(item.end_month) - dt.timedelta(days=1), item.end_month
    return None, -1


def tariffs_frame(catalogue: Catalogue) -> pl.DataFrame:
    """Return every version of every tariff, whole, as JSON."""
    return pl.DataFrame(
        [
            (tariff.tariff_id, tariff.version, tariff.valid_from, tariff.valid_to, tariff.to_json())
            for tariff in catalogue.tariffs
        ],
        schema={
            "tariff_id": pl.String,
            "version": pl.String,
            "valid_from": pl.Date,
            "valid_to": pl.Date,
            "tariff_json": pl.String,
        },
        orient="row",
    )


def bills_frame(config: SupplierConfig, population: Population, bills: Bills) -> pl.DataFrame:
    """Return the bills; one issued after the delivery of its month comes with the next."""
    ids = np.array(population.customer_ids(), dtype=object)
    following = np.array([days_since_1970(config.month_at(month + 1)) for month in range(config.months)])
    is_held_back = bills.issued > following[bills.month] + 1
    delivery = bills.month + is_held_back
    return pl.DataFrame(
        {
            "bill_id": bills.bill_ids(config, population),
            "customer_id": ids[bills.row].tolist(),
            "period_start": _dates(bills.period_start),
            "period_end": _dates(bills.period_end),
            "kwh": _decimals(bills.kwh, 4),
            "amount": _decimals(bills.cents * bill_amount_factor(config, delivery), 2),
            "issued_date": _dates(bills.issued),
            "due_date": _dates(bills.due),
            DELIVERY: delivery,
        }
    )


def _decimals(values: np.ndarray, decimals: int) -> pl.Series:
    """Return integers of the smallest unit as decimals."""
    array = pa.Array.from_buffers(
        pa.decimal64(18, decimals), values.size, [None, pa.py_buffer(values.astype(np.int64))]
    )
    return pl.Series(pl.from_arrow(array.cast(pa.decimal128(18, decimals))))


def payments_frame(config: SupplierConfig, population: Population, bills: Bills, payments: Payments) -> pl.DataFrame:
    """Return the payments that arrive within the simulated months."""
    bill_ids = np.array(bills.bill_ids(config, population), dtype=object)[payments.bill]
    delivery = _delivered_in(config, payments.paid)
    frame = pl.DataFrame(
        {
            "payment_id": [f"P{bill[1:]}{part}" for bill, part in zip(bill_ids, payments.part, strict=True)],
            "bill_id": bill_ids.tolist(),
            "paid_date": _dates(payments.paid),
            "amount": _decimals(payments.cents, 2),
            "channel": np.array(CHANNELS)[payments.channel].tolist(),
            DELIVERY: delivery + payment_delay_months(config, delivery),
        }
    )
    return frame.sort(DELIVERY, "payment_id")


def contacts_frame(config: SupplierConfig, population: Population, contacts: pl.DataFrame) -> pl.DataFrame:
    """Return the contacts; one that is still open at its month's end is delivered open and closed with the next."""
    ids = population.customer_ids()
    rows = contacts.get_column("row").to_list()
    topics = contacts.get_column("topic").to_list()
    numbers = population.number
    texts = [
        TEXTS[topic].format(
            name=customer_name(int(numbers[row]), population.customer_class[row]),
            phone=phone_number(int(numbers[row])),
            address=address(int(numbers[row]), int(population.district[row])),
        )
        for row, topic in zip(rows, topics, strict=True)
    ]
    frame = contacts.select(
        contact_id=pl.concat_str(
            pl.lit("S"),
            pl.Series([f"{config.month_at(month):%Y%m}" for month in contacts.get_column("month")], dtype=pl.String),
            pl.Series([f"{numbers[row]:07d}" for row in rows], dtype=pl.String),
            pl.col("topic").cast(pl.String),
        ),
        customer_id=pl.Series([ids[row] for row in rows], dtype=pl.String),
        opened_at=pl.from_epoch("opened_us", time_unit="us"),
        first_response_at=pl.from_epoch("responded_us", time_unit="us"),
        closed_at=pl.from_epoch("closed_us", time_unit="us"),
        channel=pl.Series([CONTACT_CHANNELS[index] for index in contacts.get_column("channel")], dtype=pl.String),
        topic=pl.Series([TOPICS[index] for index in topics], dtype=pl.String),
        text=pl.Series(texts, dtype=pl.String),
        satisfaction=pl.when(pl.col("satisfaction") > 0).then("satisfaction"),
        **{DELIVERY: pl.col("month")},
    )
    # Duplicate ids arise when one customer has two contacts of a topic in a month; the first one stands for both.
    frame = frame.unique("contact_id", keep="first", maintain_order=True)
    ends = pl.Series([config.month_at(month + 1) for month in frame.get_column(DELIVERY)], dtype=pl.Date)
    month_ends = ends.cast(pl.Datetime("us"))
    is_open = frame.get_column("closed_at") >= month_ends
    still_open = frame.filter(is_open).with_columns(
        first_response_at=pl.when(pl.col("first_response_at") < month_ends.filter(is_open)).then("first_response_at"),
        closed_at=pl.lit(None, pl.Datetime("us")),
        satisfaction=pl.lit(None, pl.Int64),
    )
    closed = frame.with_columns(pl.Series(DELIVERY, frame.get_column(DELIVERY).to_numpy() + is_open.to_numpy()))
    return pl.concat([still_open, closed.select(still_open.columns)]).filter(pl.col(DELIVERY) < config.months)


def programmes_frame(config: SupplierConfig, population: Population, enrolments: pl.DataFrame) -> pl.DataFrame:
    """Return each programme enrolment when it begins, and again when it ends."""
    return _spells_frame(config, population, enrolments, "programme", "joined_date", "left_date")


def consents_frame(config: SupplierConfig, population: Population, consents: pl.DataFrame) -> pl.DataFrame:
    """Return each marketing consent when it is given, and again when it is withdrawn."""
    return _spells_frame(config, population, consents, "channel", "given_date", "withdrawn_date")


def _spells_frame(
    config: SupplierConfig, population: Population, spells: pl.DataFrame, what: str, begun: str, ended: str
) -> pl.DataFrame:
    ids = population.customer_ids()
    base = spells.with_columns(
        customer_id=pl.Series([ids[row] for row in spells.get_column("row")], dtype=pl.String),
        **{begun: pl.col("joined_day").cast(pl.Int32).cast(pl.Date)},
    )
    joined = base.select(
        "customer_id", what, begun,
        **{ended: pl.lit(None, pl.Date), DELIVERY: pl.max_horizontal(pl.col("joined_month"), pl.lit(0))},
    )  # fmt: skip
    left = base.filter(pl.col("left_month") < config.months, pl.col("left_day") >= pl.col("joined_day")).select(
        "customer_id", what, begun,
        **{ended: pl.col("left_day").cast(pl.Int32).cast(pl.Date), DELIVERY: pl.col("left_month")},
    )  # fmt: skip
    return pl.concat([joined, left])


def inspections_frame(config: SupplierConfig, population: Population, inspections: pl.DataFrame) -> pl.DataFrame:
    """Return the inspections."""
    ids = population.customer_ids()
    rows = inspections.get_column("row").to_list()
    months = inspections.get_column("month").to_list()
    return pl.DataFrame(
        {
            "inspection_id": [
                f"I{config.month_at(month):%Y%m}{population.number[row]:07d}"
                for row, month in zip(rows, months, strict=True)
            ],
            "customer_id": [ids[row] for row in rows],
            "inspected_date": inspections.get_column("day").cast(pl.Int32).cast(pl.Date),
            "outcome": inspections.get_column("outcome"),
            DELIVERY: inspections.get_column("month"),
        },
        schema_overrides={"inspection_id": pl.String, "customer_id": pl.String},
    )
