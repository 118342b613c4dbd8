"""What happened to a model day by day, and how its performance went month by month, in words and figures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Literal

from ml.stored_words import stored
from ml.wording import KEY_FIGURES, Bilingual, metric_title
from monitoring.incidents import Incident
from monitoring.model_history import Decision, Model, ServedChange, decision_page, release_page
from monitoring.retrainings import RETRAINING_WORDS, Retraining
from monitoring.verdicts import OUTCOME_WORDS

EventKind = Literal["release", "rollback", "refused", "retraining", "no_retraining", "opened", "closed"]

EVENT_WORDS: Mapping[EventKind, Bilingual] = {
    "release": Bilingual(en="Release", zh="发布"),
    "rollback": Bilingual(en="Rollback", zh="回退"),
    "refused": Bilingual(en="Challenger refused", zh="候选模型未通过"),
    "retraining": Bilingual(en="Retraining", zh="重新训练"),
    "no_retraining": Bilingual(en="Retraining refused", zh="不予重新训练"),
    "opened": Bilingual(en="Incident opened", zh="事件开始"),
    "closed": Bilingual(en="Incident closed", zh="事件结束"),
}


@dataclass(frozen=True)
class Event:
    """Something that happened on a day.

    Attributes:
        at: When, in UTC.
        kind: What kind of thing.
        text: What happened, in a sentence.
        page: Page that tells more, relative to the model's folder; empty if there is none.
    """

    at: datetime
    kind: EventKind
    text: Bilingual
    page: str = ""

    @property
    def title(self) -> Bilingual:
        """The kind in words."""
        return EVENT_WORDS[self.kind]


@dataclass(frozen=True)
class Figure:
    """A figure of one month with its interval, both ends the figure itself if it has none."""

    month: date
    value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class FigureSeries:
    """The figure by which a model's performance is followed once outcomes are known.

    Attributes:
        title: What it is.
        figures: Its months, oldest first; at least one.
        decimals: With how many decimals a reader sees it.
        promised: The figure at release, or that the model states; None if there is nothing to compare with.
    """

    title: Bilingual
    figures: tuple[Figure, ...]
    decimals: int
    promised: float | None = None


def events_of(model: Model) -> list[Event]:
    """Return everything that happened to a model on a day, newest first."""
    return sorted(_events(model), key=lambda event: event.at, reverse=True)


def _events(model: Model) -> Iterator[Event]:
    kept = {release.name for release in model.releases}
    for change in model.served_changes:
        yield _served(change, release_page(change.release) if change.release in kept else "")
    # A release of before the history was kept is known by its record alone.
    for release in model.releases:
        if release.name not in {change.release for change in model.served_changes}:
            by = stored(release.approved_by)
            text = Bilingual(en=f"{release.name} · {by.en}", zh=f"{release.name} · {by.zh}")
            yield Event(release.released_at, "release", text, release_page(release.name))
    for decision in model.refused:
        yield _refusal(decision)
    judged = {decision.version for decision in model.decisions}
    for retraining in model.retrainings:
        version = retraining.challenger_version
        yield _retraining(retraining, decision_page(version) if version in judged else "")
    for incident in model.incidents:
        yield from _incident(incident)


def _served(change: ServedChange, page: str) -> Event:
    parts = [stored(part) for part in (change.release, change.by, change.reason) if part]
    text = Bilingual(en=" · ".join(part.en for part in parts), zh=" · ".join(part.zh for part in parts))
    kind: EventKind = "rollback" if change.action == "rollback" else "release"
    return Event(change.at, kind, text, page)


def _refusal(decision: Decision) -> Event:
    failed_en = "; ".join(judged.title.en for judged in decision.failed)
    failed_zh = "；".join(judged.title.zh or judged.title.en for judged in decision.failed)
    return Event(
        # Of a decision the day is known and no time.
        datetime.combine(decision.gate.decided_on, time(tzinfo=UTC)),
        "refused",
        Bilingual(en=f"{decision.version} · {failed_en}", zh=f"{decision.version} · {failed_zh}"),
        decision_page(decision.version),
    )


def _retraining(retraining: Retraining, page: str) -> Event:
    words_en, words_zh = RETRAINING_WORDS[retraining.status]
    why_en = " ".join(refusal.sentence_en for refusal in retraining.refusals) or retraining.why_en
    why_zh = "".join(refusal.sentence_zh for refusal in retraining.refusals) or retraining.why_zh
    parts = [part for part in (retraining.challenger_version, retraining.released_as) if part]
    return Event(
        retraining.at,
        "no_retraining" if retraining.status == "refused" else "retraining",
        Bilingual(en=" · ".join([words_en, *parts, why_en]), zh=" · ".join([words_zh, *parts, why_zh])),
        page,
    )


def _incident(incident: Incident) -> Iterator[Event]:
    worst_en, worst_zh = OUTCOME_WORDS[incident.worst_outcome]
    first = incident.course[0]
    why_en = first.reasons[0].sentence_en if first.reasons else ""
    why_zh = first.reasons[0].sentence_zh if first.reasons else ""
    month = f"{first.month:%Y-%m}"
    opened = Bilingual(
        en=f"With {month}, at worst {worst_en.lower()}. {why_en}".strip(),
        zh=f"自 {month} 起，最严重为“{worst_zh}”。{why_zh}",
    )
    yield Event(incident.opened_at, "opened", opened)
    if incident.closed_at is not None and not incident.is_open:
        month = f"{incident.now.month:%Y-%m}"
        yield Event(incident.closed_at, "closed", Bilingual(en=f"Stable again in {month}.", zh=f"{month} 恢复稳定。"))


def performance_of(model: Model) -> FigureSeries | None:
    """Return the figure by which the performance of a model is followed; None until outcomes are known.

    Credit risk: AUC on the outcomes known by the month. Tariff matching: share of the savings inside their stated
    interval, by month of the advice. Segmentation: share of the customers who stayed in their segment.
    """
    if model.use_case == "credit_risk":
        known = [(verdict.month, verdict.performance) for verdict in reversed(model.by_month)]
        figures = [Figure(month, one.auc, one.auc_lower, one.auc_upper) for month, one in known if one is not None]
        promised = [one.auc_at_release for _, one in known if one is not None]
        title = metric_title(KEY_FIGURES["credit_risk"])
        return FigureSeries(title, tuple(figures), 3, promised[-1]) if figures else None
    if model.outcomes is None:
        return None
    if model.use_case == "tariff_matching":
        cohorts = model.outcomes.tariff_cohorts
        shares = [(cohort.month, cohort.inside_pct) for cohort in cohorts]
        title = Bilingual(en="Savings inside their interval, %", zh="节省落入所述区间，%")
        stated = cohorts[-1].coverage_pct if cohorts else None
    else:
        shares = [(month.month, 100 - month.moved_pct) for month in model.outcomes.segment_months]
        title = Bilingual(en="Stayed in their segment, %", zh="留在原客群，%")
        stated = None
    figures = [Figure(month, value, value, value) for month, value in shares if value is not None]
    return FigureSeries(title, tuple(figures), 1, stated) if figures else None
