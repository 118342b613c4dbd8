from pathlib import Path

from ml.bundle import TrainingResult, read_bundle
from ml.columns import names
from ml.credit_risk.schema import FEATURES
from ml.wording import METRIC_TITLES, PART_TITLES, SLICE_TITLES


def test_every_figure_and_plot_of_the_card_exists(trained: TrainingResult):
    assert {figure.plot for figure in trained.model_card.figures} == set(trained.plots)
    assert all(plot.startswith(b"\x89PNG") for plot in trained.plots.values())
    assert {metric.name for metric in trained.evaluation.metrics} <= set(METRIC_TITLES)
    assert {metric.slice_column for metric in trained.evaluation.metrics} <= {None, *SLICE_TITLES}
    assert set(trained.rows) <= set(PART_TITLES)


def test_importances_are_shares_of_known_columns(trained: TrainingResult):
    shares = [item.share for item in trained.model_card.importances]
    assert abs(sum(shares) - 1) < 1e-6
    assert shares == sorted(shares, reverse=True)
    assert {item.column for item in trained.model_card.importances} == set(names(FEATURES))


def test_the_card_of_a_bundle_speaks_both_languages(trained: TrainingResult, tmp_path: Path):
    trained.write(tmp_path / "bundle")
    page = (tmp_path / "bundle" / "model_card.html").read_text()
    assert page == read_bundle(tmp_path / "bundle").render_card()
    for text in ("Credit risk of electricity customers", "电力客户信用风险", "Held out by time", "By district"):
        assert text in page
