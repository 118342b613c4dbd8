"""What the model owners' site tells of a model: its releases, decisions, verdicts, incidents and retrainings.

Read from the folders that releases and reviews leave behind; a record that an older version wrote in another form is
left out, since what is beside it still tells the story. Nothing here makes HTML.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import ValidationError

from ml.errors import KilowiseError
from ml.evaluation import Criterion, Evaluation
from ml.gate import GateDecision
from ml.stored_words import shortage_words
from ml.sufficiency import SufficiencyReport
from ml.trials import TrialSummary
from ml.wording import Bilingual, criterion_title
from monitoring.acknowledgements import (
    ACKNOWLEDGEMENTS_NAME,
    Acknowledgement,
    AcknowledgementError,
    in_force,
    read_acknowledgements,
)
from monitoring.incidents import STATE_NAME, Incident, IncidentError, read_incidents
from monitoring.outcomes import FILE_NAME as OUTCOMES_NAME
from monitoring.outcomes import Outcomes, OutcomesError, read_outcomes
from monitoring.policy import DriftPolicy, PolicyError, load_policy
from monitoring.retrainings import FILE_NAME as RETRAININGS_NAME
from monitoring.retrainings import Retraining, RetrainingRecordError, read_retrainings
from monitoring.slices import FOLDER as SLICES_NAME
from monitoring.slices import StoredSlice
from monitoring.verdicts import USE_CASE_TITLES, Verdict, VerdictError, read_verdict, read_verdicts

DECISIONS_NAME = "decisions"
TRIALS_NAME = "trials"
SUFFICIENCY_NAME = "sufficiency.json"
HISTORY_NAME = "history.jsonl"

_T = TypeVar("_T")
_DAMAGE: dict[type[KilowiseError], Bilingual] = {
    IncidentError: Bilingual(en="the incidents of all models", zh="各模型的事件"),
    RetrainingRecordError: Bilingual(en="the retrainings of this model", zh="本模型的重新训练"),
    AcknowledgementError: Bilingual(en="what people acknowledged and silenced", zh="已知悉和静默的记录"),
    OutcomesError: Bilingual(en="what became of this model's predictions", zh="本模型预测的后续结果"),
}
"""What is missing on the pages when the reader of a record raises an error."""


@dataclass(frozen=True)
class ServedChange:
    """One move of the pointer that says which release is served.

    Attributes:
        at: When, in UTC.
        action: ``publish``, ``rollback`` or whatever else moved it.
        replaced: Release that was served until then; empty before the first.
        release: Release that is served from then on.
        by: Who or what decided so.
        reason: Why, in words.
    """

    at: datetime
    action: str
    replaced: str
    release: str
    by: str
    reason: str


@dataclass(frozen=True)
class ReleaseRecord:
    """What a release says about itself beside its figures.

    Attributes:
        marts_version: Version of the marts that its feature snapshot was taken from; empty if unknown.
        feature_as_of_month: As-of month of that snapshot; empty if unknown.
        customers_count: Customers in it; None if unknown.
        bentoml_tag: Tag of the model in the model store; empty if unknown.
    """

    marts_version: str = ""
    feature_as_of_month: str = ""
    customers_count: int | None = None
    bentoml_tag: str = ""


@dataclass(frozen=True)
class Release:
    """What the site shows of one release.

    Attributes:
        name: Name of the release.
        released_at: When it was published, in UTC.
        approved_by: Who or what approved it.
        bundle_version: Version of its bundle.
        evaluation: Its evaluation; None if the release holds none that can be read.
        card: Its model card; None if it has none.
        is_current: Whether the pointer names it.
        rollback: How it came to be served again; None unless somebody went back to it.
        record: What else it says of itself.
    """

    name: str
    released_at: datetime
    approved_by: str
    bundle_version: str
    evaluation: Evaluation | None
    card: Path | None
    is_current: bool
    rollback: ServedChange | None = None
    record: ReleaseRecord = ReleaseRecord()

    @property
    def served_since(self) -> datetime:
        """Since when it is served, if it is."""
        return self.rollback.at if self.rollback else self.released_at


@dataclass(frozen=True)
class JudgedCriterion:
    """One demand of the gate and how it was met.

    Attributes:
        title: The demand in words.
        criterion: What was demanded, what was found, and whether it holds.
    """

    title: Bilingual
    criterion: Criterion

    @property
    def result(self) -> Literal["met", "missed", "unknown", "overridden"]:
        """How it was met; what could not be judged refuses like what was missed."""
        if self.criterion.passed is True:
            return "met"
        if self.criterion.overridden_by is not None:
            return "overridden"
        return "missed" if self.criterion.passed is False else "unknown"


@dataclass(frozen=True)
class Decision:
    """The gate's decision about one trained model.

    Attributes:
        version: Version of its bundle.
        gate: The decision.
        criteria: Every demand, in the order of the policy.
        card_path: Its model card, relative to the reports folder; None if there is none.
        released_as: Name of the release that serves or served it; empty if it was never released.
    """

    version: str
    gate: GateDecision
    criteria: tuple[JudgedCriterion, ...]
    card_path: str | None
    released_as: str = ""

    @property
    def failed(self) -> tuple[JudgedCriterion, ...]:
        """What it did not meet and nobody overrode."""
        return tuple(judged for judged in self.criteria if judged.result in ("missed", "unknown"))

    @property
    def key_figure(self) -> str:
        """Its key figure with the interval, as the gate saw it; empty if it had none."""
        return next(
            (judged.criterion.observed for judged in self.criteria if judged.criterion.name == "key_metric"), ""
        )


@dataclass(frozen=True)
class Model:
    """One use case with everything that its pages tell.

    Attributes:
        use_case: Name of the use case.
        releases: Its releases, newest first.
        decisions: The gate's decisions, the latest first.
        verdicts: Its verdicts, newest month first; of the same month, the latest review first.
        policy: The policy valid today; None if there is none.
        served_changes: Every move of the pointer, oldest first.
        incidents: Its incidents, oldest first.
        retrainings: What verdicts led to, oldest first.
        acknowledgements: What people said about findings and what still holds.
        outcomes: What became of its predictions; None before any outcome was recorded.
        trials: Trials of challengers on live traffic, newest first.
        slices: Reviews on demand of a part of the customers or of several months, newest first.
        insufficiency: What the data lacks for a model, in sentences; None if it suffices or was never checked.
        damage: A sentence for each record that cannot be read, so that what it would tell is missing.
    """

    use_case: str
    releases: tuple[Release, ...] = ()
    decisions: tuple[Decision, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    policy: DriftPolicy | None = None
    served_changes: tuple[ServedChange, ...] = ()
    incidents: tuple[Incident, ...] = ()
    retrainings: tuple[Retraining, ...] = ()
    acknowledgements: tuple[Acknowledgement, ...] = ()
    outcomes: Outcomes | None = None
    trials: tuple[TrialSummary, ...] = ()
    slices: tuple[StoredSlice, ...] = ()
    insufficiency: Bilingual | None = None
    damage: tuple[Bilingual, ...] = ()

    @property
    def title(self) -> tuple[str, str]:
        """Title in English and Chinese."""
        return USE_CASE_TITLES[self.use_case]

    @property
    def owner(self) -> str:
        """Who answers for it; empty if nobody is named."""
        return self.policy.owner if self.policy else ""

    @property
    def current(self) -> Release | None:
        """The release that is served."""
        return next((release for release in self.releases if release.is_current), None)

    @property
    def refused(self) -> tuple[Decision, ...]:
        """Challengers that the gate refused, the latest decision first."""
        return tuple(decision for decision in self.decisions if not decision.gate.approved)

    @property
    def latest(self) -> Verdict | None:
        """The verdict of the latest month, of the served release if that has one."""
        months = self.by_month
        return months[0] if months else None

    @property
    def by_month(self) -> tuple[Verdict, ...]:
        """One verdict per month, newest first: the served release's if there is one."""
        name = self.current.name if self.current else None
        chosen: dict[date, Verdict] = {}
        for verdict in self.verdicts:
            if verdict.month not in chosen or (verdict.release == name and chosen[verdict.month].release != name):
                chosen[verdict.month] = verdict
        return tuple(chosen.values())


