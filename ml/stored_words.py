"""Chinese for what trainings and the gate keep in English.

The record of a release, of a decision and of a training is written once and never again: figures, and English phrases
around them. Model cards and the model owners' site say them in Chinese from the record's own parts, so that records of
any age are told in both languages. A phrase that is not known here stays in English; a test over real records finds it.
"""

import re
from dataclasses import dataclass

from ml.evaluation import Criterion
from ml.gate import GateDecision
from ml.sufficiency import SufficiencyReport
from ml.wording import BASELINE_TITLES, SLICE_TITLES, Bilingual, criterion_title

_WORDS: dict[str, str] = {
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
    "residential and business": "居民与企业",
    "Leaving": "流失",
    "Joining a programme": "开通增值服务",
    "k-means": "k 均值",
    "Ward hierarchy": "Ward 层次聚类",
    "Gaussian mixture": "高斯混合",
    # demands and what was found
    "{a:t} ({b:t})": "{a} ({b})",
    "{a} to {b}": "{a} 至 {b}",
    "{a:t}: {b:t}": "{a}：{b}",
    "{a:t}, residential": "{a}，居民",
    "{a:t}, business": "{a}，企业",
    "interval of the difference not wholly below {a}": "差值区间不完全低于 {a}",
    "{a:t}, and the lower end of the interval at least {b}": "{a}，且区间下限不低于 {b}",
    "{a:t} (lower end of the interval)": "{a}（按区间下限）",
    "{a:t} (upper end of the interval)": "{a}（按区间上限）",
    "{a:t} (any part of the interval)": "{a}（区间任一部分）",
    "{a} within {b}, interval considered": "{a}，容差 {b}，计入区间",
    "{a} against {b}": "{a}，基准为 {b}",
    "two at least {n} months apart": "两个时点至少相隔 {n} 个月",
    "{n} snapshots of each outcome in every part": "各部分每种结果至少 {n} 个快照",
    "{n} defaults of {c} customers": "{c} 名客户的 {n} 个违约快照",
    "{n} snapshots without a default of {c} customers": "{c} 名客户的 {n} 个未违约快照",
    "{a} of the customers have their whole day in one hour": "{a} 的客户全天电量集中在一小时",
    "cut by time and customer": "按时间与客户划分",
    "cut by customer": "按客户划分",
    "at least {a}, {b} for a full back-test": "不少于 {a}，完整回测需 {b}",
    "at least {n} of at least {c} customers": "至少 {c} 名客户的 {n} 个",
    "at least {a} of the group": "不低于该组的 {a}",
    "at least {a} on average": "平均不低于 {a}",
    "at least {a} and at most {b}": "不低于 {a}，且不高于 {b}",
    "at least {a}": "不低于 {a}",
    "at most {a}": "不高于 {a}",
    "{n} decision in shadow, {a:t}": "后台 {n} 次决策，{a}",
    "{n} decisions in shadow, {a:t}": "后台 {n} 次决策，{a}",
    "agreement at least {a} (lower end of the interval), 95 % within {b} ms, errors at most {c}": (
        "一致率下限不低于 {a}，95 % 在 {b} 毫秒以内，错误不超过 {c}"
    ),
    "{n} decisions, agreement {a} (from {b}), 95 % within {c} ms, errors {d}": (
        "{n} 次决策，一致率 {a}（下限 {b}），95 % 在 {c} 毫秒以内，错误 {d}"
    ),
    "{a} of {b} decision": "{b} 次中的 {a} 次",
    "{a} of {b} decisions": "{b} 次中的 {a} 次",
    "{a} of {b} requirements met": "{b} 项要求中满足 {a} 项",
    "{a} points": "{a} 个百分点",
    "as-of months {a} to {b}": "评估月份 {a} 至 {b}",
    "{n} month": "{n} 个月",
    "{n} months": "{n} 个月",
    "{a} to {b} months": "{a} 至 {b} 个月",
    "up to {n} months": "至多 {n} 个月",
    # how figures were held out
    "Held out by time and by customer at once: {n} snapshots of {c} customers, as of {m:t}, each judged by a model "
    "that was trained on other customers.": (
        "同时按时间与客户留出：{c} 名客户的 {n} 个快照（{m}），均由未用该客户训练的模型评判。"
    ),
    "Held out by customer only: {n} snapshots of {c} customers of whom nothing was used in training.": (
        "仅按客户留出：{c} 名客户的 {n} 个快照，训练未使用其任何数据。"
    ),
    "Training ends with snapshots of {m}, whose {a} months of outcome are over before the hold-out begins; {b} months "
    "between are left out.": "训练止于 {m} 的快照，其 {a} 个月结果窗口在留出样本开始前结束；其间 {b} 个月不用。",
    "Training ends with snapshots of {m}, whose {a} months of outcome are over before the hold-out begins; {b} months "
    "between are left out, and the first {c} months, which see too little past.": (
        "训练止于 {m} 的快照，其 {a} 个月结果窗口在留出样本开始前结束；其间 {b} 个月不用。"
        "最初 {c} 个月因历史太短亦不用。"
    ),
    "As many segments as are released, found on the window ending {a}, judged on the shapes of the window ending {b} "
    "({n} {who:t} customers).": (
        "客群数与发布版本相同，由截至 {a} 的窗口划分，以截至 {b} 的窗口的负荷形态检验（{n} 名{who}客户）。"
    ),
    "The two trailing windows may share {n} month(s) of readings, which makes the figure optimistic.": (
        "两个窗口可能共用 {n} 个月读数，指标因此偏乐观。"
    ),
    "The two trailing windows share no readings.": "两个窗口没有共用读数。",
    "Decided at the end of {m} on {h} months of readings, by forecasts learned from other customers; the exact bills "
    "of the {n} months to {e} (or as many as were left) were then paid ({c} customers with a known tariff and an "
    "alternative).": (
        "在 {m} 末按 {h} 个月读数决策，预测均由其他客户学得；再按截至 {e} 的 {n} 个月（不足则取所余月份）逐笔计费"
        "（{c} 名现行电价已知且有其他选择的客户）。"
    ),
    "Decided at the end of {m} on {h} months of readings and at {k} more months from {f} to {l}, by forecasts learned "
    "from other customers; the exact bills of the {n} months to {e} (or as many as were left) were then paid ({c} "
    "customers with a known tariff and an alternative).": (
        "在 {m} 末按 {h} 个月读数决策，另有 {f} 至 {l} 的 {k} 个月，预测均由其他客户学得；再按截至 {e} 的 {n} 个月"
        "（不足则取所余月份）逐笔计费（{c} 名现行电价已知且有其他选择的客户）。"
    ),
    "Approved: all {n} criteria are met.": "通过：{n} 项要求全部满足。",
    # notes of model cards
    "The scorecard is taken: the trees do not predict better beyond doubt.": "采用评分卡：提升树并未确凿地预测得更好。",
    "By how much the trees lower the logarithmic loss, same rows: {a:t}.": "同一样本上提升树降低的对数损失：{a}。",
    "Calibration: the points are scaled on {n} snapshots with {d} defaults, each by a model that did not know the "
    "customer.": "校准：分值在 {n} 个快照（违约 {d} 个）上定标，评分模型均未见过该客户。",
    "Intervals are 95 % bootstrap intervals over customers, since snapshots of one customer repeat each other.": (
        "区间为按客户重抽样的 95 % 自助法区间，因同一客户的各快照彼此相似。"
    ),
    "Figures are of models of the same size that were trained and calibrated without the customer whom they judge; the "
    "released model is trained on all customers of the same months.": (
        "指标来自同等规模、训练与校准均未使用被评客户的模型；发布的模型以同期全部客户训练。"
    ),
    "development to hold-out": "开发样本至留出样本",
    "Usable load shapes: {a} residential, {b} business.": "可用负荷形态：居民 {a}，企业 {b}。",
    "The readings are hourly or finer.": "读数为小时或更细。",
    "Found on {a}, judged on {b}.": "以 {a} 划分，以 {b} 检验。",
    "{who:t}: {n} segment(s) by {how:t} from {c} customers; {u} unusual shapes were left out while the centres were "
    "found and are assigned to the nearest, as are {l} that lack a season or a kind of day.": (
        "{who}：由 {c} 名客户以 {how} 得到 {n} 个客群；{u} 个异常形态未参与求中心，"
        "与另 {l} 个缺某季节或某类日的客户一并归入最近的中心。"
    ),
    "{who:t}: no division into segments is stable, so these customers form one segment.": (
        "{who}：没有稳定的划分，故合为一个客群。"
    ),
    "Left out: {n} customers left within the horizon of {r} rows; {m} are needed, or the model would learn from "
    "chance.": "未采用：{r} 行中仅 {n} 名客户在观察期内流失，至少需要 {m} 名，否则模型学到的只是偶然。",
    "Left out: it ranks customers no better than chance beyond doubt (AUC {a}, {b} to {c}).": (
        "未采用：排序并未确凿地优于随机（AUC {a}，{b} 至 {c}）。"
    ),
    "Left out: it is not better than the time as a customer alone by {m} beyond doubt (AUC {a}, {b} to {c}, gain {d}, "
    "{e} to {f}).": "未采用：较仅按用电年限未确凿地高出 {m}（AUC {a}，{b} 至 {c}；提升 {d}，{e} 至 {f}）。",
    "Held out by time and by customer: {n} rows of {c} customers, as of {m:t}, each judged by a model that was trained "
    "on other customers; training ends with {e}, whose outcome was known before.": (
        "同时按时间与客户留出：{c} 名客户的 {n} 行（{m}），均由以其他客户训练的模型评判；训练止于结果此前已知的 {e}。"
    ),
    "adjusted Rand index of half-samples; the interval holds 95 % of them": "半样本的调整兰德指数；区间含其中 95 %",
    "adjusted Rand index of the later window's shapes assigned by the earlier and by the final centres": (
        "后期窗口形态按前期中心与最终中心归类的调整兰德指数"
    ),
    "customers with too few readings or no load shape": "读数过少或没有负荷形态的客户",
    "share of the variance of price per kWh and of contribution to the system's peak that lies between segments, "
    "corrected for their number": "度电均价与系统峰荷贡献的方差中客群之间所占比例，按客群数修正",
    "{n} months after {m}; widths and scenarios come from other customers": (
        "{m} 之后 {n} 个月；区间宽度与情景来自其他客户"
    ),
    "{a} months of history, {b} months ahead": "历史 {a} 个月，预测 {b} 个月",
    "absolute errors by month and block of hours over the energy used; later months, customers not seen": (
        "按月与时段的绝对误差占用电量之比；较后月份、未见过的客户"
    ),
    "customers who were read, advised as if they had not been; profiles and widths come from others": (
        "以有读数客户模拟无读数时的建议；曲线与宽度来自其他客户"
    ),
    "The load forecast in use is “{f:w}”: on later months of customers not seen it was the nearest of the three.": (
        "所用负荷预测为“{f}”：在未见过客户的较后月份上三者中最接近。"
    ),
    "There is one held-out year for the intervals of a year: they are judged on customers who took no part in "
    "scenarios and widths, while others of the same year did.": (
        "年度区间只有一个留出年：以未参与情景与宽度的客户检验，而同年其他客户参与了。"
    ),
    "What all had in common that year was taken out.": "当年的共同变动已剔除。",
    "{a} of {b} tariffs hold prices that are not verified ({names:s}): for demonstration, not for promises.": (
        "{b} 个电价中有 {a} 个的价格未经核实（{names}）：仅供演示，不得作为承诺。"
    ),
    # notes below the tables of model cards
    "A probability is given only when it is better than what needs no model, on held-out rows.": (
        "仅当在留出样本上优于无需模型的做法时才给出概率。"
    ),
    "A well calibrated model shows equal numbers in the last two columns.": "校准良好的模型在最后两列数值相等。",
    "Add the points of the one line that fits in each block to the start.": "在起始分上逐块加上符合的那一行分值。",
    "{a} points are odds of {b} good to 1 bad, and every {c} points more double them: probability of default "
    "= {f:w} / (1 + {d} x 2 ^ ((points - {e}) / {g})).": (
        "{a} 分表示好坏比 {b}:1，每增加 {c} 分好坏比翻倍：违约概率＝{f}/(1＋{d}×2^((分值－{e})/{g}))。"
    ),
    "{a} points are even odds.": "{a} 分表示好坏各半。",
    "Amounts billed and energy of twelve months; arrears are amounts past due at the end of the month.": (
        "电费与电量为十二个月；欠费为月末逾期金额。"
    ),
    "Share of peak: at {t:w} of a working day, when these customers together use most.": (
        "高峰占比：工作日 {t}，即这些客户合计用电最多之时。"
    ),
    "Amounts per customer and decision over the months after it.": "金额为每户每次决策其后各月之和。",
    "Regret: attainable less captured saving.": "未获节省：可得节省减去已获节省。",
    "Assumed: an action costs {a:w} {c:w} and saves {b} of one mean bill of a customer who would default.": (
        "假定：一次行动成本 {a} {c}，可挽回将违约客户月均电费的 {b}。"
    ),
    "With 95 % intervals.": "附 95 % 区间。",
    "Below 0.1 is stable, above 0.25 has moved; a convention that depends on the number of rows.": (
        "低于 0.1 为稳定，高于 0.25 为已偏移；此惯例与样本数有关。"
    ),
    "Load follows the season, so its columns move between months of different seasons.": (
        "负荷随季节变化，故其字段在不同季节的月份之间会移动。"
    ),
    "Customers assigned by this model in both months ({a} and {b}); the two trailing years share eleven months.": (
        "两个月（{a} 与 {b}）均由本模型归类的客户；两个回看年共用十一个月。"
    ),
    "Eligible are divisions that half of the customers reproduce and that have no tiny segment.": (
        "候选为半数客户可复现且无过小客群的划分。"
    ),
    "Every criterion counts as a share of the best of them; half of the score is the mean of the three "
    "indices, half the business spread (variance of price per kWh and of contribution to the system's peak "
    "between segments).": (
        "各项按与最佳者之比计分；三项指标均值占一半，客群间差异（度电均价与系统峰荷贡献的方差）占一半。"
    ),
    "The best score wins, if it holds its stability with two standard errors to spare; a tie goes to the "
    "simpler method, then to more segments.": (
        "得分最高且稳定性超出两个标准误者入选；并列时取较简单的方法，再取客群较多者。"
    ),
    "As many segments as are served are kept, unless the best leads them clearly.": (
        "客群数与在用版本保持一致，除非最佳者明显领先。"
    ),
    "Gini coefficients: 0 tells nothing of the group, 1 tells it always.": (
        "基尼系数：0 表示完全不能识别该组，1 表示总能识别。"
    ),
    "An input that tells a group well and has a large share in the model may stand for it; the fairness "
    "figures say whether the group is treated differently.": (
        "能识别某组且在模型中占比大的指标可能代表该组；该组是否受到不同对待见公平性指标。"
    ),
    "History: months read before the decision.": "历史：决策前有读数的月数。",
    "Lift is the default rate against the overall one; captured adds up the defaults found so far.": (
        "提升度为违约率与总体之比；捕获为累计发现的违约。"
    ),
    "Observed default rates should rise from AAA to D.": "实际违约率应自 AAA 至 D 逐级上升。",
    "Rows are the rating in one month, columns the one a month later; all months together.": (
        "行为某月等级，列为一个月后的等级；各月合计。"
    ),
    "Shares of the customers whose tariff at the end of the month is known.": "占月末现行电价已知客户的比例。",
    "Shares over {n} months.": "{n} 个月的占比。",
    "A trend counts once two months running show it.": "趋势连续两月方生效。",
    "Stages in force.": "为已生效的阶段。",
    "Who came or left in the month takes no part.": "当月新增或离开者不计。",
    "Sum of absolute errors over the energy used, mean over customers; customers and months that the trees "
    "had not seen, all of them later than the months learned from.": (
        "绝对误差之和与用电量之比，按客户平均；为提升树未见过的客户与月份，且均晚于学习月份。"
    ),
    "The latest {n} months.": "最近 {n} 个月。",
    "Rows are the rating a month before, columns that of the month.": "行为上月等级，列为当月等级。",
    "The same customers three times, at most {n} of each class; intervals promise {a}.": (
        "同一批客户模拟三次，每类至多 {n} 名；区间承诺覆盖 {a}。"
    ),
    "{n} as-of months have known outcomes ({m:t}); {rest:t}.": "{n} 个评估月份结果已知（{m}）；{rest}。",
    "{n} snapshots are still waiting for theirs, {rest:t}": "{n} 个快照结果未到期，{rest}",
    "{n} are excluded ({why:t}), {rest:t}": "{n} 个剔除（{why}），{rest}",
    "{n} are excluded ({why:t})": "{n} 个剔除（{why}）",
    "supply closed": "已销户",
    "already in default": "已违约",
    "without bills": "无账单",
    "too new": "立户过短",
    # whether there is enough data
    "{n} snapshots have bills behind them.": "{n} 个快照有账单依据。",
    "{n} snapshots have payments behind them.": "{n} 个快照有缴费依据。",
    "Customers: {a} (at least {b} needed).": "客户：{a}（至少 {b}）。",
    "Labelled snapshots: {a} (at least {b} needed).": "结果已知的快照：{a}（至少 {b}）。",
    "Tariffs: {a} (at least {b} needed).": "电价：{a}（至少 {b}）。",
    "Complete loads: {a} (at least {b} needed).": "读数完整的客户：{a}（至少 {b}）。",
    "There are {n} defaults of {c} customers.": "{c} 名客户共 {n} 个违约快照。",
    "There are {n} snapshots without a default of {c} customers.": "{c} 名客户共 {n} 个未违约快照。",
    "There are {n} customers with customer_class.": "{n} 名客户有用电类别。",
    "Interval loads are there.": "分时负荷齐备。",
    "The back-test decides at the end of {m} on {a} months and pays the bills of the {b} months after it.": (
        "回测于 {m} 末按 {a} 个月决策，并支付其后 {b} 个月的电费。"
    ),
    "{n} customers are on a known tariff and have an alternative.": "{n} 名客户现行电价已知且有其他选择。",
}
"""English of the records and its Chinese.

``{name}`` stands for a number or a month, ``{name:w}`` for a word of the data, ``{name:t}`` for a text that must be
known itself, ``{name:s}`` for one that may be. Of several that fit, the longest whose texts are known is taken.
"""

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

