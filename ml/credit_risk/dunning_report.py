"""The report of a dunning list: whom to contact first, and how much money such lists reached in past months."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import pandas as pd

from ml.credit_risk.dunning import RANKINGS, REFERENCE, WORKING_DAYS, DunningBackTest, DunningConfig, DunningList
from ml.credit_risk.report_page import (
    ReportPage,
    Section,
    Table,
    number_column,
    percent_column,
    table_of,
    text_column,
)
from ml.plots import GREY, INK, PALETTE, new_figure, to_png
from ml.wording import Bilingual, number_text

PLOT = "reached.png"
SHOWN_ROWS = 50
RANKING_TITLES = {
    "expected_loss": Bilingual(en="expected loss (this list)", zh="预期损失（本清单）"),
    REFERENCE: Bilingual(en="age of debt", zh="账龄"),
    "overdue_amount": Bilingual(en="overdue balance", zh="欠费余额"),
    "probability": Bilingual(en="probability of default", zh="违约概率"),
    "perfect": Bilingual(en="perfect knowledge", zh="完全信息（上限）"),
}


def tables(made: DunningList, tested: DunningBackTest | None) -> dict[str, pd.DataFrame]:
    """Return the tables by name, for those who go on working with them."""
    return {"customers": made.rows} | ({"back_test": tested.rows} if tested is not None else {})


def summary(made: DunningList, tested: DunningBackTest | None, config: DunningConfig, currency: str) -> str:
    """Return the list and its back-test in one sentence."""
    listed = (
        f"{len(made.rows):,} customers of {made.month:%Y-%m} at {config.daily_capacity} a day, "
        f"{made.rows['expected_loss_amount'].sum():,.0f} {currency} expected loss; {made.beyond_capacity_count:,} "
        "beyond capacity."
    )
    if tested is None:
        return f"{listed} Too little history for a back-test."
    first = _row(tested, "expected_loss", 1)
    return (
        f"{listed} Back-test over {len(tested.months)} months: the first day's contacts reach "
        f"{100 * first['reached_share']:.0f} % of the money still owed {config.judged_after_months} months later, by "
        f"age of debt {100 * _row(tested, REFERENCE, 1)['reached_share']:.0f} %."
    )


def plot(tested: DunningBackTest) -> bytes:
    """Return the share of the money that each ranking reaches in a day, a week and a month."""
    figure, [axis] = new_figure(11.0, 3.6)
    width = 0.8 / len(RANKINGS)
    for position, (ranking, name) in enumerate(RANKINGS.items()):
        shares = [100 * _row(tested, ranking, days)["reached_share"] for days in WORKING_DAYS]
        places = [place + (position - (len(RANKINGS) - 1) / 2) * width for place in range(len(WORKING_DAYS))]
        color = GREY if ranking == "perfect" else PALETTE[position]
        axis.bar(places, shares, width=width, color=color, label=name)
        for place, share in zip(places, shares, strict=True):
            axis.annotate(f"{share:.0f}", (place, share), ha="center", va="bottom", fontsize=7, color=INK)
    axis.set_xticks(range(len(WORKING_DAYS)), [f"{days} working day{'s' if days > 1 else ''}" for days in WORKING_DAYS])
    axis.set(title="Money still owed later that the contacts reach", ylabel="%", ylim=(0, 108))
    axis.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return to_png(figure)


def render_report(
    made: DunningList,
    tested: DunningBackTest | None,
    config: DunningConfig,
    currency: str,
    image: bytes | None,
    trained_until: date,
) -> str:
    """Return the page.

    Args:
        made: The list.
        tested: Its back-test, or none.
        config: Settings of both.
        currency: ISO 4217 code of the amounts.
        image: The plot, or none.
        trained_until: Last month on which the model was trained.
    """
    loss = float(made.rows["expected_loss_amount"].sum())
    sections = [Section(Bilingual(en="The list", zh="催费清单"), _list_note(made), _list_table(made, currency))]
    if tested is None:
        sections.append(
            Section(
                Bilingual(en="Back-test", zh="回测"),
                Bilingual(
                    en=f"No month has a later one, {config.judged_after_months} months on, to judge it by.",
                    zh="历史不足，暂无法回测。",
                ),
            )
        )
    else:
        sections.append(
            Section(
                Bilingual(en="Back-test", zh="回测"),
                _test_note(tested, config, currency, trained_until),
                _test_table(tested, currency),
                image,
            )
        )
    return ReportPage(
        eyebrow=Bilingual(en="Dunning list", zh="催费优先级清单"),
        title=Bilingual(en=f"{made.month:%Y-%m}"),
        chips=[
            Bilingual(en=f"{config.daily_capacity} contacts a day", zh="每日联系能力"),
            Bilingual(en=f"{config.working_days} working days", zh="工作日"),
            Bilingual(en=f"at stake: overdue balance and {config.exposure_months:g} months", zh="敞口"),
        ],
        tiles=[
            (number_text(len(made.rows), 0), Bilingual(en="customers to contact", zh="待联系客户")),
            (number_text(loss, 0, currency), Bilingual(en="their expected loss", zh="预期损失")),
            (
                number_text(float(made.rows["overdue_amount"].sum()), 0, currency),
                Bilingual(en="their overdue balance", zh="欠费余额"),
            ),
            (
                number_text(made.beyond_capacity_count, 0),
                Bilingual(
                    en=f"beyond capacity, {made.beyond_capacity_loss_amount:,.0f} {currency} expected loss",
                    zh="超出能力的客户",
                ),
            ),
            (
                number_text(made.disputing_count, 0),
                Bilingual(en="left out: the debt is contested", zh="争议中，不催费"),
            ),
        ],
        sections=sections,
    ).render()


def _row(tested: DunningBackTest, ranking: str, days: int) -> dict[str, float]:
    rows = tested.rows[(tested.rows["ranking"] == ranking) & (tested.rows["working_days"] == days)]
    return {str(name): value for name, value in rows.iloc[0].items()}


def _list_note(made: DunningList) -> Bilingual:
    return Bilingual(
        en=f"Expected loss is probability of default times money at stake. Shown are the first {SHOWN_ROWS}; "
        f"customers.parquet beside this page has all {len(made.rows):,}.",
        zh="预期损失＝违约概率×敞口金额；完整清单见 customers.parquet。",
    )


def _list_table(made: DunningList, currency: str) -> Table:
    return table_of(
        made.rows.head(SHOWN_ROWS),
        text_column("Customer", "客户", lambda row: str(row["customer_key"])),
        number_column("rank", "名次", "rank"),
        number_column("working day", "工作日", "working_day"),
        percent_column("probability", "违约概率", "default_probability"),
        text_column("rating", "等级", lambda row: str(row["rating_in_force"])),
        number_column(f"overdue, {currency}", "欠费", "overdue_amount", 2),
        number_column(f"at stake, {currency}", "敞口", "exposure_amount", 2),
        number_column(f"expected loss, {currency}", "预期损失", "expected_loss_amount", 2),
        number_column("age of debt, days", "账龄", "debt_age_days"),
    )


def _test_note(tested: DunningBackTest, config: DunningConfig, currency: str, trained_until: date) -> Bilingual:
    first, last = tested.months[0], tested.months[-1]
    flattered = (
        f" The model was trained on months up to {trained_until:%Y-%m}: there its scores flatter."
        if trained_until >= first
        else ""
    )
    return Bilingual(
        en=f"Months {first:%Y-%m} to {last:%Y-%m}, {tested.remaining_amount:,.0f} {currency} still owed "
        f"{config.judged_after_months} months later in the mean of a month, counted up to what was at stake when the "
        f"list was made; {tested.unjudged_count:,} snapshots without a later one are left out. Recovered money assumes "
        f"that a contact brings in {100 * config.recovery_share:.0f} % of what would stay owed; the assumption is the "
        "same for every ranking. Differences are to the ranking by age of debt, with 95 % intervals over customers."
        f"{flattered}",
        zh="以数月后仍未缴的金额评价各排序方法；回收金额按统一假设比例计算。",
    )


def _test_table(tested: DunningBackTest, currency: str) -> Table:
    return table_of(
        tested.rows,
        text_column("Ranking", "排序方法", lambda row: RANKING_TITLES[row["ranking"]]),
        number_column("working days", "工作日", "working_days"),
        number_column("contacts a month", "每月联系数", "contacts_count", 1),
        percent_column("reached", "覆盖比例", "reached_share"),
        number_column(f"reached a month, {currency}", "每月覆盖金额", "reached_amount"),
        number_column(f"recovered a month, {currency}", "每月回收金额", "recovered_amount"),
        text_column("against age of debt", "与账龄排序之差", _difference_text),
    )


def _difference_text(row: Mapping[str, Any]) -> str:
    if row["ranking"] == REFERENCE:
        return "–"
    value = number_text(100 * row["difference"], 1, signed=True)
    if row["difference_lower"] is None or pd.isna(row["difference_lower"]):
        return f"{value} points"
    lower, upper = (number_text(100 * row[f"difference_{end}"], 1, signed=True) for end in ("lower", "upper"))
    return f"{value} ({lower} to {upper}) points"
