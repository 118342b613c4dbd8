"""The model owners' site: all models at a glance, one model's history, one month's verdict, and what feeds them.

Static pages that open offline: one style sheet, no framework, nothing loaded from elsewhere. Every page is written to
a temporary file and moved into place, so that a reader never sees half a page. What the numbers mean stands in
``docs/review.md``; what a model's pages tell is read by ``monitoring.model_history``.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.columns import USE_CASES
from ml.evaluation import Evaluation
from ml.model_card import figure_text, interval_text
from ml.stored_words import criterion_words, decision_words, stored
from ml.wording import (
    KEY_FIGURES,
    Bilingual,
    aspect_title,
    metric_title,
    slice_title,
)
from monitoring.data_dictionary import DICTIONARY_PAGE, read_data_dictionary
from monitoring.datasets import schema_columns
from monitoring.drift import RARE, UNSEEN
from monitoring.drills_page import DRILLS_PAGE, read_drills_page
from monitoring.guide_page import GUIDE_PAGE, GUIDE_SOURCE_ZH, read_guide
from monitoring.model_events import events_of, performance_of
from monitoring.model_history import (
    Model,
    Release,
    card_page,
    decision_page,
    read_model,
    release_page,
    slice_page,
    trial_page,
    verdict_page,
)
from monitoring.pipeline_page import PIPELINE_PAGE, read_pipeline_page
from monitoring.policy_page import POLICY_PAGE, reason_words, rule_rows
from monitoring.retrainings import RETRAINING_WORDS
from monitoring.runbook import runbook, runbook_anchor
from monitoring.segment_pages import SEGMENT_PAGE, SegmentPage, read_segment_page
from monitoring.service_quality_page import SERVICE_PAGE, read_service_page
from monitoring.timeline import draw_timeline
from monitoring.verdicts import (
    MONEY_WORDS,
    OUTCOME_WORDS,
    SEVERITY_BY_OUTCOME,
    ColumnScore,
    Outcome,
    Verdict,
    write_atomically,
)

if TYPE_CHECKING:
    from jinja2 import Environment

SITE_NAME = "site"
RUNBOOK_PAGE = "runbook.html"
TEMPLATE_DIRECTORY = Path(__file__).parent / "templates"
_STATIC_FILES = ("style.css", "favicon.svg")
_TIMELINE_MONTHS = 24
_DRAWN_DISTRIBUTIONS = 6
_DRAWN_CATEGORIES = 12
_SIGNS: dict[Outcome, str] = {"stable": "✓", "watch": "!", "act": "▲", "not_enough_data": "?"}


def build_site(home: Path, service_targets: Path | None = None) -> Path:
    """Write all pages from the releases, reviews and deliveries below a home folder.

    Args:
        home: State folder with ``releases/`` and ``reports/``; either may be empty or missing.
        service_targets: File of the targets of service quality; by default the built-in one.

    Returns:
        The first page.
    """
    now = datetime.now(UTC)
    models = [read_model(use_case, home, now.date()) for use_case in USE_CASES]
    guide = read_guide()
    site = _Site(home / "reports", now, has_guide=guide is not None)
    for name in _STATIC_FILES:
        site.copy(TEMPLATE_DIRECTORY / name, name)
    segment_pages = {model.use_case: told for model in models if (told := _segment_page(model, home))}
    for model in models:
        _write_model(site, model, segment_pages.get(model.use_case))
    service = read_service_page(home, service_targets)
    if service:
        site.write(SERVICE_PAGE, "service_quality.html.j2", page=service)
    dictionary = read_data_dictionary(home)
    if dictionary:
        site.write(DICTIONARY_PAGE, "data_dictionary.html.j2", page=dictionary)
    pipeline = read_pipeline_page(home / "reports")
    if pipeline:
        site.write(PIPELINE_PAGE, "pipeline_health.html.j2", page=pipeline)
    drills = read_drills_page(home / "reports")
    if drills:
        site.write(DRILLS_PAGE, "drills.html.j2", page=drills)
    site.write(RUNBOOK_PAGE, "runbook.html.j2")
    if guide:
        site.write(GUIDE_PAGE, "guide.html.j2", guide=guide, guide_zh=read_guide(GUIDE_SOURCE_ZH, "zh-") or guide)
    ordered = sorted(models, key=_attention, reverse=True)
    index = site.write(
        "index.html",
        "index.html.j2",
        models=ordered,
        segment_pages={use_case: f"{use_case}/{SEGMENT_PAGE}" for use_case in segment_pages},
        service=service,
        service_page=SERVICE_PAGE,
        pipeline=pipeline,
        pipeline_page=PIPELINE_PAGE,
        drills=drills,
        drills_page=DRILLS_PAGE,
        dictionary_page=DICTIONARY_PAGE if dictionary else None,
        needing=[model for model in ordered if model.latest and model.latest.needs_attention],
        timelines={model.use_case: _timeline(model) for model in models},
        figures={model.use_case: _key_figure(model) for model in models},
        columns_of={model.use_case: _column_words(model.use_case) for model in models},
    )
    site.remove_stale_pages()
    return index


class _Site:
    """The folder of the site: writes its pages and remembers which, so that others can go."""

    def __init__(self, reports_dir: Path, built_at: datetime, *, has_guide: bool) -> None:
        self.directory = reports_dir / SITE_NAME
        self._reports_dir = reports_dir
        self._written: set[Path] = set()
        self._templates = _Templates(built_at, self._megabytes_of, has_guide=has_guide)

    def write(self, name: str, template: str, **context: Any) -> Path:
        """Render a page; links that its template makes with ``root`` lead to the site's folder."""
        path = self.directory / name
        write_atomically(path, self._templates.render(template, root="../" * name.count("/"), **context))
        self._written.add(path)
        return path

    def copy(self, source: Path, name: str) -> None:
        """Put a file that stands by itself beside the pages."""
        target = self.directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.tmp")
        shutil.copyfile(source, temporary)
        temporary.replace(target)
        self._written.add(target)

    def remove_stale_pages(self) -> None:
        """Remove pages of earlier builds whose verdict, release or trial is gone, which nothing links to any more."""
        for path in self.directory.rglob("*.html"):
            if path not in self._written:
                path.unlink()

    def _megabytes_of(self, report_path: str) -> str:
        path = self._reports_dir / report_path
        return f"{path.stat().st_size / 1e6:.1f} MB" if path.exists() else "–"


