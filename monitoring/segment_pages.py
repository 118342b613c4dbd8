"""The page of the segments: what marks them, what they mean to the supplier, and who moved between them.

It is read from the evaluation of the served release, the batch predictions of its latest month, and the marts
``customer_portrait`` and ``segment_migration_monthly``. What is not there is left out of the page. Sums only: no page
tells of one customer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ml.columns import AS_OF_MONTH, CUSTOMER_KEY, names
from ml.evaluation import Evaluation, EvaluationTable
from ml.segmentation.features import GROUPS
from ml.segmentation.profiles import segment_profiles, system_peak_hour
from ml.segmentation.schema import WEEKDAY_SHAPE, WEEKEND_SHAPE
from ml.wording import Bilingual
from monitoring.published import published_mart

if TYPE_CHECKING:
    import pandas as pd

SEGMENT_PAGE = "segments.html"
_BAND_PERCENTILES = (10, 90)
_MIX_PARTS_MAX_COUNT = 6
_MOVES_MAX_COUNT = 4
_CHART_WIDTH, _CHART_HEIGHT = 260.0, 120.0
_PROFILE_COLUMNS = (
    "mean_daily_kwh",
    "annual_kwh",
    "billed_amount_12m_amount",
    "late_bills_12m_count",
    "contacts_12m_count",
)
MIXED_COLUMNS = (
    "customer_class",
    "district",
    "life_cycle_stage",
    "value_tier",
    "loyalty_tier",
    "payment_behaviour",
    "channel_preference",
)
_PORTRAIT_TEXTS = ("tariff_id", "currency")
_PORTRAIT_NUMBERS = ("unpaid_amount", "mean_satisfaction_12m")
_MIX_TITLES = {
    "customer_class": Bilingual(en="Class", zh="用电类别"),
    "district": Bilingual(en="District", zh="供电区域"),
    "life_cycle_stage": Bilingual(en="Life cycle", zh="生命周期"),
    "value_tier": Bilingual(en="Value", zh="价值等级"),
    "loyalty_tier": Bilingual(en="Loyalty", zh="忠诚度"),
    "payment_behaviour": Bilingual(en="Payment", zh="缴费行为"),
    "channel_preference": Bilingual(en="Channel", zh="渠道偏好"),
    "tariff_id": Bilingual(en="Tariff", zh="执行电价"),
}
VALUE_WORDS = {
    "residential": Bilingual(en="residential", zh="居民"),
    "commercial": Bilingual(en="commercial", zh="商业"),
    "industrial": Bilingual(en="industrial", zh="工业"),
    "agricultural": Bilingual(en="agricultural", zh="农业"),
    "new": Bilingual(en="new", zh="新户"),
    "growing": Bilingual(en="growing", zh="增长"),
    "stable": Bilingual(en="stable", zh="平稳"),
    "shrinking": Bilingual(en="shrinking", zh="萎缩"),
    "at_risk": Bilingual(en="at risk", zh="流失风险"),
    "returned": Bilingual(en="returned", zh="回流"),
    "leaving": Bilingual(en="leaving", zh="拟销户"),
    "closed": Bilingual(en="closed", zh="已销户"),
    "loyal": Bilingual(en="loyal", zh="忠诚"),
    "steady": Bilingual(en="steady", zh="稳定"),
    "loose": Bilingual(en="loose", zh="松散"),
    "in_arrears": Bilingual(en="in arrears", zh="欠费"),
    "often_late": Bilingual(en="often late", zh="经常逾期"),
    "sometimes_late": Bilingual(en="sometimes late", zh="偶有逾期"),
    "punctual": Bilingual(en="punctual", zh="按期缴费"),
    "automatic": Bilingual(en="direct debit", zh="自动扣款"),
    "digital": Bilingual(en="app or online", zh="线上"),
    "counter": Bilingual(en="counter", zh="营业厅"),
    "mixed": Bilingual(en="mixed", zh="混合"),
    "high": Bilingual(en="high", zh="高"),
    "medium": Bilingual(en="medium", zh="中"),
    "low": Bilingual(en="low", zh="低"),
    "unknown": Bilingual(en="unknown", zh="未知"),
}
_PLACE_WORDS = {
    "new": Bilingual(en="new customers", zh="新增客户"),
    "lost": Bilingual(en="no longer customers", zh="退出客户"),
}


@dataclass(frozen=True)
class Part:
    """One value of a mix, with its share of the segment's customers in percent."""

    title: Bilingual
    percent: float


