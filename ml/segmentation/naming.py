"""Names, descriptions and actions of segments, from rules on their centres, in English and Chinese.

A name is made of tags that retailers use (steady base, day shift, two rest days, …). A tag is given when its rule
holds for the centre or for the median of the members; the same centre always gets the same name. Names are unique in
a release: what two segments share is followed by what sets them apart.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ml.segmentation.features import FloatArray

WORKING_DAY = slice(0, 24)
NIGHT = (22, 23, 0, 1, 2, 3, 4, 5)
MORNING = (6, 7, 8)
DAY_SHIFT = tuple(range(8, 18))
DAYTIME = tuple(range(9, 17))
NOON = (11, 12, 13)
MIDDAY = tuple(range(10, 15))
EVENING = tuple(range(18, 22))
OPENING = tuple(range(6, 22))

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
        meaning: What it says about the members, the end of a sentence.
        meaning_zh: The same in Chinese.
        offer: What to do for such customers.
        offer_zh: The same in Chinese.
        avoid: What not to do.
        avoid_zh: The same in Chinese.
    """

    code: str
    name: str
    name_zh: str
    meaning: str
    meaning_zh: str
    offer: str
    offer_zh: str
    avoid: str
    avoid_zh: str


@dataclass(frozen=True, slots=True)
class Label:
    """Everything in words about a segment.

    Attributes:
        tags: Codes of its tags; the first one leads the name.
        name: Unique name in English.
        name_zh: Unique name in Chinese.
        description: What marks its members.
        description_zh: The same in Chinese.
        actions: What to do for them and what to avoid.
        actions_zh: The same in Chinese.
    """

    tags: tuple[str, ...]
    name: str
    name_zh: str
    description: str
    description_zh: str
    actions: tuple[str, ...]
    actions_zh: tuple[str, ...]