def verdict_page(verdict: Verdict) -> str:
    """Return the file name of a verdict's page in its model's folder."""
    return f"{verdict.month:%Y-%m}_{verdict.release}.html"


def slice_page(stored: StoredSlice) -> str:
    """Return the file name of the page of a review on demand in its model's folder."""
    return f"on_demand_{stored.directory.name}.html"


def card_page(release: str) -> str:
    """Return the file name of a release's model card in its model's folder."""
    return f"model_card_{release}.html"


def release_page(release: str) -> str:
    """Return the file name of a release's record in its model's folder."""
    return f"release_{release}.html"


def decision_page(version: str) -> str:
    """Return the file name of the gate's decision about a bundle in its model's folder."""
    return f"decision_{version}.html"


def trial_page(trial_id: str) -> str:
    """Return the file name of a trial's page in its model's folder."""
    return f"trial_{trial_id}.html"


def read_model(use_case: str, home: Path, today: date) -> Model:
    """Read everything that the pages of a model tell.

    Args:
        use_case: One of ``ml.columns.USE_CASES``.
        home: State folder with ``releases/`` and ``reports/``; either may be empty or missing.
        today: Day for which policy and acknowledgements count.
    """
    reports_dir = home / "reports"
    releases_dir = home / "releases" / use_case
    changes = tuple(_served_changes(releases_dir / HISTORY_NAME))
    releases = tuple(_releases(releases_dir, changes))
    damage: list[Bilingual] = []

    def readable(read: Callable[[], _T], name: str) -> _T | None:
        # One damaged record must not take the pages of every model with it.
        try:
            return read()
        except (IncidentError, RetrainingRecordError, AcknowledgementError, OutcomesError) as error:
            damage.append(_damaged(_DAMAGE[type(error)], name))
            return None

    incidents = readable(lambda: read_incidents(reports_dir), STATE_NAME) or ()
    acknowledgements = readable(lambda: read_acknowledgements(reports_dir), ACKNOWLEDGEMENTS_NAME) or ()
    retrainings = readable(lambda: read_retrainings(reports_dir, use_case), f"{use_case}/{RETRAININGS_NAME}") or ()
    outcomes = readable(lambda: read_outcomes(reports_dir, use_case), f"{use_case}/{OUTCOMES_NAME}")
    return Model(
        use_case=use_case,
        releases=releases,
        decisions=tuple(_decisions(reports_dir, use_case, releases)),
        verdicts=tuple(_verdicts(reports_dir, use_case)),
        policy=_policy(use_case, today),
        served_changes=changes,
        incidents=tuple(incident for incident in incidents if incident.use_case == use_case),
        retrainings=retrainings,
        acknowledgements=in_force(acknowledgements, today, use_case),
        outcomes=outcomes,
        trials=tuple(_trials(reports_dir / use_case / TRIALS_NAME)),
        slices=tuple(_slices(reports_dir / use_case / SLICES_NAME)),
        insufficiency=_insufficiency(reports_dir / use_case / SUFFICIENCY_NAME),
        damage=tuple(damage),
    )


