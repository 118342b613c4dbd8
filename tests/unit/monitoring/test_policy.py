from datetime import date
from pathlib import Path

import pytest
import yaml

from ml.columns import USE_CASES
from monitoring.policy import POLICY_DIRECTORY, PolicyError, load_policy

TODAY = date(2026, 11, 22)


@pytest.mark.parametrize("use_case", USE_CASES)
def test_every_use_case_has_a_valid_policy_with_reasons(use_case) -> None:
    policy = load_policy(use_case, TODAY)
    assert policy.use_case == use_case
    assert all(len(reason) > 10 for reason in (*policy.important_columns.values(), *policy.ignored_columns.values()))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "credit_risk.yaml").write_text((POLICY_DIRECTORY / "credit_risk.yaml").read_text(encoding="utf-8"))
    return tmp_path


def edit(directory: Path, change) -> None:
    path = directory / "credit_risk.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


def test_the_latest_version_that_is_valid_judges(directory) -> None:
    def add_later_version(content) -> None:
        content["versions"].append({**content["versions"][0], "valid_from": date(2026, 12, 1), "owner": "later"})

    edit(directory, add_later_version)
    assert load_policy("credit_risk", TODAY, directory).version == "2026-01-01"
    assert load_policy("credit_risk", date(2026, 12, 1), directory).owner == "later"


def test_a_day_before_the_first_version_is_refused(directory) -> None:
    with pytest.raises(PolicyError, match="no version is valid on 2020-01-01"):
        load_policy("credit_risk", date(2020, 1, 1), directory)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("numeric", "watch"), 0.5, r"versions\[0\].numeric: .*act \(0.25\) must not be below watch \(0.5\)"),
        (("numeric", "method"), "ks", r"versions\[0\].numeric.method"),
        (("sample", "reason"), "", r"versions\[0\].sample.reason"),
        (("sample", "rwos"), 3, r"versions\[0\].sample.rwos"),
        (("important_columns", "no_such_column"), "because", "no_such_column: no such column in ml/credit_risk"),
    ],
)
def test_a_broken_rule_is_named_by_file_and_field(directory, path, value, message) -> None:
    edit(directory, lambda content: content["versions"][0][path[0]].update({path[1]: value}))
    with pytest.raises(PolicyError, match=message) as refusal:
        load_policy("credit_risk", TODAY, directory)
    assert "credit_risk.yaml" in str(refusal.value)


@pytest.mark.parametrize("text", ["versions: [", "[]", "versions: 3"])
def test_a_file_of_another_form_is_refused(directory, text) -> None:
    (directory / "credit_risk.yaml").write_text(text)
    with pytest.raises(PolicyError, match=r"credit_risk\.yaml"):
        load_policy("credit_risk", TODAY, directory)


def test_unknown_use_cases_and_missing_files_are_refused(tmp_path) -> None:
    with pytest.raises(PolicyError, match="known are segmentation"):
        load_policy("theft", TODAY)
    with pytest.raises(PolicyError, match="no drift policy for credit_risk"):
        load_policy("credit_risk", TODAY, tmp_path)