PRIMARY_TAGS = {
    tag.code: tag
    for tag in (
        Tag(
            "midday_dip", "Midday-dip", "午间低谷（疑似光伏）",
            "take little around noon and much in the morning and evening, as homes with solar panels do",
            "午间用电明显偏低、早晚偏高，疑似装有光伏",
            "Check the metering of exports; offer storage and self-consumption advice",
            "核对上网计量，推荐储能与自发自用方案",
            "Do not read low noon use as a saving", "不要把午间低用电当作节电",
        ),
        Tag(
            "night_use", "Night-use", "夜间用电",
            "use most of their energy between 22:00 and 06:00, for example to charge a vehicle or heat water",
            "用电集中在 22 时至次日 6 时，如电动汽车充电、蓄热",
            "Offer a time-of-use tariff with a cheap night and smart charging",
            "推荐谷段优惠的分时电价与有序充电",
            "No evening demand-response events: there is little to shift", "不宜邀约晚高峰削峰，可转移负荷少",
        ),
        Tag(
            "evening_peak", "Evening-peak", "晚高峰",
            "use most between 18:00 and 22:00", "用电集中在 18 时至 22 时",
            "Invite to evening demand response; advise on shifting laundry, hot water and charging",
            "邀约晚高峰需求响应，建议错峰洗衣、热水与充电",
            "No plain time-of-use switch without a saving check", "未测算节省前不要直接推荐分时电价",
        ),
        Tag(
            "morning_evening", "Morning-and-evening", "早晚双峰",
            "leave home in the day: two peaks, before 9:00 and after 18:00", "白天外出，9 时前与 18 时后各有一峰",
            "Offer timers and time-of-use checks; contact by app outside working hours",
            "推荐定时用电与分时电价测算，非工作时间以应用联系",
            "No calls in working hours", "避免工作时间电话联系",
        ),
        Tag(
            "daytime_home", "Daytime-at-home", "日间在家",
            "are at home in the day and use most between 9:00 and 17:00", "白天在家，用电集中在 9 时至 17 时",
            "Offer efficiency advice for cooling and cooking; solar fits well",
            "推荐制冷与厨房节能，适合屋顶光伏",
            "No tariff with an expensive daytime", "不宜推荐日间高价的电价",
        ),
        Tag(
            "steady_base", "Steady-load", "基荷稳定",
            "use nearly the same power at all hours", "全天负荷平稳，基荷占比高",
            "Look for always-on devices; offer an appliance check",
            "排查常开设备，提供家电能效体检",
            "No load-shifting campaigns", "不宜邀约移峰活动",
        ),
        Tag(
            "mixed_home", "Mixed-hours", "综合用电",
            "spread their use over the day without a marked peak", "全天用电分散，无明显高峰",
            "Send general efficiency advice", "推送一般节能建议",
            "No campaign that needs a marked peak", "不宜开展针对高峰的活动",
        ),
        Tag(
            "round_the_clock", "Round-the-clock", "全天生产",
            "run day and night at nearly constant power", "昼夜连续生产，负荷接近恒定",
            "Review contracted demand and power factor; offer a flat-price or contract package",
            "复核合同需量与功率因数，推荐平价或合约套餐",
            "No short-notice curtailment without a production check", "未核实工艺前不宜临时削减",
        ),
        Tag(
            "night_production", "Off-peak", "避峰生产",
            "produce mainly between 22:00 and 06:00", "主要在 22 时至次日 6 时生产",
            "Confirm the time-of-use clock each year; offer valley packages",
            "每年核对分时时段，推荐谷段套餐",
            "No flat-price package", "不宜推荐不分时套餐",
        ),
        Tag(
            "day_shift", "Day-shift", "日间单班",
            "work one shift, between 8:00 and 18:00", "单班生产，用电集中在 8 时至 18 时",
            "Offer solar and storage; check the deep valley at noon",
            "推荐光伏与储能，利用午间深谷时段",
            "No evening demand response", "不宜邀约晚间需求响应",
        ),
        Tag(
            "two_shifts", "Two-shift", "两班生产",
            "work from morning to late evening and rest at night", "清晨至深夜两班生产，夜间停产",
            "Invite to peak demand response; review contracted demand",
            "邀约高峰需求响应，复核合同需量",
            "No package with a high evening price", "不宜推荐晚间高价套餐",
        ),
        Tag(
            "noon_heavy", "Noon-heavy", "午间填谷",
            "use most between 11:00 and 14:00", "用电集中在 11 时至 14 时",
            "Offer packages with a cheap deep valley at noon", "推荐午间深谷优惠套餐",
            "No noon curtailment", "不宜邀约午间削减",
        ),
        Tag(
            "evening_trade", "Evening-trade", "晚间营业",
            "are busiest between 18:00 and 22:00", "18 时至 22 时最为繁忙",
            "Advise on cooling and lighting; check what storage would save at the evening peak",
            "提供空调照明节能方案，测算晚峰储能收益",
            "No evening curtailment events in opening hours", "不宜在营业时段削减",
        ),
        Tag(
            "mixed_business", "Mixed-hours", "综合经营",
            "spread their use over the day without a marked shift pattern", "用电分散，无明显班制",
            "Visit to learn the business pattern before any offer", "走访了解经营规律后再推荐",
            "No standard package without a check", "未测算前不宜推荐标准套餐",
        ),
    )
}  # fmt: skip

QUALIFIERS = {
    tag.code: tag
    for tag in (
        Tag(
            "two_rest_days", "two rest days", "周末双休", "rest on both weekend days", "周末双休",
            "Plan maintenance and demand response for working days", "检修与需求响应安排在工作日",
            "No weekend events", "不宜周末邀约",
        ),
        Tag(
            "one_rest_day", "one rest day", "周末单休", "work less at the weekend", "周末减产或单休",
            "Offer weekend valley packages", "推荐周末谷段套餐",
            "No assumption of full weekend load", "周末负荷不可按工作日计",
        ),
        Tag(
            "no_rest_days", "no rest days", "全年无休", "work on all days alike", "全周连续用电",
            "Offer a contract with a stable price", "推荐价格稳定的合约",
            "No maintenance appointments without notice", "检修须提前约定",
        ),
        Tag(
            "summer_sensitive", "summer cooling", "夏季气温敏感",
            "use clearly more in summer", "夏季用电明显上升",
            "Send cooling advice before June; invite to summer events", "六月前推送制冷建议，邀约迎峰度夏活动",
            "No yearly instalments based on spring use", "分期金额不可按春季用电估算",
        ),
        Tag(
            "winter_sensitive", "winter heating", "冬季气温敏感",
            "use clearly more in winter", "冬季用电明显上升",
            "Send heating advice before November", "十一月前推送采暖建议",
            "No yearly instalments based on summer use", "分期金额不可按夏季用电估算",
        ),
        Tag(
            "weekend_home", "weekend at home", "周末在家",
            "use clearly more at weekends", "周末用电明显上升",
            "Contact at weekends", "周末联系",
            "No weekday campaigns", "不宜工作日活动",
        ),
        Tag(
            "volatile", "volatile", "负荷波动", "vary strongly from day to day", "日间用电波动大",
            "Read the meter at shorter intervals; check billing estimates", "缩短抄表间隔，核对估抄",
            "No fixed instalments", "不宜固定分期",
        ),
    )
}  # fmt: skip

