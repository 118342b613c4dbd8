"""Names, descriptions and advice of segments, from rules on their centres, in English and Chinese.

A name is made of tags that retailers use (steady base, day shift, two rest days, …). A tag is given when its rule
holds for the centre or for the median of the members; the same centre always gets the same name. Names are unique in
a release: segments that share their tags are told apart by what differs most between them.

A name lasts. Each rule has a threshold at which its tag is given and a tolerance within which a tag that a segment
already carries stays, so that a median that wanders around a threshold does not rename a segment every month.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ml.segmentation.features import DAILY_GROUPS, DAILY_SPACE, FloatArray

WORKING_DAY = slice(0, 24)
NIGHT = (22, 23, 0, 1, 2, 3, 4, 5)
MORNING = (6, 7, 8)
DAY_SHIFT = tuple(range(8, 18))
DAYTIME = tuple(range(9, 17))
NOON = (11, 12, 13)
MIDDAY = tuple(range(10, 15))
EVENING = tuple(range(18, 22))
OPENING = tuple(range(6, 22))
RIVALS = (NIGHT, MORNING, DAYTIME, NOON, EVENING)
"""Parts of the day of which one can be that with the largest power."""

MARKED_PEAK_RATIO = 1.5
"""Largest hour, in means of the day, from which a day that fits no pattern still has a marked peak."""

PRIMARY_TOLERANCE = 0.12
"""Part of its threshold by which a leading tag may fall short before a segment loses it."""

TELLING_GAP = 0.5
"""Gap between two segments, in scales of a contrast, below which the contrast tells nobody anything."""

PROFILE_COLUMNS = (
    "mean_daily_kwh",
    "load_factor",
    "base_share",
    "weekend_ratio",
    "night_share",
    "summer_ratio",
    "winter_ratio",
    "daily_kwh_cv",
    "kwh_change_yoy_pct",
    "billed_amount_12m_amount",
)
"""Member medians that are kept with a segment, for its name, its card and its page."""


@dataclass(frozen=True, slots=True)
class Tag:
    """One property that a segment can have.

    Attributes:
        code: Name in code.
        name: Part of an English segment name.
        name_zh: Part of a Chinese segment name.
        meaning: What the members do, a clause without its subject.
        meaning_zh: The same in Chinese.
        offer: What to do for them, an imperative clause.
        offer_zh: The same in Chinese.
        avoid: What not to do, an imperative clause.
        avoid_zh: The same in Chinese.
    """

    code: str
    name: str
    name_zh: str
    meaning: str
    meaning_zh: str
    offer: str = ""
    offer_zh: str = ""
    avoid: str = ""
    avoid_zh: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """Everything in words about a segment.

    Attributes:
        tags: Codes of all rules that hold; the first one leads the name.
        name_tags: Codes that the name is made of.
        name: Unique name in English.
        name_zh: Unique name in Chinese.
        description: What marks its members, in one sentence.
        description_zh: The same in Chinese.
        offer: What to offer them, in one sentence.
        offer_zh: The same in Chinese.
        avoid: What to avoid, in one sentence.
        avoid_zh: The same in Chinese.
    """

    tags: tuple[str, ...]
    name_tags: tuple[str, ...]
    name: str
    name_zh: str
    description: str
    description_zh: str
    offer: str
    offer_zh: str
    avoid: str
    avoid_zh: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules look at: the centre's working day and the medians of the members.

    Attributes:
        group: One of ``features.GROUPS``.
        working_day: 24 ratios, divided by their mean; all equal where readings have no hours.
        shifts: How seasons and rest days differ in level, by column; 0 where it is not known.
        profile: Medians of ``PROFILE_COLUMNS``, NaN where unknown.
    """

    group: str
    working_day: FloatArray
    shifts: Mapping[str, float]
    profile: Mapping[str, float]

    @classmethod
    def of(cls, group: str, centre: FloatArray, profile: Mapping[str, float]) -> "Facts":
        """Return the facts of a segment.

        Args:
            group: One of ``features.GROUPS``.
            centre: Numbers of the group's shape.
            profile: Medians of the members.
        """
        shifts = centre[-len(DAILY_SPACE.names) :]
        working_day = np.ones(24) if group in DAILY_GROUPS else centre[WORKING_DAY]
        return cls(
            group,
            working_day / max(float(working_day.mean()), np.finfo(np.float64).tiny),
            dict(zip(DAILY_SPACE.names, shifts.tolist(), strict=True)),
            profile,
        )

    @property
    def is_residential(self) -> bool:
        """Whether the members are households."""
        return self.group.startswith("R")

    @property
    def has_hours(self) -> bool:
        """Whether the members' readings say at what hour they use electricity."""
        return self.group not in DAILY_GROUPS

    def level(self, hours: Sequence[int]) -> float:
        """Return the mean power of the hours, in means of the day."""
        return float(self.working_day[list(hours)].mean())

    def leads(self, hours: Sequence[int]) -> float:
        """Return by which factor the hours exceed the part of the day with the largest power beside them."""
        rivals = [self.level(rival) for rival in RIVALS if not set(rival) & set(hours)]
        return self.level(hours) / max(*rivals, np.finfo(np.float64).tiny)

    def share(self, hours: Sequence[int]) -> float:
        """Return the share of the day's energy that falls into the hours."""
        return float(self.working_day[list(hours)].sum()) / 24

    @property
    def peak_hour(self) -> int:
        """Hour of the working day with the largest power."""
        return int(np.argmax(self.working_day))

    @property
    def peak_ratio(self) -> float:
        """Largest hour in means of the day."""
        return float(self.working_day.max())

    @property
    def base_ratio(self) -> float:
        """Mean of the three lowest hours in means of the day."""
        return float(np.sort(self.working_day)[:3].mean())

    @property
    def swing(self) -> float:
        """How far the day leaves its mean, up or down, in means of the day."""
        return max(self.peak_ratio - 1, 1 - self.base_ratio)

    @property
    def peak_time(self) -> float:
        """Centre of what lies above the mean within four hours of the peak, in hours; may lie beyond 0 to 24."""
        offsets = np.arange(-4, 5)
        excess = np.clip(self.working_day[(self.peak_hour + offsets) % 24] - 1, 0, None)
        return self.peak_hour + float((offsets * excess).sum() / max(float(excess.sum()), np.finfo(np.float64).tiny))


