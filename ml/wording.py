"""Words and numbers for readers: one title per figure, slice, criterion and part of the rows, in English and Chinese.

Model cards, decisions of the gate and the model owners' site all take them from here, so that a figure has one name
wherever a model owner meets it. Code, policies and overrides keep the snake-case names.
"""

from pydantic import BaseModel, ConfigDict

CURRENCY_UNIT = "currency"
"""Unit of amounts in the schemas; the code that stands for it is a setting."""


class Bilingual(BaseModel):
    """A text in English and Chinese."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    en: str
    zh: str = ""


METRIC_TITLES: dict[str, Bilingual] = {
    # credit risk
    "roc_auc": Bilingual(en="AUC", zh="排序能力（AUC）"),
    "gini": Bilingual(en="Gini", zh="基尼系数"),
    "average_precision": Bilingual(en="Average precision", zh="平均精确率"),
    "ks_statistic": Bilingual(en="Kolmogorov-Smirnov distance", zh="KS 值"),
    "brier_score": Bilingual(en="Brier score", zh="布里尔分数"),
    "expected_calibration_error": Bilingual(en="Calibration error", zh="期望校准误差"),
    "calibration_slope": Bilingual(en="Calibration slope", zh="校准斜率"),
    "calibration_ratio": Bilingual(en="Observed / predicted", zh="实际与预测之比"),
    "default_rate": Bilingual(en="Default rate", zh="实际违约率"),
    "mean_probability": Bilingual(en="Mean probability", zh="平均预测概率"),
    "rating_psi": Bilingual(en="Shift of the ratings (PSI)", zh="等级稳定性（PSI）"),
    "calibration_gap": Bilingual(en="Calibration gap", zh="校准差距"),
    "approval_share": Bilingual(en="Not rated C or D", zh="非 C、D 级占比"),
    "approval_ratio": Bilingual(en="Approval against all customers", zh="通过率与总体之比"),
    "deposit_share": Bilingual(en="May be asked for money in advance", zh="可能要求预付占比"),
    "missed_default_gap": Bilingual(en="Missed-default gap", zh="漏报差距"),
    "top_tenth_capture": Bilingual(en="Defaults in the top tenth", zh="前十分之一捕获违约占比"),
    "top_tenth_lift": Bilingual(en="Lift of the top tenth", zh="前十分之一提升度"),
    "top_tenth_money_capture": Bilingual(en="Defaulted money in the top tenth", zh="前十分之一捕获欠费金额占比"),
    "false_alarm_gap": Bilingual(en="False-alarm gap", zh="误报差距"),
    # segmentation
    "explained_shape_variance": Bilingual(en="Explained variance of later shapes", zh="后期形态解释方差"),
    "explained_season_variance": Bilingual(en="Explained variance of later seasons", zh="后期季节形态解释方差"),
    "business_spread": Bilingual(en="Spread of price and peak between segments", zh="客群间电价与峰荷差异"),
    "same_segment_share": Bilingual(en="Customers in the same segment later", zh="后期仍属同一客群的比例"),
    "stability_rand_index": Bilingual(en="Stability (adjusted Rand index)", zh="稳定性（调整兰德指数）"),
    "refit_rand_index": Bilingual(en="Agreement of earlier and final centres", zh="前后中心一致性"),
    "unknown_share": Bilingual(en="Customers without a segment", zh="暂无法判断比例"),
    "median_confidence": Bilingual(en="Median confidence", zh="归属置信度中位数"),
    "segments_count": Bilingual(en="Number of segments", zh="客群数量"),
    "silhouette": Bilingual(en="Silhouette", zh="轮廓系数"),
    "davies_bouldin": Bilingual(en="Davies-Bouldin index", zh="DB 指数"),
    "calinski_harabasz": Bilingual(en="Calinski-Harabasz index", zh="CH 指数"),
    "smallest_segment_share": Bilingual(en="Smallest segment", zh="最小客群占比"),
    "kept_identifier_share": Bilingual(en="Customers who keep their segment's identifier", zh="客群编号不变的客户比例"),
    "renamed_segments_count": Bilingual(en="Renamed segments", zh="更名客群数"),
    "new_segments_count": Bilingual(en="New segments", zh="新增客群数"),
    "vanished_segments_count": Bilingual(en="Vanished segments", zh="消失客群数"),
    "split_segments_count": Bilingual(en="Split segments", zh="拆分客群数"),
    "merged_segments_count": Bilingual(en="Merged segments", zh="合并客群数"),
    # tariff matching
    "captured_saving_share": Bilingual(en="Captured share of the attainable saving", zh="已获节省占可得节省比例"),
    "harmed_share": Bilingual(en="Customers made worse off", zh="因建议受损客户比例"),
    "interval_coverage": Bilingual(en="Coverage of the saving's interval", zh="节省额区间覆盖率"),
    "interval_coverage_of_advice": Bilingual(en="Coverage where a change was advised", zh="建议变更客户的区间覆盖率"),
    "mean_saving_amount": Bilingual(en="Mean saving per customer", zh="户均节省"),
    "attainable_saving_amount": Bilingual(en="Mean attainable saving", zh="户均可得节省"),
    "switched_share": Bilingual(en="Customers advised to change", zh="建议变更客户比例"),
    "bill_interval_coverage": Bilingual(en="Coverage of the bill's interval", zh="电费区间覆盖率"),
    "mean_regret_amount": Bilingual(en="Mean regret per customer", zh="户均未获节省"),
    "load_error": Bilingual(en="Error of next year's load", zh="下一年负荷预测误差"),
}
"""Title of every figure that a use case reports."""

_PROPENSITIES = {"leaving": Bilingual(en="Leaving", zh="流失"), "potential": Bilingual(en="Potential", zh="潜力")}
_PROPENSITY_FIGURES = {
    "roc_auc": Bilingual(en="AUC", zh="排序能力（AUC）"),
    "tenure_roc_auc": Bilingual(en="AUC of the time as a customer alone", zh="仅按用电年限的 AUC"),
    "logistic_roc_auc": Bilingual(en="AUC of the logistic regression", zh="逻辑回归的 AUC"),
    "trees_roc_auc": Bilingual(en="AUC of boosted trees", zh="提升树的 AUC"),
    "gain_over_tenure": Bilingual(en="gain in AUC over the time as a customer alone", zh="较用电年限的 AUC 提升"),
    "gain_over_logistic": Bilingual(en="gain in AUC over the logistic regression", zh="较逻辑回归的 AUC 提升"),
    "gain_over_trees": Bilingual(en="gain in AUC over boosted trees", zh="较提升树的 AUC 提升"),
    "average_precision": Bilingual(en="average precision", zh="平均精确率"),
    "brier_gain": Bilingual(en="gain in Brier score over the mean rate", zh="较平均率的布里尔分数改善"),
    "expected_calibration_error": Bilingual(en="calibration error", zh="期望校准误差"),
    "calibration_ratio": Bilingual(en="observed / foretold", zh="实际与预测之比"),
    "event_rate": Bilingual(en="observed rate", zh="实际发生率"),
}
METRIC_TITLES |= {
    f"{target}_{figure}": Bilingual(en=f"{who.en}: {title.en}", zh=f"{who.zh}：{title.zh}")
    for target, who in _PROPENSITIES.items()
    for figure, title in _PROPENSITY_FIGURES.items()
}

KEY_FIGURES: dict[str, str] = {
    "segmentation": "explained_shape_variance",
    "tariff_matching": "captured_saving_share",
    "credit_risk": "roc_auc",
}
"""The figure by which models of a use case are compared."""

SLICE_TITLES: dict[str, Bilingual] = {
    "customer_class": Bilingual(en="customer class", zh="用电类别"),
    "district": Bilingual(en="district", zh="供电区域"),
    "as_of_month": Bilingual(en="month of the snapshot", zh="评估月份"),
    "tenure_band": Bilingual(en="time as a customer", zh="用电年限"),
    "group": Bilingual(en="group", zh="分组"),
    "policy": Bilingual(en="way of advising", zh="建议方式"),
    "forecast": Bilingual(en="forecast", zh="预测方法"),
    "history": Bilingual(en="months read before the decision", zh="决策前读数月数"),
    "load_basis": Bilingual(en="what is known of the load", zh="负荷依据"),
    "decision_month": Bilingual(en="month of the decision", zh="决策月份"),
}
"""What figures are divided by."""

BASELINE_TITLES: dict[str, Bilingual] = {
    "last_status": Bilingual(en="today's overdue balance alone", zh="仅按当前欠费余额排序"),
    "late_bill_count": Bilingual(en="the number of late bills alone", zh="仅按逾期笔数排序"),
    "logistic_dimensions": Bilingual(en="logistic regression on the same inputs", zh="相同指标的逻辑回归"),
    "scorecard": Bilingual(en="the readable scorecard", zh="可读评分卡"),
    "boosted_trees": Bilingual(en="the boosted trees", zh="梯度提升树"),
    "class_only": Bilingual(en="the mean shape of the customer's class", zh="按用电类别的平均曲线"),
    "level_groups": Bilingual(en="groups by level of use", zh="按用电量分组"),
    "stay": Bilingual(en="staying on today's tariff", zh="维持现行电价"),
    "cheapest_last_year": Bilingual(en="the cheapest on last year's bill", zh="按去年账单最低"),
    "class_mean_profile": Bilingual(en="the cheapest on the class's mean profile", zh="按类别平均曲线最低"),
}
"""The simpler methods, as they stand in a sentence."""

CRITERION_TITLES: dict[str, Bilingual] = {
    "evaluation": Bilingual(en="Evaluation report", zh="评估报告"),
    "sufficiency": Bilingual(en="Enough data", zh="数据充分"),
    "key_metric": Bilingual(en="Key figure with its interval", zh="关键指标及其区间"),
    "not worse than the champion": Bilingual(en="Not worse than the served model", zh="不劣于在用模型"),
    "trial": Bilingual(en="Trial on live traffic", zh="实际流量试运行"),
    "stability": Bilingual(en="Stable division", zh="分群稳定"),
    "segment_size": Bilingual(en="No tiny segment", zh="无过小客群"),
    "unique_names": Bilingual(en="Every segment has its own name", zh="客群名称互不相同"),
    "captures_more_than_every_baseline": Bilingual(
        en="Captures more of the attainable saving than every baseline", zh="所获节省多于各基准"
    ),
    "harms_fewer_than_cheapest_last_year": Bilingual(
        en="Harms fewer customers than the cheapest on last year's bill", zh="受损客户少于按去年账单最低的建议"
    ),
}
"""Criteria of the gate that are neither a figure nor a comparison with a baseline."""

ASPECT_TITLES: dict[str, Bilingual] = {
    "sufficiency": Bilingual(en="data", zh="数据"),
    "accuracy": Bilingual(en="accuracy", zh="准确性"),
    "baselines": Bilingual(en="baselines", zh="基准"),
    "champion": Bilingual(en="served model", zh="在用模型"),
    "calibration": Bilingual(en="calibration", zh="校准"),
    "stability": Bilingual(en="stability", zh="稳定性"),
    "fairness": Bilingual(en="fairness", zh="公平性"),
    "other": Bilingual(en="other", zh="其他"),
}

PART_TITLES: dict[str, Bilingual] = {
    "train": Bilingual(en="rows to train on", zh="训练样本"),
    "calibration": Bilingual(en="rows to calibrate on", zh="校准样本"),
    "holdout": Bilingual(en="rows held out", zh="留出样本"),
    "customers": Bilingual(en="customers", zh="客户"),
    "learned_from": Bilingual(en="customers learned from", zh="用于学习的客户"),
    "judged": Bilingual(en="customers judged on", zh="用于回测的客户"),
    "found_on": Bilingual(en="customers of the earlier window", zh="前期窗口客户"),
    "judged_on": Bilingual(en="customers judged on", zh="用于检验的客户"),
    "released_on": Bilingual(en="customers of the final centres", zh="最终分群所用客户"),
}
"""Parts of the rows behind a model, in the order of their use."""

EXCLUSION_TITLES: dict[str, Bilingual] = {
    "closed": Bilingual(en="supply closed", zh="已销户"),
    "disputed": Bilingual(en="bill disputed", zh="账单争议中"),
    "in_default": Bilingual(en="already in default", zh="已违约"),
    "no_bills": Bilingual(en="without bills", zh="无账单"),
    "no_payments": Bilingual(en="no payments delivered", zh="无缴费记录"),
    "too_new": Bilingual(en="too new", zh="立户过短"),
}
"""Why a customer takes no part in a snapshot of credit risk."""

_BASELINE_PREFIX = "better than "


def metric_title(name: str) -> Bilingual:
    """Return the title of a figure; one that is not known is shown by its name without underscores."""
    return METRIC_TITLES.get(name) or _from_name(name)


def slice_title(column: str) -> Bilingual:
    """Return what a figure is divided by, as it stands in a sentence."""
    return SLICE_TITLES.get(column) or Bilingual(en=column.replace("_", " "))


def baseline_title(name: str) -> Bilingual:
    """Return a baseline as it stands in a sentence."""
    return BASELINE_TITLES.get(name) or Bilingual(en=name.replace("_", " "))


def part_title(part: str) -> Bilingual:
    """Return the title of a part of the rows."""
    return PART_TITLES.get(part) or Bilingual(en=part.replace("_", " "))


def aspect_title(aspect: str) -> Bilingual:
    """Return the title of a group of criteria."""
    return ASPECT_TITLES.get(aspect) or Bilingual(en=aspect)


def criterion_title(name: str) -> Bilingual:
    """Return the title of a criterion of the gate, whose name is a figure's, ``… by <slice>`` or ``better than …``."""
    if name in CRITERION_TITLES:
        return CRITERION_TITLES[name]
    if name.startswith(_BASELINE_PREFIX):
        baseline = baseline_title(name.removeprefix(_BASELINE_PREFIX))
        return Bilingual(en=f"Better than {baseline.en}", zh=f"优于{baseline.zh}" if baseline.zh else "")
    figure, by, column = name.partition(" by ")
    title = metric_title(figure)
    if not by:
        return title
    division = slice_title(column)
    zh = f"{title.zh}（按{division.zh}）" if title.zh and division.zh else ""
    return Bilingual(en=f"{title.en} by {division.en}", zh=zh)