@dataclass(frozen=True)
class Mix:
    """How the customers of a segment are divided by one property."""

    title: Bilingual
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Move:
    """Customers who came from or went to another segment in the last month."""

    place: str
    title: Bilingual
    customers_count: int


@dataclass(frozen=True)
class Curve:
    """The mean shape of one kind of day with its band, as SVG paths in a box of 260 by 120.

    Attributes:
        title: Kind of day.
        line: Path of the mean.
        band: Path around the middle 80 % of the members.
        mean_level: Height of the day's mean.
        text: What the picture shows, for readers who do not see it.
    """

    title: Bilingual
    line: str
    band: str
    mean_level: float
    text: str


@dataclass(frozen=True)
class Fact:
    """One figure of a segment."""

    title: Bilingual
    value: str
    note: Bilingual


@dataclass(frozen=True)
class Segment:
    """What the page shows of one segment.

    Attributes:
        segment_id: Lasting identifier.
        name: Name of the served release.
        marks: What marks its members.
        offer: What to offer them.
        avoid: What to avoid.
        customers_count: Customers of the month.
        percents: Shares of customers, energy, amount billed and peak, in percent; None is not known.
        facts: Further figures.
        curves: Working day and weekend; empty where no member has a shape.
        mixes: Divisions by class, district, life cycle, value and tariff.
        came: Where the customers of the month came from, without those who stayed.
        went: Where those of the month before went, without those who stayed.
        stayed_percent: Share of the customers of the month before who stayed.
    """

    segment_id: str
    name: Bilingual
    marks: Bilingual
    offer: Bilingual
    avoid: Bilingual
    customers_count: int
    percents: Mapping[str, float | None]
    facts: tuple[Fact, ...]
    curves: tuple[Curve, ...]
    mixes: tuple[Mix, ...]
    came: tuple[Move, ...]
    went: tuple[Move, ...]
    stayed_percent: float | None


@dataclass(frozen=True)
class MigrationCell:
    """Customers of one flow.

    Attributes:
        customers_count: Customers; 0 leaves the cell empty.
        percent: Their share of the segment of the month before.
    """

    customers_count: int
    percent: float


@dataclass(frozen=True)
class Migration:
    """The flows of one month, as a table with a row per segment before and a column per segment now.

    Attributes:
        month: The month.
        is_same_release: Whether both months were scored by one release.
        columns: Segments now.
        rows: Segment before and its cells in the order of the columns.
        stayed_percent: Customers of both months who stayed in their segment.
    """

    month: date
    is_same_release: bool
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[MigrationCell, ...]], ...]
    stayed_percent: float | None


@dataclass(frozen=True)
class SegmentPage:
    """Everything on the page of the segments.

    Attributes:
        month: Month whose customers are shown.
        peak_hour: Hour of the working day in which all customers together use most; None where no hours are known.
        segments: Segments in the order of their identifiers; those without a shape follow.
        migrations: Flows by month, the latest first.
        succession: What became of the segments of the release before, if there was one.
        words: Names of segments and of the places "new" and "lost".
    """

    month: date
    peak_hour: int | None
    segments: tuple[Segment, ...]
    migrations: tuple[Migration, ...]
    succession: EvaluationTable | None
    words: Mapping[str, Bilingual]