def _write_model(site: _Site, model: Model, segments: SegmentPage | None) -> None:
    def write(name: str, template: str, **context: Any) -> None:
        site.write(f"{model.use_case}/{name}", template, model=model, columns=columns, **context)

    columns = _column_words(model.use_case)
    for release in model.releases:
        if release.card:
            site.copy(release.card, f"{model.use_case}/{card_page(release.name)}")
        decision = next((one for one in model.decisions if one.version == release.bundle_version), None)
        write(
            release_page(release.name),
            "release.html.j2",
            release=release,
            decision=decision,
            rows=_metric_rows(release),
            slices=_slice_tables(release.evaluation),
            changes=[change for change in model.served_changes if release.name in (change.release, change.replaced)],
        )
    for decision in model.decisions:
        write(decision_page(decision.version), "decision.html.j2", decision=decision)
    for trial in model.trials:
        write(trial_page(trial.trial_id), "trial.html.j2", trial=trial)
    for verdict in model.verdicts:
        write(verdict_page(verdict), "verdict.html.j2", verdict=verdict, **_verdict_context(verdict))
    for part in model.slices:
        write(slice_page(part), "verdict.html.j2", verdict=part.verdict, **_verdict_context(part.verdict))
    if model.policy:
        write(POLICY_PAGE, "policy.html.j2", policy=model.policy, rows=rule_rows(model.policy))
    if segments:
        write(SEGMENT_PAGE, "segments.html.j2", page=segments)
    write(
        "index.html",
        "model.html.j2",
        segment_page=SEGMENT_PAGE if segments else None,
        policy_page=POLICY_PAGE,
        timeline=draw_timeline(model),
        performance=performance_of(model),
        events=events_of(model),
        rows=_metric_rows(model.current),
        key_title=metric_title(KEY_FIGURES[model.use_case]),
    )


def _attention(model: Model) -> int:
    return SEVERITY_BY_OUTCOME[model.latest.outcome] if model.latest else -1


