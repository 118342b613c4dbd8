"""Scores drills: what the monitors said after a change whose cause and first day are known.

A drill replays months after a release twice, from equal data: with a scenario and without it. The replay without is the
quiet twin. A finding or a failed check counts as the scenario's work only if the twin, in the same month, does not show
it; whatever the twin shows is a false alarm. What each scenario should lead to, and why, stands in
``policies/drills.yaml``. No data is read here: the replaying is orchestration's.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ml.columns import USE_CASES
from ml.errors import KilowiseError
from monitoring.outcomes import EstimateEntry, EstimateRecord
from monitoring.policy import POLICY_DIRECTORY
from monitoring.verdicts import Outcome, Severity, Verdict, write_atomically

EXPECTATIONS_PATH = POLICY_DIRECTORY / "drills.yaml"
REPORT_NAME = "drills.json"

Result = Literal["caught", "late", "missed", "explained", "unexplained", "false_alarm"]
RESULT_WORDS: dict[Result, tuple[str, str]] = {
    "caught": ("caught", "已发现"),
    "late": ("caught late", "发现偏晚"),
    "missed": ("missed", "未发现"),
    "explained": ("explained", "已解释"),
    "unexplained": ("quiet, not explained", "未报警，未解释"),
    "false_alarm": ("false alarm", "误报"),
}
_LOUD: dict[Severity, int] = {"info": 0, "unknown": 0, "watch": 1, "act": 2}


class DrillError(KilowiseError):
    """Expectations are not usable, or two replays do not belong together."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Finding(_Record):
    """One finding of one month's review.

    Attributes:
        code: Kind of the finding, as ``monitoring.verdicts.Reason`` has it.
        severity: What it alone would lead to.
        column: Column that it is about, if it is about one.
        sentence_en: The finding in words.
    """

    code: str
    severity: Severity
    column: str | None = None
    sentence_en: str


class JudgedMonth(_Record):
    """What a review said of one month, as far as a drill asks.

    Attributes:
        use_case: Use case of the model.
        month: First day of the as-of month.
        known_on: Day on which the verdict can be known at the earliest.
        outcome: Outcome of the verdict.
        columns_judged: How many columns were judged.
        columns_drifted: Names of those that count as drifted.
        findings: All findings, also those that are only information.
    """

    use_case: str
    month: date
    known_on: date
    outcome: Outcome
    columns_judged: int
    columns_drifted: tuple[str, ...]
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, verdict: Verdict, known_on: date) -> "JudgedMonth":
        """Return what a drill needs of a verdict."""
        return cls(
            use_case=verdict.use_case,
            month=verdict.month,
            known_on=known_on,
            outcome=verdict.outcome,
            columns_judged=verdict.columns_judged,
            columns_drifted=tuple(score.column for score in verdict.columns if score.level in ("drifted", "strong")),
            findings=tuple(
                Finding(
                    code=reason.code, severity=reason.severity, column=reason.column, sentence_en=reason.sentence_en
                )
                for reason in verdict.reasons
            ),
        )


class DailyAlarm(_Record):
    """Something that a check of the daily run found, without any model.

    Attributes:
        name: Name of the check, such as ``check: staging/stg_billing__bills bill_amounts_keep_their_unit``.
        found_on: Day on which it failed for the first time.
    """

    name: str
    found_on: date


class Replay(_Record):
    """Months after a release, as the monitors saw them.

    Attributes:
        scenario: Scenario that acts; None in a quiet replay.
        seed: Seed of the simulated supplier. A scenario and its quiet twin have the same.
        released_month: Last month that was known when the models were released.
        onset_month: First month in which the scenario acts; None in a quiet replay.
        months: What the reviews said.
        daily_alarms: What the daily checks found.
        estimates: What was said of outcomes before they were known, and how that turned out.
    """

    scenario: str | None
    seed: int
    released_month: date
    onset_month: date | None = None
    months: tuple[JudgedMonth, ...]
    daily_alarms: tuple[DailyAlarm, ...] = ()
    estimates: tuple[EstimateEntry, ...] = ()