@dataclass(frozen=True, slots=True)
class Contrast:
    """A difference that tells apart segments with the same tags.

    Attributes:
        value: The quantity that is compared.
        scale: Difference of the quantity that a person would notice.
        low: What the segment with the smaller quantity is called.
        high: What the other one is called.
    """

    value: Callable[[Facts], float]
    scale: float
    low: Tag
    high: Tag


PRIMARY_TAGS = {
    tag.code: tag
    for tag in (
        Tag(
            "midday_dip", "Midday-dip", "午间低谷（疑似光伏）",
            "take little around noon and much in the morning and evening, as those with solar panels do",
            "午间用电明显偏低、早晚偏高，疑似装有光伏",
            "check the metering of exports and offer storage and advice on self-consumption",
            "核对上网计量，推荐储能与自发自用方案",
            "do not read their low noon as a saving, and do not invite them to use more at noon before the meter is "
            "checked",
            "核实计量前，不把午间低用电视为节电，也不邀约午间填谷",
        ),
        Tag(
            "night_use", "Night-use", "夜间用电",
            "use most between 22:00 and 06:00, for example to charge a vehicle or heat water",
            "用电集中在 22 时至次日 6 时，如电动汽车充电、蓄热",
            "offer a tariff with a cheap night and managed charging",
            "推荐谷段优惠的分时电价与有序充电",
            "do not invite them to cut the evening peak, where they have little to shift",
            "不邀约晚高峰削峰，可转移负荷少",
        ),
        Tag(
            "evening_peak", "Evening-peak", "晚高峰",
            "use most between 18:00 and 22:00", "用电集中在 18 时至 22 时",
            "invite them to evening demand response and advise on moving laundry, hot water and charging to the night",
            "邀约晚高峰需求响应，建议洗衣、热水、充电改到谷段",
            "do not move them to plain time-of-use prices before their saving is computed",
            "未测算节省前，不直接推荐分时电价",
        ),
        Tag(
            "morning_evening", "Morning-and-evening", "早晚双峰",
            "have two peaks, before 9:00 and after 18:00, and use less in between",
            "9 时前与 18 时后各有一个高峰，其间用电较低",
            "offer timers and a check of time-of-use prices, and reach them by app outside working hours",
            "推荐定时用电与分时电价测算，非工作时间通过应用联系",
            "do not telephone them in working hours", "避免工作时间电话联系",
        ),
        Tag(
            "daytime_home", "Daytime-at-home", "日间在家",
            "use most between 9:00 and 17:00, as those who are at home by day do",
            "用电集中在 9 时至 17 时，多为白天在家",
            "offer advice on efficient cooling and cooking, and rooftop solar",
            "推荐制冷、厨房节能方案及屋顶光伏",
            "do not offer a tariff with an expensive daytime", "不推荐日间高价的电价",
        ),
        Tag(
            "steady_base", "Steady-load", "基荷稳定",
            "use nearly the same power at all hours", "全天负荷平稳，基荷占比高",
            "help to find devices that are always on, and offer an appliance check",
            "排查常开设备，提供家电能效体检",
            "do not spend load-shifting campaigns on them", "不邀约移峰活动",
        ),
        Tag(
            "mixed_home", "Mixed-hours", "综合用电",
            "spread their use over the day without a marked peak", "全天用电分散，无明显高峰",
            "send general advice on saving energy", "推送一般节能建议",
            "do not choose them for a campaign that needs a marked peak", "不纳入针对高峰的活动",
        ),
        Tag(
            "round_the_clock", "Round-the-clock", "全天生产",
            "run day and night without large swings", "昼夜连续运行，负荷起伏不大",
            "review contracted demand and power factor, and offer a flat-price or contract package",
            "复核合同需量与功率因数，推荐平价或合约套餐",
            "do not ask for curtailment at short notice before their process is known",
            "未了解工艺前，不临时要求压减负荷",
        ),
        Tag(
            "night_production", "Off-peak", "避峰生产",
            "work most between 22:00 and 06:00 and so avoid the peak hours",
            "生产集中在 22 时至次日 6 时，避开高峰时段",
            "tell them of every change of the time-of-use hours and offer packages with a cheap valley",
            "及时告知分时时段调整，推荐谷段优惠套餐",
            "do not offer a package without time-of-use prices", "不推荐不分时套餐",
        ),
        Tag(
            "day_shift", "Day-shift", "日间单班",
            "work one shift between 8:00 and 18:00", "单班生产经营，用电集中在 8 时至 18 时",
            "offer solar and storage, and check what the cheap hours at noon would save them",
            "推荐光伏与储能，测算午间深谷时段收益",
            "do not invite them to evening demand response", "不邀约晚间需求响应",
        ),
        Tag(
            "two_shifts", "Two-shift", "两班生产",
            "work from morning to late evening and little at night", "清晨至深夜两班运行，夜间负荷较低",
            "invite them to demand response at the peaks and review contracted demand",
            "邀约尖峰需求响应，复核合同需量",
            "do not offer a package with a high evening price", "不推荐晚间高价套餐",
        ),
        Tag(
            "noon_heavy", "Noon-heavy", "午间填谷",
            "use most between 11:00 and 14:00", "用电集中在 11 时至 14 时，有利于午间填谷",
            "offer packages with a cheap noon", "推荐午间深谷优惠套餐",
            "do not ask them to curtail at noon", "不邀约午间压减",
        ),
        Tag(
            "evening_trade", "Evening-trade", "晚间营业",
            "are busiest between 18:00 and 22:00", "18 时至 22 时营业最为繁忙",
            "advise on cooling and lighting, and compute what storage would save at the evening peak",
            "提供空调照明节能方案，测算晚峰储能收益",
            "do not ask for curtailment in opening hours", "不在营业时段邀约压减",
        ),
        Tag(
            "mixed_business", "Mixed-hours", "综合经营",
            "spread their use over the day without a marked shift pattern", "用电分散，无明显班制",
            "visit to learn how they work before any offer", "先走访了解经营规律，再推荐方案",
            "do not offer a standard package unchecked", "未测算前不推荐标准套餐",
        ),
        Tag(
            "marked_peak", "Marked-peak", "尖峰明显",
            "have a marked peak that fits no usual pattern", "有明显尖峰，但不属于常见类型",
            "ask what runs at the hour of their peak before any offer", "先了解尖峰时段的用电设备，再推荐方案",
            "do not offer a tariff with an expensive hour of their peak", "不推荐其尖峰时段高价的电价",
        ),
        Tag(
            "winter_heavy", "Winter-heavy", "冬季高用电",
            "use clearly more in winter than in the mild months", "冬季用电明显高于春秋季",
            "send advice on heating before the cold months, and offer a check of the heating",
            "入冬前推送采暖节能建议，提供采暖设备检查",
            "do not estimate their yearly instalments from summer use", "不按夏季用电测算全年分期",
        ),
        Tag(
            "summer_heavy", "Summer-heavy", "夏季高用电",
            "use clearly more in summer than in the mild months", "夏季用电明显高于春秋季",
            "send advice on cooling before the hot months", "入夏前推送制冷节能建议",
            "do not estimate their yearly instalments from spring use", "不按春季用电测算全年分期",
        ),
        Tag(
            "rest_day_heavy", "Rest-day", "休息日偏高",
            "use more on weekends and holidays than on working days", "休息日用电高于工作日",
            "offer prices that are cheap at weekends, once their hours are known", "取得分时数据后推荐周末优惠电价",
            "do not plan events on working days with them", "不安排工作日活动",
        ),
        Tag(
            "working_day_heavy", "Working-day", "工作日偏高",
            "use more on working days than on weekends and holidays", "工作日用电高于休息日",
            "plan visits and events for working days", "走访与活动安排在工作日",
            "do not count on their load at weekends", "周末负荷不可按工作日计",
        ),
        Tag(
            "even_year", "Even-year", "全年平稳",
            "use about the same in all seasons and on all days", "各季节、各类日用电基本一致",
            "offer equal instalments, and a meter that reads hours", "推荐均摊缴费，建议改装分时计量表",
            "do not choose them for seasonal campaigns", "不纳入季节性活动",
        ),
    )
}  # fmt: skip