def read_segment_page(home: Path, release: str, evaluation: Evaluation | None) -> SegmentPage | None:
    """Return the page of the served segmentation, or ``None`` when it was never scored or tells no advice.

    Args:
        home: State folder.
        release: Name of the served release.
        evaluation: Its evaluation.
    """
    import pandas as pd
    import pyarrow.parquet as pq

    tables = {table.name: table for table in evaluation.tables} if evaluation else {}
    latest = _latest_batch(home, release)
    if not {"advice", "advice_zh"} <= tables.keys() or latest is None:
        return None
    month, path = latest
    shapes = [column.name for column in (*WEEKDAY_SHAPE, *WEEKEND_SHAPE)]
    # A release of earlier code says less of a customer.
    present = set(pq.read_schema(path).names)
    mixed = [column for column in MIXED_COLUMNS if column in present]
    rows = pd.read_parquet(path, columns=[CUSTOMER_KEY, "segment_id", *mixed, *_PROFILE_COLUMNS, *shapes])
    rows = _with_portrait(rows, published_mart(home, "customer_portrait"))
    advice = _advice(tables["advice"], tables["advice_zh"])
    words = _PLACE_WORDS | {key: texts[0] for key, texts in advice.items()}
    migrations = _migrations(published_mart(home, "segment_migration_monthly"))
    latest_migration = next((one for one in migrations if one.month == month), None)
    profiles = segment_profiles(rows, rows["segment_id"].tolist())
    return SegmentPage(
        month=month,
        peak_hour=system_peak_hour(rows),
        segments=tuple(
            _segment(key, texts, rows[rows["segment_id"] == key], profiles, latest_migration, words)
            for key, texts in advice.items()
            if key in profiles.index
        ),
        migrations=migrations,
        succession=tables.get("succession"),
        words=words,
    )


def _advice(english: EvaluationTable, chinese: EvaluationTable) -> dict[str, tuple[Bilingual, ...]]:
    """Return name, marks, offer and avoid by segment."""
    return {
        str(row[0]): tuple(Bilingual(en=str(en), zh=str(zh)) for en, zh in zip(row[1:], row_zh[1:], strict=True))
        for row, row_zh in zip(english.rows, chinese.rows, strict=True)
    }


