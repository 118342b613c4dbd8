"""The life of a model: what is checked again, and what is known already."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

from ml.credit_risk.config import CreditRiskConfig
from ml.sufficiency import Finding, SufficiencyReport
from orchestration.lifecycle import check_data
from orchestration.marts import MartsVersion
from orchestration.settings import PlatformSettings
from orchestration.use_cases import CreditRisk


class CountedCreditRisk(CreditRisk):
    """Counts how often the data is looked at."""

    def __init__(self) -> None:
        self.checks = 0
        self.currency = "CNY"

    def config(self, settings: PlatformSettings) -> CreditRiskConfig:  # noqa: ARG002  (the interface)
        return CreditRiskConfig(currency=self.currency)

    def check(self, marts: MartsVersion, settings: PlatformSettings) -> SufficiencyReport:  # noqa: ARG002  (the interface)
        self.checks += 1
        return SufficiencyReport(
            use_case=self.name, findings=(Finding.at_least("customers", self.checks, 1, missing="Nobody."),)
        )


def marts_with(fingerprint: str) -> MartsVersion:
    return cast("MartsVersion", SimpleNamespace(fingerprint=lambda *_marts: fingerprint))


def test_the_same_data_is_checked_once_and_changed_data_or_settings_again(tmp_path: Path) -> None:
    use_case, settings = CountedCreditRisk(), PlatformSettings(home=tmp_path, _env_file=None)

    first = check_data(use_case, marts_with("a"), settings)
    again = check_data(use_case, marts_with("a"), settings)
    assert (again, use_case.checks) == (first, 1)

    changed = check_data(use_case, marts_with("b"), settings)
    assert (changed.findings[0].found, use_case.checks) == ("2", 2)

    use_case.currency = "EUR"
    check_data(use_case, marts_with("b"), settings)
    assert use_case.checks == 3