QUALIFIERS = {
    tag.code: tag
    for tag in (
        Tag(
            "two_rest_days", "two rest days", "周末双休", "rest on both weekend days", "周末双休",
            "plan maintenance and demand response for working days", "检修与需求响应安排在工作日",
            "do not schedule events at weekends", "不在周末邀约",
        ),
        Tag(
            "one_rest_day", "one rest day", "周末单休", "work less at weekends", "周末单休或减产",
            "offer cheap weekend hours", "推荐周末谷段优惠",
            "do not reckon with their full load at weekends", "周末负荷不可按工作日估计",
        ),
        Tag(
            "no_rest_days", "no rest days", "全年无休", "work on all days alike", "全周连续运行",
            "offer a contract with a stable price", "推荐价格稳定的合约",
            "do not plan outages without notice", "停电检修须提前约定",
        ),
        Tag(
            "summer_sensitive", "summer cooling", "夏季气温敏感",
            "use clearly more in summer", "夏季用电明显上升",
            "send advice on cooling before June and invite them to summer events",
            "六月前推送制冷节能建议，邀约迎峰度夏活动",
            "do not set instalments by what they use in spring", "分期金额不按春季用电估算",
        ),
        Tag(
            "winter_sensitive", "winter heating", "冬季气温敏感",
            "use clearly more in winter", "冬季用电明显上升",
            "send advice on heating before November", "十一月前推送采暖节能建议",
            "do not set instalments by what they use in summer", "分期金额不按夏季用电估算",
        ),
        Tag(
            "weekend_home", "busy weekends", "周末在家",
            "use clearly more at weekends", "周末用电明显上升",
            "contact them at weekends", "周末联系",
            "do not expect them on campaigns of working days", "工作日活动参与度低",
        ),
        Tag(
            "volatile", "volatile", "负荷波动", "vary strongly from day to day", "日间用电波动大",
            "read their meters at shorter intervals and check estimated bills", "缩短抄表间隔，核对估抄电费",
            "do not fix their instalments", "不宜固定分期金额",
        ),
        Tag(
            "rising", "rising use", "用电爬坡", "use more than a year ago", "用电较上年明显上升",
            "ask whether their contracted capacity still suffices", "核实合同容量是否满足增长",
            "do not estimate their bills from last year", "不按上年用电估算电费",
        ),
        Tag(
            "falling", "falling use", "用电下滑", "use less than a year ago", "用电较上年明显下降",
            "ask what changed and check contracted capacity", "了解下滑原因，复核合同容量",
            "do not tie them to a minimum offtake", "不签订保底电量条款",
        ),
    )
}  # fmt: skip