def _damaged(missing: Bilingual, name: str) -> Bilingual:
    return Bilingual(
        en=f"The file reports/{name} is damaged: {missing.en} cannot be shown. Ask the data platform's team to restore "
        "it from the backup; until then alerts and reviews that need it stop, too.",
        zh=f"文件 reports/{name} 已损坏，无法显示{missing.zh}。请联系数据平台团队从备份恢复；"
        "在此之前，依赖该文件的告警和评审也会中止。",
    )


def _policy(use_case: str, today: date) -> DriftPolicy | None:
    try:
        return load_policy(use_case, today)
    except PolicyError:
        return None


def _insufficiency(path: Path) -> Bilingual | None:
    if not path.exists():
        return None
    try:
        report = SufficiencyReport.model_validate(json.loads(path.read_bytes())["report"])
    except ValidationError:
        # A report of an older form is made anew by the next training.
        return None
    return None if report.is_sufficient else shortage_words(report)


def _served_changes(history: Path) -> Iterator[ServedChange]:
    for line in history.read_text(encoding="utf-8").splitlines() if history.exists() else []:
        entry = json.loads(line)
        yield ServedChange(
            at=_utc(entry["at"]),
            action=entry["action"],
            replaced=entry["from"] or "",
            release=entry["to"] or "",
            by=entry["by"],
            reason=entry.get("reason", ""),
        )


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _releases(directory: Path, changes: tuple[ServedChange, ...]) -> Iterator[Release]:
    pointer = directory / "CURRENT"
    current = pointer.read_text(encoding="utf-8").strip() if pointer.exists() else ""
    last = changes[-1] if changes else None
    documents = [(path.parent, json.loads(path.read_bytes())) for path in directory.glob("*/release.json")]
    for folder, document in sorted(documents, key=lambda pair: str(pair[1]["released_at"]), reverse=True):
        card = folder / "model_card.html"
        is_current = document["name"] == current
        yield Release(
            name=document["name"],
            released_at=_utc(document["released_at"]),
            approved_by=str(document["approved_by"]),
            bundle_version=str(document["bundle_version"]),
            evaluation=_evaluation(folder / "evaluation.json"),
            card=card if card.exists() else None,
            is_current=is_current,
            rollback=last if is_current and last is not None and last.action == "rollback" else None,
            record=ReleaseRecord(
                marts_version=document.get("marts_version") or "",
                feature_as_of_month=str(document.get("feature_as_of_month") or "")[:7],
                customers_count=document.get("customers_count"),
                bentoml_tag=document.get("bentoml_tag") or "",
            ),
        )


