"""The report of a policy's dry run: who would have been affected, how often wrongly, at what cost."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from ml.columns import AS_OF_MONTH
from ml.credit_risk.policy_schema import HARSHNESS
from ml.credit_risk.reasons import CLASSES_ZH
from ml.credit_risk.rehearsal import HANDLING_COST_AMOUNTS, Rehearsal
from ml.credit_risk.report_page import (
    ReportPage,
    Section,
    Table,
    number_column,
    percent_column,
    percent_text,
    table_of,
    text_column,
)
from ml.plots import INK, PALETTE, new_figure, to_png
from ml.wording import Bilingual, number_text, slice_title

KIND_TITLES: Mapping[str, Bilingual] = {
    "red_list": Bilingual(en="red list", zh="红名单"),
    "reminder": Bilingual(en="reminder", zh="提醒"),
    "instalment_plan": Bilingual(en="instalments offered", zh="分期"),
    "deposit": Bilingual(en="deposit", zh="押金"),
    "prepayment": Bilingual(en="prepayment", zh="预购电"),
    "black_list": Bilingual(en="black list (notice)", zh="黑名单（通知）"),
}
REASON_TITLES: Mapping[str, Bilingual] = {
    "protection": Bilingual(en="the customer is protected", zh="受保护客户"),
    "appeal_upheld": Bilingual(en="an appeal was upheld", zh="申诉成立"),
    "appeal_waiting": Bilingual(en="an appeal waits", zh="申诉待裁定"),
    "charges_unknown": Bilingual(en="the charges are not known", zh="电费未知"),
    "superseded": Bilingual(en="another measure stands for it", zh="已有其他措施"),
}
PLOT = "measures.png"


def tables(rehearsal: Rehearsal) -> dict[str, pd.DataFrame]:
    """Return the tables by name, for those who go on calculating."""
    return {
        "measures": rehearsal.measures,
        "rules": rehearsal.rules,
        "groups": rehearsal.groups,
        "monthly": rehearsal.monthly,
        "withheld": rehearsal.withheld,
        "rows": rehearsal.rows,
    }


def summary(rehearsal: Rehearsal, currency: str) -> str:
    """Return the dry run in one sentence."""
    burdens = rehearsal.measures[rehearsal.measures["kind"].map(HARSHNESS).gt(1)]
    if burdens.empty:
        return f"{rehearsal.policy.version}: no deposit, prepayment or notice of the black list in these months."
    wrong, judged = int(burdens["wrong_count"].sum()), int(burdens["judged_count"].sum())
    judged_text = f"{wrong} of {judged} judged were on customers who then paid" if judged else "none is judged yet"
    return (
        f"{rehearsal.policy.version}: {int(burdens['new_count'].sum()):,} burdens on {rehearsal.customers_count:,} "
        f"customers in {len(rehearsal.months)} months; {judged_text}; "
        f"{burdens['asked_of_payers_amount'].sum():,.0f} {currency} asked of them."
    )


def plot(rehearsal: Rehearsal) -> bytes:
    """Return the new measures by month, and the share of false alarms by kind with its interval."""
    figure, (axis, alarms) = new_figure(10.5, 4.0, columns=2)
    months = [f"{month:%Y-%m}" for month in rehearsal.monthly[AS_OF_MONTH]]
    below = [0] * len(months)
    for color, kind in zip(PALETTE, HARSHNESS, strict=False):
        counts = [int(count) for count in rehearsal.monthly[f"{kind}_count"]]
        if any(counts):
            axis.bar(months, counts, bottom=below, color=color, label=KIND_TITLES[kind].en)
            below = [first + second for first, second in zip(below, counts, strict=True)]
    axis.set(title="New measures by month", ylabel="customers")
    axis.tick_params(axis="x", rotation=60)
    axis.set_ylim(0, 1.3 * max([*below, 1]))
    axis.legend(frameon=False, fontsize=8, ncols=3, loc="upper center")
    judged = [row for row in rehearsal.measures.to_dict("records") if row["judged_count"]][::-1]
    for position, row in enumerate(judged):
        lower, upper = row["wrong_share_lower"], row["wrong_share_upper"]
        if lower is not None and not math.isnan(lower):
            alarms.plot([100 * lower, 100 * upper], [position, position], color="#9dbcdc", linewidth=3)
        alarms.plot(100 * row["wrong_share"], position, "o", color=INK, markersize=5)
    alarms.set_yticks(range(len(judged)), [KIND_TITLES[row["kind"]].en for row in judged])
    alarms.set(title="False alarms, 95 % interval by customer", xlabel="% of the judged", xlim=(-2, 102))
    return to_png(figure)


def render_report(rehearsal: Rehearsal, currency: str, image: bytes) -> str:
    """Return the page.

    Args:
        rehearsal: The dry run.
        currency: ISO 4217 code of its amounts.
        image: The plot.
    """
    first, last = rehearsal.months[0], rehearsal.months[-1]
    missed = rehearsal.missed
    cost = float(rehearsal.measures["handling_cost_amount"].sum())
    asked = float(rehearsal.measures["asked_of_payers_amount"].sum())
    chips = [
        Bilingual(en=f"{first:%Y-%m} to {last:%Y-%m}", zh="月份"),
        Bilingual(en=f"jurisdiction {rehearsal.policy.jurisdiction}", zh="适用地区"),
        *(
            Bilingual(en=f"not verified: {source.text}", zh="未核实")
            for source in rehearsal.policy.sources
            if not source.is_verified
        ),
    ]
    tiles = [
        (number_text(rehearsal.customers_count, 0), Bilingual(en="customers", zh="客户数")),
        (
            number_text(asked, 0, currency),
            Bilingual(en="asked as deposit or in advance of customers who then paid", zh="向守约客户收取的押金与预付"),
        ),
        (
            number_text(cost, 0, currency),
            Bilingual(en="work, by the assumed cost of each measure", zh="处理成本（假设）"),
        ),
        (
            f"{missed['missed']:,.0f} / {missed['defaults']:,.0f}",
            Bilingual(en="defaults without any burden before them", zh="未采取限制措施的违约"),
        ),
        (number_text(missed["missed_amount"], 0, currency), Bilingual(en="money at stake in those", zh="其敞口金额")),
    ]
    return ReportPage(
        eyebrow=Bilingual(en="Dry run of a credit policy", zh="信用政策试运行"),
        title=Bilingual(en=f"{rehearsal.policy.name} · {rehearsal.policy.version}", zh=rehearsal.policy.name_zh),
        chips=chips,
        tiles=tiles,
        sections=[
            Section(Bilingual(en="By month", zh="按月"), plot=image),
            Section(
                Bilingual(en="Who would have been affected, and how often wrongly", zh="受影响客户与误判"),
                _measures_note(rehearsal, currency),
                _measures_table(rehearsal, currency),
            ),
            Section(Bilingual(en="By rule", zh="按规则"), table=_rules_table(rehearsal)),
            Section(
                Bilingual(en="By group", zh="按群体"),
                Bilingual(
                    en="Burdens are deposit, prepayment and notices of the black list; false alarms are burdens on "
                    "snapshots that did not default.",
                    zh="限制措施指押金、预购电与黑名单通知；误判指未违约而受限。",
                ),
                _groups_table(rehearsal),
            ),
            Section(
                Bilingual(en="Spared, and why", zh="未执行的措施及原因"),
                None if len(rehearsal.withheld) else Bilingual(en="Nobody.", zh="无。"),
                _withheld_table(rehearsal) if len(rehearsal.withheld) else None,
            ),
        ],
    ).render()


def _measures_note(rehearsal: Rehearsal, currency: str) -> Bilingual:
    costs = ", ".join(f"{KIND_TITLES[kind].en} {amount:g}" for kind, amount in HANDLING_COST_AMOUNTS.items())
    trained = ""
    if rehearsal.trained_until is not None and rehearsal.trained_until >= rehearsal.months[0]:
        trained = f" The model was trained on months up to {rehearsal.trained_until:%Y-%m}: there its scores flatter."
    return Bilingual(
        en="A measure is new when none of its kind still held. Judged are new measures on customers who were not in "
        "default already and whose outcome is known; a false alarm is one on a customer who did not "
        "default (on the red list: who did). Assumed cost of the work in "
        f"{currency}: {costs}.{trained}",
        zh="新措施指此前无同类有效措施；已判定指当时未违约且结果已知；误判指客户未违约（红名单则为违约）。",
    )


def _measures_table(rehearsal: Rehearsal, currency: str) -> Table:
    def money(name: str) -> Callable[[Mapping[str, Any]], str]:
        return lambda row: number_text(row[name] if row["kind"] in ("deposit", "prepayment") else None, 0)

    return table_of(
        rehearsal.measures,
        text_column("Measure", "措施", _kind),
        number_column("customers", "客户", "customers_count"),
        percent_column("of all", "占比", "customers_share"),
        number_column("new", "新增", "new_count"),
        number_column("in default already", "已违约", "in_default_count"),
        number_column("judged", "已判定", "judged_count"),
        text_column("false alarms", "误判", _false_alarms),
        text_column("95 % interval", "区间", _interval),
        text_column(f"asked, {currency}", "收取金额", money("asked_amount")),
        text_column(f"of it of payers, {currency}", "其中守约客户", money("asked_of_payers_amount")),
        number_column(f"at stake with defaulters, {currency}", "违约客户敞口", "defaulted_exposure_amount"),
        number_column(f"work, {currency}", "处理成本", "handling_cost_amount"),
    )


def _rules_table(rehearsal: Rehearsal) -> Table:
    return table_of(
        rehearsal.rules,
        text_column("Rule", "规则", lambda row: Bilingual(en=row["name"], zh=row["name_zh"])),
        text_column("measure", "措施", _kind),
        number_column("customers", "客户", "customers_count"),
        number_column("snapshots", "快照", "snapshots_count"),
        number_column("judged", "已判定", "judged_count"),
        percent_column("then paid", "其后守约", "paid_share"),
    )


def _groups_table(rehearsal: Rehearsal) -> Table:
    return table_of(
        rehearsal.groups,
        text_column("Group", "群体", _group),
        number_column("customers", "客户", "customers_count"),
        number_column("with a burden", "受限客户", "burdened_count"),
        percent_column("share", "占比", "burdened_share"),
        number_column("snapshots that paid", "守约快照", "payers_count"),
        percent_column("false alarms among them", "其中误判", "false_alarm_share"),
    )


def _withheld_table(rehearsal: Rehearsal) -> Table:
    return table_of(
        rehearsal.withheld,
        text_column("Why", "原因", lambda row: REASON_TITLES[row["reason_code"]]),
        text_column("measure", "措施", _kind),
        number_column("customers", "客户", "customers_count"),
        number_column("snapshots", "快照", "snapshots_count"),
    )


def _kind(row: Mapping[str, Any]) -> Bilingual:
    return KIND_TITLES[row["kind"]]


def _false_alarms(row: Mapping[str, Any]) -> str:
    return f"{row['wrong_count']:,} ({percent_text(row['wrong_share'])})" if row["judged_count"] else "–"


def _interval(row: Mapping[str, Any]) -> str:
    lower, upper = (percent_text(row[f"wrong_share_{end}"]) for end in ("lower", "upper"))
    return lower if lower == upper == "–" else f"{lower} – {upper}"


def _group(row: Mapping[str, Any]) -> Bilingual:
    title, value = slice_title(row["group"]), row["value"]
    return Bilingual(en=f"{title.en}: {value}", zh=f"{title.zh}：{CLASSES_ZH.get(value, value)}")
