"""The drills on the site: what was played, whether the monitors caught it, how soon, and how often they cried wolf."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ml.wording import Bilingual
from monitoring.drills import REPORT_NAME, RESULT_WORDS, DrillReport, Expectation, FalseAlarms, load_expectations
from monitoring.policy_page import reason_words
from monitoring.verdicts import USE_CASE_TITLES

DRILLS_PAGE = "drills.html"
_VERDICT = "verdict: "


@dataclass(frozen=True)
class DrillRow:
    """One drill as a reader sees it.

    Attributes:
        title: What was played.
        reason: What the monitors should make of it, and why.
        is_as_expected: Whether they did.
        result: What it came to.
        first: Who spoke first; empty where nobody had to.
        days: Days from the onset until then.
        allowed_days: Days that they had.
    """

    title: Bilingual
    reason: Bilingual
    is_as_expected: bool
    result: Bilingual
    first: Bilingual
    days: int | None
    allowed_days: int | None


@dataclass(frozen=True)
class DrillsPage:
    """The latest report of the drills."""

    report: DrillReport
    rows: tuple[DrillRow, ...]
    false_alarms: tuple[tuple[Bilingual, FalseAlarms], ...]

    @property
    def as_expected(self) -> int:
        """How many drills ended as they should."""
        return sum(row.is_as_expected for row in self.rows)


def read_drills_page(reports_dir: Path) -> DrillsPage | None:
    """Return what the page of the drills shows; None if none was replayed here, or its report is of another version."""
    try:
        report = DrillReport.model_validate_json((reports_dir / REPORT_NAME).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    expectations = load_expectations()
    return DrillsPage(
        report=report,
        rows=tuple(_rows(report, expectations)),
        false_alarms=tuple((_model(use_case), counts) for use_case, counts in report.false_alarms.items()),
    )


def _rows(report: DrillReport, expectations: Mapping[str, Expectation]) -> list[DrillRow]:
    rows = []
    for drill in report.results:
        if drill.scenario not in expectations:
            continue
        expectation = expectations[drill.scenario]
        rows.append(
            DrillRow(
                title=Bilingual(en=expectation.title_en, zh=expectation.title_zh),
                reason=reason_words(expectation.reason),
                is_as_expected=drill.is_as_expected,
                result=Bilingual(en=RESULT_WORDS[drill.result][0], zh=RESULT_WORDS[drill.result][1]),
                first=_detector(drill.counted.detector) if drill.counted else Bilingual(en=""),
                days=drill.counted.days if drill.counted else None,
                allowed_days=expectation.within_days,
            )
        )
    return rows


def _detector(name: str) -> Bilingual:
    if name.startswith(_VERDICT):
        model = _model(name.removeprefix(_VERDICT))
        return Bilingual(en=f"verdict of {model.en.lower()}", zh=f"{model.zh}的结论")
    return Bilingual(en="daily check", zh="每日检查")


def _model(use_case: str) -> Bilingual:
    title, title_zh = USE_CASE_TITLES[use_case]
    return Bilingual(en=title, zh=title_zh)