def _than_others(code: str, name: str, name_zh: str, compared: str, compared_zh: str) -> Tag:
    return Tag(code, name, name_zh, f"{compared} than others like them", f"{compared_zh}同类客户")


CONTRASTS = {
    "peak_time": Contrast(
        lambda facts: facts.peak_time, 0.6,
        _than_others("earlier_peak", "earlier peak", "峰时偏早", "peak earlier", "峰时早于"),
        _than_others("later_peak", "later peak", "峰时偏晚", "peak later", "峰时晚于"),
    ),
    "daytime": Contrast(
        lambda facts: facts.level(DAYTIME), 0.12,
        _than_others("lighter_day", "lighter daytime", "日间偏低", "use less by day", "日间用电低于"),
        _than_others("heavier_day", "heavier daytime", "日间偏高", "use more by day", "日间用电高于"),
    ),
    "night": Contrast(
        lambda facts: facts.level(NIGHT), 0.12,
        _than_others("quieter_night", "quieter night", "夜间偏低", "use less at night", "夜间用电低于"),
        _than_others("busier_night", "busier night", "夜间偏高", "use more at night", "夜间用电高于"),
    ),
    "peak_height": Contrast(
        lambda facts: facts.peak_ratio, 0.2,
        _than_others("flatter", "flatter peak", "峰形较缓", "have a flatter peak", "峰形缓于"),
        _than_others("sharper", "sharper peak", "峰形较陡", "have a sharper peak", "峰形陡于"),
    ),
    "weekend": Contrast(
        lambda facts: facts.profile["weekend_ratio"], 0.08,
        _than_others("lower_weekend", "lower weekends", "周末偏低", "use less at weekends", "周末用电低于"),
        _than_others("higher_weekend", "higher weekends", "周末偏高", "use more at weekends", "周末用电高于"),
    ),
    "summer": Contrast(
        lambda facts: facts.profile["summer_ratio"], 0.12,
        _than_others("less_summer", "less summer use", "夏季偏低", "use less in summer", "夏季用电低于"),
        _than_others("more_summer", "more summer use", "夏季偏高", "use more in summer", "夏季用电高于"),
    ),
    "winter": Contrast(
        lambda facts: facts.profile["winter_ratio"], 0.12,
        _than_others("less_winter", "less winter use", "冬季偏低", "use less in winter", "冬季用电低于"),
        _than_others("more_winter", "more winter use", "冬季偏高", "use more in winter", "冬季用电高于"),
    ),
}  # fmt: skip
"""What may tell apart segments with the same tags, by name of the quantity."""

