import re
from datetime import date

from ml.columns import Column
from ml.evaluation import BaselineComparison, Criterion, Evaluation, EvaluationTable, Metric
from ml.gate import GateDecision
from ml.model_card import (
    CardFigure,
    Importance,
    ModelCard,
    figure_text,
    interval_text,
    number,
    render_model_card,
)
from ml.sufficiency import Finding, SufficiencyReport
from ml.wording import Bilingual

AUC = Metric(name="roc_auc", value=0.7531, lower=0.71, upper=0.79, rows=100)
EVALUATION = Evaluation(
    use_case="credit_risk",
    holdout_description="Held out by time.",
    key_metric=AUC,
    metrics=(AUC, AUC.model_copy(update={"slice_column": "district", "slice_value": "<b>east</b>"})),
    baselines=(
        BaselineComparison(name="last_status", description="Debt alone", metric=AUC, difference=AUC),
        BaselineComparison(name="gone", metric=Metric(name="roc_auc", value=None), difference=AUC),
    ),
    sufficiency=SufficiencyReport.of("credit_risk", [Finding.at_least("bills", 1, 1, missing="")]),
    tables=(EvaluationTable(name="t", title="A table", columns=("a", "b"), rows=(("x", None),)),),
    notes=("A note.",),
)
MANIFEST = {
    "use_case": "credit_risk",
    "version": "202512-abc",
    "data_window": {"first_month": "2025-01-01", "last_month": "2025-12-01"},
    "data_fingerprint": "f00d",
    "code_version": "0.1+1234",
    "library_versions": {"numpy": "2.4.6"},
    "seed": 7,
    "config": {"depth": 3},
    "rows": {"holdout": 100, "train": 1000},
    "files": {"estimator/model.json": "0" * 64},
}
CARD = ModelCard(
    title=Bilingual(en="Credit risk", zh="信用风险"),
    purpose=Bilingual(en="Says who may not pay.", zh="欠费预测"),
    key_figure=Bilingual(en="AUC", zh="排序能力"),
    limits=(Bilingual(en="Learns from the past.", zh="来自历史"),),
    figures=(
        CardFigure(plot="a.png", title=Bilingual(en="Ranking")),
        CardFigure(plot="not there.png", title=Bilingual(en="Absent")),
    ),
    importances=(Importance(column="late", share=0.6), Importance(column="unknown", share=0.4)),
)
COLUMNS = [Column("late", "numeric", "Late bills", "逾期", monotone=1)]


def render(gate: GateDecision | None = None, evaluation: Evaluation = EVALUATION) -> str:
    return render_model_card(
        CARD,
        manifest=MANIFEST,
        evaluation=evaluation,
        plots={"a.png": b"png"},
        features=COLUMNS,
        predictions=COLUMNS,
        gate=gate,
    )


def test_the_page_needs_nothing_beside_it():
    page = render()
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)
    assert "<script" not in page
    assert "url(" not in page
    assert "data:image/png;base64," in page


def test_figures_baselines_and_texts_are_on_the_page_in_both_languages():
    page = render()
    for text in ("0.753", "0.710", "信用风险", "Debt alone", "Held out by time.", "A note.", "202512-abc", "f00d"):
        assert text in page, text
    assert "not compared" not in page
    assert "Absent" not in page


def test_an_interval_has_the_decimals_of_its_value():
    metric = Metric(name="interval_coverage", value=1.0, lower=0.97321, upper=1.0)
    wide = Metric(name="mean_saving_amount", value=12.34, lower=9.876, upper=1234.5, unit="CNY")
    assert (figure_text(metric), interval_text(metric)) == ("1.000", "0.973 – 1.000")
    assert (figure_text(wide), interval_text(wide)) == ("12.3 CNY", "9.9 – 1,234.5")


