"""The model owners' site: all models at a glance, one model's history, one month's verdict.

Static pages that open offline: one style sheet, no framework, nothing loaded from elsewhere. Every page is written to
a temporary file and moved into place, so that a reader never sees half a page. What the numbers mean stands in
``docs/review.md``.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ml.columns import USE_CASES
from ml.evaluation import Evaluation
from ml.gate import GateDecision
from ml.model_card import figure_text, interval_text
from ml.wording import KEY_FIGURES, Bilingual, criterion_title, metric_title
from monitoring.data_dictionary import DICTIONARY_PAGE, read_data_dictionary
from monitoring.datasets import schema_columns
from monitoring.drift import RARE, UNSEEN
from monitoring.policy import DriftPolicy, PolicyError, load_policy
from monitoring.segment_pages import SEGMENT_PAGE, SegmentPage, read_segment_page
from monitoring.service_quality_page import SERVICE_PAGE, read_service_page
from monitoring.verdicts import (
    OUTCOME_WORDS,
    SEVERITY_BY_OUTCOME,
    USE_CASE_TITLES,
    ColumnScore,
    Outcome,
    Verdict,
    VerdictError,
    read_verdict,
    read_verdicts,
    write_atomically,
)

SITE_NAME = "site"
DECISIONS_NAME = "decisions"
TEMPLATE_DIRECTORY = Path(__file__).parent / "templates"
_TIMELINE_MONTHS = 24
_DRAWN_DISTRIBUTIONS = 6
_DRAWN_CATEGORIES = 12
_SIGNS: dict[Outcome, str] = {"stable": "✓", "watch": "!", "act": "▲", "not_enough_data": "?"}


@dataclass(frozen=True)
class Rollback:
    """Why an earlier release is served again.

    Attributes:
        at: When somebody went back to it, as text for a reader.
        replaced: Release that was served until then.
        by: Who decided so.
        reason: Why, in the person's words.
    """

    at: str
    replaced: str
    by: str
    reason: str


@dataclass(frozen=True)
class Release:
    """What the site shows of one release.

    Attributes:
        name: Name of the release.
        released_at: When it was published, as text for a reader.
        approved_by: Who or what approved it.
        bundle_version: Version of its bundle.
        evaluation: Its evaluation; None if the release holds none that can be read.
        card: Its model card; None if it has none.
        is_current: Whether the pointer names it.
        rollback: How it came to be served again; None unless somebody went back to it.
    """

    name: str
    released_at: str
    approved_by: str
    bundle_version: str
    evaluation: Evaluation | None
    card: Path | None
    is_current: bool
    rollback: Rollback | None = None

    @property
    def served_since(self) -> str:
        """Since when it is served, if it is."""
        return self.rollback.at if self.rollback else self.released_at


@dataclass(frozen=True)
class FailedCriterion:
    """One demand of the gate that a challenger did not meet.

    Attributes:
        title: The demand in words.
        reason: What was found against it, in a sentence.
        could_be_judged: Whether a figure was there to judge.
    """

    title: Bilingual
    reason: str
    could_be_judged: bool


@dataclass(frozen=True)
class RefusedChallenger:
    """A trained model that the gate did not let through.

    Attributes:
        version: Version of its bundle.
        decided_on: Day of the decision.
        key_figure: Its key figure with the interval, as the gate saw it.
        failed: What it did not meet.
        card_path: Its model card, relative to the reports folder; None if there is none.
    """

    version: str
    decided_on: date
    key_figure: str
    failed: tuple[FailedCriterion, ...]
    card_path: str | None


@dataclass(frozen=True)
class Model:
    """One use case with its releases, refused challengers and verdicts.

    Attributes:
        use_case: Name of the use case.
        releases: Its releases, newest first.
        refused: Challengers that the gate refused, the latest decision first.
        verdicts: Its verdicts, newest month first; of the same month, the latest review first.
        policy: The policy valid today; None if there is none.
    """

    use_case: str
    releases: tuple[Release, ...]
    refused: tuple[RefusedChallenger, ...]
    verdicts: tuple[Verdict, ...]
    policy: DriftPolicy | None

    @property
    def title(self) -> tuple[str, str]:
        """Title in English and Chinese."""
        return USE_CASE_TITLES[self.use_case]

    @property
    def current(self) -> Release | None:
        """The release that is served."""
        return next((release for release in self.releases if release.is_current), None)

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


def build_site(home: Path, service_targets: Path | None = None) -> Path:
    """Write all pages from the releases and verdicts below a home folder.

    Args:
        home: State folder with ``releases/`` and ``reports/``; either may be empty or missing.
        service_targets: File of the targets of service quality; by default the built-in one.

    Returns:
        The first page.
    """
    reports_dir = home / "reports"
    site = reports_dir / SITE_NAME
    today = datetime.now(UTC)
    models = [_model(use_case, home, today.date()) for use_case in USE_CASES]
    templates = _Templates(today)
    write_atomically(site / "style.css", (TEMPLATE_DIRECTORY / "style.css").read_bytes())
    segment_pages = {model.use_case: told for model in models if (told := _segment_page(model, home))}
    for model in models:
        folder = site / model.use_case
        for release in model.releases:
            if release.card:
                _copy(release.card, folder / card_page(release.name))
        for verdict in model.verdicts:
            page = templates.render("verdict.html.j2", model=model, verdict=verdict, **_verdict_context(model, verdict))
            write_atomically(folder / verdict_page(verdict), page)
        segments = segment_pages.get(model.use_case)
        if segments:
            write_atomically(folder / SEGMENT_PAGE, templates.render("segments.html.j2", model=model, page=segments))
        else:
            # After a return to a release that never scored, an old page would tell of the other one.
            (folder / SEGMENT_PAGE).unlink(missing_ok=True)
        page = templates.render(
            "model.html.j2",
            model=model,
            segment_page=SEGMENT_PAGE if segments else None,
            chart=_score_chart(model),
            rows=_metric_rows(model),
            columns=_column_words(model.use_case),
            key_title=metric_title(KEY_FIGURES[model.use_case]),
        )
        write_atomically(folder / "index.html", page)
    service = read_service_page(home, service_targets)
    if service:
        write_atomically(site / SERVICE_PAGE, templates.render("service_quality.html.j2", page=service))
    dictionary = read_data_dictionary(home)
    if dictionary:
        write_atomically(site / DICTIONARY_PAGE, templates.render("data_dictionary.html.j2", page=dictionary))
    ordered = sorted(models, key=_attention, reverse=True)
    needing = [model for model in ordered if model.latest and model.latest.needs_attention]
    index = templates.render(
        "index.html.j2",
        models=ordered,
        segment_pages={use_case: f"{use_case}/{SEGMENT_PAGE}" for use_case in segment_pages},
        service=service,
        service_page=SERVICE_PAGE,
        dictionary_page=DICTIONARY_PAGE if dictionary else None,
        needing=needing,
        timelines={model.use_case: _timeline(model) for model in models},
        figures={model.use_case: _key_figure(model) for model in models},
    )
    write_atomically(site / "index.html", index)
    return site / "index.html"


def verdict_page(verdict: Verdict) -> str:
    """Return the file name of a verdict's page in its model's folder."""
    return f"{verdict.month:%Y-%m}_{verdict.release}.html"


def card_page(release: str) -> str:
    """Return the file name of a release's model card in its model's folder."""
    return f"model_card_{release}.html"


def _attention(model: Model) -> int:
    return SEVERITY_BY_OUTCOME[model.latest.outcome] if model.latest else -1


def _model(use_case: str, home: Path, today: date) -> Model:
    try:
        policy = load_policy(use_case, today)
    except PolicyError:
        policy = None
    return Model(
        use_case=use_case,
        releases=tuple(_releases(home / "releases" / use_case)),
        refused=tuple(_refused(home / "reports", use_case)),
        verdicts=tuple(_verdicts(home / "reports", use_case)),
        policy=policy,
    )


def _segment_page(model: Model, home: Path) -> SegmentPage | None:
    """Return what the served segmentation's page of segments shows; None for other models and before the first one."""
    if model.use_case != "segmentation" or model.current is None:
        return None
    return read_segment_page(home, model.current.name, model.current.evaluation)