_CONTRAST_TAGS = {tag.code: tag for contrast in CONTRASTS.values() for tag in (contrast.low, contrast.high)}
_CONTRAST_OF_TAG = {tag.code: name for name, one in CONTRASTS.items() for tag in (one.low, one.high)}

UNUSED_LABEL = Label(
    tags=("unused",),
    name_tags=("unused",),
    name="No consumption",
    name_zh="零用电",
    description="Metered for weeks without any use: vacant, closed or disconnected premises.",
    description_zh="有表计读数但长期无用电：空置、停业或已停电。",
    offer="Verify whether the premises are vacant or closed.",
    offer_zh="核实是否空置或停业。",
    avoid="Do not send them marketing.",
    avoid_zh="避免营销联系。",
)

UNKNOWN_LABEL = Label(
    tags=("unknown",),
    name_tags=("unknown",),
    name="Cannot say yet",
    name_zh="暂无法判断",
    description="Too little is known of the load to say which segment fits.",
    description_zh="用电数据不足，暂无法判断所属客群。",
    offer="Wait for more readings, or complete what is missing.",
    offer_zh="等待更多读数，或补全缺失数据。",
    avoid="Do not choose them for campaigns by load shape.",
    avoid_zh="不纳入按负荷形态开展的活动。",
)