def _latest_batch(home: Path, release: str) -> tuple[date, Path] | None:
    """Return the latest month that the release scored, with its file; the review tells of files that are damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folders = sorted((home / "predictions" / "batch" / "segmentation").glob(f"{AS_OF_MONTH}=*"), reverse=True)
    for folder in folders:
        path = folder / "predictions.parquet"
        try:
            scored_by = pq.read_table(path, columns=["release"]).column("release")
        except (FileNotFoundError, pa.ArrowInvalid):
            continue
        if len(scored_by) and scored_by[0].as_py() == release:
            return date.fromisoformat(folder.name.partition("=")[2]), path
    return None


def _with_portrait(rows: "pd.DataFrame", portrait: Path | None) -> "pd.DataFrame":
    """Add what the portrait knows of the same customers; columns are missing where it does not."""
    import pandas as pd
    import pyarrow.parquet as pq

    if portrait is None:
        return rows
    present = set(pq.read_schema(portrait).names)
    known = [name for name in (*_PORTRAIT_TEXTS, *_PORTRAIT_NUMBERS) if name in present]
    added = pd.read_parquet(portrait, columns=[CUSTOMER_KEY, *known])
    for name in present.intersection(_PORTRAIT_NUMBERS):
        added[name] = added[name].astype("float64")
    return rows.merge(added, on=CUSTOMER_KEY, how="left", validate="one_to_one")


def _segment(
    segment_id: str,
    texts: Sequence[Bilingual],
    members: "pd.DataFrame",
    profiles: "pd.DataFrame",
    migration: Migration | None,
    words: Mapping[str, Bilingual],
) -> Segment:
    profile = profiles.astype("float64").T[segment_id]
    name, marks, offer, avoid = texts
    came, went, stayed = _moves(segment_id, migration, words)
    mixed = [column for column in (*MIXED_COLUMNS, "tariff_id") if column in members]
    return Segment(
        segment_id=segment_id,
        name=name,
        marks=marks,
        offer=offer,
        avoid=avoid,
        customers_count=int(profile["customers_count"]),
        percents={
            column: None if np.isnan(profile[column]) else 100 * float(profile[column])
            for column in ("customers_share", "energy_share", "billed_share", "peak_share")
        },
        facts=_facts(profile, members),
        curves=_curves(members),
        mixes=tuple(Mix(_MIX_TITLES[column], _parts(members[column])) for column in mixed),
        came=came,
        went=went,
        stayed_percent=stayed,
    )


def _facts(profile: "pd.Series[float]", members: "pd.DataFrame") -> tuple[Fact, ...]:
    billed = members["billed_amount_12m_amount"].dropna()
    currencies = members["currency"].dropna() if "currency" in members else billed.iloc[:0]
    unit = Bilingual(en=str(currencies.iloc[0])) if len(currencies) else Bilingual(en="")
    unit = unit.model_copy(update={"zh": unit.en})
    facts = [
        _fact(Bilingual(en="Billed a year, per customer", zh="户均年电费"), billed.mean(), "{:,.0f}", unit),
        _fact(Bilingual(en="Billed per kWh", zh="度电均价"), profile["amount_per_kwh"], "{:.3f}", unit),
        _fact(
            Bilingual(en="With a late bill in twelve months", zh="近十二个月有逾期的客户"),
            100 * profile["late_share"],
            "{:.1f} %",
        ),
        _fact(Bilingual(en="Contacts a year, per customer", zh="户均年工单"), profile["contacts_mean"], "{:.2f}"),
    ]
    if "unpaid_amount" in members:
        # Of nobody is a debt known where no payments are delivered.
        unpaid = members["unpaid_amount"].dropna()
        owing = f"{int((unpaid > 0).sum()):,}"
        facts.append(
            _fact(
                Bilingual(en="Past due and unpaid, of a year's bills", zh="逾期欠费占年电费"),
                100 * unpaid.sum() / billed.sum() if len(unpaid) and billed.sum() else np.nan,
                "{:.2f} %",
                Bilingual(en=f"{owing} customers", zh=f"{owing} 户") if len(unpaid) else None,
            )
        )
    if "mean_satisfaction_12m" in members:
        answered = members["mean_satisfaction_12m"].dropna()
        facts.append(
            _fact(
                Bilingual(en="Satisfaction, 1 to 5", zh="满意度（1 至 5）"),
                answered.mean(),
                "{:.2f}",
                Bilingual(en=f"{len(answered):,} customers answered", zh=f"{len(answered):,} 户评价"),
            )
        )
    return tuple(facts)


def _fact(title: Bilingual, value: float, pattern: str, note: Bilingual | None = None) -> Fact:
    return Fact(title, pattern.format(value) if np.isfinite(value) else "–", note or Bilingual(en=""))


def _parts(values: "pd.Series") -> tuple[Part, ...]:
    """Return the most frequent values and the rest together."""
    shares = values.fillna("unknown").astype(str).value_counts(normalize=True)
    shares = shares.sort_index().sort_values(ascending=False, kind="stable")
    parts = [
        Part(VALUE_WORDS.get(str(value), Bilingual(en=str(value), zh=str(value))), 100 * float(share))
        for value, share in shares.head(_MIX_PARTS_MAX_COUNT).items()
    ]
    rest = 100 * float(shares.iloc[_MIX_PARTS_MAX_COUNT:].sum())
    return (*parts, Part(Bilingual(en="others", zh="其他"), rest)) if rest else tuple(parts)


def _curves(members: "pd.DataFrame") -> tuple[Curve, ...]:
    kinds = (
        (Bilingual(en="Working day", zh="工作日"), names(WEEKDAY_SHAPE)),
        (Bilingual(en="Weekend and holidays", zh="休息日"), names(WEEKEND_SHAPE)),
    )
    shapes = [(title, members[columns].dropna().to_numpy(dtype=np.float64)) for title, columns in kinds]
    if not all(len(rows) for _, rows in shapes):
        return ()
    bands = [np.percentile(rows, _BAND_PERCENTILES, axis=0) for _, rows in shapes]
    top = max(1.2, *(float(upper.max()) for _, upper in bands))
    curves = []
    for (title, rows), (lower, upper) in zip(shapes, bands, strict=True):
        mean = rows.mean(axis=0)
        peak = int(mean.argmax())
        curves.append(
            Curve(
                title=title,
                line=_path(mean, top),
                band=f"{_path(upper, top)} L{_path(lower, top, is_backwards=True)[1:]} Z",
                mean_level=round(_height(1.0, top), 1),
                text=f"{title.en}: highest at {peak:02d}:00 with {mean[peak]:.1f} times the mean of the day "
                f"{title.zh}：{peak} 时最高，为日均的 {mean[peak]:.1f} 倍",
            )
        )
    return tuple(curves)


def _height(ratio: float, top: float) -> float:
    return _CHART_HEIGHT * (1 - ratio / top)


def _path(ratios: np.ndarray, top: float, *, is_backwards: bool = False) -> str:
    points = [
        f"{_CHART_WIDTH * (hour + 0.5) / 24:.1f},{_height(float(one), top):.1f}" for hour, one in enumerate(ratios)
    ]
    return "M" + " L".join(points[::-1] if is_backwards else points)


def _migrations(path: Path | None) -> tuple[Migration, ...]:
    """Return the flows of every month in the mart, the latest first."""
    if path is None:
        return ()
    import pandas as pd

    flows = pd.read_parquet(path)
    return tuple(
        _migration(month, flows[flows[AS_OF_MONTH] == month])
        for month in sorted(flows[AS_OF_MONTH].unique(), reverse=True)
    )


def _migration(month: date, flows: "pd.DataFrame") -> Migration:
    counts = flows.groupby(["from_segment_id", "to_segment_id"])["customers_count"].sum()
    before = sorted({one for one, _ in counts.index}, key=_place_order)
    now = sorted({one for _, one in counts.index}, key=_place_order)
    totals = counts.groupby("from_segment_id").sum()
    rows = tuple(
        (one, tuple(_cell(int(counts.get((one, other), 0)), int(totals[one])) for other in now)) for one in before
    )
    known = flows[(flows["from_segment_id"] != "new") & (flows["to_segment_id"] != "lost")]
    stayed = known.loc[known["from_segment_id"] == known["to_segment_id"], "customers_count"].sum()
    return Migration(
        month=month,
        is_same_release=bool(flows["is_same_release"].all()),
        columns=tuple(now),
        rows=rows,
        stayed_percent=100 * float(stayed) / float(known["customers_count"].sum()) if len(known) else None,
    )


def _cell(customers_count: int, total: int) -> MigrationCell:
    return MigrationCell(customers_count, 100 * customers_count / total)


def _place_order(place: str) -> tuple[int, int, str]:
    """Groups in their order, then segments without a shape, then what is none."""
    group = place.rstrip("0123456789")
    number = place.removeprefix(group)
    if group in GROUPS and number and int(number):
        return GROUPS.index(group), int(number), place
    last = ("unknown", "new", "lost")
    return len(GROUPS), last.index(place) + 1 if place in last else 0, place


def _moves(
    segment_id: str, migration: Migration | None, words: Mapping[str, Bilingual]
) -> tuple[tuple[Move, ...], tuple[Move, ...], float | None]:
    if migration is None:
        return (), (), None
    flows = {
        (before, now): cell
        for before, cells in migration.rows
        for now, cell in zip(migration.columns, cells, strict=True)
        if cell.customers_count
    }

    def listed(places: Mapping[str, int]) -> tuple[Move, ...]:
        largest = sorted(places.items(), key=lambda pair: (-pair[1], pair[0]))[:_MOVES_MAX_COUNT]
        return tuple(Move(place, words.get(place, Bilingual(en=place, zh=place)), count) for place, count in largest)

    came = {one: cell.customers_count for (one, now), cell in flows.items() if now == segment_id != one}
    went = {now: cell.customers_count for (one, now), cell in flows.items() if one == segment_id != now}
    stayed = flows.get((segment_id, segment_id))
    was_there = any(before == segment_id for before, _ in migration.rows)
    return listed(came), listed(went), stayed.percent if stayed else 0.0 if was_there else None