def _releases(directory: Path) -> Iterator[Release]:
    pointer = directory / "CURRENT"
    current = pointer.read_text(encoding="utf-8").strip() if pointer.exists() else ""
    documents = [(path.parent, json.loads(path.read_bytes())) for path in directory.glob("*/release.json")]
    for folder, document in sorted(documents, key=lambda pair: str(pair[1]["released_at"]), reverse=True):
        card = folder / "model_card.html"
        yield Release(
            name=document["name"],
            released_at=_minute(document["released_at"]),
            approved_by=str(document["approved_by"]),
            bundle_version=str(document["bundle_version"]),
            evaluation=_evaluation(folder / "evaluation.json"),
            card=card if card.exists() else None,
            is_current=document["name"] == current,
            rollback=_rollback(directory / "history.jsonl") if document["name"] == current else None,
        )


def _minute(at: str) -> str:
    return at[:16].replace("T", " ")


def _rollback(history: Path) -> Rollback | None:
    """Return the last move of the pointer if it went back to an earlier release."""
    entries = history.read_text(encoding="utf-8").splitlines() if history.exists() else []
    last = json.loads(entries[-1]) if entries else {}
    if last.get("action") != "rollback":
        return None
    return Rollback(_minute(last["at"]), str(last["from"]), last["by"], last["reason"])