class Expectation(_Record):
    """What the monitors should make of a scenario, and why.

    Attributes:
        scenario: Name of the scenario.
        title_en: What happens, in a few words.
        title_zh: The same in Chinese.
        onset_months: Months from the release to the first month in which the scenario acts, from 1.
        replayed_months: Months that are replayed from the first month in which it acts.
        expected: ``caught``: somebody must be told; ``explained``: the change is no trouble and the verdict says so.
        use_cases: Models whose verdict must not be silent; for ``explained``, models that must not alarm.
        daily_checks: Beginnings of the names of daily checks that count as catching it too.
        within_days: Days after the first day of the scenario within which the first of them must speak.
        explained_by: Codes of the findings that count as an explanation.
        reason: Why this is the right answer.
    """

    scenario: str
    title_en: str
    title_zh: str
    onset_months: int = Field(ge=1, le=12)
    replayed_months: int = Field(ge=1, le=12)
    expected: Literal["caught", "explained"]
    use_cases: tuple[str, ...] = ()
    daily_checks: tuple[str, ...] = ()
    within_days: int | None = Field(default=None, ge=1)
    explained_by: tuple[str, ...] = ()
    reason: str = Field(min_length=20)

    @model_validator(mode="after")
    def _says_what_counts(self) -> "Expectation":
        if unknown := sorted(set(self.use_cases) - set(USE_CASES)):
            raise ValueError(f"{', '.join(unknown)}: no use case; there are {', '.join(USE_CASES)}")
        if self.expected == "caught" and (self.within_days is None or not (self.use_cases or self.daily_checks)):
            raise ValueError("a scenario to be caught needs within_days and use_cases or daily_checks")
        if self.expected == "explained" and not (self.use_cases and self.explained_by):
            raise ValueError("a scenario to be explained needs use_cases and explained_by")
        return self


class Detection(_Record):
    """The first time that one detector spoke of a scenario.

    Attributes:
        detector: Name of the daily check, or ``verdict: <use case>``.
        days: Days from the first day of the scenario.
        severity: ``watch`` or ``act``; failed checks count as ``act``.
        sentence_en: What it said; empty for a check.
    """

    detector: str
    days: int
    severity: Literal["watch", "act"]
    sentence_en: str = ""


class DrillResult(_Record):
    """How one drill ended.

    Attributes:
        scenario: Name of the scenario.
        seed: Seed of the supplier.
        result: What it comes to.
        detections: First time of every detector that spoke, expected or not, the earliest first.
        counted: The detection that decided; None if none did.
        first_act_days: Days until a verdict first said act because of the scenario; None if none did.
        explanation_en: First explanation, for scenarios that are to be explained.
    """

    scenario: str
    seed: int
    result: Result
    detections: tuple[Detection, ...]
    counted: Detection | None = None
    first_act_days: int | None = None
    explanation_en: str = ""

    @property
    def is_as_expected(self) -> bool:
        """Whether the monitors did what they should."""
        return self.result in ("caught", "explained")


class FalseAlarms(_Record):
    """What monitors said in months in which nothing had happened.

    Attributes:
        model_months: Reviews that could judge.
        not_judged_months: Reviews that had too little data to judge.
        watch_months: Verdicts that said watch.
        act_months: Verdicts that said act.
        column_months: Judged columns, added up over the reviews.
        drifted_column_months: Those that counted as drifted.
        named_column_months: Those that a finding of watch or act named.
        drifted_months_by_column: Months in which each column, as ``<use case>.<column>``, counted as drifted.
        loud_months_by_finding: Months in which each kind of finding, likewise, was watch or act.
    """

    model_months: int
    not_judged_months: int
    watch_months: int
    act_months: int
    column_months: int
    drifted_column_months: int
    named_column_months: int
    drifted_months_by_column: dict[str, int]
    loud_months_by_finding: dict[str, int]

    @property
    def drifted_pct(self) -> float:
        """Share of the column-months that counted as drifted."""
        return 100 * self.drifted_column_months / self.column_months if self.column_months else 0.0

    @property
    def named_pct(self) -> float:
        """Share of the column-months that a finding of watch or act named."""
        return 100 * self.named_column_months / self.column_months if self.column_months else 0.0