def exclusion_title(reason: str) -> Bilingual:
    """Return why a snapshot is left out."""
    return EXCLUSION_TITLES.get(reason) or Bilingual(en=reason.replace("_", " "), zh=reason.replace("_", " "))


def plural(count: int, noun: str, nouns: str = "") -> str:
    """Return a count with its noun: ``1 column``, ``1,234 columns``.

    Args:
        count: How many.
        noun: The noun for one.
        nouns: The noun for none or several, where it is not ``noun`` with an s.
    """
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def decimals_of(value: float) -> int:
    """Return how many decimals a figure is printed with: three below 10, one below 1,000, none above.

    Below 0.001 it has four, or a share of two in ten thousand would read as none.
    """
    if abs(value) >= 1000:
        return 0
    if abs(value) >= 10:
        return 1
    return 4 if 0 < abs(value) < 0.001 else 3


def number_text(value: float | None, decimals: int, unit: str = "", *, signed: bool = False) -> str:
    """Return a number with fixed decimals, thousands separated, unit behind; a dash when it is missing."""
    if value is None:
        return "–"
    text = f"{value:{'+' if signed else ''},.{decimals}f}"
    # A figure that rounds to zero has no sign.
    text = text.lstrip("+-") if float(text.replace(",", "")) == 0 else text
    return f"{text} {unit}".rstrip()


def unit_text(unit: str, currency: str) -> str:
    """Return a unit for a reader: the code of the currency where the unit is money."""
    return currency if unit == CURRENCY_UNIT and currency else unit


def _from_name(name: str) -> Bilingual:
    return Bilingual(en=name.replace("_", " ").capitalize())
