"""One model's history on one time line: verdicts, drift, performance, releases, decisions, retrainings, incidents.

Geometry only; a template draws it. What is about a month of data (verdicts, drift, performance) fills the slot of that
month; what happened on a day stands at that day, which is after the month that led to it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from ml.wording import Bilingual
from monitoring.incidents import Incident
from monitoring.model_events import Event, FigureSeries, events_of, performance_of
from monitoring.model_history import Model
from monitoring.verdicts import OUTCOME_WORDS, Outcome, Verdict

SHOWN_MONTHS = 24
SLOT_WIDTHS = (40.0, 110.0)
"""Narrowest and widest month, in pixels: a touch target at least, and few months must not fill a wall."""
_MONTHS_AFTER_VERDICT = 2
_DRAWING_WIDTH = 930.0
_MARK_STEP, _MARK_SPACING = 26.0, 24.0
_VERDICT_HEIGHT, _DRIFT_HEIGHT, _PERFORMANCE_HEIGHT, _INCIDENT_STEP = 34.0, 112.0, 84.0, 20.0
_LANE_GAP = 18.0
_AXIS_HEIGHT = 36.0
_SHORTEST_INCIDENT = 8.0
# Scores far beyond "act" say no more by their height; the cut keeps the limits readable.
_TALLEST_SCORE_IN_ACT_LIMITS = 1.6
_LOWEST_BAR = 2.0

LaneName = Literal["events", "verdicts", "drift", "performance", "incidents"]
LANE_TITLES: dict[LaneName, Bilingual] = {
    "events": Bilingual(en="Releases and decisions", zh="发布与决定"),
    "verdicts": Bilingual(en="Verdict", zh="结论"),
    "drift": Bilingual(en="Drift score of the predictions", zh="预测偏移得分"),
    "incidents": Bilingual(en="Incidents", zh="告警事件"),
}


@dataclass(frozen=True)
class Lane:
    """A strip of the drawing, in pixels from its upper edge."""

    name: LaneName
    title: Bilingual
    top: float
    height: float

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.top + self.height


@dataclass(frozen=True)
class Slot:
    """One month of the drawing.

    Attributes:
        month: First day of the month.
        left: Left edge.
        verdict: The verdict on the month; None if it was not reviewed.
        score_top: Upper edge of the bar of the drift score; None if there is no score.
        score: The score for a reader.
    """

    month: date
    left: float
    verdict: Verdict | None
    score_top: float | None
    score: str


@dataclass(frozen=True)
class Mark:
    """An event where it is drawn; one that is later than the last month stands at the right edge."""

    event: Event
    x: float
    y: float
    is_later: bool


@dataclass(frozen=True)
class FigurePoint:
    """A figure of one month where it is drawn, with the ends of its interval and its text for a reader."""

    x: float
    y: float
    upper_y: float
    lower_y: float
    text: str


@dataclass(frozen=True)
class DrawnFigures:
    """The figure of performance over the months.

    Attributes:
        points: Its months, oldest first.
        promised_y: Height of the figure at release; None if there is nothing to compare with.
        promised: The same for a reader; empty without it.
    """

    points: tuple[FigurePoint, ...]
    promised_y: float | None
    promised: str

    @property
    def line(self) -> str:
        """The points as an SVG polyline takes them."""
        return " ".join(f"{point.x:.1f},{point.y:.1f}" for point in self.points)


@dataclass(frozen=True)
class IncidentBar:
    """An incident where it is drawn, with its text for a reader."""

    left: float
    width: float
    y: float
    outcome: Outcome
    is_open: bool
    text: Bilingual


@dataclass(frozen=True)
class Timeline:
    """The drawing, in pixels.

    Attributes:
        width: Its width.
        height: Its height.
        slot: Width of a month.
        lanes: Its strips, from above.
        months: All months, oldest first.
        marks: Events, in the uppermost strip.
        performance: Performance by month; None where none is known.
        incidents: Incidents, in the lowest strip.
        limits: Height and value of the limits *watch* and *act* of the drift score; empty without a policy.
    """

    width: float
    height: float
    slot: float
    lanes: tuple[Lane, ...]
    months: tuple[Slot, ...]
    marks: tuple[Mark, ...]
    performance: DrawnFigures | None
    incidents: tuple[IncidentBar, ...]
    limits: tuple[tuple[Literal["watch", "act"], float, float], ...]

    def lane(self, name: LaneName) -> Lane:
        """Return a strip of the drawing."""
        return next(lane for lane in self.lanes if lane.name == name)

    @property
    def years(self) -> list[tuple[float, int]]:
        """Left edge and number of each year."""
        return [
            (slot.left, slot.month.year)
            for place, slot in enumerate(self.months)
            # A first year right before a January would touch the year of that January.
            if slot.month.month == 1 or (place == 0 and slot.month.month < 12)
        ]


def draw_timeline(model: Model) -> Timeline | None:
    """Lay out the history of a model; None while nothing is known of it."""
    events = [event for event in events_of(model) if event.kind not in ("opened", "closed")]
    verdicts = {verdict.month: verdict for verdict in model.by_month}
    days = [*verdicts, *(event.at.date() for event in events)]
    if not days:
        return None
    axis = _Axis(_shown_months(days, max(verdicts, default=None)))
    placed = _placed(events, axis)
    series = performance_of(model)
    has_figures = series is not None and any(figure.month in axis.left for figure in series.figures)
    bars = list(_incident_bars(model.incidents, axis))
    lanes = _lanes(
        events_height=_MARK_STEP * (1 + max((row for _, _, row in placed), default=-1)),
        performance=series.title if series and has_figures else None,
        incidents_height=_INCIDENT_STEP * len(bars),
    )
    by_name = {lane.name: lane for lane in lanes}
    limit = model.policy.prediction if model.policy else None
    score_y = _scale(by_name["drift"], 0.0, _TALLEST_SCORE_IN_ACT_LIMITS * limit.act if limit else 1.0)
    return Timeline(
        width=axis.slot * len(axis.months),
        height=lanes[-1].bottom + _AXIS_HEIGHT,
        slot=axis.slot,
        lanes=tuple(lanes),
        months=tuple(_slot(month, axis.left[month], verdicts.get(month), score_y) for month in axis.months),
        marks=tuple(
            Mark(event, x, by_name["events"].top + (row + 0.5) * _MARK_STEP, axis.ends_before(event.at))
            for event, x, row in placed
        ),
        performance=_drawn_figures(series, axis, by_name["performance"]) if series and has_figures else None,
        incidents=tuple(
            IncidentBar(left, width, by_name["incidents"].top + row * _INCIDENT_STEP, worst, is_open, text)
            for row, (left, width, worst, is_open, text) in enumerate(bars)
        ),
        limits=(("watch", score_y(limit.watch), limit.watch), ("act", score_y(limit.act), limit.act)) if limit else (),
    )


class _Axis:
    """Months from left to right."""

    def __init__(self, months: Sequence[date]) -> None:
        self.months = months
        self.slot = min(max(_DRAWING_WIDTH / len(self.months), SLOT_WIDTHS[0]), SLOT_WIDTHS[1])
        self.left = {month: number * self.slot for number, month in enumerate(self.months)}

    def x(self, at: datetime | date) -> float | None:
        """Return where a day is drawn: at the right edge if it is later than all months; None if it is earlier."""
        if self.ends_before(at):
            return self.slot * len(self.months) - _MARK_SPACING / 2
        left = self.left.get(date(at.year, at.month, 1))
        return None if left is None else left + self.slot * (at.day - 0.5) / 31

    def ends_before(self, at: datetime | date) -> bool:
        return date(at.year, at.month, 1) > self.months[-1]

    def middle(self, month: date) -> float:
        return self.left[month] + self.slot / 2


def _shown_months(days: Sequence[date], last_verdict: date | None) -> list[date]:
    """Return the months of a drawing: all, or those up to the latest verdict when these are too many.

    What was reviewed years after its month, as in a replay of old data, must not push its own verdicts off the drawing.
    """
    months = _month_range(min(days), max(days))
    if len(months) > SHOWN_MONTHS and last_verdict is not None:
        months = months[: months.index(last_verdict) + 1 + _MONTHS_AFTER_VERDICT]
    return months[-SHOWN_MONTHS:]


def _month_range(first: date, last: date) -> list[date]:
    count = 12 * (last.year - first.year) + last.month - first.month + 1
    start = 12 * first.year + first.month - 1
    return [date((start + number) // 12, (start + number) % 12 + 1, 1) for number in range(count)]


def _placed(events: Iterable[Event], axis: _Axis) -> list[tuple[Event, float, int]]:
    """Return each event with its place and its row, so that no two of a row touch; the newest is in the first."""
    placed: list[tuple[Event, float, int]] = []
    for event in events:
        x = axis.x(event.at)
        if x is None:
            continue
        taken = {row for _, other, row in placed if abs(other - x) < _MARK_SPACING}
        placed.append((event, x, next(row for row in range(len(taken) + 1) if row not in taken)))
    return placed


def _lanes(*, events_height: float, performance: Bilingual | None, incidents_height: float) -> list[Lane]:
    wanted: list[tuple[LaneName, Bilingual, float]] = [
        ("events", LANE_TITLES["events"], events_height),
        ("verdicts", LANE_TITLES["verdicts"], _VERDICT_HEIGHT),
        ("drift", LANE_TITLES["drift"], _DRIFT_HEIGHT),
    ]
    if performance is not None:
        wanted.append(("performance", performance, _PERFORMANCE_HEIGHT))
    wanted.append(("incidents", LANE_TITLES["incidents"], incidents_height))
    lanes, top = [], _LANE_GAP / 2
    for name, title, height in wanted:
        if height:
            lanes.append(Lane(name, title, top, height))
            top += height + _LANE_GAP
    return lanes


def _scale(lane: Lane, lowest: float, highest: float) -> Callable[[float], float]:
    """Return the function from a value to its height in a strip; values beyond stop at the edge."""

    def y(value: float) -> float:
        share = (value - lowest) / (highest - lowest)
        return lane.bottom - lane.height * min(max(share, 0.0), 1.0)

    return y


def _slot(month: date, left: float, verdict: Verdict | None, score_y: Callable[[float], float]) -> Slot:
    score = verdict.prediction_score if verdict else None
    if score is None:
        return Slot(month, left, verdict, None, "–")
    return Slot(month, left, verdict, min(score_y(score), score_y(0.0) - _LOWEST_BAR), f"{score:.2f}")


def _drawn_figures(series: FigureSeries, axis: _Axis, lane: Lane) -> DrawnFigures:
    drawn = [figure for figure in series.figures if figure.month in axis.left]
    values = [value for figure in drawn for value in (figure.lower, figure.upper)]
    values += [series.promised] if series.promised is not None else []
    margin = 0.08 * (max(values) - min(values)) or 0.01 * abs(max(values)) or 1.0
    y = _scale(lane, min(values) - margin, max(values) + margin)
    points = []
    for figure in drawn:
        text = f"{figure.month:%Y-%m}: {figure.value:.{series.decimals}f}"
        if figure.lower < figure.upper:
            text += f" ({figure.lower:.{series.decimals}f} – {figure.upper:.{series.decimals}f})"
        points.append(FigurePoint(axis.middle(figure.month), y(figure.value), y(figure.upper), y(figure.lower), text))
    if series.promised is None:
        return DrawnFigures(tuple(points), None, "")
    return DrawnFigures(tuple(points), y(series.promised), f"{series.promised:.{series.decimals}f}")


def _incident_bars(
    incidents: Iterable[Incident], axis: _Axis
) -> Iterator[tuple[float, float, Outcome, bool, Bilingual]]:
    """Return the incidents over the months that they are about, from the first to the last that was not stable."""
    for incident in incidents:
        months = [entry.month for entry in incident.course if entry.outcome != "stable"] or [incident.opened_month]
        shown = [month for month in months if month in axis.left]
        if not shown:
            continue
        left = axis.left[shown[0]]
        width = max(axis.left[shown[-1]] + axis.slot - left, _SHORTEST_INCIDENT)
        first, last = f"{months[0]:%Y-%m}", f"{months[-1]:%Y-%m}"
        worst_en, worst_zh = OUTCOME_WORDS[incident.worst_outcome]
        text = Bilingual(
            en=f"{first} – {'now' if incident.is_open else last}: {worst_en}",
            zh=f"{first} – {'至今' if incident.is_open else last}：{worst_zh}",
        )
        yield left, width, incident.worst_outcome, incident.is_open, text
