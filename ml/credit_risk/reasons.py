"""Reasons in words: what a column with its value says about a customer, in English and Chinese.

A reason is only given for a column that raised the probability, by the exact contribution of the trees. The text
states the value as the model saw it, so the customer can check and contest it.
"""

import math
import re
from dataclasses import dataclass

from ml.columns import by_name
from ml.credit_risk.schema import DIMENSIONS, FEATURES


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for a higher probability.

    Attributes:
        code: Name of the column.
        dimension: Group of the column, a key of ``DIMENSIONS``.
        effect: Contribution to the log odds of a default; always positive.
        value: Value of the column; ``None`` when it is missing.
        text: The reason in English.
        text_zh: The reason in Chinese.
        improvement: What would improve it.
        improvement_zh: The same in Chinese.
    """

    code: str
    dimension: str
    effect: float
    value: float | str | None
    text: str
    text_zh: str
    improvement: str
    improvement_zh: str


_COLUMNS = by_name(FEATURES)

CLASSES_ZH = {"residential": "居民", "commercial": "商业", "industrial": "工业", "agricultural": "农业"}

_TEXTS: dict[str, tuple[str, str]] = {
    "recovery_rate_due_3m_pct": (
        "{value:.0f} % of the amounts due in the last 3 months was paid by the due date",
        "近三月到期电费中有 {value:.0f}% 按期缴纳",
    ),
    "recovery_rate_due_6m_pct": (
        "{value:.0f} % of the amounts due in the last 6 months was paid by the due date",
        "近六月到期电费中有 {value:.0f}% 按期缴纳",
    ),
    "recovery_rate_due_12m_pct": (
        "{value:.0f} % of the amounts due in the last 12 months was paid by the due date",
        "近十二月到期电费中有 {value:.0f}% 按期缴纳",
    ),
    "recovery_rate_30d_6m_pct": (
        "{value:.0f} % of the amounts of the last 6 months was paid within 30 days of the due date",
        "近六月电费中有 {value:.0f}% 在到期后三十日内缴纳",
    ),
    "recovery_rate_30d_12m_pct": (
        "{value:.0f} % of the amounts of the last 12 months was paid within 30 days of the due date",
        "近十二月电费中有 {value:.0f}% 在到期后三十日内缴纳",
    ),
    "money_received_3m_pct": (
        "{value:.0f} % of the amounts due in the last 3 months was paid in money, the rest is owed or carried over",
        "近三月到期电费实收 {value:.0f}%，其余未缴或结转",
    ),
    "money_received_6m_pct": (
        "{value:.0f} % of the amounts due in the last 6 months was paid in money, the rest is owed or carried over",
        "近六月到期电费实收 {value:.0f}%，其余未缴或结转",
    ),
    "money_received_12m_pct": (
        "{value:.0f} % of the amounts due in the last 12 months was paid in money, the rest is owed or carried over",
        "近十二月到期电费实收 {value:.0f}%，其余未缴或结转",
    ),
    "lowest_money_received_12m_pct": (
        "On one bill of the last 12 months {value:.0f} % was paid in money",
        "近十二月有一笔账单仅实收 {value:.0f}%",
    ),
    "unpaid_balance_ratio": (
        "The overdue balance is {value:.1f} times the mean bill",
        "欠费余额为月均电费的 {value:.1f} 倍",
    ),
    "open_balance_ratio": (
        "The unpaid balance, due or not, is {value:.1f} times the mean bill",
        "未缴余额（含未到期）为月均电费的 {value:.1f} 倍",
    ),
    "on_time_share_12m_pct": (
        "{value:.0f} % of the bills of the last 12 months were paid in full and on time",
        "近十二月账单中有 {value:.0f}% 按期缴清",
    ),
    "late_bills_3m_count": ("{value:.0f} late bills in the last 3 months", "近三月逾期 {value:.0f} 笔"),
    "late_bills_6m_count": ("{value:.0f} late bills in the last 6 months", "近六月逾期 {value:.0f} 笔"),
    "late_bills_12m_count": ("{value:.0f} late bills in the last 12 months", "近十二月逾期 {value:.0f} 笔"),
    "months_since_late_bill_months": (
        "The last bill that was paid late was due {value:.0f} months ago",
        "距上次逾期 {value:.0f} 个月",
    ),
    "mean_days_late_3m_days": (
        "Bills of the last 3 months were paid {value:.1f} days late on average",
        "近三月平均逾期 {value:.1f} 天",
    ),
    "mean_days_late_6m_days": (
        "Bills of the last 6 months were paid {value:.1f} days late on average",
        "近六月平均逾期 {value:.1f} 天",
    ),
    "mean_days_late_12m_days": (
        "Bills of the last 12 months were paid {value:.1f} days late on average",
        "近十二月平均逾期 {value:.1f} 天",
    ),
    "max_days_late_3m_days": (
        "The latest payment of the last 3 months came {value:.0f} days after the due date",
        "近三月最长逾期 {value:.0f} 天",
    ),
    "max_days_late_6m_days": (
        "The latest payment of the last 6 months came {value:.0f} days after the due date",
        "近六月最长逾期 {value:.0f} 天",
    ),
    "max_days_late_12m_days": (
        "The latest payment of the last 12 months came {value:.0f} days after the due date",
        "近十二月最长逾期 {value:.0f} 天",
    ),
    "oldest_debt_days": ("The oldest unpaid bill is {value:.0f} days past due", "最早欠费已逾期 {value:.0f} 天"),
    "days_late_trend_days": (
        "Recent payments are {value:+.1f} days later than over the year",
        "近三月逾期天数较全年平均变化 {value:+.1f} 天",
    ),
    "partial_payments_3m_count": (
        "{value:.0f} bills of the last 3 months were paid in parts",
        "近三月分次缴费 {value:.0f} 笔",
    ),
    "partial_payments_6m_count": (
        "{value:.0f} bills of the last 6 months were paid in parts",
        "近六月分次缴费 {value:.0f} 笔",
    ),
    "partial_payments_12m_count": (
        "{value:.0f} bills of the last 12 months were paid in parts",
        "近十二月分次缴费 {value:.0f} 笔",
    ),
    "monthly_kwh_cv_3m": (
        "Monthly use of the last 3 months varies by {value:.2f} times its mean",
        "近三月月用电量变异系数为 {value:.2f}",
    ),
    "monthly_kwh_cv_6m": (
        "Monthly use of the last 6 months varies by {value:.2f} times its mean",
        "近六月月用电量变异系数为 {value:.2f}",
    ),
    "monthly_kwh_cv_12m": (
        "Monthly use of the last 12 months varies by {value:.2f} times its mean",
        "近十二月月用电量变异系数为 {value:.2f}",
    ),
    "kwh_change_yoy_pct": (
        "Use changed by {value:+.0f} % against the same months a year before",
        "用电量同比变化 {value:+.0f}%",
    ),
    "load_factor_3m": ("The load factor of the last 3 months is {value:.2f}", "近三月负荷率为 {value:.2f}"),
    "load_factor_6m": ("The load factor of the last 6 months is {value:.2f}", "近六月负荷率为 {value:.2f}"),
    "load_factor_12m": ("The load factor of the last 12 months is {value:.2f}", "近十二月负荷率为 {value:.2f}"),
    "zero_load_days_3m_count": ("{value:.0f} days without any use in the last 3 months", "近三月零用电 {value:.0f} 天"),
    "zero_load_days_6m_count": ("{value:.0f} days without any use in the last 6 months", "近六月零用电 {value:.0f} 天"),
    "zero_load_days_12m_count": (
        "{value:.0f} days without any use in the last 12 months",
        "近十二月零用电 {value:.0f} 天",
    ),
    "capacity_utilisation_3m_pct": (
        "Peak power of the last 3 months reaches {value:.0f} % of the contracted capacity",
        "近三月最大负荷为合同容量的 {value:.0f}%",
    ),
    "capacity_utilisation_6m_pct": (
        "Peak power of the last 6 months reaches {value:.0f} % of the contracted capacity",
        "近六月最大负荷为合同容量的 {value:.0f}%",
    ),
    "capacity_utilisation_12m_pct": (
        "Peak power of the last 12 months reaches {value:.0f} % of the contracted capacity",
        "近十二月最大负荷为合同容量的 {value:.0f}%",
    ),
    "overdue_30d_bills_3m_count": (
        "{value:.0f} bills of the last 3 months were unpaid 30 days after the due date",
        "近三月逾期三十日以上 {value:.0f} 笔",
    ),
    "overdue_30d_bills_6m_count": (
        "{value:.0f} bills of the last 6 months were unpaid 30 days after the due date",
        "近六月逾期三十日以上 {value:.0f} 笔",
    ),
    "overdue_30d_bills_12m_count": (
        "{value:.0f} bills of the last 12 months were unpaid 30 days after the due date",
        "近十二月逾期三十日以上 {value:.0f} 笔",
    ),
    "months_since_overdue_30d_months": (
        "A bill was last unpaid 30 days after its due date {value:.0f} months ago",
        "距上次逾期三十日以上 {value:.0f} 个月",
    ),
    "credit_limit_utilisation_pct": (
        "The unpaid balance reaches {value:.0f} % of the credit limit",
        "未缴余额为信用额度的 {value:.0f}%",
    ),
    "mean_bill_to_credit_limit_pct": (
        "The mean bill is {value:.0f} % of the credit limit",
        "月均电费为信用额度的 {value:.0f}%",
    ),
    "returned_payments_3m_count": (
        "{value:.0f} payments for bills of the last 3 months were taken back",
        "近三月缴费被退回 {value:.0f} 次",
    ),
    "returned_payments_6m_count": (
        "{value:.0f} payments for bills of the last 6 months were taken back",
        "近六月缴费被退回 {value:.0f} 次",
    ),
    "returned_payments_12m_count": (
        "{value:.0f} payments for bills of the last 12 months were taken back",
        "近十二月缴费被退回 {value:.0f} 次",
    ),
    "confirmed_breaches_24m_count": (
        "{value:.0f} inspections of the last 24 months found theft or tampering",
        "近二十四月查实违约用电 {value:.0f} 次",
    ),
    "tenure_months": ("Customer for {value:.0f} months", "立户 {value:.0f} 个月"),
    "contacts_3m_count": ("{value:.0f} service contacts in the last 3 months", "近三月服务工单 {value:.0f} 件"),
    "contacts_6m_count": ("{value:.0f} service contacts in the last 6 months", "近六月服务工单 {value:.0f} 件"),
    "contacts_12m_count": ("{value:.0f} service contacts in the last 12 months", "近十二月服务工单 {value:.0f} 件"),
    "billing_contacts_3m_count": (
        "{value:.0f} service contacts about bills in the last 3 months",
        "近三月电费类工单 {value:.0f} 件",
    ),
    "billing_contacts_6m_count": (
        "{value:.0f} service contacts about bills in the last 6 months",
        "近六月电费类工单 {value:.0f} 件",
    ),
    "billing_contacts_12m_count": (
        "{value:.0f} service contacts about bills in the last 12 months",
        "近十二月电费类工单 {value:.0f} 件",
    ),
    "mean_satisfaction_12m": (
        "Mean satisfaction with service of {value:.1f} out of 5",
        "服务满意度平均 {value:.1f} 分（满分五分）",
    ),
    "customer_class": ("Class of the customer: {value}", "用电类别：{value_zh}"),
    "mean_bill_12m_amount": ("The mean bill of 12 months is {value:,.0f}", "月均电费为 {value:,.0f}"),
    "bills_12m_count": ("{value:.0f} bills in the last 12 months", "近十二月账单 {value:.0f} 张"),
    "contract_capacity_kva": ("The contracted capacity is {value:,.0f} kVA", "合同容量为 {value:,.0f} kVA"),
    "credit_limit_amount": ("The credit limit is {value:,.0f}", "信用额度为 {value:,.0f}"),
}


_IMPROVEMENTS: dict[str, tuple[str, str]] = {
    "recovery": (
        "Pay what is owed, or agree on instalments; every bill paid in full by its due date raises the share.",
        "结清欠费或申请分期；每笔电费按期足额缴纳都会提高回收率。",
    ),
    "timeliness": (
        "Pay the coming bills by their due date, by direct debit if you like; late bills leave the record with time.",
        "后续电费按期缴纳，可开通自动代扣；逾期记录会随时间移出统计期。",
    ),
    "load_stability": (
        "Nothing has to be done: use that settles again settles this. Tell us about a change of use or of occupancy.",
        "无需专门处理：用电恢复平稳后即改善；如用电性质或住户变更请告知。",
    ),
    "credit_record": (
        "Keep paying within 30 days of the due date; the record of older arrears fades with every such month.",
        "保持到期后三十日内缴清；较早的欠费记录会逐月淡出。",
    ),
    "service": (
        "Have the open matter settled with us; contacts leave the windows after a year.",
        "请与我们处理完未决事项；服务记录一年后移出统计期。",
    ),
    "customer": (
        "A fact about the supply that needs no action; a good record of payment outweighs it with time.",
        "属用电基本情况，无需处理；良好的缴费记录会逐步抵消其影响。",
    ),
}
"""What would improve a column, by its dimension, or by its own name where that says more."""

_IMPROVEMENTS_OF_COLUMNS: dict[str, tuple[str, str]] = {
    "confirmed_breaches_24m_count": (
        "Settle what was found and keep the meter untouched; it counts for 24 months.",
        "处理完违约用电事项并保持计量装置完好；记录保留二十四个月。",
    ),
    **dict.fromkeys(
        ("returned_payments_3m_count", "returned_payments_6m_count", "returned_payments_12m_count"),
        (
            "See that the account covers the amount on the day of the debit, or pay by another channel.",
            "请确保扣款日账户余额充足，或改用其他方式缴费。",
        ),
    ),
    "tenure_months": (
        "Nothing has to be done: it improves by itself with every month on supply.",
        "无需处理：随用电年限逐月改善。",
    ),
}
_ONE = re.compile(r"(?<![\d.,])1 ((?:late |service )?)(bill|contact|day|inspection|month|payment)s\b")
_MISSING_IMPROVEMENT = ("It improves as soon as the supplier knows it.", "补充该项资料后即可改善。")


def reason(code: str, effect: float, value: float | str | None) -> Reason:
    """Return the reason of one column.

    Args:
        code: Name of the column.
        effect: Its contribution to the log odds.
        value: Its value; ``None`` or NaN when missing.
    """
    column = _COLUMNS[code]
    known = value is not None and not (isinstance(value, float) and math.isnan(value))
    if known:
        en, zh = _TEXTS[code]
        improvement, improvement_zh = _IMPROVEMENTS_OF_COLUMNS.get(code) or _IMPROVEMENTS[column.dimension]
        text = _of_one(en.format(value=value))
        text_zh = zh.format(value=value, value_zh=CLASSES_ZH.get(str(value), str(value)))
    else:
        improvement, improvement_zh = _MISSING_IMPROVEMENT
        text = f"Not known: {column.description[0].lower()}{column.description[1:]}"
        text_zh = f"缺少数据：{column.description_zh}"
    return Reason(
        code=code,
        dimension=column.dimension,
        effect=effect,
        value=value if known else None,
        text=text,
        text_zh=text_zh,
        improvement=improvement,
        improvement_zh=improvement_zh,
    )


def _of_one(text: str) -> str:
    """Return a text in which "1 late bills ... were" reads "1 late bill ... was"."""
    singular = _ONE.sub(r"1 \1\2", text)
    return singular.replace(" were ", " was ", 1) if singular != text else text


def dimension_title(dimension: str) -> tuple[str, str]:
    """Return the title of a dimension in English and Chinese."""
    return DIMENSIONS[dimension]
