"""``python -m ml.tariffs`` says of every file whether it is valid, and what is wrong where it is not."""

from pathlib import Path

import pytest

from ml.tariffs.__main__ import main
from ml.tariffs.catalogue import load_catalogue
from ml.tariffs.documents import tariff_json_schema_text, tariff_to_yaml


def test_valid_and_refused_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    valid, broken = tmp_path / "valid.yaml", tmp_path / "broken.yaml"
    text = tariff_to_yaml(load_catalogue().get("sd_res_tier"))
    valid.write_text(text, encoding="utf-8")
    broken.write_text(text.replace("limits_kwh", "limit_kwh"), encoding="utf-8")

    assert main(["check", str(valid)]) == 0
    assert main(["check", str(valid), str(broken)]) == 1
    lines = capsys.readouterr().out.splitlines()
    expected = "valid.yaml: sd_res_tier version 2012: valid, prices not verified; priced from load cube"
    assert lines[:2] == [expected] * 2
    assert "broken.yaml: sd_res_tier: components[0].tiers.limit_kwh: unknown field; did you mean `limits_kwh`?" in lines


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == tariff_json_schema_text()