_UNUSUAL: dict[str, str] = {
    "unusual_input": "少见的快照",
    "unusual_bills": "少见的账单",
    "unusual_payments": "少见的缴费",
    "unusual_customers": "少见的客户",
}

_KINDS = {"": r"[+-]?(?:\d{4}-\d\d|\d[\d.,]*|\.\d+)(?<![.,])(?: ?%)?", "w": r"\S+?", "t": ".+?", "s": ".+?"}
_HOLE = re.compile(r"\{(\w+):?(\w?)\}")
_LETTER = re.compile("[A-Za-z]")
_SENTENCE_END = re.compile(r"(?<=\.) (?=[A-Z0-9])")


@dataclass(frozen=True)
class _Template:
    """A sentence with holes, and its Chinese with the same holes."""

    pattern: re.Pattern[str]
    kinds: dict[str, str]
    chinese: str

    @classmethod
    def of(cls, english: str, chinese: str) -> "_Template":
        parts: list[str] = []
        end = 0
        for hole in _HOLE.finditer(english):
            parts += [re.escape(english[end : hole.start()]), f"(?P<{hole[1]}>{_KINDS[hole[2]]})"]
            end = hole.end()
        parts.append(re.escape(english[end:]))
        return cls(re.compile("".join(parts)), {hole[1]: hole[2] for hole in _HOLE.finditer(english)}, chinese)

    def told(self, text: str) -> str | None:
        """Return the Chinese of a text; None if it is another one, or a text in a hole is not known."""
        found = self.pattern.fullmatch(text)
        if found is None:
            return None
        filled: dict[str, str] = {}
        for name, words in found.groupdict().items():
            kind = self.kinds[name]
            known = _known(words) if kind in ("t", "s") else words
            if known is None and kind == "t":
                return None
            filled[name] = words if known is None else known
        return self.chinese.format(**filled)


