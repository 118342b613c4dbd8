"""Chinese for what trainings and the gate keep in English.

The record of a release, of a decision and of a training is written once and never again: figures, and English phrases
around them. The site says them in Chinese from the record's own parts, so that records of any age are told in both
languages. A phrase that is not known here stays in English; a test over real records finds it.
"""

import re
from typing import TYPE_CHECKING

from ml.gate import GateDecision
from ml.sufficiency import SufficiencyReport
from ml.wording import BASELINE_TITLES, SLICE_TITLES, Bilingual, criterion_title

if TYPE_CHECKING:
    from monitoring.model_history import JudgedCriterion

_NUMBER = r"[+-]?[\d.,]+(?:%| %)?"

_WHOLE: dict[str, str] = {
    "a report": "评估报告",
    "a value with an interval": "带区间的数值",
    "all requirements met": "全部满足",
    "all differ": "各不相同",
    "every name once": "名称不得重复",
    "more than each of the three baselines": "高于三个基准中的每一个",
    "a smaller share of customers made worse off, or none in both": "受损客户占比更小，或双方均为零",
    "to be judged": "须能判断",
    "missing": "缺失",
    "nothing": "无",
    "known, not limited": "仅告知，不设限",
    "gate": "发布检验",
    "credit risk model owner": "信用风险模型负责人",
    "customer segmentation model owner": "客户分群模型负责人",
    "tariff matching model owner": "电价匹配模型负责人",
    "under 1 year": "不足 1 年",
    "1 to 3 years": "1 至 3 年",
    "3 years and more": "3 年及以上",
    "This model": "本模型",
    "Stay on today's tariff": "维持现行电价",
    "Cheapest on last year's bill": "按去年账单最低",
    "Cheapest on the class's mean profile": "按类别平均曲线最低",
    "Own interval readings": "自有区间读数",
    "Monthly energy only": "仅月电量",
    "Class only": "仅类别",
    "same as last year": "与去年相同",
    "seasonal mean": "季节均值",
    "(rare)": "少见类别合计",
    "residential": "居民",
    "commercial": "商业",
    "industrial": "工业",
    "agricultural": "农业",
    "business": "企业",
    "true": "是",
    "false": "否",
    "stable": "稳定",
    "growing": "增长",
    "shrinking": "下降",
    "new": "新客户",
    "dormant": "休眠",
    "at_risk": "有流失风险",
    "unknown": "未知",
    "act": "需处理",
    "watch": "关注",
    "psi": "群体稳定性指数（PSI）",
    "weather adjusted": "去除天气影响",
    "same season": "同季节",
    "billed amount": "电费",
    "expected loss": "预期损失",
    "expected saving": "预期节省",
    "yes": "是",
    "no": "否",
}
"""Texts that are one phrase, and codes of the data that have a word."""

