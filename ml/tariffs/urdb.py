"""Rates of the US Utility Rate Database (URDB, API version 8 and older field names) as tariffs of our own.

A field is honoured, or it stands in the report: what it says, why it is not honoured, and what that does to the bill.
A rate whose bill would differ from what the rate says is refused by the name of the field. Fields of the database that
only describe the rate, and fields that it does not define, never stop an import. The effective price of a tier is
``rate + adj``.

Field definitions: URDB API documentation (openei.org, `services/doc/rest/util_rates`, version 8).
"""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from ml.errors import TariffError
from ml.tariffs.calendar import ALL_PERIODS
from ml.tariffs.exact import PRICE_DECIMALS
from ml.tariffs.schema import RepeatedFieldError, Rounding, Tariff, load_tariff, unique_fields

_Part = TypeVar("_Part")
_Hours = tuple[tuple[int, ...], ...]

_HOURS = 24
_MONTHS = range(1, 13)
_MONTHLY_KWH = "kWh"
_TIER_BASES = {"kWh": "month", "kWh daily": "daily_allowance", "kWh/kW": "kwh_per_kw"}
_DEMAND_WINDOWS = (15, 30, 60)
_EXPORT_RULES = {
    "Net Billing Instantaneous": "net_billing",
    "Net Billing Hourly": "net_billing",
    "Buy All Sell All": "buy_all_sell_all",
}
_LOOKBACK_MONTHS = 11
_PRICE_UNIT = Decimal(1).scaleb(-PRICE_DECIMALS)
_BINARY_NOISE = Decimal("1e-12")
_LARGEST_PRICE = Decimal(10**9)
_HALF_DAY_SECONDS = 43_200
_DAY_SECONDS = 86_400
_LOOKS_LIKE_A_YEAR = range(1900, 2101)

FindingKind = Literal["refused", "left_out", "assumed", "not_honoured", "unknown"]

# Spellings met in files, and older names, of one and the same field.
_ALIASES = {
    "coincidentschedule": "coincidentrateschedule",
    "demandmax": "peakkwcapacitymax",
    "demandmin": "peakkwcapacitymin",
    "demandrateunits": "demandrateunit",
    "demandreactpwrcharge": "demandreactivepowercharge",
    "flatdemandunits": "flatdemandunit",
    "maxdemand": "peakkwcapacitymax",
    "mindemand": "peakkwcapacitymin",
    "peakkwusagehistory": "peakkwhusagehistory",
    "peakkwusagemax": "peakkwhusagemax",
    "peakkwusagemin": "peakkwhusagemin",
    "supersedes": "supercedes",
}
_IDENTITY = ("label", "name", "utility", "startdate", "enddate")
_COMMENTS = ("description", "basicinformationcomments", "energycomments", "demandcomments")
_SOURCES = ("uri", "source", "sourceparent")
# Carry no price and restrict nobody.
_DESCRIPTIVE = ("approved", "country", "eiaid", "is_default", "supercedes", "type", "demandunits", "energytoulabels")

_CLASSES = {"residential": "residential", "commercial": "commercial", "industrial": "industrial"}
# Nominal voltages from which on a supply counts as the level.
_VOLTAGE_LEVELS = (("lt1kV", 0), ("1-10(20)kV", 1_000), ("35kV", 30_000), ("110kV", 70_000), ("220kV+", 200_000))
_TELLTALE_FIELDS = frozenset({"eiaid", "energyratestructure", "flatdemandstructure", "demandratestructure"})
_FIXED_UNITS = {"$/month": "month", "$/day": "day", "$/year": "year"}

# Fields that charge something which the model cannot price, and why.
_UNPRICED = {
    "coincidentratestructure": "the demand at the hour of the utility's system peak is not among the readings",
    "demandreactivepowercharge": "a price per kVAR of demand needs reactive readings per interval",
    "demandratchetpercentage": "the database does not say to which months and peaks these percentages apply",
    "flatratebuy": "a price of a version of the database that is no longer documented",
}
# Fields that do not change the bill of anybody who takes the rate: why they are not honoured, and what follows.
_NO_BILL = {
    "fixedchargeeaaddl": ("one meter is billed", "a customer with more meters pays more than the bill shows"),
    "peakkwcapacityhistory": ("eligibility looks at one fact, not at past months", "eligibility may be wider"),
    "peakkwhusagehistory": ("eligibility looks at one fact, not at past months", "eligibility may be wider"),
    "peakkwhusagemin": ("eligibility knows no energy", "eligibility is wider than the rate's"),
    "peakkwhusagemax": ("eligibility knows no energy", "eligibility is wider than the rate's"),
    "phasewiring": ("eligibility knows no phases", "eligibility is wider than the rate's"),
    "voltagecategory": ("a category without volts fits no voltage level", "eligibility may be wider"),
    "energyattrs": ("free text", "a credit or condition that it tells of is not on the bill"),
    "demandattrs": ("free text", "a credit or condition that it tells of is not on the bill"),
    "fixedattrs": ("free text", "a credit or condition that it tells of is not on the bill"),
}


# Belong to charges; of no meaning without them.
_OF_CHARGES = frozenset(
    (
        "annualmincharge",
        "coincidentrateschedule",
        "coincidentrateunit",
        "demandratestructure",
        "demandrateunit",
        "demandweekdayschedule",
        "demandweekendschedule",
        "demandwindow",
        "energyratestructure",
        "energyweekdayschedule",
        "energyweekendschedule",
        "fixedchargefirstmeter",
        "fixedchargeunits",
        "fixedmonthlycharge",
        "flatdemandmonths",
        "flatdemandstructure",
        "flatdemandunit",
        "fueladjustmentsmonthly",
        "lookbackmonths",
        "lookbackpercent",
        "lookbackrange",
        "mincharge",
        "minchargeunits",
        "minmonthlycharge",
        *_UNPRICED,
    )
)
_TO_THE_CENT_PER_BILL = Rounding(scope="total", decimals=2)