UNUSED_LABEL = Label(
    tags=("unused",),
    name="No consumption",
    name_zh="零用电",
    description="Metered for weeks without any use: vacant, closed or disconnected premises.",
    description_zh="有表计读数但长期无用电：空置、停业或已停电。",
    actions=("Verify that the premises are vacant", "Avoid marketing contacts"),
    actions_zh=("核实是否空置或停业", "避免营销联系"),
)

UNKNOWN_LABEL = Label(
    tags=("unknown",),
    name="Cannot say yet",
    name_zh="暂无法判断",
    description="Too few days with readings, or no load shape, to say which segment fits.",
    description_zh="读数天数不足或缺少负荷曲线，暂无法判断所属客群。",
    actions=("Wait for more readings",),
    actions_zh=("等待更多读数",),
)


def label_segments(
    group: str, centres: FloatArray, profiles: Sequence[Mapping[str, float]], segment_ids: Sequence[str]
) -> list[Label]:
    """Return a unique label for every segment of a group.

    Args:
        group: ``R`` or ``B``.
        centres: One row of 48 ratios per segment.
        profiles: Medians of ``PROFILE_COLUMNS`` over the members, NaN where unknown.
        segment_ids: Identifiers, the last resort to tell two segments apart.
    """
    primaries = [primary_tags(group, centre)[0] for centre in centres]
    qualifiers = [qualifier_tags(group, profile) for profile in profiles]
    suffix, suffix_zh = ("households", "居民") if group == "R" else ("businesses", "企业")
    parts: list[list[tuple[str, str]]] = [
        [(PRIMARY_TAGS[primary].name, PRIMARY_TAGS[primary].name_zh)]
        + [(QUALIFIERS[code].name, QUALIFIERS[code].name_zh) for code in codes[:1]]
        for primary, codes in zip(primaries, qualifiers, strict=True)
    ]
    distinguishers: tuple[Callable[[int], tuple[str, str] | None], ...] = (
        lambda row: _further_qualifier(qualifiers[row]),
        lambda row: _peak_hour_words(centres[row]),
        lambda row: _peak_height_words(centres[row]),
        lambda row: (segment_ids[row], segment_ids[row]),
    )
    for distinguisher in distinguishers:
        keys = [tuple(part) for part in parts]
        for row, key in enumerate(keys):
            if keys.count(key) > 1:
                words = distinguisher(row)
                if words is not None:
                    parts[row].append(words)
    return [
        _label(part, (primary, *codes), centre, profile, suffix, suffix_zh)
        for part, primary, codes, centre, profile in zip(parts, primaries, qualifiers, centres, profiles, strict=True)
    ]


