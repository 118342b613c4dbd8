"""The gate between a trained model and its release.

A policy says what is demanded; `decide` holds an evaluation against it. The gate fails closed: a report, figure,
baseline, slice or comparison that is missing refuses, exactly like one that is too bad. Nothing here reads a clock
or a file: the date of the decision is an argument, so a decision can be replayed.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml.evaluation import ChampionComparison, Criterion, Evaluation, Metric
from ml.trials import TrialRequirement, TrialSummary, judge_trial
from ml.wording import baseline_title, criterion_title, decimals_of, metric_title, number_text, slice_title

JudgedBy = Literal["value", "lower", "upper", "interval"]
Aspect = Literal["sufficiency", "accuracy", "baselines", "champion", "calibration", "stability", "fairness", "other"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BaselineRequirement(_Frozen):
    """How much better than a baseline the model must be on the key metric.

    Attributes:
        name: Name of the baseline in the evaluation.
        minimum_improvement: Smallest accepted difference; negative tolerates a model that is a little worse.
        judged_by: Whether the point estimate or the lower end of its interval must reach it.
        least_lower_end: Where the estimate is judged: smallest accepted lower end of its interval, so that being no
            worse is shown by enough data and not assumed for want of it.
    """

    name: str
    minimum_improvement: float = 0.0
    judged_by: Literal["value", "lower"] = "value"
    least_lower_end: float | None = None


class ChampionRequirement(_Frozen):
    """How a challenger must stand against the released model.

    Attributes:
        tolerance: How much worse than the champion the challenger may be beyond doubt: refused when the whole
            interval of the paired difference lies below minus the tolerance.
    """

    tolerance: float = Field(default=0.0, ge=0)


class MetricLimit(_Frozen):
    """A limit on a figure, overall or for every value of a slice column.

    Attributes:
        metric: Name of the figure in the evaluation.
        aspect: What the limit protects.
        minimum: Smallest accepted figure.
        maximum: Largest accepted figure.
        judged_by: What must keep the limit: the value, one end of its interval, or any part of the ``interval``
            (then only a figure whose whole interval lies outside is refused).
        slice_column: When given, every slice with enough rows must keep the limit.
        minimum_rows: Slices with fewer rows are not judged. At least one slice must be.
    """

    metric: str
    aspect: Aspect = "other"
    minimum: float | None = None
    maximum: float | None = None
    judged_by: JudgedBy = "value"
    slice_column: str | None = None
    minimum_rows: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.minimum is None and self.maximum is None:
            raise ValueError(f"limit on {self.metric} has neither minimum nor maximum")
        return self

    @property
    def name(self) -> str:
        """Name of the criterion."""
        return f"{self.metric} by {self.slice_column}" if self.slice_column else self.metric


class GatePolicy(_Frozen):
    """What a model of one use case must show to be released. Policies are dated; a change is a new policy.

    Attributes:
        use_case: One of ``ml.columns.USE_CASES``.
        valid_from: Day from which the policy applies.
        baselines: Demands against named baselines.
        champion: Demand against the released model; applies when there is one.
        limits: Limits on figures (calibration, stability, fairness and others).
        required_criteria: Criteria of the evaluation itself that must have passed.
        trial: Demand on a trial in shadow on live traffic; None, as by default, lets models out without, and is the
            only choice where nothing is served yet.
    """

    use_case: str
    valid_from: date
    baselines: tuple[BaselineRequirement, ...] = ()
    champion: ChampionRequirement = ChampionRequirement()
    limits: tuple[MetricLimit, ...] = ()
    required_criteria: tuple[str, ...] = ()
    trial: TrialRequirement | None = None


class Override(_Frozen):
    """A person's decision to release in spite of one failed criterion, until a day.

    Attributes:
        criterion: Name of the criterion.
        person: Who takes responsibility.
        reason: Why.
        expires_on: Last day on which the override holds.
    """

    criterion: str = Field(min_length=1)
    person: str = Field(min_length=2)
    reason: str = Field(min_length=10)
    expires_on: date


class GateDecision(_Frozen):
    """The outcome of the gate; it stands on the release, the model card and every report.

    Attributes:
        use_case: One of ``ml.columns.USE_CASES``.
        approved: Whether the model may be released.
        decided_on: Day of the decision.
        policy_valid_from: Day of the policy that was applied.
        criteria: Every demand and how it was met.
        overrides: Overrides that were needed and in force.
        reason: One sentence for a person.
    """

    use_case: str
    approved: bool
    decided_on: date
    policy_valid_from: date
    criteria: tuple[Criterion, ...]
    overrides: tuple[Override, ...] = ()
    reason: str


def decide(
    evaluation: Evaluation | None,
    *,
    policy: GatePolicy,
    decided_on: date,
    has_champion: bool,
    champion: ChampionComparison | None = None,
    trial: TrialSummary | None = None,
    challenger_version: str = "",
    overrides: Sequence[Override] = (),
) -> GateDecision:
    """Hold an evaluation against the policy.

    Args:
        evaluation: What is known about the challenger; ``None`` refuses.
        policy: What is demanded.
        decided_on: Day of the decision; overrides that ended before it do not count.
        has_champion: Whether a model is released today, so that a comparison with it is demanded.
        champion: That comparison.
        trial: What the trial of the challenger on live traffic showed, where the policy demands one.
        challenger_version: Bundle that is judged; a trial of another one counts for nothing.
        overrides: Overrides on record.

    Returns:
        The decision. It is approved only if every criterion passed or is overridden by a valid override.
    """
    demanded = _criteria(evaluation, policy, has_champion, champion)
    if policy.trial is not None:
        demanded.append(judge_trial(trial, policy.trial, challenger_version=challenger_version, decided_on=decided_on))
    criteria = [
        criterion.model_copy(update={"overridden_by": _override_text(criterion, overrides, decided_on)})
        for criterion in demanded
    ]
    failed = [criterion for criterion in criteria if criterion.passed is not True]
    refusing = [criterion for criterion in failed if criterion.overridden_by is None]
    approved = bool(criteria) and not refusing
    overridden = {criterion.name for criterion in failed if criterion.overridden_by is not None}
    used = tuple(o for o in overrides if o.criterion in overridden and o.expires_on >= decided_on)
    if not approved:
        # Criteria that fail for one reason say it once.
        reason = "Refused: " + " ".join(dict.fromkeys(criterion.reason for criterion in refusing))
        expired = sorted(
            {o.criterion for o in overrides if o.expires_on < decided_on} & {criterion.name for criterion in refusing}
        )
        if expired:
            reason += f" An override of {', '.join(expired)} has expired."
    elif used:
        names = ", ".join(f"{o.criterion} (by {o.person} until {o.expires_on.isoformat()}: {o.reason})" for o in used)
        reason = f"Approved with {len(used)} overridden: {names}."
    else:
        reason = f"Approved: all {len(criteria)} criteria are met."
    return GateDecision(
        use_case=policy.use_case,
        approved=approved,
        decided_on=decided_on,
        policy_valid_from=policy.valid_from,
        criteria=tuple(criteria),
        overrides=used,
        reason=reason,
    )


def _override_text(criterion: Criterion, overrides: Iterable[Override], decided_on: date) -> str | None:
    if criterion.passed is True:
        return None
    for override in overrides:
        if override.criterion == criterion.name and override.expires_on >= decided_on:
            return f"{override.person}, until {override.expires_on.isoformat()}: {override.reason}"
    return None


def _criteria(
    evaluation: Evaluation | None, policy: GatePolicy, has_champion: bool, champion: ChampionComparison | None
) -> list[Criterion]:
    if evaluation is None:
        return [Criterion(name="evaluation", passed=None, aspect="other", reason="There is no evaluation report.")]
    if evaluation.use_case != policy.use_case:
        found = f"The evaluation is of {evaluation.use_case}, the policy of {policy.use_case}."
        return [Criterion(name="evaluation", passed=False, aspect="other", reason=found)]
    criteria = [_sufficiency_criterion(evaluation), _key_metric_criterion(evaluation.key_metric)]
    criteria += [_baseline_criterion(evaluation, requirement) for requirement in policy.baselines]
    if has_champion:
        criteria.append(_champion_criterion(champion, policy.champion))
    criteria += [_limit_criterion(evaluation, limit) for limit in policy.limits]
    criteria += [_required_criterion(evaluation, name) for name in policy.required_criteria]
    return criteria


def _sufficiency_criterion(evaluation: Evaluation) -> Criterion:
    report = evaluation.sufficiency
    if report is None:
        return Criterion(
            name="sufficiency",
            passed=None,
            required="a report",
            aspect="sufficiency",
            reason="There is no sufficiency report.",
        )
    return Criterion(
        name="sufficiency",
        passed=report.is_sufficient,
        observed=f"{sum(finding.passed for finding in report.findings)} of {len(report.findings)} requirements met",
        required="all requirements met",
        aspect="sufficiency",
        reason=report.sentence(),
    )


def _key_metric_criterion(metric: Metric) -> Criterion:
    complete = metric.value is not None and metric.lower is not None and metric.upper is not None
    title = metric_title(metric.name).en
    return Criterion(
        name="key_metric",
        passed=True if complete else None,
        observed=_metric_text(metric),
        required="a value with an interval",
        aspect="accuracy",
        reason=f"{title} is {_metric_text(metric)}."
        if complete
        else f"The key figure {title} has no value or no interval{': ' + metric.note if metric.note else ''}.",
    )


def _baseline_criterion(evaluation: Evaluation, requirement: BaselineRequirement) -> Criterion:
    comparison = evaluation.baseline(requirement.name)
    name = f"better than {requirement.name}"
    minimum = requirement.minimum_improvement
    required = f"at least {minimum:+.4g}" if minimum else "at least 0"
    required += " (lower end of the interval)" if requirement.judged_by == "lower" else ""
    if requirement.least_lower_end is not None:
        required += f", and the lower end of the interval at least {requirement.least_lower_end:+.4g}"
    figure = None if comparison is None else getattr(comparison.difference, requirement.judged_by)
    lower = None if comparison is None else comparison.difference.lower
    lacks_lower = requirement.least_lower_end is not None and lower is None
    if comparison is None or figure is None or lacks_lower:
        reason = f"The comparison with {baseline_title(requirement.name).en} is missing."
        return Criterion(name=name, passed=None, required=required, aspect="baselines", reason=reason)
    is_shown = requirement.least_lower_end is None or (lower is not None and lower >= requirement.least_lower_end)
    is_better = figure >= requirement.minimum_improvement
    passed = is_better and is_shown
    verb = "improves" if passed else "does not improve enough" if not is_better else "is not shown to improve"
    return Criterion(
        name=name,
        passed=passed,
        observed=_metric_text(comparison.difference, signed=True),
        required=required,
        aspect="baselines",
        reason=f"{metric_title(evaluation.key_metric.name).en} {verb} on {baseline_title(requirement.name).en}: "
        f"{_metric_text(comparison.difference, signed=True)}.",
    )


def _champion_criterion(champion: ChampionComparison | None, requirement: ChampionRequirement) -> Criterion:
    name = "not worse than the champion"
    required = f"interval of the difference not wholly below {0.0 - requirement.tolerance:.4g}"
    if champion is None or champion.difference.upper is None or champion.difference.value is None:
        reason = "A model is released, but the comparison with it is missing."
        return Criterion(name=name, passed=None, required=required, aspect="champion", reason=reason)
    passed = champion.difference.upper >= -requirement.tolerance
    return Criterion(
        name=name,
        passed=passed,
        observed=_metric_text(champion.difference, signed=True),
        required=required,
        aspect="champion",
        reason=f"Against the champion {champion.champion_version} on the same {champion.rows:,} rows: "
        f"{_metric_text(champion.difference, signed=True)}{'' if passed else ', which is worse beyond doubt'}.",
    )


def _limit_criterion(evaluation: Evaluation, limit: MetricLimit) -> Criterion:
    required = " and ".join(
        text
        for text in (
            f"at least {limit.minimum:.4g}" if limit.minimum is not None else "",
            f"at most {limit.maximum:.4g}" if limit.maximum is not None else "",
        )
        if text
    )
    required += {"value": "", "interval": " (any part of the interval)"}.get(
        limit.judged_by, f" ({limit.judged_by} end of the interval)"
    )
    if limit.slice_column is None:
        metric = evaluation.metric(limit.metric)
        judged = [] if metric is None else [metric]
    else:
        judged = [m for m in evaluation.slices(limit.metric, limit.slice_column) if (m.rows or 0) >= limit.minimum_rows]
    if not judged:
        where = f" (slices of at least {limit.minimum_rows:,} rows)" if limit.slice_column else ""
        reason = f"{criterion_title(limit.name).en}{where} is missing."
        return Criterion(name=limit.name, passed=None, required=required, aspect=limit.aspect, reason=reason)
    excesses = [_excess(metric, limit) for metric in judged]
    missing = [metric for metric, excess in zip(judged, excesses, strict=True) if excess is None]
    broken = [metric for metric, excess in zip(judged, excesses, strict=True) if excess is not None and excess > 0]
    worst = max(zip(judged, excesses, strict=True), key=lambda pair: math.inf if pair[1] is None else pair[1])[0]
    if missing:
        reason = f"{metric_title(limit.metric).en}{_slice_text(missing[0])} cannot be judged{_note_text(missing[0])}."
    elif broken:
        listed = "; ".join(f"{_metric_text(metric)}{_slice_text(metric)}" for metric in broken)
        reason = f"{metric_title(limit.metric).en} must be {required}, but is {listed}."
    else:
        reason = f"{metric_title(limit.metric).en} keeps its limit: {required}."
    return Criterion(
        name=limit.name,
        passed=None if missing and not broken else not broken,
        observed=f"{_metric_text(worst)}{_slice_text(worst)}",
        required=required,
        aspect=limit.aspect,
        reason=reason,
    )


def _required_criterion(evaluation: Evaluation, name: str) -> Criterion:
    found = next((criterion for criterion in evaluation.criteria if criterion.name == name), None)
    if found is None:
        return Criterion(
            name=name, passed=None, required="to be judged", reason=f"{criterion_title(name).en}: not judged."
        )
    if found.passed is None and not found.reason:
        return found.model_copy(update={"reason": f"{criterion_title(name).en}: could not be judged."})
    return found


def _excess(metric: Metric, limit: MetricLimit) -> float | None:
    """Return by how much a figure breaks its limit (0 or less: it keeps it); ``None`` when it cannot be judged."""
    from_below, from_above = (
        (metric.upper, metric.lower)
        if limit.judged_by == "interval"
        else (getattr(metric, limit.judged_by), getattr(metric, limit.judged_by))
    )
    if metric.value is None or from_below is None or from_above is None:
        return None
    below = limit.minimum - from_below if limit.minimum is not None else -math.inf
    above = from_above - limit.maximum if limit.maximum is not None else -math.inf
    return max(below, above)


def _metric_text(metric: Metric, *, signed: bool = False) -> str:
    if metric.value is None:
        return "missing"
    # One decimal more than a page shows, so that a figure just beyond its limit does not look equal to it.
    decimals = decimals_of(metric.value) + 1
    text = number_text(metric.value, decimals, metric.unit, signed=signed)
    if metric.lower is not None and metric.upper is not None:
        lower, upper = (number_text(end, decimals, signed=signed) for end in (metric.lower, metric.upper))
        text += f" ({lower} to {upper})"
    return text


def _slice_text(metric: Metric) -> str:
    return f" for {slice_title(metric.slice_column).en} {metric.slice_value}" if metric.slice_column else ""


def _note_text(metric: Metric) -> str:
    return f" ({metric.note})" if metric.note else ""
