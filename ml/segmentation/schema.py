"""Columns of customer segmentation: one row per customer, over the trailing twelve months of readings.

``SHAPE_COLUMNS`` is the load shape: what they hold, and how much each counts, is said in ``features``.
"""

from ml.columns import CUSTOMER_CLASSES, Column

HOURS = range(24)

WEEKDAY_SHAPE = tuple(
    Column(
        f"weekday_shape_{hour:02d}",
        "numeric",
        f"Mean power of working days from {hour:02d}:00 to {hour + 1:02d}:00, divided by the mean of the whole day",
        f"工作日 {hour:02d} 时平均负荷与日平均负荷之比",
        minimum=0,
        maximum=24,
        nullable=True,
        dimension="load_shape",
        season="same_season",
    )
    for hour in HOURS
)
WEEKEND_SHAPE = tuple(
    Column(
        f"weekend_shape_{hour:02d}",
        "numeric",
        f"Mean power of weekends and holidays from {hour:02d}:00 to {hour + 1:02d}:00, divided by the mean of that day",
        f"休息日 {hour:02d} 时平均负荷与日平均负荷之比",
        minimum=0,
        maximum=24,
        nullable=True,
        dimension="load_shape",
        season="same_season",
    )
    for hour in HOURS
)
HOUR_COLUMNS = WEEKDAY_SHAPE + WEEKEND_SHAPE

BLOCK_STARTS = range(0, 24, 4)
SEASON_BLOCKS = tuple(
    Column(
        f"{season}_shift_{start:02d}",
        "numeric",
        f"Power from {start:02d}:00 to {start + 4:02d}:00 divided by the mean of the day: {months} less the mild months",
        f"{season_zh}与春秋季相比，{start:02d} 至 {start + 4:02d} 时负荷与日平均之比的差",
        minimum=-6,
        maximum=6,
        nullable=True,
        dimension="load_shape",
        season="same_season",
    )
    for season, months, season_zh in (
        ("summer", "June to August", "夏季"),
        ("winter", "December to February", "冬季"),
    )
    for start in BLOCK_STARTS
)
DAILY_COLUMNS = (
    Column(
        "summer_level_shift",
        "numeric",
        "Mean power of June to August less that of the mild months, divided by the mean of both",
        "夏季与春秋季平均负荷之差与两者均值之比",
        minimum=-2,
        maximum=2,
        nullable=True,
        dimension="season",
    ),
    Column(
        "winter_level_shift",
        "numeric",
        "Mean power of December to February less that of the mild months, divided by the mean of both",
        "冬季与春秋季平均负荷之差与两者均值之比",
        minimum=-2,
        maximum=2,
        nullable=True,
        dimension="season",
    ),
    *(
        Column(
            f"{season}_rest_day_shift",
            "numeric",
            f"Mean power of weekends and holidays less that of working days, divided by the mean of both, in {months}",
            f"{season_zh}休息日与工作日平均负荷之差与两者均值之比",
            minimum=-2,
            maximum=2,
            nullable=True,
            dimension="load_shape",
            season="same_season",
        )
        for season, months, season_zh in (
            ("mild", "the mild months", "春秋季"),
            ("summer", "June to August", "夏季"),
            ("winter", "December to February", "冬季"),
        )
    ),
)
SHAPE_COLUMNS = HOUR_COLUMNS + SEASON_BLOCKS + DAILY_COLUMNS