_PHRASES: tuple[tuple[str, str], ...] = (
    # figures held out, one sentence per use case
    (
        rf"Held out by time and by customer at once: ({_NUMBER}) snapshots of ({_NUMBER}) customers, as of (.+?), each "
        r"judged by a model that was trained on other customers\.",
        r"同时按时间与客户留出：\2 名客户的 \1 个快照（\3），均由未用该客户训练的模型评判。",
    ),
    (
        r"Held out by customer only: (\S+) snapshots of (\S+) customers of whom nothing was used in training\.",
        r"仅按客户留出：\2 名客户的 \1 个快照，训练未使用其任何数据。",
    ),
    (
        r" ?Training ends with snapshots of (\S+), whose (\d+) months of outcome are over before the hold-out begins; "
        r"(\d+) months between are left out\.?",
        r"训练止于 \1 的快照，其 \2 个月结果窗口在留出样本开始前结束；其间 \3 个月不用。",
    ),
    (r", and the first (\d+) months, which see too little past\.", r"最初 \1 个月因历史太短亦不用。"),
    (
        rf"As many segments as are released, found on the window ending (\S+), judged on the shapes of the window "
        rf"ending (\S+) \(({_NUMBER}) (.+?) customers\)\.",
        r"客群数与发布版本相同，由截至 \1 的窗口划分，以截至 \2 的窗口的负荷形态检验（\3 名\4客户）。",
    ),
    (
        r" ?The two trailing windows may share (\d+) month\(s\) of readings, which makes the figure optimistic\.",
        r"两个窗口可能共用 \1 个月读数，指标因此偏乐观。",
    ),
    (r" ?The two trailing windows share no readings\.", r"两个窗口没有共用读数。"),
    (r"Approved: all (\d+) criteria are met\.", r"通过：\1 项要求全部满足。"),
    # demands and what was found
    (rf"interval of the difference not wholly below ({_NUMBER})", r"差值区间不完全低于 \1"),
    (rf", and the lower end of the interval at least ({_NUMBER})", r"，且区间下限不低于 \1"),
    (r" \(lower end of the interval\)", "（按区间下限）"),
    (r" \(upper end of the interval\)", "（按区间上限）"),
    (r" \(any part of the interval\)", "（区间任一部分）"),
    (rf"^({_NUMBER}) within ({_NUMBER}), interval considered$", r"\1，容差 \2，计入区间"),
    (rf"({_NUMBER}) against ({_NUMBER})", r"\1，基准为 \2"),
    (r"two at least (\d+) months apart", r"两个时点至少相隔 \1 个月"),
    (r"(\d+) snapshots of each outcome in every part", r"各部分每种结果至少 \1 个快照"),
    (rf"({_NUMBER}) (?:defaults|snapshots without a default) of ({_NUMBER}) customers", r"\2 名客户的 \1 个快照"),
    (rf"({_NUMBER}) of the customers have their whole day in one hour", r"\1 的客户全天电量集中在一小时"),
    (r"cut by time and customer", "按时间与客户划分"),
    (r"cut by customer", "按客户划分"),
    (r"at least (\S+), (\d+) for a full back-test", r"不少于 \1，完整回测需 \2"),
    (rf"at least ({_NUMBER}) of at least ({_NUMBER}) customers", r"至少 \2 名客户的 \1 个"),
    (rf"at least ({_NUMBER}) of the group", r"不低于该组的 \1"),
    (rf"at least ({_NUMBER}) on average", r"平均不低于 \1"),
    (
        rf"({_NUMBER}) decisions? in shadow, agreement at least (\S+) \(lower end of the interval\), 95 % within (\S+) "
        r"ms, errors at most (\S+)",
        r"后台 \1 次决策，一致率下限不低于 \2，95 % 在 \3 毫秒以内，错误不超过 \4",
    ),
    (
        rf"({_NUMBER}) decisions, agreement (\S+) \(from (\S+)\), 95 % within (\S+) ms, errors (\S+)",
        r"\1 次决策，一致率 \2（下限 \3），95 % 在 \4 毫秒以内，错误 \5",
    ),
    (rf"({_NUMBER}) of ({_NUMBER}) decisions?", r"\2 次中的 \1 次"),
    (r"(\d+) of (\d+) requirements met", r"\2 项要求中满足 \1 项"),
    (rf"at least ({_NUMBER}) and at most ({_NUMBER})", r"不低于 \1，且不高于 \2"),
    (rf"at least ({_NUMBER})", r"不低于 \1"),
    (rf"at most ({_NUMBER})", r"不高于 \1"),
    (rf"({_NUMBER}) points", r"\1 个百分点"),
    (r"as-of months (\S+) to (\S+)", r"评估月份 \1 至 \2"),
    (r"(\d+) months?\b", r"\1 个月"),
    (r"residential and business", "居民与企业"),
    (r", residential", "，居民"),
    (r"residential", "居民"),
    (r", business", "，企业"),
    (r"business", "企业"),
    (r"commercial", "商业"),
    (r"industrial", "工业"),
    (r"agricultural", "农业"),
    (rf"({_NUMBER}|\d{{4}}-\d\d) to ({_NUMBER}|\d{{4}}-\d\d)", r"\1 至 \2"),
)

_REQUIREMENTS: dict[str, tuple[str, str]] = {
    "load_shapes": ("可用负荷形态", "请提供更多客户或更长的读数历史（60 分钟或更短，或跨多个季节的日读数）。"),
    "hourly_readings": ("小时读数", "日读数请按 1440 分钟提供，或提供 60 分钟及更短的读数。"),
    "later_window": ("检验窗口", "请提供更长的历史。"),
    "bills": ("账单", "请提供账单（bills，含 issued_date 与 due_date）。"),
    "payments": ("缴费", "请提供缴费（payments，含 bill_id、paid_date 与 amount）。"),
    "mature_months": ("结果已知的月份", "请提供更多月份的账单与缴费。"),
    "customers": ("客户数", "请提供更多客户。"),
    "labelled_snapshots": ("结果已知的快照", "请提供更多客户或更多月份。"),
    "defaults": ("违约快照", "两种结果都要足够多，模型才能学习。"),
    "good_payers": ("未违约快照", "两种结果都要足够多，模型才能学习。"),
    "parts": ("样本划分", "请提供更多客户或更多月份。"),
    "tariffs": ("可选电价", "请提供电价（tariffs）或使用内置目录。"),
    "load_cube": ("分时负荷", "请提供电表与 60 分钟或更短的读数（meters、meter_readings）。"),
    "months_of_load": ("负荷月数", "请提供更长的读数历史。"),
    "complete_loads": ("读数完整的客户", "请提供更多客户或补齐读数。"),
    "customers_with_a_choice": (
        "有其他可选电价的客户",
        "请提供电价及其适用条件所需的信息（类别、电压、供电、容量）。",
    ),
}
"""What a model cannot do without, and what to deliver where it lacks."""

