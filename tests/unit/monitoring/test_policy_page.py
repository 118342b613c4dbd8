from datetime import date

import pytest
import yaml

from ml.columns import USE_CASES
from monitoring.drills import load_expectations
from monitoring.policy import POLICY_DIRECTORY, DriftPolicy, load_policy
from monitoring.policy_page import REASONS_PATH, RULE_TITLES, SETTING_TITLES, rule_rows


@pytest.mark.parametrize("use_case", USE_CASES)
def test_every_rule_and_every_number_of_a_policy_has_a_name_in_words(use_case: str) -> None:
    rows = rule_rows(load_policy(use_case, date(2026, 11, 22)))
    assert [row.path for row in rows if row.path not in RULE_TITLES] == []
    titles = list(SETTING_TITLES.values())
    assert [setting.title.en for row in rows for setting in row.settings if setting.title not in titles] == []
    assert all(title.zh for title in (*RULE_TITLES.values(), *titles))


@pytest.mark.parametrize("use_case", USE_CASES)
def test_every_rule_stands_with_its_reason_and_limits_come_first(use_case: str) -> None:
    rows = rule_rows(load_policy(use_case, date(2026, 11, 22)))
    assert all(row.reason.en for row in rows)
    has_limit = [bool(row.watch) for row in rows]
    assert has_limit == sorted(has_limit, reverse=True)


def test_the_limits_are_those_of_the_policy() -> None:
    policy = load_policy("credit_risk", date(2026, 11, 22))
    rows = {row.path: row for row in rule_rows(policy)}
    assert rows["prediction"].watch == f"{policy.prediction.watch:g}"
    assert policy.performance is not None
    assert rows["performance.auc_drop"].act == f"{policy.performance.auc_drop.act:g}"
    assert [setting.value for setting in rows["numeric"].settings][-1] == str(policy.numeric.bins)


def test_every_reason_of_the_built_in_policies_has_its_chinese_and_no_other_is_kept() -> None:
    reasons = set()
    for use_case in USE_CASES:
        content = yaml.safe_load((POLICY_DIRECTORY / f"{use_case}.yaml").read_text(encoding="utf-8"))
        for version in content["versions"]:
            policy = DriftPolicy.model_validate(version)
            reasons |= {row.reason.en for row in rule_rows(policy)} - {""}
            reasons |= {*policy.important_columns.values(), *policy.ignored_columns.values()}
    reasons |= {expectation.reason for expectation in load_expectations().values()}
    translated = yaml.safe_load(REASONS_PATH.read_text(encoding="utf-8"))
    assert reasons == set(translated)
    assert not [reason for reason, chinese in translated.items() if chinese in ("", reason)]
