"""Words of a bill in English and Chinese: price periods, units, and the sentences that explain the figures.

Names of components and tariffs come from the tariff itself; what stands here is the same on every bill.
"""

from decimal import Decimal
from typing import Literal

from ml.wording import Bilingual

Language = Literal["en", "zh"]

PERIODS: dict[str, Bilingual] = {
    "all": Bilingual(en="all hours", zh="全部时段"),
    "critical_peak": Bilingual(en="critical peak", zh="尖峰"),
    "peak": Bilingual(en="peak", zh="高峰"),
    "on_peak": Bilingual(en="on-peak", zh="高峰"),
    "mid_peak": Bilingual(en="mid-peak", zh="平段"),
    "shoulder": Bilingual(en="shoulder", zh="平段"),
    "flat": Bilingual(en="flat", zh="平段"),
    "off_peak": Bilingual(en="off-peak", zh="低谷"),
    "valley": Bilingual(en="valley", zh="低谷"),
    "deep_valley": Bilingual(en="deep valley", zh="深谷"),
    "day": Bilingual(en="day", zh="日间"),
    "night": Bilingual(en="night", zh="夜间"),
    "weekend": Bilingual(en="weekend", zh="周末"),
    "excess": Bilingual(en="above the tolerance", zh="超约定部分"),
}
"""Price periods that have a usual name; any other is shown as the tariff writes it."""

PARTS: dict[str, Bilingual] = {
    "fixed": Bilingual(en="fixed part", zh="固定部分"),
    "floating": Bilingual(en="floating part", zh="浮动部分"),
    "cover": Bilingual(en="contract price", zh="合约价部分"),
    "spot": Bilingual(en="spot price", zh="现货价部分"),
}

UNITS: dict[str, Bilingual] = {
    "kWh": Bilingual(en="kWh", zh="千瓦时"),
    "kW": Bilingual(en="kW", zh="千瓦"),
    "kVA": Bilingual(en="kVA", zh="千伏安"),
    "day": Bilingual(en="day", zh="天"),
    "month": Bilingual(en="month", zh="个月"),
    "year": Bilingual(en="year", zh="年"),
}
_COUNTED = ("day", "month", "year")

CURRENCIES: dict[str, Bilingual] = {"CNY": Bilingual(en="CNY", zh="元")}

MISSING: dict[str, Bilingual] = {
    "as_zero": Bilingual(en="an interval that was not read counts as zero", zh="未采集的时段按零计"),
    "refuse": Bilingual(en="a bill is made only when every interval was read", zh="数据不全不出账单"),
    "scale_to_complete": Bilingual(
        en="energy was scaled up for intervals that were not read", zh="未采集的时段已按已采集电量比例补足"
    ),
}

ROUNDING: dict[str, Bilingual] = {
    "line": Bilingual(
        en="Every line is rounded to {unit} {currency}, a half upwards in size; the total is the sum of these lines.",
        zh="每行金额四舍五入至{unit}{currency}，合计为各行之和。",
    ),
    "total": Bilingual(
        en="Lines are exact; only the total is rounded, to {unit} {currency}, a half upwards in size.",
        zh="各行金额不取整，仅合计四舍五入至{unit}{currency}。",
    ),
}

TEXTS: dict[str, Bilingual] = {
    "title": Bilingual(en="Electricity bill", zh="电费账单"),
    "customer": Bilingual(en="Customer", zh="客户编号"),
    "month": Bilingual(en="Month", zh="账单月份"),
    "billing_period": Bilingual(en="Billing period", zh="计费周期"),
    "tariff": Bilingual(en="Tariff", zh="电价"),
    "version": Bilingual(en="version", zh="版本"),
    "energy": Bilingual(en="Energy", zh="用电量"),
    "peak": Bilingual(en="Highest demand", zh="最大需量"),
    "readings": Bilingual(en="Readings", zh="采集情况"),
    "charge": Bilingual(en="Charge", zh="收费项目"),
    "quantity": Bilingual(en="Quantity", zh="计费数量"),
    "unit": Bilingual(en="Unit", zh="单位"),
    "factor": Bilingual(en="Factor", zh="系数"),
    "price": Bilingual(en="Price", zh="单价"),
    "amount": Bilingual(en="Amount", zh="金额"),
    "total": Bilingual(en="Total", zh="合计"),
    "energy_table": Bilingual(en="Energy by period and tier", zh="分时段、分档电量电费"),
    "period": Bilingual(en="Period", zh="时段"),
    "tier": Bilingual(en="Tier", zh="档"),
    "charges": Bilingual(en="Charges", zh="收费项目"),
    "demand_table": Bilingual(en="Demand", zh="需量"),
    "metered": Bilingual(en="Metered", zh="实测需量"),
    "billed": Bilingual(en="Billed", zh="计费需量"),
    "notes": Bilingual(en="How to read this bill", zh="账单说明"),
    "not_verified": Bilingual(en="Prices not verified: for demonstration only", zh="价格未经核实，仅供演示"),
    "vat_included": Bilingual(en="Prices include value-added tax.", zh="价格含增值税。"),
    "vat_excluded": Bilingual(en="Prices do not include value-added tax.", zh="价格不含增值税。"),
    "formula": Bilingual(en="Amount = quantity × factor × price.", zh="金额 = 计费数量 × 系数 × 单价。"),
    "minimum": Bilingual(
        en="The line of a minimum shows the minimum as its price, and as its amount what the lines before it lack.",
        zh="最低电费一行的单价为最低金额，收取的是前述各项未达最低金额的差额。",
    ),
    "minimum_tag": Bilingual(en="shortfall", zh="差额"),
    "by_interval": Bilingual(en="by interval", zh="逐时段"),
    "series": Bilingual(
        en="“By interval” means that every interval has a price of its own; the amount is their exact sum.",
        zh="“逐时段”指每个时段各有单价，金额为逐时段精确累加。",
    ),
    "agreed": Bilingual(en="agreed", zh="约定部分"),
}


def in_language(text: Bilingual, language: Language) -> str:
    """Return a text in English or Chinese."""
    return text.zh if language == "zh" else text.en


def period_name(period: str, language: Language) -> str:
    """Return the name of a price period, or of several joined by ``+``, for a reader."""
    names = []
    for part in period.split("+"):
        known = PERIODS.get(part.strip().lower().replace("-", "_").replace(" ", "_"))
        names.append(in_language(known, language) if known else part.strip().replace("_", " "))
    return " + ".join(names)


def tier_name(tier: int, language: Language) -> str:
    """Return the name of a tier: ``tier 2``, ``第2档``."""
    return f"第{tier}档" if language == "zh" else f"tier {tier}"


def unit_name(unit: str, language: Language, quantity: Decimal = Decimal(1)) -> str:
    """Return the unit of a quantity; a currency is a unit too, where a percentage is taken of money."""
    known = UNITS.get(unit) or CURRENCIES.get(unit)
    name = in_language(known, language) if known else unit
    return f"{name}s" if language == "en" and unit in _COUNTED and quantity != 1 else name