@dataclass(frozen=True, slots=True)
class UrdbRules:
    """Rules that a bill needs and the database does not say.

    Attributes:
        rounding: Where money is rounded.
        day_charge: Whether charges per day count the real days, or 365 / 12 days every month as SAM does (written as a
            price per year that is spread over the months).
        holidays: Whose clock holds on days that the day calendar calls holidays. With an empty day calendar there are
            none, which is SAM's convention.
        tier_allocation: How tiers of a month are shared out among periods.
        export: Whether exported energy is left out, which changes nothing for customers who export none, or billed by
            ``dgrules``: loads then need ``export_kwh`` and are priced from intervals.
        missing_history: Whether a ratchet refuses a month whose earlier months are not all known, or uses the known.
        leave_out: Charges that may stay off the bill (``coincidentratestructure``, ``demandreactivepowercharge``,
            ``demandratchetpercentage``, ``flatratebuy``), so that the rest of the rate can be used. The tariff says so.
    """

    rounding: Rounding = _TO_THE_CENT_PER_BILL
    day_charge: Literal["day", "mean_day"] = "day"
    holidays: Literal["workday", "weekend"] = "weekend"
    tier_allocation: Literal["prorata", "chronological", "ladder_per_period"] = "prorata"
    export: Literal["leave_out", "bill"] = "leave_out"
    missing_history: Literal["refuse", "use_known"] = "refuse"
    leave_out: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class UrdbFinding:
    """One field that is not simply honoured.

    Attributes:
        field: Name as in the database, with the place inside it, such as ``energyratestructure[0][1].max``.
        value: What it says, shortened.
        kind: ``refused`` stops the rate; ``left_out`` is charged by the utility and was left off the bill on request;
            ``assumed`` names a rule where the database has none; ``not_honoured`` does not change the bill;
            ``unknown`` is no field of the database.
        reason: Why.
        effect: What follows for bill or eligibility.
    """

    field: str
    value: str
    kind: FindingKind
    reason: str
    effect: str

    def __str__(self) -> str:
        shown = f" = {self.value}" if self.value else ""
        return f"{self.kind.replace('_', ' ')}: {self.field}{shown}: {self.reason}; {self.effect}"


@dataclass(frozen=True)
class UrdbReport:
    """What became of every field of a rate.

    Attributes:
        label: The rate's key in the database.
        name: The rate's name.
        honoured: Fields that the tariff says in full.
        findings: All others.
    """

    label: str
    name: str
    honoured: tuple[str, ...]
    findings: tuple[UrdbFinding, ...]

    @property
    def is_refused(self) -> bool:
        """Whether the rate cannot be priced."""
        return bool(self.refusals)

    @property
    def refusals(self) -> tuple[UrdbFinding, ...]:
        """The findings that stop the rate."""
        return tuple(finding for finding in self.findings if finding.kind == "refused")

    def to_text(self) -> str:
        """Return the report as plain text, one line per finding."""
        verdict = "refused" if self.is_refused else "loaded"
        lines = [f"{self.label} ({self.name}): {verdict}", f"honoured: {', '.join(self.honoured)}"]
        return "\n".join([*lines, *(str(finding) for finding in self.findings)]) + "\n"


class UrdbImport(NamedTuple):
    """A rate as a tariff, or None where it is refused, and what became of its fields."""

    tariff: Tariff | None
    report: UrdbReport


def load_urdb(
    source: Path | str | Mapping[str, Any] | Sequence[Mapping[str, Any]], rules: UrdbRules | None = None
) -> list[UrdbImport]:
    """Read URDB rates; the input is not changed.

    Args:
        source: A JSON file, a JSON text, or the parsed document: one rate, a list of rates, or an answer of the
            database's API (``{"items": [...]}``).
        rules: What the database leaves open.

    Returns:
        One import per rate, in the order of the source. Refused rates carry no tariff, and their report says why.

    Raises:
        TariffError: The source is no JSON, or holds something that is no rate.
    """
    chosen = UrdbRules() if rules is None else rules
    unknown = set(chosen.leave_out) - set(_UNPRICED)
    if unknown:
        raise TariffError(f"leave_out: {min(unknown)} cannot be left out; choose from {', '.join(_UNPRICED)}")
    used_ids: set[str] = set()
    return [_Import(record, index, chosen, used_ids).result() for index, record in enumerate(_records(source))]


def is_urdb(document: object) -> bool:
    """Return whether a parsed document holds URDB rates rather than tariffs of our own model."""
    if isinstance(document, Mapping) and "items" in document:
        document = document["items"]
    first = document[0] if isinstance(document, list) and document else document
    return isinstance(first, Mapping) and "components" not in first and not _TELLTALE_FIELDS.isdisjoint(first)