class DrillReport(_Record):
    """All drills of one run.

    Attributes:
        measured_at: When they were replayed, in UTC.
        customers: Customers of each simulated supplier.
        seeds: Seeds of the quiet replays; the scenarios acted on the supplier of the first.
        results: How each drill ended.
        false_alarms: False alarms by use case.
        estimates: How the estimates of the quiet replays turned out; None if no outcome became known.
    """

    measured_at: datetime
    customers: int
    seeds: tuple[int, ...]
    results: tuple[DrillResult, ...]
    false_alarms: dict[str, FalseAlarms]
    estimates: EstimateRecord | None = None


def load_expectations(path: Path = EXPECTATIONS_PATH) -> dict[str, Expectation]:
    """Load what each scenario should lead to.

    Args:
        path: File with a list of expectations under ``scenarios``.

    Returns:
        The expectations by scenario, in the order of the file.

    Raises:
        DrillError: If the file is missing or breaks a rule; the message names file, entry and field.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DrillError(f"{path}: no such file; it says what each scenario should lead to") from None
    except yaml.YAMLError as error:
        raise DrillError(f"{path.name}: not readable as YAML: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("scenarios"), list):
        raise DrillError(f"{path.name}: expected a list under 'scenarios'")
    expectations: dict[str, Expectation] = {}
    for number, entry in enumerate(content["scenarios"]):
        try:
            expectation = Expectation.model_validate(entry)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise DrillError(f"{path.name}: scenarios[{number}].{field}: {first['msg']}") from error
        if expectation.scenario in expectations:
            raise DrillError(f"{path.name}: scenarios[{number}]: {expectation.scenario} is in the list already")
        expectations[expectation.scenario] = expectation
    return expectations


def score_drill(expectation: Expectation, replay: Replay, quiet: Replay) -> DrillResult:
    """Say whether the monitors did of a scenario what they should.

    Args:
        expectation: What they should do.
        replay: The months with the scenario.
        quiet: The same supplier, release and months without it.

    Raises:
        DrillError: If the replays are of different suppliers or the quiet one lacks a month.
    """
    onset = _onset(expectation, replay, quiet)
    detections = sorted(
        [*_new_daily_alarms(replay, quiet, onset), *_new_verdicts(replay, quiet, onset)],
        key=lambda detection: (detection.days, -_LOUD[detection.severity], detection.detector),
    )
    first_by_detector: dict[str, Detection] = {}
    for detection in detections:
        first_by_detector.setdefault(detection.detector, detection)
    expected = [one for one in detections if _is_expected(one, expectation)]
    acts = [one.days for one in detections if one.severity == "act" and one.detector.startswith("verdict: ")]
    counted = expected[0] if expected else None
    explanation = _explanation(expectation, replay, quiet, onset)
    return DrillResult(
        scenario=expectation.scenario,
        seed=replay.seed,
        result=_result(expectation, counted, explanation),
        detections=tuple(first_by_detector.values()),
        counted=counted,
        first_act_days=min(acts, default=None),
        explanation_en=explanation,
    )


def _result(expectation: Expectation, counted: Detection | None, explanation: str) -> Result:
    if expectation.expected == "explained":
        if counted is not None:
            return "false_alarm"
        return "explained" if explanation else "unexplained"
    if counted is None:
        return "missed"
    within = expectation.within_days
    return "caught" if within is None or counted.days <= within else "late"


def _onset(expectation: Expectation, replay: Replay, quiet: Replay) -> date:
    if replay.scenario != expectation.scenario or replay.onset_month is None:
        raise DrillError(f"the replay is of {replay.scenario}, not of {expectation.scenario}; score it with its own")
    if quiet.scenario is not None or (quiet.seed, quiet.released_month) != (replay.seed, replay.released_month):
        raise DrillError(
            f"{expectation.scenario}: the quiet replay is of seed {quiet.seed} and released {quiet.released_month}; "
            f"seed {replay.seed} and {replay.released_month} are needed"
        )
    replayed = {(judged.use_case, judged.month) for judged in replay.months}
    if absent := sorted(replayed - {(judged.use_case, judged.month) for judged in quiet.months}):
        use_case, month = absent[0]
        raise DrillError(f"{expectation.scenario}: the quiet replay lacks {use_case} of {month:%Y-%m}")
    return replay.onset_month


def _new_daily_alarms(replay: Replay, quiet: Replay, onset: date) -> Iterator[Detection]:
    usual = {alarm.name for alarm in quiet.daily_alarms}
    for alarm in replay.daily_alarms:
        if alarm.name not in usual and alarm.found_on >= onset:
            yield Detection(detector=alarm.name, days=(alarm.found_on - onset).days, severity="act")


def _new_verdicts(replay: Replay, quiet: Replay, onset: date) -> Iterator[Detection]:
    """Yield the findings that the quiet twin does not show in the same month with the same urgency."""
    twin = {(judged.use_case, judged.month): judged for judged in quiet.months}
    for judged in replay.months:
        if judged.month < onset:
            continue
        usual = _loudness(twin[judged.use_case, judged.month].findings)
        for finding in judged.findings:
            if _LOUD[finding.severity] > usual.get((finding.code, finding.column), 0):
                yield Detection(
                    detector=f"verdict: {judged.use_case}",
                    days=(judged.known_on - onset).days,
                    severity="act" if finding.severity == "act" else "watch",
                    sentence_en=finding.sentence_en,
                )


def _loudness(findings: Iterable[Finding]) -> dict[tuple[str, str | None], int]:
    loudness: dict[tuple[str, str | None], int] = {}
    for finding in findings:
        key = finding.code, finding.column
        loudness[key] = max(loudness.get(key, 0), _LOUD[finding.severity])
    return loudness


def _is_expected(detection: Detection, expectation: Expectation) -> bool:
    kind, _, use_case = detection.detector.partition("verdict: ")
    if not kind:
        return use_case in expectation.use_cases
    return detection.detector.startswith(expectation.daily_checks) if expectation.daily_checks else False


def _explanation(expectation: Expectation, replay: Replay, quiet: Replay, onset: date) -> str:
    """Return the first explanation of the scenario's months that the quiet twin does not give in the same words."""
    said = {finding.sentence_en for judged in quiet.months for finding in judged.findings}
    for judged in replay.months:
        if judged.month < onset or judged.use_case not in expectation.use_cases:
            continue
        for finding in judged.findings:
            if finding.code in expectation.explained_by and finding.sentence_en not in said:
                return finding.sentence_en
    return ""