_DECIDED = re.compile(
    r"Decided at the end of (\S+) on (\d+) months of readings(?: and at (\d+) more months from (\S+) to (\S+))?, by "
    r"forecasts learned from other customers; the exact bills of the (\d+) months to (\S+) \(or as many as were left\) "
    rf"were then paid \(({_NUMBER}) customers with a known tariff and an alternative\)\."
)
_COMPILED = tuple((re.compile(pattern), words) for pattern, words in _PHRASES)
_SLICES = tuple(
    (re.compile(rf" for {re.escape(title.en)} (\S+)"), rf"（{title.zh}：\1）") for title in SLICE_TITLES.values()
)
_BASELINES = {title.en.removeprefix("the ").lower(): title.zh for title in BASELINE_TITLES.values()}


def stored(text: str) -> Bilingual:
    """Return a stored text with its Chinese; what has none is the same in both languages."""
    return Bilingual(en=text, zh=in_chinese(text))


def in_chinese(text: str) -> str:
    """Return a stored text, such as what the gate demanded, in Chinese."""
    if text in _WHOLE:
        return _WHOLE[text]
    decided = _DECIDED.fullmatch(text)
    if decided:
        month, history, more, first, last, horizon, end, customers = decided.groups()
        others = f"，另有 {first} 至 {last} 的 {more} 个月" if more else ""
        return (
            f"在 {month} 末按 {history} 个月读数决策{others}，预测均由其他客户学得；再按截至 {end} 的 {horizon} 个月"
            f"（不足则取所余月份）逐笔计费（{customers} 名现行电价已知且有其他选择的客户）。"
        )
    baseline, colon, rest = text.partition(": ")
    if colon and baseline.lower() in _BASELINES:
        text = f"{_BASELINES[baseline.lower()]}：{rest}"
    for pattern, words in (*_SLICES, *_COMPILED):
        text = pattern.sub(words, text)
    return text


def decision_words(gate: GateDecision) -> Bilingual:
    """Return the reason of a decision in both languages."""
    if not gate.approved:
        refusing = [one for one in gate.criteria if one.passed is not True and not one.overridden_by]
        told = "；".join(f"{_title(one.name)}（{_found(one.observed, one.required)}）" for one in refusing)
        return Bilingual(en=gate.reason, zh=f"未通过：{told or '没有可判断的要求'}。")
    if gate.overrides:
        told = "；".join(
            f"{_title(one.criterion)}（{one.person}，有效至 {one.expires_on}：{one.reason}）" for one in gate.overrides
        )
        return Bilingual(en=gate.reason, zh=f"通过，其中特批 {len(gate.overrides)} 项：{told}。")
    return Bilingual(en=gate.reason, zh=f"通过：{len(gate.criteria)} 项要求全部满足。")


def criterion_words(judged: "JudgedCriterion") -> Bilingual:
    """Return why a demand was not met in both languages."""
    one = judged.criterion
    return Bilingual(en=one.reason, zh=f"{_found(one.observed, one.required)}。")


def shortage_words(report: SufficiencyReport) -> Bilingual:
    """Return what data lacks for a model, and what to deliver, in both languages."""
    told: list[str] = []
    for one in report.missing:
        title, remedy = _REQUIREMENTS.get(one.check, (one.check, ""))
        told.append(f"{title}：{_found(one.found, one.required)}。{remedy}")
    return Bilingual(en=" ".join(one.message for one in report.missing), zh="".join(told))


def _title(name: str) -> str:
    return criterion_title(name).zh or name


def _found(observed: str, required: str) -> str:
    demanded = f"，要求{in_chinese(required)}" if required else ""
    return f"现为 {in_chinese(observed)}{demanded}" if observed else f"无法判断{demanded}"