def _records(source: Path | str | Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    document: Any = source
    label = "URDB"
    if isinstance(source, Path):
        label = source.name
        try:
            document = _parsed(source.read_text(encoding="utf-8"), label)
        except (OSError, UnicodeDecodeError) as error:
            raise TariffError(f"{label}: cannot be read as UTF-8 text ({error})") from error
    elif isinstance(source, str):
        document = _parsed(source, label)
    if isinstance(document, Mapping) and "items" in document:
        document = document["items"]
    records = list(document) if isinstance(document, Sequence) and not isinstance(document, str) else [document]
    for index, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise TariffError(f"{label}: item {index}: expected the fields of a rate, found {type(record).__name__}")
    return records


def _parsed(text: str, label: str) -> Any:
    try:
        return json.loads(text, parse_float=Decimal, object_pairs_hook=unique_fields)
    except RepeatedFieldError as error:
        raise TariffError(f"{label}: {error}") from error
    except ValueError as error:
        raise TariffError(f"{label}: no valid JSON ({error}); URDB rates come as JSON") from error


class _RefusedError(Exception):
    """A part of a rate cannot be read any further; the finding is in the report already."""


@dataclass(frozen=True, slots=True)
class _Tier:
    """A tier of a rate structure: upper limit (None on the last), ``rate + adj``, and what exported energy earns."""

    limit: Decimal | None
    price: Decimal
    unit: str
    sell: Decimal | None


_Structure = list[list[_Tier]]


@dataclass(frozen=True, slots=True)
class _Clock:
    """The period of every month and hour, on weekdays and on weekends, and a label for every period."""

    hours: tuple[_Hours, _Hours]
    labels: tuple[str, ...]

    def periods_of(self, month: int) -> frozenset[int]:
        return frozenset(period for hours in self.hours for period in hours[month - 1])


@dataclass(frozen=True, slots=True)
class _Rates:
    """A rate structure and when its periods hold."""

    name: str
    structure: _Structure
    clock: _Clock

    @property
    def is_by_clock(self) -> bool:
        """Whether several periods meet in some month."""
        return any(len(self.clock.periods_of(month)) > 1 for month in _MONTHS)

    def months_by_periods(self) -> dict[tuple[int, ...], list[int]]:
        """Return the months in which the same periods hold."""
        months: dict[tuple[int, ...], list[int]] = {}
        for month in _MONTHS:
            months.setdefault(tuple(sorted(self.clock.periods_of(month))), []).append(month)
        return months


@dataclass(frozen=True, slots=True)
class _JointClock:
    """The clock of a tariff, and which of its labels stand for a period of the energy and of the demand charge.

    A tariff has one calendar. Where both charges follow clocks of their own, its periods are the pairs.
    """

    clock: _Clock
    energy_labels: Mapping[int, tuple[str, ...]]
    demand_labels: Mapping[int, tuple[str, ...]]


def _joint_clock(energy: _Clock | None, demand: _Clock | None) -> _JointClock | None:
    if energy is None or demand is None:
        one = energy or demand
        if one is None:
            return None
        own_labels = {period: (label,) for period, label in enumerate(one.labels)}
        return _JointClock(one, own_labels if demand is None else {}, own_labels if energy is None else {})
    weekday, weekend = (
        [list(zip(*rows, strict=True)) for rows in zip(ours, theirs, strict=True)]
        for ours, theirs in zip(energy.hours, demand.hours, strict=True)
    )
    pairs = sorted({pair for row in (*weekday, *weekend) for pair in row})
    labels = tuple(f"{energy.labels[ours]} / {demand.labels[theirs]}" for ours, theirs in pairs)
    labelled = list(zip(pairs, labels, strict=True))
    return _JointClock(
        _Clock((_numbered(weekday, pairs), _numbered(weekend, pairs)), labels),
        {period: tuple(label for pair, label in labelled if pair[0] == period) for period, _ in pairs},
        {period: tuple(label for pair, label in labelled if pair[1] == period) for _, period in pairs},
    )


def _numbered(days: list[list[tuple[int, int]]], pairs: list[tuple[int, int]]) -> _Hours:
    return tuple(tuple(pairs.index(pair) for pair in day) for day in days)


def _labels_of(energy: _Rates, clock: _JointClock | None, period: int) -> tuple[str, ...]:
    """Return the periods of the tariff's calendar in which an energy period holds."""
    return (ALL_PERIODS,) if clock is None or not energy.is_by_clock else clock.energy_labels[period]


def _ranges(row: tuple[int, ...], labels: tuple[str, ...]) -> dict[str, list[str]]:
    """Return the ranges of a day by label, from the period of each hour."""
    starts = [hour for hour in range(_HOURS) if hour == 0 or row[hour] != row[hour - 1]]
    ranges: dict[str, list[str]] = {}
    for start, end in pairwise([*starts, _HOURS]):
        ranges.setdefault(labels[row[start]], []).append(f"{start:02d}:00-{end:02d}:00")
    return ranges


def _limits(periods: Sequence[Sequence[_Tier]]) -> list[Decimal]:
    """Return the limits of several periods on one ladder."""
    return sorted({tier.limit for tiers in periods for tier in tiers if tier.limit is not None})


def _prices(tiers: Sequence[_Tier], limits: Sequence[Decimal]) -> list[Decimal]:
    """Return the price of each step of a ladder on which the limits of these tiers stand, among others."""
    tops: list[Decimal | None] = [*limits, None]
    return [
        next(tier.price for tier in tiers if tier.limit is None or (top is not None and tier.limit >= top))
        for top in tops
    ]


@dataclass
class _Import:
    """The import of one rate."""

    record: Mapping[str, Any]
    index: int
    rules: UrdbRules
    used_ids: set[str]
    findings: list[UrdbFinding] = field(default_factory=list)
    honoured: list[str] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)

    def result(self) -> UrdbImport:
        self.fields = self._canonical_fields()
        document: dict[str, Any] = {}
        for part in (self._identity, self._validity, self._eligibility, self._charges, self._what_is_not_billed):
            try:
                document |= part()
            except _RefusedError:
                continue
        self._describe()
        tariff = None
        if not any(finding.kind == "refused" for finding in self.findings):
            try:
                tariff = load_tariff(document)
            except TariffError as error:
                self._find("refused", "rate", None, str(error), "the rate is not loaded")
        label, name = str(self.fields.get("label", "")), str(self.fields.get("name", ""))
        order = sorted(self.findings, key=lambda finding: finding.kind != "refused")
        return UrdbImport(tariff, UrdbReport(label, name, tuple(dict.fromkeys(self.honoured)), tuple(order)))

    # Fields

    def _canonical_fields(self) -> dict[str, Any]:
        """Return the fields that say something, by the name that version 8 gives them."""
        fields: dict[str, Any] = {}
        for spelling, value in self.record.items():
            if value is None or value == "" or value == []:
                continue
            name = _ALIASES.get(spelling.lower(), spelling.lower())
            if name in fields and fields[name] != value:
                self._find("refused", spelling, value, f"{name} is given twice, differently", "the rate is not loaded")
            fields[name] = value
        return fields

    def _find(self, kind: FindingKind, name: str, value: object, reason: str, effect: str) -> None:
        shown = "" if value is None else json.dumps(value, default=str, ensure_ascii=False)
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        self.findings.append(UrdbFinding(name, shown, kind, reason, effect))

    def _refuse(self, name: str, value: object, reason: str) -> _RefusedError:
        self._find("refused", name, value, reason, "the rate is not loaded")
        return _RefusedError()

    def _number(self, value: object, name: str) -> Decimal:
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            raise self._refuse(name, value, "no number") from None
        if isinstance(value, bool) or not number.is_finite():
            raise self._refuse(name, value, "no number")
        return number

    def _amount(self, name: str) -> Decimal:
        """Return a field that holds an amount of money, zero where it is absent."""
        return self._price(self._number(self.fields.get(name, 0), name), name)

    def _price(self, price: Decimal, name: str) -> Decimal:
        """Return a price with the decimals of our prices; what a sum of binary floats leaves behind is taken off."""
        if abs(price) > _LARGEST_PRICE:
            raise self._refuse(name, price, "too large for a price")
        rounded = price.quantize(_PRICE_UNIT)
        if abs(price - rounded) > _BINARY_NOISE:
            raise self._refuse(name, price, f"a price has at most {PRICE_DECIMALS} decimals")
        return rounded.normalize() + 0

    # Identity

    def _identity(self) -> dict[str, Any]:
        name = str(self.fields.get("name", "")).strip()
        label = re.sub(r"[^A-Za-z0-9_.:-]+", "_", str(self.fields.get("label", name))).strip("_")[:80]
        if not label:
            raise self._refuse("label", None, "neither label nor name says which rate this is")
        tariff_id = base = f"urdb_{label}"
        number = 1
        while tariff_id in self.used_ids:
            number += 1
            tariff_id = f"{base}_{number}"
        self.used_ids.add(tariff_id)
        if number > 1:
            reason = "another rate of the same source has this label"
            self._find("not_honoured", "label", label, reason, f"the tariff is called {tariff_id}")
        self.honoured += [name for name in ("label", "name", "utility") if name in self.fields]
        utility = str(self.fields.get("utility", "")).strip()
        return {
            "tariff_id": tariff_id,
            "name": (f"{utility}: {name}" if utility else name or label)[:100],
            "currency": "USD",
            "jurisdiction": "US",
            "rounding": self.rules.rounding.model_dump(),
            "source": [str(self.fields[name]) for name in _SOURCES if name in self.fields],
            "verified": False,
        }

    def _validity(self) -> dict[str, Any]:
        start, end = self._day("startdate"), self._day("enddate")
        if start is None:
            start = date(1970, 1, 1)
            self._find("assumed", "startdate", None, "absent", "the rate counts as valid since 1970")
        if end is not None and end < start:
            raise self._refuse("enddate", end, f"before the start {start}")
        return {"version": start.isoformat(), "valid_from": start} | ({} if end is None else {"valid_to": end})

    def _day(self, name: str) -> date | None:
        """Return the local day whose midnight is nearest to an instant: the file does not tell the time zone."""
        if name not in self.fields:
            return None
        seconds = self._number(self.fields[name], name)
        if int(seconds) in _LOOKS_LIKE_A_YEAR:
            raise self._refuse(name, self.fields[name], "looks like a year; seconds since 1970 are expected")
        self.honoured.append(name)
        try:
            return datetime.fromtimestamp((int(seconds) + _HALF_DAY_SECONDS) // _DAY_SECONDS * _DAY_SECONDS, UTC).date()
        except (OverflowError, ValueError, OSError):
            raise self._refuse(name, self.fields[name], "no instant in seconds since 1970") from None

    def _eligibility(self) -> dict[str, Any]:
        rules: dict[str, Any] = {}
        sector = str(self.fields.get("sector", "")).lower()
        if sector in _CLASSES:
            rules["customer_classes"] = [_CLASSES[sector]]
            self.honoured.append("sector")
        elif sector:
            reason = "no customer class of ours"
            self._find("not_honoured", "sector", self.fields["sector"], reason, "the tariff is open to every class")
        levels = self._voltage_levels()
        if levels:
            rules["voltage_levels"] = levels
        bounds = {
            bound: self._number(self.fields[name], name)
            for name, bound in (("peakkwcapacitymin", "ge"), ("peakkwcapacitymax", "le"))
            if name in self.fields
        }
        if "ge" in bounds and "le" in bounds and bounds["ge"] > bounds["le"]:
            names = "peakkwcapacitymin, peakkwcapacitymax"
            reason = "the smallest demand is above the largest"
            raise self._refuse(names, [bounds["ge"], bounds["le"]], reason)
        if bounds:
            rules["capacity_kva"] = bounds
            for name in ("peakkwcapacitymin", "peakkwcapacitymax"):
                if name in self.fields:
                    reason = "eligibility compares the contracted capacity in kVA, not a past peak in kW"
                    effect = "who may take the tariff can differ"
                    self._find("assumed", name, self.fields[name], reason, effect)
        return {"eligibility": rules} if rules else {}

    def _voltage_levels(self) -> list[str]:
        """Return the voltage levels that the rate's limits in volts touch; empty where they exclude none."""
        names = [name for name in ("voltageminimum", "voltagemaximum") if name in self.fields]
        if not names:
            return []
        lowest = self._number(self.fields.get("voltageminimum", 0), "voltageminimum")
        highest = self._number(self.fields.get("voltagemaximum", "1e9"), "voltagemaximum")
        if lowest > highest:
            raise self._refuse("voltageminimum, voltagemaximum", [lowest, highest], "the smallest is above the largest")
        self.honoured += names
        starts = [*(start for _, start in _VOLTAGE_LEVELS[1:]), None]
        levels = [
            level
            for (level, start), following in zip(_VOLTAGE_LEVELS, starts, strict=True)
            if highest >= start and (following is None or lowest < following)
        ]
        return levels if len(levels) < len(_VOLTAGE_LEVELS) else []

    # Charges

    def _charges(self) -> dict[str, Any]:
        energy = self._part(lambda: self._rates("energy", "energyratestructure"))
        demand = self._part(lambda: self._rates("demand", "demandratestructure"))
        clock = _joint_clock(
            energy.clock if energy is not None and energy.is_by_clock else None,
            demand.clock if demand is not None and demand.is_by_clock else None,
        )
        parts: list[dict[str, Any] | None] = []
        if energy is not None:
            parts.append(self._part(lambda: self._energy(energy, clock)))
        parts.append(self._part(self._fuel_adjustment))
        parts.append(self._part(self._flat_demand))
        if demand is not None:
            parts += self._part(lambda: self._demand_by_period(demand, clock)) or []
        parts.append(self._part(self._fixed_charge))
        components = [part for part in parts if part is not None]
        components += self._part(self._minimum_charges) or []
        exported = self._part(lambda: self._export(energy, clock)) or {}
        components += exported.pop("components", [])
        if not components and not any(finding.kind == "refused" for finding in self.findings):
            raise self._refuse("energyratestructure", None, "the rate charges nothing")
        calendar = {} if clock is None else {"calendar": {"schedules": self._schedules(clock.clock)}}
        return {"components": components} | calendar | exported

    def _part(self, read: Callable[[], _Part]) -> _Part | None:
        """Return what ``read`` returns, or nothing where it refuses: the other parts still report their fields."""
        try:
            return read()
        except _RefusedError:
            return None

    def _rates(self, kind: str, name: str) -> _Rates | None:
        """Return a rate structure with the clock of its periods."""
        if name not in self.fields:
            return None
        structure = self._structure(name)
        labels = tuple(f"{kind} {number}" for number in range(1, len(structure) + 1))
        given = self.fields.get("energytoulabels")
        if kind == "energy" and isinstance(given, list) and len(set(map(str, given))) == len(given) == len(structure):
            labels = tuple(str(label) for label in given)
        self.honoured.append(name)
        return _Rates(name, structure, self._clock(kind, structure, labels))

    def _structure(self, name: str) -> _Structure:
        value = self.fields[name]
        if not isinstance(value, list) or not all(isinstance(period, list) and period for period in value):
            raise self._refuse(name, value, "expected a list of periods, each a list of tiers")
        return [
            [
                self._tier(tier, f"{name}[{number}][{index}]", is_last=index == len(period) - 1)
                for index, tier in enumerate(period)
            ]
            for number, period in enumerate(value)
        ]

    def _tier(self, tier: object, name: str, *, is_last: bool) -> _Tier:
        if not isinstance(tier, Mapping):
            raise self._refuse(name, tier, "expected the fields of a tier")
        known = {key.lower(): value for key, value in tier.items() if value is not None and value != ""}
        for key in sorted(set(known) - {"rate", "adj", "max", "unit", "sell"}):
            self._find("unknown", f"{name}.{key}", known[key], "no field of a tier", "no known effect on the bill")
        if "rate" not in known and "adj" not in known:
            raise self._refuse(f"{name}.rate", None, "absent, and no adj stands in for it")
        price = sum((self._number(known[key], f"{name}.{key}") for key in ("rate", "adj") if key in known), Decimal(0))
        sell = self._price(self._number(known["sell"], f"{name}.sell"), f"{name}.sell") if "sell" in known else None
        limit = None
        if "max" in known and is_last:
            effect = "its price holds for all that is above the tier before"
            self._find("not_honoured", f"{name}.max", known["max"], "no tier follows the last", effect)
        elif "max" in known:
            limit = self._number(known["max"], f"{name}.max")
        elif not is_last:
            raise self._refuse(f"{name}.max", None, "absent, although another tier follows")
        return _Tier(limit, self._price(price, f"{name}.rate"), str(known.get("unit", _MONTHLY_KWH)), sell)

    def _clock(self, kind: str, structure: _Structure, labels: tuple[str, ...]) -> _Clock:
        names = (f"{kind}weekdayschedule", f"{kind}weekendschedule")
        absent = [name for name in names if name not in self.fields]
        if absent and len(structure) > 1:
            raise self._refuse(absent[0], None, f"absent, although {kind} has {len(structure)} periods")
        if absent:
            self._find("assumed", absent[0], None, "absent", "the only period holds at all hours")
            all_day = ((0,) * _HOURS,) * 12
            return _Clock((all_day, all_day), labels)
        self.honoured += names
        weekday, weekend = (self._hours(name, len(structure)) for name in names)
        return _Clock((weekday, weekend), labels)

    def _hours(self, name: str, period_count: int) -> _Hours:
        rows = self.fields[name]
        is_table = isinstance(rows, list) and len(rows) == 12 and all(isinstance(row, list) for row in rows)
        if not is_table or any(len(row) != _HOURS for row in rows):
            raise self._refuse(name, rows, "expected 12 rows of 24 period numbers")
        for month, row in enumerate(rows):
            for hour, period in enumerate(row):
                number = self._number(period, f"{name}[{month}][{hour}]")
                if number not in range(period_count):
                    reason = f"no such period among the {period_count} of the rate structure"
                    raise self._refuse(f"{name}[{month}][{hour}]", period, reason)
        return tuple(tuple(int(period) for period in row) for row in rows)

    def _schedules(self, clock: _Clock) -> list[dict[str, Any]]:
        """Return the clock as schedules of our calendar, months with equal days together."""
        months_of: dict[tuple[tuple[int, ...], ...], list[int]] = {}
        for month in _MONTHS:
            months_of.setdefault(tuple(hours[month - 1] for hours in clock.hours), []).append(month)
        if clock.hours[0] != clock.hours[1]:
            effect = f"days that the day calendar calls holidays are billed on the {self.rules.holidays} clock"
            self._find("assumed", "holidays", None, "the database knows none", effect)
        schedules = []
        for days, months in months_of.items():
            workdays, weekends = ["workday"], ["weekend"]
            (workdays if self.rules.holidays == "workday" else weekends).append("holiday")
            groups = (
                [(workdays + weekends, days[0])] if days[0] == days[1] else [(workdays, days[0]), (weekends, days[1])]
            )
            schedules += [
                {"months": months, "day_types": day_types, "periods": _ranges(row, clock.labels)}
                for day_types, row in groups
            ]
        return schedules

    def _energy(self, rates: _Rates, clock: _JointClock | None) -> dict[str, Any]:
        self._check_ladders(rates)
        common = _limits(rates.structure)
        tables: list[dict[str, Any]] = []
        for periods, months in rates.months_by_periods().items():
            limits = _limits([rates.structure[period] for period in periods])
            prices: dict[str, list[Decimal]] = {}
            for period in periods:
                prices |= dict.fromkeys(_labels_of(rates, clock, period), _prices(rates.structure[period], limits))
            tables.append(
                {"months": months, "prices": prices} | ({"limits_kwh": limits} if limits not in ([], common) else {})
            )
        component: dict[str, Any] = {"kind": "energy", "name": "Energy", "name_zh": "电度电费", "tables": tables}
        return component | ({"tiers": self._tiers(rates, common, clock)} if common else {})

    def _check_ladders(self, rates: _Rates) -> None:
        for number, tiers in enumerate(rates.structure):
            limits = [tier.limit for tier in tiers if tier.limit is not None]
            for index, (lower, upper) in enumerate(pairwise(limits)):
                if upper <= lower:
                    name = f"{rates.name}[{number}][{index + 1}].max"
                    raise self._refuse(name, upper, f"must be larger than {lower} before it")

    def _tiers(self, rates: _Rates, limits: list[Decimal], clock: _JointClock | None) -> dict[str, Any]:
        units = sorted({tier.unit for tiers in rates.structure for tier in tiers if len(tiers) > 1})
        if len(units) > 1:
            raise self._refuse(f"{rates.name}.unit", units, "tiers of several units stand on one ladder")
        if units[0] not in _TIER_BASES:
            reason = f"tiers are counted in {', '.join(_TIER_BASES)}"
            raise self._refuse(f"{rates.name}.unit", units[0], reason)
        basis = _TIER_BASES[units[0]]
        if basis == "daily_allowance":
            effect = "the limits of a month are those of a day times its days"
            self._find("assumed", f"{rates.name}.unit", units[0], "how days add up is not said", effect)
        if not rates.is_by_clock:
            return {"basis": basis, "limits_kwh": limits}
        allocation = self.rules.tier_allocation
        if allocation == "ladder_per_period" and clock is not None and clock.demand_labels:
            reason = "the demand charge has a clock of its own, which splits the periods and their ladders"
            raise self._refuse("demandweekdayschedule", None, reason)
        self._find("assumed", rates.name, None, "tiers meet periods", f"tiers are shared out {allocation}")
        return {"basis": basis, "limits_kwh": limits, "allocation": allocation}

    def _fuel_adjustment(self) -> dict[str, Any] | None:
        name = "fueladjustmentsmonthly"
        if name not in self.fields:
            return None
        tables = [
            {"months": months, "prices": {ALL_PERIODS: price}} for price, months in self._twelve_prices(name).items()
        ]
        self.honoured.append(name)
        return {"kind": "energy", "name": "Fuel adjustment", "name_zh": "燃料调整费", "tables": tables}

    def _twelve_prices(self, name: str) -> dict[Decimal, list[int]]:
        """Return the months of each of twelve monthly prices."""
        months: dict[Decimal, list[int]] = {}
        for month, value in zip(_MONTHS, self._twelve(name), strict=True):
            path = f"{name}[{month - 1}]"
            months.setdefault(self._price(self._number(value, path), path), []).append(month)
        return months

    def _twelve(self, name: str) -> list[Any]:
        values = self.fields[name]
        if not isinstance(values, list) or len(values) != 12:
            raise self._refuse(name, values, "expected twelve values, January first")
        return values

    def _flat_demand(self) -> dict[str, Any] | None:
        name = "flatdemandstructure"
        if name not in self.fields:
            return None
        structure = self._structure(name)
        months = self._flat_demand_months(len(structure))
        every_day = tuple((period,) for period in months)
        rates = _Rates(name, structure, _Clock((every_day, every_day), ()))
        self._check_demand(rates, "flatdemandunit")
        self.honoured.append(name)
        return {
            "kind": "demand",
            "name": "Demand",
            "name_zh": "最大需量电费",
            "tables": [
                {"months": of_months} | _demand_price(structure[period])
                for (period,), of_months in rates.months_by_periods().items()
            ],
        } | self._demand_rules()

    def _flat_demand_months(self, period_count: int) -> list[int]:
        name = "flatdemandmonths"
        if name not in self.fields:
            if period_count > 1:
                raise self._refuse(name, None, f"absent, although there are {period_count} periods")
            self._find("assumed", name, None, "absent", "the only period holds in all months")
            return [0] * 12
        numbers = [self._number(value, name) for value in self._twelve(name)]
        for month, number in enumerate(numbers):
            if number not in range(period_count):
                raise self._refuse(f"{name}[{month}]", number, f"no such period among {period_count}")
        self.honoured.append(name)
        return [int(number) for number in numbers]

    def _demand_by_period(self, rates: _Rates, clock: _JointClock | None) -> list[dict[str, Any]]:
        self._check_demand(rates, "demandrateunit")
        common = self._demand_rules()
        if not rates.is_by_clock or clock is None:
            tables = [
                {"months": months} | _demand_price(rates.structure[period])
                for (period,), months in rates.months_by_periods().items()
            ]
            return [
                {"kind": "demand", "name": "Demand by period", "name_zh": "分时需量电费", "tables": tables} | common
            ]
        return [
            {
                "kind": "demand",
                "name": f"Demand, {rates.clock.labels[period]}"[:100],
                "name_zh": f"需量电费（{rates.clock.labels[period]}）",
                "periods": clock.demand_labels[period],
                "tables": [_demand_price(rates.structure[period])],
            }
            | common
            for period in clock.demand_labels
            if any(tier.price != 0 for tier in rates.structure[period])
        ]

    def _check_demand(self, rates: _Rates, unit_name: str) -> None:
        self._check_ladders(rates)
        unit = self.fields.get(unit_name, "kW")
        is_charged = any(tier.price != 0 for tiers in rates.structure for tier in tiers)
        if is_charged and str(unit).lower() != "kw":
            raise self._refuse(unit_name, unit, "demand is priced per kW of the month")
        if unit_name in self.fields:
            self.honoured.append(unit_name)

    def _demand_rules(self) -> dict[str, Any]:
        """Return the window and the ratchet of a demand charge."""
        rules: dict[str, Any] = {}
        if "demandwindow" in self.fields:
            window = self._number(self.fields["demandwindow"], "demandwindow")
            if window not in _DEMAND_WINDOWS:
                raise self._refuse("demandwindow", window, f"demand is measured over {_DEMAND_WINDOWS} minutes")
            rules["interval_minutes"] = int(window)
            self.honoured.append("demandwindow")
        if "lookbackpercent" in self.fields and self._number(self.fields["lookbackpercent"], "lookbackpercent") > 0:
            rules["ratchet"] = self._ratchet()
        return rules

    def _ratchet(self) -> dict[str, Any]:
        if "demandratestructure" in self.fields:
            reason = "whether it holds for each period's demand or for the month's is not said"
            raise self._refuse("lookbackpercent", self.fields["lookbackpercent"], reason)
        percent = self._number(self.fields["lookbackpercent"], "lookbackpercent")
        flags = self.fields.get("lookbackmonths", [])
        months = (
            [month for month, flag in zip(_MONTHS, self._twelve("lookbackmonths"), strict=True) if flag]
            if flags
            else []
        )
        count = self._number(self.fields.get("lookbackrange", 0), "lookbackrange")
        if bool(months) == bool(count):
            reason = "a ratchet needs either lookbackmonths or lookbackrange"
            raise self._refuse("lookbackmonths, lookbackrange", [flags, count], reason)
        ratchet: dict[str, Any] = {"percent": percent, "missing_history": self.rules.missing_history}
        self.honoured.append("lookbackpercent")
        if count:
            self.honoured.append("lookbackrange")
            return ratchet | {"range_months": count}
        effect = f"the named months among the {_LOOKBACK_MONTHS} before the billed one count"
        self._find("assumed", "lookbackmonths", months, "how far back is not said", effect)
        return ratchet | {"months": months, "range_months": _LOOKBACK_MONTHS}

    def _fixed_charge(self) -> dict[str, Any] | None:
        amounts = {
            name: self._amount(name) for name in ("fixedchargefirstmeter", "fixedmonthlycharge") if name in self.fields
        }
        if not amounts:
            return None
        unit = self._charge_unit("fixedchargeunits") if "fixedchargefirstmeter" in amounts else "month"
        if len(set(amounts.values())) > 1 or (len(amounts) > 1 and unit != "month"):
            raise self._refuse(
                "fixedmonthlycharge", amounts["fixedmonthlycharge"], "not equal to fixedchargefirstmeter"
            )
        self.honoured += amounts
        amount = next(iter(amounts.values()))
        if amount == 0:
            return None
        if unit == "day":
            effect = "real days of the month" if self.rules.day_charge == "day" else "365 / 12 days every month"
            self._find("assumed", "fixedchargeunits", "$/day", "which days count is not said", effect)
            if self.rules.day_charge == "mean_day":
                unit, amount = "year", amount * 365  # exact, where 30.4167 days a month would not be
        return {
            "kind": "fixed",
            "name": "Fixed charge",
            "name_zh": "固定费用",
            "per": unit,
            "tables": [{"price": amount}],
        }

    def _charge_unit(self, name: str) -> str:
        unit = str(self.fields.get(name, ""))
        if unit not in _FIXED_UNITS:
            raise self._refuse(name, unit or None, f"expected one of {', '.join(_FIXED_UNITS)}")
        self.honoured.append(name)
        return _FIXED_UNITS[unit]

    def _minimum_charges(self) -> list[dict[str, Any]]:
        """Return the minimum bills, by month before by year."""
        found: dict[str, tuple[str, Decimal]] = {}
        for name, unit in (("mincharge", ""), ("minmonthlycharge", "month"), ("annualmincharge", "year")):
            amount = self._amount(name)
            if name in self.fields:
                self.honoured.append(name)
            if amount == 0:
                continue
            per = unit or self._charge_unit("minchargeunits")
            if per in found and found[per][1] != amount:
                raise self._refuse(name, amount, f"{found[per][0]} says {found[per][1]}")
            found[per] = (name, amount)
        names = {"day": "Minimum per day", "month": "Minimum per month", "year": "Minimum per year"}
        names_zh = {"day": "每日最低电费", "month": "每月最低电费", "year": "每年最低电费"}
        return [
            {
                "kind": "minimum",
                "name": names[per],
                "name_zh": names_zh[per],
                "per": per,
                "tables": [{"price": found[per][1]}],
            }
            for per in names
            if per in found
        ]

    # Export

    def _export(self, energy: _Rates | None, clock: _JointClock | None) -> dict[str, Any]:
        """Return net metering, or a component that pays for exported energy."""
        rule = self.fields.get("dgrules", "Net Metering" if self.fields.get("usenetmetering") is True else None)
        has_sell = energy is not None and any(tier.sell is not None for tiers in energy.structure for tier in tiers)
        sell_name = "energyratestructure.sell"
        if rule is None or self.rules.export == "leave_out":
            reason = "how it is credited is not said" if rule is None else "exported energy is not billed"
            for name in ("dgrules", "usenetmetering", *((sell_name,) if has_sell else ())):
                if name in self.fields or name == sell_name:
                    effect = "a customer without export pays the same"
                    self._find("not_honoured", name, self.fields.get(name), reason, effect)
            return {}
        self.honoured += [name for name in ("dgrules", "usenetmetering") if name in self.fields]
        if rule == "Net Metering":
            effect = "a surplus of a period is taken off the same period of the following months and never paid out"
            self._find("assumed", "dgrules", rule, "what becomes of a surplus is not said", effect)
            if has_sell:
                self._find(
                    "not_honoured", sell_name, None, "net metering pays no price per kWh", "no effect on the bill"
                )
            return {"net_metering": {"carry_over": "next_month"}}
        if rule not in _EXPORT_RULES:
            raise self._refuse("dgrules", rule, f"expected Net Metering or one of {', '.join(_EXPORT_RULES)}")
        if rule == "Net Billing Hourly":
            effect = "exact where readings are hourly"
            self._find("assumed", "dgrules", rule, "energy is netted within each reading", effect)
        if energy is None or not has_sell:
            self._find("assumed", sell_name, None, "absent", "exported energy earns nothing")
            return {}
        return {"components": [self._export_component(energy, clock, _EXPORT_RULES[rule])]}

    def _export_component(self, energy: _Rates, clock: _JointClock | None, rule: str) -> dict[str, Any]:
        prices: list[Decimal] = []
        for number, tiers in enumerate(energy.structure):
            sells = {tier.sell or Decimal(0) for tier in tiers}
            if len(sells) > 1:
                name = f"{energy.name}[{number}].sell"
                raise self._refuse(name, sorted(sells), "tiers that sell at different prices")
            prices += sells
        tables = []
        for periods, months in energy.months_by_periods().items():
            by_label: dict[str, Decimal] = {}
            for period in periods:
                by_label |= dict.fromkeys(_labels_of(energy, clock, period), prices[period])
            tables.append({"months": months, "prices": by_label})
        return {"kind": "export", "name": "Export", "name_zh": "上网电费", "rule": rule, "tables": tables}

    # What is not billed

    def _what_is_not_billed(self) -> dict[str, Any]:
        notes = [str(self.fields[name]) for name in _COMMENTS if name in self.fields]
        service = str(self.fields.get("servicetype", "Bundled"))
        if service != "Bundled":
            effect = "what another supplier charges beside it is not on the bill"
            self._find("not_honoured", "servicetype", service, "only this service is priced", effect)
            notes.append(f"servicetype {service}: {effect}.")
        unverified = ["URDB collects rates from the utilities' documents; it is not the official text."]
        for name, reason in _UNPRICED.items():
            if name not in self.fields or not _charges(self.fields[name]):
                continue
            if name in self.rules.leave_out:
                effect = "the utility's bill is higher than ours"
                self._find("left_out", name, self.fields[name], reason, effect)
                unverified.append(f"{name} is charged by the utility and is not on this bill: {reason}.")
            else:
                self._find("refused", name, self.fields[name], reason, "the rate is not loaded")
        return {"notes": notes, "unverified": unverified}

    def _describe(self) -> None:
        """Account for the fields that no charge and no rule has taken up."""
        taken = {re.split(r"[\[.]", name)[0] for finding in self.findings for name in finding.field.split(", ")}
        taken.update(self.honoured)
        for name in self.fields:
            if name in taken:
                continue
            if name in (*_DESCRIPTIVE, *_COMMENTS, *_SOURCES, *_IDENTITY, "servicetype"):
                self.honoured.append(name)
            elif name in _NO_BILL:
                reason, effect = _NO_BILL[name]
                self._find("not_honoured", name, self.fields[name], reason, effect)
            elif name in _OF_CHARGES:
                self._find(
                    "not_honoured",
                    name,
                    self.fields[name],
                    "belongs to no charge that is billed",
                    "no effect on the bill",
                )
            else:
                self._find(
                    "unknown", name, self.fields[name], "no field of the database", "no known effect on the bill"
                )


def _demand_price(tiers: Sequence[_Tier]) -> dict[str, Any]:
    if len(tiers) == 1:
        return {"price": tiers[0].price}
    return {"prices": [tier.price for tier in tiers], "limits_kw": _limits([tiers])}


def _charges(value: object) -> bool:
    """Return whether a field holds any number but zero."""
    if isinstance(value, Mapping):
        return any(_charges(item) for key, item in value.items() if str(key).lower() in {"rate", "adj"})
    if isinstance(value, list):
        return any(_charges(item) for item in value)
    return value not in (0, "0", False)