def _evaluation(path: Path) -> Evaluation | None:
    try:
        return Evaluation.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        # An old release may hold an evaluation of an older form; its card still shows it.
        return None


def _decisions(reports_dir: Path, use_case: str, releases: tuple[Release, ...]) -> list[Decision]:
    release_by_version = {release.bundle_version: release.name for release in releases}
    found = []
    for path in (reports_dir / use_case / DECISIONS_NAME).glob("*/decision.json"):
        try:
            gate = GateDecision.model_validate_json(path.read_bytes())
        except ValidationError:
            # A decision of an older form; its card beside it still says what it was.
            continue
        version = path.parent.name
        card = path.with_name("model_card.html")
        found.append(
            Decision(
                version=version,
                gate=gate,
                criteria=tuple(JudgedCriterion(criterion_title(one.name), one) for one in gate.criteria),
                card_path=card.relative_to(reports_dir).as_posix() if card.exists() else None,
                released_as=release_by_version.get(version, ""),
            )
        )
    return sorted(found, key=lambda decision: (decision.gate.decided_on, decision.version), reverse=True)


def _verdicts(reports_dir: Path, use_case: str) -> Iterator[Verdict]:
    table = read_verdicts(reports_dir)
    rows = table.filter(table["use_case"] == use_case).sort("month", "reviewed_at", descending=True)
    for row in rows.select("month", "release").iter_rows(named=True):
        try:
            yield read_verdict(reports_dir, use_case, row["month"], row["release"])
        except VerdictError:
            # The table keeps the outcome of a verdict whose folder was removed; there is no page to make from it.
            continue


def _slices(directory: Path) -> list[StoredSlice]:
    found = []
    for path in directory.glob("*/verdict.json"):
        try:
            found.append(StoredSlice(path.parent, Verdict.model_validate_json(path.read_bytes())))
        except ValidationError:
            # A review of an older form is made anew when somebody asks for it again.
            continue
    return sorted(found, key=lambda stored: stored.verdict.reviewed_at, reverse=True)


def _trials(directory: Path) -> list[TrialSummary]:
    found = []
    for path in directory.glob("*.json"):
        try:
            found.append(TrialSummary.model_validate_json(path.read_bytes()))
        except ValidationError:
            # The summary of an older form is made anew when the trial is reported again.
            continue
    return sorted(found, key=lambda trial: trial.started_at, reverse=True)