def label_segments(
    group: str,
    centres: FloatArray,
    profiles: Sequence[Mapping[str, float]],
    segment_ids: Sequence[str],
    previous_names: Mapping[str, Sequence[str]] | None = None,
) -> list[Label]:
    """Return a unique label for every segment of a group.

    Args:
        group: ``R`` or ``B``.
        centres: Shape ratios, one row per segment; the first 24 are the working day.
        profiles: Medians of ``PROFILE_COLUMNS`` over the members, NaN where unknown.
        segment_ids: Identifiers, the last resort to tell two segments apart.
        previous_names: ``Label.name_tags`` by identifier in the release before. A name whose tags still hold within
            their tolerance stays, whatever name the rules would give today.
    """
    facts = [Facts.of(group, centre, profile) for centre, profile in zip(centres, profiles, strict=True)]
    known = previous_names or {}
    kept = _kept_names(facts, [tuple(known.get(identifier, ())) for identifier in segment_ids])
    fresh = [(primary_tags(one)[0], *qualifier_tags(one)[:1]) for one in facts]
    names = _told_apart([old or new for old, new in zip(kept, fresh, strict=True)], kept, facts, segment_ids)
    return [_label(one, codes) for one, codes in zip(facts, names, strict=True)]


def primary_tags(facts: Facts) -> list[str]:
    """Return the leading tags whose rules hold, the strongest first; never empty."""
    strengths = _primary_strengths(facts)
    held = [code for code in strengths if strengths[code] >= 1.0]
    return sorted(held, key=lambda code: -strengths[code]) or [_fallback(facts)]


def qualifier_tags(facts: Facts) -> list[str]:
    """Return the further tags whose rules hold for the medians of the members, the most telling first."""
    margins = _qualifier_margins(facts)
    return [code for code, margin in margins.items() if margin >= 0.0]


def still_holds(code: str, facts: Facts) -> bool:
    """Return whether a tag that a segment carries may stay: its rule holds within the tolerance.

    What a contrast says depends on the other segments, so it is not judged here.
    """
    if code in PRIMARY_TAGS:
        strengths = _primary_strengths(facts)
        fallbacks = _fallback_strengths(facts)
        if code in fallbacks and max(strengths.values()) >= 1.0 + PRIMARY_TOLERANCE:
            return False
        return (strengths | fallbacks).get(code, 0.0) >= 1.0 - PRIMARY_TOLERANCE
    if code in QUALIFIERS:
        return _qualifier_margins(facts).get(code, -np.inf) >= -1.0
    return True


def _fallback(facts: Facts) -> str:
    strengths = _fallback_strengths(facts)
    return max(strengths, key=lambda code: strengths[code])


def _fallback_strengths(facts: Facts) -> dict[str, float]:
    """Return the strengths of the tags for days that no rule fits: with a peak or without one."""
    if not facts.has_hours:
        return {"even_year": 1.0}
    peak = facts.peak_ratio / MARKED_PEAK_RATIO
    return {"mixed_home" if facts.is_residential else "mixed_business": 1 / peak, "marked_peak": peak}