def _refused(reports_dir: Path, use_case: str) -> list[RefusedChallenger]:
    found = []
    for path in (reports_dir / use_case / DECISIONS_NAME).glob("*/decision.json"):
        try:
            decision = GateDecision.model_validate_json(path.read_bytes())
        except ValidationError:
            # A decision of an older form; its card beside it still says what it was.
            continue
        if not decision.approved:
            found.append(_refused_challenger(decision, path.parent, reports_dir))
    return sorted(found, key=lambda challenger: (challenger.decided_on, challenger.version), reverse=True)


def _refused_challenger(decision: GateDecision, folder: Path, reports_dir: Path) -> RefusedChallenger:
    card = folder / "model_card.html"
    failed = [criterion for criterion in decision.criteria if criterion.passed is not True]
    return RefusedChallenger(
        version=folder.name,
        decided_on=decision.decided_on,
        key_figure=next((c.observed for c in decision.criteria if c.name == "key_metric"), ""),
        failed=tuple(
            FailedCriterion(criterion_title(criterion.name), criterion.reason, criterion.passed is not None)
            for criterion in failed
            if criterion.overridden_by is None
        ),
        card_path=card.relative_to(reports_dir).as_posix() if card.exists() else None,
    )


def _evaluation(path: Path) -> Evaluation | None:
    try:
        return Evaluation.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        # An old release may hold an evaluation of an older form; its card still shows it.
        return None


def _verdicts(reports_dir: Path, use_case: str) -> Iterator[Verdict]:
    table = read_verdicts(reports_dir)
    rows = table.filter(table["use_case"] == use_case).sort("month", "reviewed_at", descending=True)
    for row in rows.select("month", "release").iter_rows(named=True):
        try:
            yield read_verdict(reports_dir, use_case, row["month"], row["release"])
        except VerdictError:
            # The table keeps the outcome of a verdict whose folder was removed; there is no page to make from it.
            continue


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.tmp")
    shutil.copyfile(source, temporary)
    temporary.replace(target)


@dataclass(frozen=True)
class _Figure:
    """The key figure of a release beside its best baseline."""

    title: Bilingual
    value: str
    interval: str
    baseline: Bilingual
    baseline_value: str


def _key_figure(model: Model) -> _Figure | None:
    evaluation = model.current.evaluation if model.current else None
    if evaluation is None or evaluation.key_metric is None:
        return None
    metric = evaluation.key_metric
    best = max(
        evaluation.baselines,
        key=lambda baseline: (baseline.metric.value or 0.0) * (-1 if metric.higher_is_better is False else 1),
        default=None,
    )
    return _Figure(
        title=metric_title(metric.name),
        value=figure_text(metric),
        interval=interval_text(metric),
        baseline=Bilingual(en=best.description, zh=best.description_zh) if best else Bilingual(en=""),
        baseline_value=figure_text(best.metric) if best else "",
    )


def _metric_rows(model: Model) -> list[dict[str, Any]]:
    """Return the figures of the served release: overall metrics first, then each baseline."""
    evaluation = model.current.evaluation if model.current else None
    if evaluation is None:
        return []
    metrics = [metric for metric in evaluation.metrics if metric.slice_column is None]
    if evaluation.key_metric is not None:
        metrics = [evaluation.key_metric, *(metric for metric in metrics if metric.name != evaluation.key_metric.name)]
    rows: list[dict[str, Any]] = [
        {
            "title": metric_title(metric.name),
            "value": figure_text(metric),
            "interval": interval_text(metric),
            "difference": "",
        }
        for metric in metrics
    ]
    rows += [
        {
            "title": Bilingual(en=f"Baseline: {baseline.description}", zh=f"基准：{baseline.description_zh}"),
            "value": figure_text(baseline.metric),
            "interval": interval_text(baseline.metric),
            "difference": figure_text(baseline.difference, signed=True),
        }
        for baseline in evaluation.baselines
    ]
    return rows