def false_alarms(replays: Iterable[Replay]) -> dict[str, FalseAlarms]:
    """Count what the monitors said in quiet replays, by use case.

    Raises:
        DrillError: If a replay has a scenario.
    """
    by_use_case: dict[str, list[JudgedMonth]] = {}
    for replay in replays:
        if replay.scenario is not None:
            raise DrillError(f"the replay of {replay.scenario} is not quiet; only quiet ones count false alarms")
        for judged in replay.months:
            by_use_case.setdefault(judged.use_case, []).append(judged)
    return {use_case: _false_alarms(months) for use_case, months in sorted(by_use_case.items())}


def _false_alarms(months: Sequence[JudgedMonth]) -> FalseAlarms:
    outcomes = Counter(judged.outcome for judged in months)
    drifted = Counter(f"{judged.use_case}.{column}" for judged in months for column in judged.columns_drifted)
    loud = [_loud_findings(judged) for judged in months]
    return FalseAlarms(
        model_months=len(months) - outcomes["not_enough_data"],
        not_judged_months=outcomes["not_enough_data"],
        watch_months=outcomes["watch"],
        act_months=outcomes["act"],
        column_months=sum(judged.columns_judged for judged in months),
        drifted_column_months=drifted.total(),
        named_column_months=sum(len({finding.column for finding in found if finding.column}) for found in loud),
        drifted_months_by_column=dict(drifted.most_common()),
        loud_months_by_finding=dict(
            Counter(
                f"{judged.use_case}.{code}"
                for judged, found in zip(months, loud, strict=True)
                for code in sorted({finding.code for finding in found})
            ).most_common()
        ),
    )