def primary_tags(group: str, centre: FloatArray) -> list[str]:
    """Return the leading tags whose rules hold for a centre, the strongest first; never empty."""
    working = centre[WORKING_DAY]
    mean = max(float(working.mean()), np.finfo(np.float64).tiny)
    total = mean * 24

    def level(hours: Sequence[int]) -> float:
        return float(working[list(hours)].mean()) / mean

    def share(hours: Sequence[int]) -> float:
        return float(working[list(hours)].sum()) / total

    base = float(np.sort(working)[:3].mean()) / mean
    peak = float(working.max()) / mean
    # Each strength is a ratio to the threshold of its rule: from 1 on the rule holds.
    if group == "R":
        shoulders = min(level(MORNING), level(EVENING))
        strengths = {
            # Solar panels push the midday below the night; an empty home only down to it.
            "midday_dip": min(0.6 * shoulders, 0.8 * level(NIGHT)) / max(level(MIDDAY), 0.05),
            "night_use": share(NIGHT) / 0.45,
            "evening_peak": level(EVENING) / 1.35,
            "morning_evening": min(level(MORNING), level(EVENING)) / 1.15,
            "daytime_home": level(DAYTIME) / 1.15,
            "steady_base": min(base / 0.7, 1.4 / peak),
            "mixed_home": 1.0 - np.finfo(np.float64).eps,
        }
    else:
        strengths = {
            "round_the_clock": base / 0.65,
            "night_production": share(NIGHT) / 0.42,
            "day_shift": share(DAY_SHIFT) / 0.6,
            "two_shifts": share(OPENING) / 0.82 if share(DAY_SHIFT) < 0.6 else 0.0,
            "noon_heavy": level(NOON) / 1.9,
            "evening_trade": level(EVENING) / 1.6,
            "mixed_business": 1.0 - np.finfo(np.float64).eps,
        }
    fallback = "mixed_home" if group == "R" else "mixed_business"
    held = [code for code in strengths if strengths[code] >= 1.0]
    return sorted(held, key=lambda code: -strengths[code]) or [fallback]


def qualifier_tags(group: str, profile: Mapping[str, float]) -> list[str]:
    """Return the further tags whose rules hold for the medians of the members, the most telling first."""
    codes = []
    weekend_ratio = profile["weekend_ratio"]
    if group == "B" and np.isfinite(weekend_ratio):
        if weekend_ratio < 0.5:
            codes.append("two_rest_days")
        elif weekend_ratio < 0.85:
            codes.append("one_rest_day")
        elif weekend_ratio >= 0.95:
            codes.append("no_rest_days")
    seasonal = [("summer_sensitive", profile["summer_ratio"]), ("winter_sensitive", profile["winter_ratio"])]
    codes += [code for code, ratio in sorted(seasonal, key=lambda pair: -pair[1]) if ratio >= 1.25]
    if group == "R" and weekend_ratio >= 1.12:
        codes.append("weekend_home")
    if profile["daily_kwh_cv"] >= 0.6:
        codes.append("volatile")
    return codes


def _further_qualifier(codes: Sequence[str]) -> tuple[str, str] | None:
    if len(codes) < 2:
        return None
    return QUALIFIERS[codes[1]].name, QUALIFIERS[codes[1]].name_zh


def _peak_hour_words(centre: FloatArray) -> tuple[str, str]:
    hour = int(np.argmax(centre[WORKING_DAY]))
    return f"peak at {hour:02d}:00", f"峰时{hour}点"


def _peak_height_words(centre: FloatArray) -> tuple[str, str]:
    ratio = float(centre[WORKING_DAY].max())
    return f"{ratio:.1f} times the mean", f"峰值{ratio:.1f}倍"


def _label(
    name_parts: Sequence[tuple[str, str]],
    codes: tuple[str, ...],
    centre: FloatArray,
    profile: Mapping[str, float],
    suffix: str,
    suffix_zh: str,
) -> Label:
    tags = [PRIMARY_TAGS.get(code) or QUALIFIERS[code] for code in codes]
    hour = int(np.argmax(centre[WORKING_DAY]))
    ratio = float(centre[WORKING_DAY].max())
    description = f"These {suffix} {'; they '.join(tag.meaning for tag in tags)}."
    description += f" On a working day they peak at {hour:02d}:00 with {ratio:.1f} times their mean power."
    description_zh = f"这类{suffix_zh}{'；'.join(tag.meaning_zh for tag in tags)}。"
    description_zh += f"工作日峰时为 {hour} 时，为日平均负荷的 {ratio:.1f} 倍。"
    if np.isfinite(profile["mean_daily_kwh"]):
        description += f" The median member uses {profile['mean_daily_kwh']:,.1f} kWh a day."
        description_zh += f"中位客户日用电 {profile['mean_daily_kwh']:,.1f} 千瓦时。"
    return Label(
        tags=codes,
        name=f"{name_parts[0][0]} {suffix}" + "".join(f", {english}" for english, _ in name_parts[1:]),
        name_zh="·".join(chinese for _, chinese in name_parts) + suffix_zh,
        description=description,
        description_zh=description_zh,
        actions=(*(tag.offer for tag in tags), tags[0].avoid),
        actions_zh=(*(tag.offer_zh for tag in tags), tags[0].avoid_zh),
    )
