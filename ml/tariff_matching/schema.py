"""Columns of tariff matching: one row per customer; the load itself travels in the load cube."""

from ml.columns import CUSTOMER_CLASSES, SUPPLY_ROUTES, VOLTAGE_LEVELS, Column

READINGS, ANNUAL_ENERGY, CLASS_ONLY, NONE = "readings", "annual_energy", "class_only", "none"
LOAD_BASES = (READINGS, ANNUAL_ENERGY, CLASS_ONLY, NONE)

BILLING_BASES = ("capacity", "contracted_demand", "actual_demand")

FEATURES = (
    Column(
        "customer_class", "categorical", "Class of the customer", "用电类别", allowed=CUSTOMER_CLASSES, nullable=True
    ),
    Column(
        "voltage_level", "categorical", "Voltage level of the supply", "电压等级", allowed=VOLTAGE_LEVELS, nullable=True
    ),
    Column("supply_route", "categorical", "How the energy is bought", "购电方式", allowed=SUPPLY_ROUTES, nullable=True),
    Column(
        "contract_capacity_kva",
        "numeric",
        "Contracted transformer capacity",
        "合同容量",
        "kVA",
        minimum=0,
        nullable=True,
    ),
    Column("tariff_id", "categorical", "Tariff on which the customer is billed today", "现行电价", nullable=True),
    Column(
        "billing_basis",
        "categorical",
        "Basis of the basic charge that the customer chose",
        "基本电费计收方式",
        allowed=BILLING_BASES,
        nullable=True,
    ),
    Column("contracted_kw", "numeric", "Contracted maximum demand", "合同最大需量", "kW", minimum=0, nullable=True),
    Column(
        "observed_months_count",
        "numeric",
        "Months with readings among the trailing twelve",
        "有读数的月数",
        "months",
        minimum=0,
        maximum=12,
    ),
    Column(
        "coverage_pct",
        "numeric",
        "Intervals present among those expected over the observed months",
        "读数完整率",
        "%",
        minimum=0,
        maximum=100,
        nullable=True,
    ),
    Column(
        "annual_kwh",
        "numeric",
        "Energy of the trailing twelve months",
        "近十二个月用电量",
        "kWh",
        minimum=0,
        nullable=True,
    ),
    Column(
        "peak_kw",
        "numeric",
        "Largest interval power of the trailing twelve months",
        "最大负荷",
        "kW",
        minimum=0,
        nullable=True,
    ),
    Column(
        "summer_ratio",
        "numeric",
        "Mean day of June to August divided by the mean day of the year",
        "夏季用电比",
        minimum=0,
        nullable=True,
        season="same_season",
        weather="summer",
        window_months=12,
    ),
    Column(
        "winter_ratio",
        "numeric",
        "Mean day of December to February divided by the mean day of the year",
        "冬季用电比",
        minimum=0,
        nullable=True,
        season="same_season",
        weather="winter",
        window_months=12,
    ),
    Column(
        "kwh_change_yoy_pct",
        "numeric",
        "Energy of the last three months against the same months a year before",
        "近三月用电同比变化",
        "%",
        minimum=-100,
        nullable=True,
        season="same_season",
        weather="change",
        window_months=3,
    ),
    Column(
        "night_share",
        "numeric",
        "Share of energy from 22:00 to 06:00",
        "夜间用电占比",
        minimum=0,
        maximum=1,
        nullable=True,
    ),
)
"""Columns of ``marts.customer_tariff_features`` after its key (customer_key, as_of_month, district)."""

PREDICTIONS = (
    Column(
        "current_tariff_id", "categorical", "Tariff on which the customer is billed today", "现行电价", nullable=True
    ),
    Column(
        "recommended_tariff_id",
        "categorical",
        "Tariff with the lowest expected bill, or today's when the evidence is weak",
        "推荐电价",
    ),
    Column("recommended_options", "categorical", "Options to choose with it, as JSON", "推荐选项"),
    Column("is_switch_recommended", "boolean", "Whether the advice is to change", "是否建议变更"),
    Column(
        "current_annual_amount",
        "numeric",
        "Bill of the past twelve months on today's tariff",
        "现行电价年电费",
        "currency",
        nullable=True,
    ),
    Column(
        "recommended_annual_amount",
        "numeric",
        "Bill of the past twelve months on the recommended tariff",
        "推荐电价年电费",
        "currency",
        nullable=True,
    ),
    Column(
        "expected_saving_amount",
        "numeric",
        "Expected saving over the next twelve months",
        "未来十二个月预期节省",
        "currency",
        nullable=True,
    ),
    Column(
        "saving_lower_amount",
        "numeric",
        "Lower end of the 80 % interval of the saving",
        "节省额区间下限",
        "currency",
        nullable=True,
    ),
    Column(
        "saving_upper_amount",
        "numeric",
        "Upper end of the 80 % interval of the saving",
        "节省额区间上限",
        "currency",
        nullable=True,
    ),
    Column(
        "saving_probability",
        "numeric",
        "Probability that the recommended tariff is cheaper than today's",
        "节省的概率",
        minimum=0,
        maximum=1,
        nullable=True,
    ),
    Column(
        "load_basis",
        "categorical",
        "From what the load is known: readings of the customer; energy of the year, with the hours of similar "
        "customers; the class only; or nothing, so that there is no advice",
        "负荷依据",
        allowed=LOAD_BASES,
    ),
    Column(
        "price_is_verified",
        "boolean",
        "Whether every price used is verified against an official text",
        "价格是否经核实",
    ),
)