def _loud_findings(judged: JudgedMonth) -> list[Finding]:
    return [finding for finding in judged.findings if finding.severity in ("watch", "act")]


def write_drill_report(report: DrillReport, reports_dir: Path) -> Path:
    """Write the report of the drills in place of an earlier one."""
    path = reports_dir / REPORT_NAME
    write_atomically(path, report.model_dump_json(indent=1).encode())
    return path


def drill_table(report: DrillReport, expectations: Mapping[str, Expectation]) -> str:
    """Return the drills as a table in Markdown: one row per scenario, with the first that spoke and when."""
    lines = [
        "| scenario | should be | result | first to speak | days after onset | verdict *act* after | also spoke |",
        "|---|---|---|---|---|---|---|",
    ]
    for drill in report.results:
        expectation = expectations[drill.scenario]
        counted = drill.counted
        others = [one for one in drill.detections if counted is None or one.detector != counted.detector]
        cells = (
            f"{expectation.title_en} (`{drill.scenario}`)",
            expectation.expected,
            f"**{RESULT_WORDS[drill.result][0]}**",
            f"{counted.detector} ({counted.severity})" if counted else "–",
            str(counted.days) if counted else "–",
            "–" if drill.first_act_days is None else f"{drill.first_act_days} days",
            "; ".join(f"{one.detector} ({one.days})" for one in others) or "–",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def false_alarm_table(report: DrillReport) -> str:
    """Return the false alarms as a table in Markdown: one row per use case."""
    lines = [
        "| model | model-months judged | *act* | *watch* | column-months | drifted | named in a finding | "
        "months by finding that spoke |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for use_case, counts in report.false_alarms.items():
        lines.append(
            f"| {use_case} | {counts.model_months} | {counts.act_months} | {counts.watch_months} | "
            f"{counts.column_months:,} | {counts.drifted_column_months} ({counts.drifted_pct:.2f} %) | "
            f"{counts.named_column_months} ({counts.named_pct:.2f} %) | "
            f"{_months_by_finding(counts.loud_months_by_finding)} |"
        )
    return "\n".join(lines)


def _months_by_finding(months: Mapping[str, int]) -> str:
    """Return the kinds of findings with their months; the use case before the dot stands in the row already."""
    return ", ".join(f"`{kind.partition('.')[2]}` {count}" for kind, count in months.items()) or "–"


def estimate_table(report: DrillReport) -> str:
    """Return how often what was estimated lay inside its stated interval, as a table in Markdown."""
    record = report.estimates
    if record is None:
        return "No outcome became known of a month that had been estimated."
    lines = [
        f"| figure | months that turned out | inside the stated {record.stated_pct:g} % interval |",
        "|---|---|---|",
    ]
    inside_by_figure = {
        "default rate": record.default_rate_inside,
        "AUC": record.auc_inside,
        "Brier score": record.brier_inside,
    }
    for figure, inside in inside_by_figure.items():
        lines.append(f"| {figure} | {record.months} | {inside} ({100 * inside / record.months:.0f} %) |")
    return "\n".join(lines)