@dataclass(frozen=True)
class _Month:
    """One month of a time line, with the labels that stand below it.

    Attributes:
        verdict: The verdict of the month.
        month: Number of the month.
        year: Year, on the first month that is shown and on every January; empty on the others.
    """

    verdict: Verdict
    month: str
    year: str


def _timeline(model: Model) -> list[_Month]:
    verdicts = model.by_month[:_TIMELINE_MONTHS][::-1]
    januaries = [verdict.month.month == 1 for verdict in verdicts]
    # A first year right before a January would touch the year of that January.
    names_first = not any(januaries[1:3])
    return [
        _Month(
            verdict,
            f"{verdict.month:%m}",
            f"{verdict.month:%Y}" if is_january or (place == 0 and names_first) else "",
        )
        for place, (verdict, is_january) in enumerate(zip(verdicts, januaries, strict=True))
    ]


@dataclass(frozen=True)
class _Bar:
    """One month of the score chart, in percent of the drawing."""

    left: float
    width: float
    height: float
    shown: _Month
    text: str


@dataclass(frozen=True)
class _Chart:
    """Scores of the key prediction by month, with the limits."""

    bars: list[_Bar] = field(default_factory=list)
    watch_height: float = 0.0
    act_height: float = 0.0
    watch: float = 0.0
    act: float = 0.0


def _score_chart(model: Model) -> _Chart | None:
    timeline = _timeline(model)
    if model.policy is None or not timeline:
        return None
    limit = model.policy.prediction
    # Scores far beyond "act" say no more by their height; the cut keeps the limits readable.
    top = 1.6 * limit.act
    step = 100 / max(len(timeline), 6)
    bars = [
        _Bar(
            left=number * step,
            width=step,
            height=max(1.0, 100 * min(shown.verdict.prediction_score or 0.0, top) / top),
            shown=shown,
            text="–" if shown.verdict.prediction_score is None else f"{shown.verdict.prediction_score:.2f}",
        )
        for number, shown in enumerate(timeline)
    ]
    return _Chart(bars, 100 * limit.watch / top, 100 * limit.act / top, limit.watch, limit.act)


def _column_words(use_case: str) -> dict[str, Bilingual]:
    """Return what each column means, by name; an old verdict may hold columns that are no longer among them."""
    features, predictions = schema_columns(use_case)
    return {
        column.name: Bilingual(en=column.description, zh=column.description_zh) for column in (*features, *predictions)
    }


def _verdict_context(model: Model, verdict: Verdict) -> dict[str, Any]:
    judged = [score for score in verdict.columns if score.status == "judged"]
    return {
        "columns": _column_words(model.use_case),
        "judged": judged,
        "unjudged": [score for score in verdict.columns if score.status != "judged"],
        "distributions": _distributions(judged),
        "rare": RARE,
        "unseen": UNSEEN,
    }


@dataclass(frozen=True)
class _Bin:
    """One bin of a drawn distribution, in percent of the rows."""

    label: str
    then: float
    now: float


@dataclass(frozen=True)
class _Distribution:
    """A column's values in the reference and in the month."""

    score: ColumnScore
    bins: tuple[_Bin, ...]

    @property
    def top(self) -> float:
        return max(max(entry.then, entry.now) for entry in self.bins)


def _distributions(judged: Sequence[ColumnScore]) -> list[_Distribution]:
    """Choose the distributions that are drawn: the first by rank, which puts moved columns first."""
    return [_Distribution(score, _drawn_bins(score)) for score in judged[:_DRAWN_DISTRIBUTIONS]]


def _drawn_bins(score: ColumnScore) -> tuple[_Bin, ...]:
    shares = zip(score.bin_labels, score.bin_shares_reference, score.bin_shares_current, strict=True)
    bins = [_Bin(label, 100 * then, 100 * now) for label, then, now in shares if then > 0 or now > 0]
    if score.kind != "numeric":
        bins = sorted(bins, key=lambda entry: -max(entry.then, entry.now))[:_DRAWN_CATEGORIES]
    return tuple(bins)


class _Templates:
    """The page templates and what every page needs."""

    def __init__(self, built_at: datetime) -> None:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined

        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATE_DIRECTORY),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(
            words=OUTCOME_WORDS,
            signs=_SIGNS,
            verdict_page=verdict_page,
            card_page=card_page,
            built_at=f"{built_at:%Y-%m-%d %H:%M} UTC",
        )

    def render(self, name: str, **context: Any) -> bytes:
        return self._environment.get_template(name).render(**context).encode()