def _primary_strengths(facts: Facts) -> dict[str, float]:
    """Return for each leading tag a ratio to the threshold of its rule: from 1 on the rule holds.

    A tag that says when most is used also demands that no other part of the day has more.
    """
    level, share, leads = facts.level, facts.share, facts.leads
    if not facts.has_hours:
        rest_day = facts.shifts["mild_rest_day_shift"]
        return {
            "winter_heavy": facts.shifts["winter_level_shift"] / 0.25,
            "summer_heavy": facts.shifts["summer_level_shift"] / 0.25,
            "rest_day_heavy": rest_day / 0.12,
            "working_day_heavy": -rest_day / 0.12,
        }
    # Solar panels push the midday below the night; an empty home or a lunch break only down to it.
    shoulders = min(level(MORNING), level(EVENING))
    midday_dip = min(0.6 * shoulders, 0.8 * level(NIGHT)) / max(level(MIDDAY), 0.05)
    swing = max(facts.swing, 0.05)
    if facts.is_residential:
        return {
            "midday_dip": midday_dip,
            "night_use": min(share(NIGHT) / 0.45, leads(NIGHT)),
            "evening_peak": min(level(EVENING) / 1.3, leads(EVENING)),
            "morning_evening": min(shoulders / 1.15, 0.9 * shoulders / max(level(DAYTIME), 0.05)),
            "daytime_home": min(level(DAYTIME) / 1.15, leads(DAYTIME)),
            "steady_base": 0.25 / swing,
        }
    return {
        "midday_dip": midday_dip,
        "round_the_clock": 0.35 / swing,
        "night_production": min(share(NIGHT) / 0.42, leads(NIGHT)),
        "day_shift": share(DAY_SHIFT) / 0.6,
        "two_shifts": min(share(OPENING) / 0.82, 0.6 / max(level(NIGHT), 0.05)) if share(DAY_SHIFT) < 0.6 else 0.0,
        "noon_heavy": min(level(NOON) / 1.9, leads(NOON)),
        "evening_trade": min(level(EVENING) / 1.6, leads(EVENING)),
    }


def _qualifier_margins(facts: Facts) -> dict[str, float]:
    """Return for each further tag how far the median lies beyond the threshold, in tolerances; NaN is unknown."""
    profile = facts.profile
    weekend = profile["weekend_ratio"]
    change = profile["kwh_change_yoy_pct"]
    seasonal = [("summer_sensitive", profile["summer_ratio"]), ("winter_sensitive", profile["winter_ratio"])]
    margins: dict[str, float] = {}
    if not facts.is_residential:
        margins |= {
            "two_rest_days": (0.5 - weekend) / 0.08,
            "one_rest_day": min(0.85 - weekend, weekend - 0.5) / 0.05,
            "no_rest_days": (weekend - 0.95) / 0.05,
        }
    # Where readings have no hours, seasons and rest days lead the name.
    if facts.has_hours:
        margins |= {code: (ratio - 1.25) / 0.1 for code, ratio in sorted(seasonal, key=lambda pair: -pair[1])}
    if facts.is_residential and facts.has_hours:
        margins["weekend_home"] = (weekend - 1.12) / 0.05
    margins |= {
        "volatile": (profile["daily_kwh_cv"] - 0.6) / 0.1,
        "rising": (change - 15) / 5,
        "falling": (-15 - change) / 5,
    }
    return margins