def _segment_page(model: Model, home: Path) -> SegmentPage | None:
    """Return what the served segmentation's page of segments shows; None for other models and before the first one."""
    if model.use_case != "segmentation" or model.current is None:
        return None
    return read_segment_page(home, model.current.name, model.current.evaluation)


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


def _metric_rows(release: Release | None) -> list[dict[str, Any]]:
    """Return the figures of a release: overall metrics first, then each baseline."""
    evaluation = release.evaluation if release else None
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
class _SliceTable:
    """A figure of an evaluation by the values of one column."""

    title: Bilingual
    by: Bilingual
    rows: tuple[tuple[str, str, str, str], ...]


def _slice_tables(evaluation: Evaluation | None) -> list[_SliceTable]:
    """Return the figures of an evaluation that are divided by something, one table per figure and division."""
    found: dict[tuple[str, str], list[tuple[str, str, str, str]]] = {}
    for metric in evaluation.metrics if evaluation else ():
        if metric.slice_column is not None:
            row = (
                metric.slice_value or "–",
                "–" if metric.rows is None else f"{metric.rows:,}",
                figure_text(metric),
                interval_text(metric),
            )
            found.setdefault((metric.name, metric.slice_column), []).append(row)
    return [_SliceTable(metric_title(name), slice_title(column), tuple(rows)) for (name, column), rows in found.items()]


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


def _column_words(use_case: str) -> dict[str, Bilingual]:
    """Return what each column means, by name; an old verdict may hold columns that are no longer among them."""
    features, predictions = schema_columns(use_case)
    return {
        column.name: Bilingual(en=column.description, zh=column.description_zh) for column in (*features, *predictions)
    }


def _verdict_context(verdict: Verdict) -> dict[str, Any]:
    judged = [score for score in verdict.columns if score.status == "judged"]
    by_name = {score.column: score for score in judged}
    return {
        "judged": judged,
        "leading": [by_name[name] for name in verdict.leading_columns if name in by_name],
        "compared": [score for score in judged if score.comparisons],
        "unjudged": _unjudged(verdict),
        "distributions": _distributions(judged),
        "rare": RARE,
        "unseen": UNSEEN,
    }


@dataclass(frozen=True)
class _Unjudged:
    """Columns that were not judged for one reason; nothing is unknown where there never was a value."""

    why: Bilingual
    is_harmless: bool
    columns: tuple[str, ...]


def _unjudged(verdict: Verdict) -> list[_Unjudged]:
    """Return the columns that were not judged by reason, those of which something is unknown first."""
    found: dict[tuple[bool, str, str], list[str]] = {}
    for score in verdict.columns:
        if score.status != "judged":
            found.setdefault((score.is_empty_as_before, score.why_en, score.why_zh), []).append(score.column)
    return [
        _Unjudged(Bilingual(en=why_en, zh=why_zh), is_harmless, tuple(columns))
        for (is_harmless, why_en, why_zh), columns in sorted(found.items())
    ]


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


@cache
def _environment() -> "Environment":
    """Return the compiled templates; compiling them takes longer than filling them in."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATE_DIRECTORY),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


class _Templates:
    """The page templates and what every page needs."""

    def __init__(self, built_at: datetime, megabytes_of: Callable[[str], str], *, has_guide: bool) -> None:
        self._shared: dict[str, Any] = {
            "words": OUTCOME_WORDS,
            "money_words": MONEY_WORDS,
            "signs": _SIGNS,
            "verdict_page": verdict_page,
            "card_page": card_page,
            "release_page": release_page,
            "decision_page": decision_page,
            "slice_page": slice_page,
            "trial_page": trial_page,
            "runbook_page": RUNBOOK_PAGE,
            "guide_page": GUIDE_PAGE,
            "has_guide": has_guide,
            "findings": runbook(),
            "retraining_words": RETRAINING_WORDS,
            "runbook_anchor": runbook_anchor,
            "aspect_title": aspect_title,
            "slice_title": slice_title,
            "stored": stored,
            "decision_words": decision_words,
            "criterion_words": criterion_words,
            "reason_words": reason_words,
            "megabytes_of": megabytes_of,
            "built_at": f"{built_at:%Y-%m-%d %H:%M} UTC",
        }

    def render(self, name: str, **context: Any) -> bytes:
        return _environment().get_template(name).render(self._shared | context).encode()
