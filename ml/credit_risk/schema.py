"""Columns of credit risk: one row per customer and as-of month, from what was known at ``as_of_at`` only.

``monotone`` is the direction in which the probability of default may move. Windows end at ``as_of_at``.
"""

from ml.columns import CUSTOMER_CLASSES, Column

RECOVERY = (
    Column("recovery_rate_due_3m_pct", "numeric", "Amount paid by the due date over amount billed, bills due in the last 3 months", "近三月到期电费按期回收率", "%", 0, 100, nullable=True, monotone=-1, dimension="recovery"),
    Column("recovery_rate_due_12m_pct", "numeric", "Amount paid by the due date over amount billed, bills due in the last 12 months", "近十二月到期电费按期回收率", "%", 0, 100, nullable=True, monotone=-1, dimension="recovery"),
    Column("recovery_rate_30d_12m_pct", "numeric", "Amount paid within 30 days of the due date over amount billed, bills that were due at least 30 days ago, 12 months", "近十二月逾期三十日内回收率", "%", 0, 100, nullable=True, monotone=-1, dimension="recovery"),
    Column("unpaid_balance_ratio", "numeric", "Overdue unpaid balance divided by the mean bill of 12 months", "欠费余额与月均电费之比", minimum=0, nullable=True, monotone=1, dimension="recovery"),
)
TIMELINESS = (
    Column("on_time_share_12m_pct", "numeric", "Share of bills due in 12 months that were paid in full by the due date", "近十二月按期缴清笔数占比", "%", 0, 100, nullable=True, monotone=-1, dimension="timeliness"),
    Column("late_bills_3m_count", "numeric", "Bills due in 3 months and not fully paid by the due date", "近三月逾期笔数", minimum=0, nullable=True, monotone=1, dimension="timeliness"),
    Column("late_bills_12m_count", "numeric", "Bills due in 12 months and not fully paid by the due date", "近十二月逾期笔数", minimum=0, nullable=True, monotone=1, dimension="timeliness"),
    Column("mean_days_late_12m_days", "numeric", "Mean days from due date to full payment (or to the as-of date), on-time bills as 0, 12 months", "近十二月平均逾期天数", "days", minimum=0, nullable=True, monotone=1, dimension="timeliness"),
    Column("max_days_late_12m_days", "numeric", "Largest days late, 12 months", "近十二月最长逾期天数", "days", minimum=0, nullable=True, monotone=1, dimension="timeliness"),
    Column("days_late_trend_days", "numeric", "Mean days late of 3 months minus mean days late of 12 months", "逾期天数趋势", "days", nullable=True, monotone=1, dimension="timeliness"),
    Column("partial_payments_12m_count", "numeric", "Bills due in 12 months that were paid in more than one payment", "近十二月分次缴费笔数", minimum=0, nullable=True, monotone=1, dimension="timeliness"),
)
LOAD_STABILITY = (
    Column("monthly_kwh_cv_12m", "numeric", "Standard deviation of monthly energy divided by its mean, 12 months", "近十二月月用电量变异系数", minimum=0, nullable=True, dimension="load_stability", season="same_season"),
    Column("kwh_change_yoy_pct", "numeric", "Energy of the last 3 months against the same months a year before", "近三月用电同比变化", "%", minimum=-100, nullable=True, dimension="load_stability", season="same_season"),
    Column("load_factor_3m", "numeric", "Mean power divided by peak power, 3 months", "近三月负荷率", minimum=0, maximum=1, nullable=True, dimension="load_stability", season="same_season"),
    Column("zero_load_days_3m_count", "numeric", "Days with readings but no energy, 3 months", "近三月零用电天数", "days", minimum=0, maximum=93, nullable=True, monotone=1, dimension="load_stability", season="same_season"),
    Column("capacity_utilisation_pct", "numeric", "Peak power of 3 months over contracted capacity", "近三月最大负荷与合同容量之比", "%", minimum=0, nullable=True, dimension="load_stability", season="same_season"),
)
CREDIT_RECORD = (
    Column("overdue_30d_bills_12m_count", "numeric", "Bills of 12 months that were unpaid 30 days after the due date", "近十二月逾期三十日以上笔数", minimum=0, nullable=True, monotone=1, dimension="credit_record"),
    Column("months_since_overdue_30d_months", "numeric", "Months since a bill last passed 30 days unpaid; missing when never", "距上次严重逾期月数", "months", minimum=0, nullable=True, monotone=-1, dimension="credit_record"),
    Column("confirmed_breaches_24m_count", "numeric", "Inspections of 24 months that found theft or tampering", "近二十四月查实违约用电次数", minimum=0, nullable=True, monotone=1, dimension="credit_record"),
    Column("tenure_months", "numeric", "Months since the supply began", "立户月数", "months", minimum=0, nullable=True, monotone=-1, dimension="credit_record"),
)
SERVICE = (
    Column("contacts_6m_count", "numeric", "Service contacts of 6 months", "近六月服务工单数", minimum=0, nullable=True, dimension="service"),
    Column("billing_contacts_6m_count", "numeric", "Service contacts of 6 months about bills or payments", "近六月电费类工单数", minimum=0, nullable=True, dimension="service"),
    Column("mean_satisfaction_12m", "numeric", "Mean satisfaction of 12 months, 1 to 5", "近十二月平均满意度", minimum=1, maximum=5, nullable=True, dimension="service"),
)
CUSTOMER_FACTS = (
    Column("customer_class", "categorical", "Class of the customer", "用电类别", allowed=CUSTOMER_CLASSES, dimension="customer"),
    Column("mean_bill_12m_amount", "numeric", "Mean bill of 12 months", "近十二月月均电费", "currency", nullable=True, dimension="customer"),
    Column("bills_12m_count", "numeric", "Bills issued in 12 months", "近十二月账单数", minimum=0, dimension="customer"),
    Column("contract_capacity_kva", "numeric", "Contracted transformer capacity", "合同容量", "kVA", minimum=0, nullable=True, dimension="customer"),
)

FEATURES = RECOVERY + TIMELINESS + LOAD_STABILITY + CREDIT_RECORD + SERVICE + CUSTOMER_FACTS
"""Columns of ``marts.customer_credit_features`` after its key (customer_key, as_of_month) and context."""

DIMENSIONS = {
    "recovery": ("bill recovery", "电费回收"),
    "timeliness": ("timeliness of payment", "缴费及时性"),
    "load_stability": ("stability of load", "负荷稳定性"),
    "credit_record": ("credit record", "信用记录"),
    "service": ("service contacts", "服务往来"),
    "customer": ("customer facts", "客户资料"),
}

RATINGS = ("AAA", "AA", "A", "BBB", "BB", "B", "C", "D")

PREDICTIONS = (
    Column("default_probability", "numeric", "Calibrated probability that a bill is unpaid 30 days past due within six months", "未来六个月欠费违约概率", minimum=0, maximum=1),
    Column("credit_points", "numeric", "Points: 600 at odds of 50:1, 20 points double the odds", "信用分", "points"),
    Column("credit_rating", "categorical", "Rating by probability", "信用等级", allowed=RATINGS),
    Column("reason_1_code", "categorical", "Column that raises the probability most", "首要原因", nullable=True),
    Column("reason_2_code", "categorical", "Column with the second largest effect", "第二原因", nullable=True),
    Column("reason_3_code", "categorical", "Column with the third largest effect", "第三原因", nullable=True),
)