def _kept_names(facts: Sequence[Facts], previous: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the earlier names that are still true, and an empty name where there is none."""
    kept = [
        codes if codes and all(still_holds(code, one) for code in codes) else ()
        for one, codes in zip(facts, previous, strict=True)
    ]
    while True:
        untrue = {row for row, codes in enumerate(kept) for code in codes if _is_turned_round(code, row, kept, facts)}
        if not untrue:
            return kept
        kept = [() if row in untrue else codes for row, codes in enumerate(kept)]


def _is_turned_round(code: str, row: int, names: Sequence[tuple[str, ...]], facts: Sequence[Facts]) -> bool:
    """Return whether a segment that is called "later" now is earlier than the one called "earlier"."""
    if code not in _CONTRAST_OF_TAG:
        return False
    contrast = CONTRASTS[_CONTRAST_OF_TAG[code]]
    opposite, sign = (contrast.high.code, 1) if code == contrast.low.code else (contrast.low.code, -1)
    own = contrast.value(facts[row])
    return any(
        names[row][0] == names[other][0] and opposite in names[other] and sign * (own - contrast.value(one)) > 0
        for other, one in enumerate(facts)
        if names[other]
    )


def _told_apart(
    names: list[tuple[str, ...]],
    kept: Sequence[tuple[str, ...]],
    facts: Sequence[Facts],
    segment_ids: Sequence[str],
) -> list[tuple[str, ...]]:
    """Return names that differ, by adding to equal ones what differs most; kept names stay as they are."""
    told = list(names)
    while True:
        equal = next((rows for name in told if len(rows := _rows_named(name, told)) > 1), None)
        if equal is None:
            return told
        # Kept names differ from each other as they did in their release, so at most one of these rows is kept.
        free = [row for row in equal if not kept[row]]
        chosen = _best_contrast([facts[row] for row in equal], told[equal[0]])
        if chosen is None:
            for row in free:
                told[row] = (*told[row], segment_ids[row])
            continue
        contrast, limit = chosen
        for row in free:
            tag = contrast.low if contrast.value(facts[row]) < limit else contrast.high
            told[row] = (*told[row], tag.code)


def _rows_named(name: tuple[str, ...], names: Sequence[tuple[str, ...]]) -> list[int]:
    return [row for row, other in enumerate(names) if other == name]


def _best_contrast(facts: Sequence[Facts], used: Sequence[str]) -> tuple[Contrast, float] | None:
    """Return the contrast with the widest gap between two neighbours, and the middle of that gap."""
    best: tuple[float, Contrast, float] | None = None
    used_contrasts = {_CONTRAST_OF_TAG[code] for code in used if code in _CONTRAST_OF_TAG}
    for name, contrast in CONTRASTS.items():
        values = np.sort([contrast.value(one) for one in facts])
        if name in used_contrasts or not np.isfinite(values).all():
            continue
        gaps = np.diff(values)
        widest = int(np.argmax(gaps))
        telling = float(gaps[widest]) / contrast.scale
        if telling >= TELLING_GAP and (best is None or telling > best[0]):
            best = telling, contrast, float(values[widest] + values[widest + 1]) / 2
    return None if best is None else best[1:]


def _label(facts: Facts, name_codes: tuple[str, ...]) -> Label:
    primary = name_codes[0]
    qualifiers = [code for code in name_codes if code in QUALIFIERS]
    qualifiers += [code for code in qualifier_tags(facts) if code not in qualifiers]
    tags = [PRIMARY_TAGS[primary], *(QUALIFIERS[code] for code in qualifiers)]
    marks = [*tags, *(_CONTRAST_TAGS[code] for code in name_codes if code in _CONTRAST_TAGS)]
    words, words_zh = ("households", "居民") if facts.is_residential else ("businesses", "企业")
    known = PRIMARY_TAGS | QUALIFIERS | _CONTRAST_TAGS
    parts = [known.get(code) or Tag(code, code, code, "", "") for code in name_codes]
    description = f"These {words} {_listed([tag.meaning for tag in marks])}"
    description_zh = f"这类{words_zh}{'，'.join(tag.meaning_zh for tag in marks)}"
    if facts.has_hours:
        description += f"; on a working day they peak at {facts.peak_hour:02d}:00 with {facts.peak_ratio:.1f} times "
        description += "their mean power"
        description_zh += f"；工作日 {facts.peak_hour} 时负荷最高，为日均的 {facts.peak_ratio:.1f} 倍"
    daily_kwh = facts.profile["mean_daily_kwh"]
    if np.isfinite(daily_kwh):
        description += f", and the median member uses {daily_kwh:,.1f} kWh a day"
        description_zh += f"，中位客户日用电 {daily_kwh:,.1f} 千瓦时"
    # Advice of the leading tag and of the most telling further one; more would be read by nobody.
    advised = tags[:2]
    return Label(
        tags=(primary, *qualifiers),
        name_tags=name_codes,
        name=f"{parts[0].name} {words}" + "".join(f", {tag.name}" for tag in parts[1:]),
        name_zh="·".join(tag.name_zh for tag in parts) + words_zh,
        description=f"{description}.",
        description_zh=f"{description_zh}。",
        offer=_sentence("; ".join(tag.offer for tag in advised)),
        offer_zh=f"{'；'.join(tag.offer_zh for tag in advised)}。",
        avoid=_sentence("; ".join(tag.avoid for tag in advised)),
        avoid_zh=f"{'；'.join(tag.avoid_zh for tag in advised)}。",
    )


def _listed(clauses: Sequence[str]) -> str:
    return clauses[0] if len(clauses) == 1 else f"{', '.join(clauses[:-1])}, and {clauses[-1]}"


def _sentence(clause: str) -> str:
    return f"{clause[0].upper()}{clause[1:]}."
