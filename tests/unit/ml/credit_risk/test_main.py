from pathlib import Path

import pytest

from ml.bundle import TrainingResult
from ml.credit_risk.__main__ import main
from ml.credit_risk.model import CreditRiskModel


def test_the_card_of_a_bundle_is_printed_in_every_form(
    trained: TrainingResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert isinstance(trained.model, CreditRiskModel)
    trained.write(tmp_path / "bundle")
    card = trained.model.scorecard
    expected = {
        "text": card.to_text(),
        "markdown": card.to_markdown(),
        "csv": card.to_csv(),
        "sql": card.to_sql("somewhere.features"),
    }
    for form, text in expected.items():
        command = ["scorecard", str(tmp_path / "bundle"), "--form", form, "--relation", "somewhere.features"]
        assert main(command) == 0
        assert capsys.readouterr().out == text


def test_a_folder_without_a_bundle_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["scorecard", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err