def _with_slices_and_baselines() -> dict[str, str]:
    slices = {f"{{a:t}} for {title.en} {{b:s}}": f"{{a}}（{title.zh}：{{b}}）" for title in SLICE_TITLES.values()}
    names = {title.en.removeprefix("the "): title.zh for title in BASELINE_TITLES.values()}
    baselines = {f"{name[:1].upper()}{name[1:]}": chinese for name, chinese in names.items()}
    return slices | baselines | names | _WORDS


_WHOLE = {english: chinese for english, chinese in _with_slices_and_baselines().items() if "{" not in english}
# What says more comes first, so that a long sentence is not taken for a short one with a text in it.
_TEMPLATES = tuple(
    _Template.of(english, chinese)
    for english, chinese in sorted(
        _with_slices_and_baselines().items(), key=lambda entry: len(_HOLE.sub("", entry[0])), reverse=True
    )
    if "{" in english
)


def stored(text: str) -> Bilingual:
    """Return a stored text with its Chinese; what has none is the same in both languages."""
    return Bilingual(en=text, zh=in_chinese(text))


def in_chinese(text: str) -> str:
    """Return a stored text, such as what the gate demanded, in Chinese; as it is if a part of it is not known."""
    known = _known(text)
    return text if known is None else known


def _known(text: str) -> str | None:
    if text in _WHOLE:
        return _WHOLE[text]
    if not _LETTER.search(text):
        return text
    for template in _TEMPLATES:
        told = template.told(text)
        if told is not None:
            return told
    sentences = _SENTENCE_END.split(text)
    if len(sentences) == 1:
        return None
    all_told = [_known(sentence) for sentence in sentences]
    return None if None in all_told else "".join(filter(None, all_told))


def requirement_title(check: str) -> Bilingual:
    """Return the name of a check of whether there is enough data."""
    words = check.replace("_", " ").capitalize()
    return Bilingual(en=words, zh=_REQUIREMENTS.get(check, (_UNUSUAL.get(check, words), ""))[0])


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


def criterion_words(criterion: Criterion) -> Bilingual:
    """Return why a demand was not met in both languages."""
    return Bilingual(en=criterion.reason, zh=f"{_found(criterion.observed, criterion.required)}。")


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