def test_a_count_is_whole_and_a_share_is_not_and_a_difference_has_its_sign():
    difference = Metric(name="roc_auc", value=0.0285, lower=-0.0808, upper=0.1272)
    assert figure_text(Metric(name="segments_count", value=3.0)) == "3"
    assert figure_text(Metric(name="roc_auc", value=1.0)) == "1.000"
    assert figure_text(Metric(name="roc_auc", value=None)) == "–"
    assert interval_text(Metric(name="false_alarm_gap", value=-0.04, lower=-0.05, upper=-0.02)) == "-0.050 to -0.020"
    assert figure_text(difference, signed=True) == "+0.029"
    assert interval_text(difference, signed=True) == "-0.081 to +0.127"
    assert interval_text(Metric(name="roc_auc", value=0.7)) == ""


def test_the_page_shows_titles_and_no_name_of_a_figure():
    text = re.sub(r"<style>.*?</style>|<code>.*?</code>|<[^>]*>", "", render(decision()), flags=re.DOTALL)
    assert "AUC" in text
    assert "排序能力" in text
    assert "By district" in text
    assert "训练样本" in text
    assert not re.findall(r"[a-z]+_[a-z]+", text)


def test_amounts_are_in_the_currency_of_the_card():
    amount = Metric(name="mean_saving_amount", value=5.5, unit="currency")
    columns = [Column("mean_bill_12m_amount", "numeric", "Mean bill", "月均电费", unit="currency")]
    page = render_model_card(
        CARD.model_copy(update={"currency": "CNY"}),
        manifest=MANIFEST,
        evaluation=EVALUATION.model_copy(update={"metrics": (amount,)}),
        plots={},
        features=columns,
        predictions=(),
    )
    assert re.search(r"5\.500 <small>CNY</small>", page)
    assert "<td>CNY</td>" in page
    assert "currency" not in page


def test_a_card_of_an_earlier_bundle_is_still_read():
    stored = CARD.model_dump(mode="json") | {"metric_titles": {"roc_auc": {"en": "AUC", "zh": ""}}}
    assert ModelCard.model_validate(stored) == CARD


def test_values_from_data_cannot_inject_markup():
    assert "<b>east</b>" not in render()
    assert "&lt;b&gt;east&lt;/b&gt;" in render()


def test_parts_of_the_rows_are_shown_in_the_order_of_their_use():
    page = render()
    assert page.index("rows to train on") < page.index("rows held out")


def decision(**changes: object) -> GateDecision:
    fields = {
        "use_case": "credit_risk",
        "approved": True,
        "decided_on": date(2026, 11, 22),
        "policy_valid_from": date(2026, 1, 1),
        "criteria": (Criterion(name="roc_auc", passed=True),),
        "reason": "Approved: all 1 criteria are met.",
    }
    return GateDecision.model_validate({**fields, **changes})


def test_the_decision_of_the_gate_is_shown_and_its_absence_too():
    assert "Not judged by the gate yet" in render()
    assert "Approved by the gate" in render(decision())
    assert "Refused by the gate" in render(decision(approved=False, reason="Refused: too bad."))


def test_an_override_stands_on_the_card():
    override = {
        "criterion": "roc_auc",
        "person": "Li Wei",
        "reason": "Agreed for now.",
        "expires_on": date(2026, 12, 1),
    }
    criterion = Criterion(name="roc_auc", passed=False, overridden_by="Li Wei, until 2026-12-01: Agreed for now.")
    page = render(decision(criteria=(criterion,), overrides=(override,)))
    assert "Approved with an override" in page
    assert "Overridden by Li Wei" in page


def test_an_evaluation_without_figures_still_renders():
    bare = Evaluation(use_case="credit_risk", holdout_description="none", key_metric=Metric(name="roc_auc", value=None))
    assert "no interval" in render(evaluation=bare)


def test_a_long_table_is_folded_and_a_short_one_is_open():
    def page(rows: int) -> str:
        table = EvaluationTable(name="t", title="A table", columns=("a", "b"), rows=(("x", None),) * rows)
        return render(evaluation=EVALUATION.model_copy(update={"tables": (table,)}))

    assert "All 26 rows" in page(26)
    assert "All 25 rows" not in page(25)


def test_numbers_are_short():
    assert [number(value) for value in (None, "x", 0, 12, 0.12345, 12.345, 12345.6, 3.0)] == [
        "–", "x", "0", "12", "0.123", "12.3", "12,346", "3",
    ]  # fmt: skip
    assert number(5, "kWh") == "5 kWh"