LOAD_COLUMNS = (
    Column(
        "annual_kwh",
        "numeric",
        "Energy of the trailing twelve months",
        "近十二个月用电量",
        "kWh",
        minimum=0,
        nullable=True,
        dimension="level",
    ),
    Column(
        "mean_daily_kwh",
        "numeric",
        "Mean energy of an observed day",
        "日均用电量",
        "kWh",
        minimum=0,
        nullable=True,
        dimension="level",
    ),
    Column(
        "peak_kw",
        "numeric",
        "Largest interval power of the trailing twelve months",
        "最大负荷",
        "kW",
        minimum=0,
        nullable=True,
        dimension="level",
    ),
    Column(
        "load_factor",
        "numeric",
        "Mean power divided by peak power",
        "负荷率",
        minimum=0,
        maximum=1,
        nullable=True,
        dimension="load_shape",
    ),
    Column(
        "base_share",
        "numeric",
        "Mean power of the three lowest hours of the mean day divided by its mean",
        "基荷占比",
        minimum=0,
        maximum=1,
        nullable=True,
        dimension="load_shape",
    ),
    Column(
        "peak_hour",
        "numeric",
        "Hour of the mean working day with the largest power",
        "工作日峰时",
        "h",
        minimum=0,
        maximum=23,
        nullable=True,
        dimension="load_shape",
    ),
    Column(
        "weekend_ratio",
        "numeric",
        "Mean weekend day divided by mean working day",
        "休息日与工作日用电之比",
        minimum=0,
        nullable=True,
        dimension="load_shape",
    ),
    Column(
        "night_share",
        "numeric",
        "Share of energy from 22:00 to 06:00",
        "夜间用电占比",
        minimum=0,
        maximum=1,
        nullable=True,
        dimension="load_shape",
    ),
    Column(
        "summer_ratio",
        "numeric",
        "Mean day of June to August divided by the mean day of the year",
        "夏季用电比",
        minimum=0,
        nullable=True,
        dimension="season",
    ),
    Column(
        "winter_ratio",
        "numeric",
        "Mean day of December to February divided by the mean day of the year",
        "冬季用电比",
        minimum=0,
        nullable=True,
        dimension="season",
    ),
    Column(
        "daily_kwh_cv",
        "numeric",
        "Standard deviation of daily energy divided by its mean",
        "日用电量变异系数",
        minimum=0,
        nullable=True,
        dimension="stability",
    ),
    Column(
        "zero_days_count",
        "numeric",
        "Days with readings but no energy",
        "零用电天数",
        "days",
        minimum=0,
        maximum=366,
        nullable=True,
        dimension="stability",
    ),
    Column(
        "kwh_change_yoy_pct",
        "numeric",
        "Energy of the last three months against the same months a year before",
        "近三月用电同比变化",
        "%",
        minimum=-100,
        nullable=True,
        dimension="growth",
    ),
    Column(
        "peak_contribution",
        "numeric",
        "Mean power in the hours in which all customers together draw most, divided by the customer's mean power",
        "系统高峰时段平均负荷与自身平均负荷之比",
        minimum=0,
        nullable=True,
        dimension="value",
    ),
)

BEHAVIOUR_COLUMNS = (
    Column(
        "billed_amount_12m_amount",
        "numeric",
        "Amount billed over twelve months",
        "近十二个月应收电费",
        "currency",
        nullable=True,
        dimension="value",
    ),
    Column(
        "billed_amount_per_kwh",
        "numeric",
        "Amount billed over twelve months divided by the energy billed",
        "近十二个月平均电价",
        "currency/kWh",
        minimum=0,
        nullable=True,
        dimension="value",
    ),
    Column(
        "late_bills_12m_count",
        "numeric",
        "Bills paid after the due date over twelve months",
        "近十二个月逾期笔数",
        minimum=0,
        nullable=True,
        dimension="payment",
    ),
    Column(
        "contacts_12m_count",
        "numeric",
        "Service contacts over twelve months",
        "近十二个月服务工单数",
        minimum=0,
        nullable=True,
        dimension="service",
    ),
    Column(
        "programmes_count",
        "numeric",
        "Programmes in which the customer takes part",
        "参与的增值服务数",
        minimum=0,
        nullable=True,
        dimension="service",
    ),
    Column(
        "tenure_months",
        "numeric",
        "Months since the supply began",
        "立户月数",
        "months",
        minimum=0,
        nullable=True,
        dimension="life_cycle",
    ),
)

CONTEXT_COLUMNS = (
    Column(
        "customer_class", "categorical", "Class of the customer", "用电类别", allowed=CUSTOMER_CLASSES, nullable=True
    ),
    Column(
        "observed_days_count",
        "numeric",
        "Days with readings in the window",
        "有读数的天数",
        "days",
        minimum=0,
        maximum=366,
    ),
)

FEATURES = CONTEXT_COLUMNS + SHAPE_COLUMNS + LOAD_COLUMNS + BEHAVIOUR_COLUMNS
"""Columns of ``marts.customer_segmentation_features`` after its key (customer_key, as_of_month, district)."""

PREDICTIONS = (
    Column("segment_id", "categorical", "Stable identifier of the load-shape segment", "负荷形态客群编号"),
    Column("segment_name", "categorical", "Name of the segment", "客群名称（英文）"),
    Column("segment_name_zh", "categorical", "Name of the segment in Chinese", "客群名称"),
    Column(
        "segment_distance",
        "numeric",
        "Distance of the customer's shape from the centre of the segment",
        "与客群中心的距离",
        minimum=0,
        nullable=True,
    ),
    Column(
        "segment_confidence",
        "numeric",
        "One minus the ratio of the nearest to the second nearest distance",
        "归属置信度",
        minimum=0,
        maximum=1,
        nullable=True,
    ),
    Column("runner_up_segment_id", "categorical", "Second nearest segment", "次近客群", nullable=True),
    Column(
        "value_tier",
        "categorical",
        "Value of the customer by amount billed: high, medium, low, unknown",
        "价值等级",
        allowed=("high", "medium", "low", "unknown"),
    ),
    Column(
        "life_cycle_stage",
        "categorical",
        "new, growing, stable, shrinking, at_risk or unknown",
        "生命周期阶段",
        allowed=("new", "growing", "stable", "shrinking", "at_risk", "unknown"),
    ),
)
