"""The page of service quality: targets met and missed by month, and every view of the latest month.

It is read from the mart ``service_quality_by_dimension``; without it there is no page. What a target is stands in
``monitoring/policies/service_quality.yaml``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ml.wording import Bilingual
from monitoring.published import published_mart
from monitoring.service_targets import (
    MEASURES,
    Outcome,
    ServiceTarget,
    ServiceTargets,
    is_judged,
    load_service_targets,
    targets_of,
)

MART = "service_quality_by_dimension"
SERVICE_PAGE = "service_quality.html"

_SHOWN_MONTHS = 12
_PLOTTED_MONTHS = 24
_PLOT_WIDTH, _PLOT_HEIGHT = 300.0, 90.0
_PLOTTED = ("p90_hours_to_response", "p90_hours_to_close", "mean_satisfaction", "answered_first_time_pct")

DIMENSIONS: Mapping[str, Bilingual] = {
    "segment": Bilingual(en="Segment", zh="客群"),
    "topic": Bilingual(en="Topic", zh="业务主题"),
    "channel": Bilingual(en="Channel", zh="受理渠道"),
    "district": Bilingual(en="District", zh="供电区"),
}

_VALUE_WORDS: Mapping[str, Bilingual] = {
    "total": Bilingual(en="All contacts", zh="全部工单"),
    "phone": Bilingual(en="Telephone", zh="电话"),
    "app": Bilingual(en="App", zh="App"),
    "wechat": Bilingual(en="WeChat", zh="微信"),
    "counter": Bilingual(en="Counter", zh="营业厅"),
    "web": Bilingual(en="Web", zh="网站"),
    "email": Bilingual(en="E-mail", zh="电子邮件"),
    "billing": Bilingual(en="Bill", zh="电费账单"),
    "billing_dispute": Bilingual(en="Disputed bill", zh="账单争议"),
    "payment": Bilingual(en="Payment", zh="缴费"),
    "outage": Bilingual(en="Outage", zh="停电报修"),
    "meter": Bilingual(en="Meter", zh="电表"),
    "tariff_advice": Bilingual(en="Tariff advice", zh="电价咨询"),
    "complaint": Bilingual(en="Complaint", zh="投诉"),
    "new_service": Bilingual(en="New service", zh="新装增容"),
    "other": Bilingual(en="Other", zh="其他"),
    "unknown": Bilingual(en="Unknown", zh="未知"),
}


@dataclass(frozen=True)
class JudgedMonth:
    """A target in one month.

    Attributes:
        month: The month.
        outcome: Whether it was met.
        text: The value of the measure, for a reader.
    """

    month: date
    outcome: Outcome
    text: str


@dataclass(frozen=True)
class TargetRow:
    """A target with its months.

    Attributes:
        title: Measure and part of the service.
        limit: What it demands, for a reader.
        months: The latest months, oldest first.
        reason: Why the limit is what it is.
        missed_months: Months in a row that missed it, counted back from the latest judged one.
    """

    title: Bilingual
    limit: str
    months: tuple[JudgedMonth, ...]
    reason: Bilingual
    missed_months: int

    @property
    def latest(self) -> JudgedMonth | None:
        """The latest month that could be judged."""
        return next((month for month in reversed(self.months) if month.outcome != "not_judged"), None)


@dataclass(frozen=True)
class ServiceRow:
    """One value of a dimension in the latest month, as text for a reader; unknown figures are dashes.

    Attributes:
        title: The value.
        contacts: Contacts opened.
        response: Time to the first answer: median, and what nine of ten stay within.
        closing: Time to close, likewise.
        satisfaction: Mean satisfaction.
        repeated: Share of contacts of customers who had asked in the 30 days before.
        first_time: Share answered first time, of the latest month in which that is known.
    """

    title: Bilingual
    contacts: str
    response: tuple[str, ...]
    closing: tuple[str, ...]
    satisfaction: str
    repeated: str
    first_time: str


@dataclass(frozen=True)
class ServiceTable:
    """The latest month by one dimension."""

    title: Bilingual
    rows: tuple[ServiceRow, ...]


@dataclass(frozen=True)
class ServicePlot:
    """A measure of all contacts over the months, as points of a drawing.

    Attributes:
        title: The measure.
        points: Point of each month for an SVG polyline; gaps are left out.
        limit_height: Height of the target's line; ``None`` without one.
        first: First month, as text.
        last: Last month, as text.
        lowest: Lower end of the scale.
        highest: Upper end of the scale.
    """

    title: Bilingual
    points: str
    limit_height: float | None
    first: str
    last: str
    lowest: str
    highest: str


@dataclass(frozen=True)
class ServicePage:
    """What the page shows.

    Attributes:
        month: Latest month.
        judged_month: Latest month whose repeat contacts are known.
        version: Version of the targets.
        targets: The targets with their months; those that are missed now come first.
        tables: The latest month by dimension.
        plots: All contacts over the months.
    """

    month: date
    judged_month: date | None
    version: str
    targets: tuple[TargetRow, ...]
    tables: tuple[ServiceTable, ...]
    plots: tuple[ServicePlot, ...]
    width: float = _PLOT_WIDTH
    height: float = _PLOT_HEIGHT

    @property
    def missed(self) -> tuple[TargetRow, ...]:
        """Targets that their latest judged month missed, if that is one of the last three months."""
        return tuple(row for row in self.targets if row.latest in row.months[-3:] and row.missed_months)


def read_service_page(home: Path, targets_path: Path | None = None) -> ServicePage | None:
    """Return what the page shows, or ``None`` when there is no mart or no contact.

    Args:
        home: State folder.
        targets_path: File of the targets; by default the built-in one.

    Raises:
        PolicyError: The targets cannot be read.
    """
    import polars as pl

    versions = load_service_targets(targets_path)
    path = published_mart(home, MART)
    if path is None:
        return None
    rows = pl.read_parquet(path).sort("month", "dimension", "value").to_dicts()
    if not rows:
        return None
    months = sorted({row["month"] for row in rows})
    by_place = {(row["month"], row["dimension"], row["value"]): row for row in rows}
    current = targets_of(versions, months[-1])
    targets = [
        _target_row(target, months[-_SHOWN_MONTHS:], versions, by_place)
        for target in (current.targets if current else ())
    ]
    judged = [month for month in months if is_judged(by_place[month, "total", "total"])]
    return ServicePage(
        month=months[-1],
        judged_month=judged[-1] if judged else None,
        version=current.version if current else "",
        targets=tuple(sorted(targets, key=lambda row: -row.missed_months)),
        tables=tuple(
            ServiceTable(
                title,
                tuple(
                    _service_row(row, by_place.get((judged[-1], dimension, row["value"])) if judged else None)
                    for row in _of(rows, months[-1], dimension)
                ),
            )
            for dimension, title in DIMENSIONS.items()
        ),
        plots=tuple(_plot(measure, months[-_PLOTTED_MONTHS:], by_place, current) for measure in _PLOTTED),
    )


def figure(measure: str, value: float | None) -> str:
    """Return a measure for a reader: hours as minutes, hours or days, shares in percent."""
    if value is None:
        return "–"
    if "hours" in measure:
        if value < 1:
            return f"{60 * value:.0f} min"
        return f"{value:.1f} h" if value < 72 else f"{value / 24:.1f} d"
    return f"{value:.1f} %" if measure.endswith("_pct") else f"{value:.2f}"


def _words(value: str) -> Bilingual:
    return _VALUE_WORDS.get(value, Bilingual(en=value, zh=value))


def _of(rows: Sequence[Mapping[str, Any]], month: date, dimension: str) -> list[Mapping[str, Any]]:
    found = [row for row in rows if row["month"] == month and row["dimension"] == dimension]
    return sorted(found, key=lambda row: -int(row["contacts_count"]))


def _target_row(
    target: ServiceTarget,
    months: Sequence[date],
    versions: tuple[ServiceTargets, ...],
    by_place: Mapping[tuple[date, str, str], Mapping[str, Any]],
) -> TargetRow:
    judged = []
    for month in months:
        row = by_place.get((month, target.dimension, target.value))
        version = targets_of(versions, month)
        # A month is held to what was promised then; a target that did not exist yet judges nothing.
        promised = next((one for one in version.targets if _is_same(one, target)), None) if version else None
        outcome: Outcome = promised.outcome(row, version.minimum_contacts) if promised and version else "not_judged"
        judged.append(JudgedMonth(month, outcome, figure(target.measure, row[target.measure] if row else None)))
    known = [month.outcome for month in judged if month.outcome != "not_judged"]
    missed = next((place for place, outcome in enumerate(reversed(known)) if outcome == "met"), len(known))
    measure, part = MEASURES[target.measure], _words(target.value)
    sign = "≤" if target.is_time else "≥"
    return TargetRow(
        title=Bilingual(en=f"{part.en}: {measure.en}", zh=f"{part.zh}：{measure.zh}"),
        limit=f"{sign} {figure(target.measure, target.limit)}",
        months=tuple(judged),
        reason=Bilingual(en=target.reason, zh=target.reason_zh or target.reason),
        missed_months=missed,
    )


def _is_same(one: ServiceTarget, other: ServiceTarget) -> bool:
    return (one.measure, one.dimension, one.value) == (other.measure, other.dimension, other.value)


def _service_row(row: Mapping[str, Any], judged: Mapping[str, Any] | None) -> ServiceRow:
    named = Bilingual(en=row["value_name"], zh=row["value_name_zh"])
    share = 100 * row["repeat_contacts_count"] / row["contacts_count"]
    return ServiceRow(
        title=named if row["dimension"] == "segment" else _words(row["value"]),
        contacts=f"{row['contacts_count']:,}",
        response=tuple(figure(name, row[name]) for name in ("median_hours_to_response", "p90_hours_to_response")),
        closing=tuple(figure(name, row[name]) for name in ("median_hours_to_close", "p90_hours_to_close")),
        satisfaction=figure("mean_satisfaction", row["mean_satisfaction"]),
        repeated=f"{share:.1f} %",
        first_time=figure("answered_first_time_pct", judged["answered_first_time_pct"] if judged else None),
    )


def _plot(
    measure: str,
    months: Sequence[date],
    by_place: Mapping[tuple[date, str, str], Mapping[str, Any]],
    targets: ServiceTargets | None,
) -> ServicePlot:
    values = [by_place[month, "total", "total"][measure] for month in months]
    limits = [
        target.limit
        for target in (targets.targets if targets else ())
        if (target.measure, target.dimension) == (measure, "total")
    ]
    known = [value for value in (*values, *limits) if value is not None]
    lowest, highest = (min(known), max(known)) if known else (0.0, 1.0)
    span = (highest - lowest) or 1.0
    step = _PLOT_WIDTH / max(len(months) - 1, 1)

    def height(value: float) -> float:
        return _PLOT_HEIGHT - 6 - (value - lowest) / span * (_PLOT_HEIGHT - 12)

    points = [f"{place * step:.1f},{height(value):.1f}" for place, value in enumerate(values) if value is not None]
    return ServicePlot(
        title=MEASURES[measure],
        points=" ".join(points),
        limit_height=height(limits[0]) if limits else None,
        first=f"{months[0]:%Y-%m}",
        last=f"{months[-1]:%Y-%m}",
        lowest=figure(measure, lowest),
        highest=figure(measure, highest),
    )
