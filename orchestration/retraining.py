"""The loop from a verdict "act" to a better model: whether a challenger is trained, and what became of it.

A training is opened only where a person switched that on, after the data was found fit, at most so often as the policy
allows, and once per verdict. Whether the challenger is served is the gate's decision alone. Everything that was decided
is a line in the record of ``monitoring.retrainings``; the sensor that starts the runs is in ``sensors.py``.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.storage.tags import WILL_RETRY_TAG

from orchestration.ingestion.magnitudes import ChangedMagnitude, changed_magnitudes
from orchestration.lifecycle import decision_dir, has_new_training_data, latest_verdicts
from orchestration.marts import current_marts
from orchestration.pipeline_health import collect_pipeline_health
from orchestration.settings import PlatformSettings
from orchestration.use_cases import USE_CASES, UseCase

if TYPE_CHECKING:
    from monitoring.pipeline_health import PipelineHealth
    from monitoring.policy import RetrainingRule
    from monitoring.retrainings import Refusal, Retraining
    from monitoring.verdicts import Verdict

RUN_TAG = "kilowise/retraining"
"""Tag by which the run of a retraining is found again; its value is the run key."""

BROKEN_DATA = frozenset(
    {
        "column_constant",
        "column_retyped",
        "column_vanished",
        "files_unreadable",
        "infinite_values",
        "missing_rise",
        "times_unclear",
    }
)
"""Findings that tell of a fault of a source. What a model learned from such data would be the fault."""

_NOT_STARTED_AFTER = timedelta(days=1)
_PATIENCE_GAPS = 0.9
"""A source may arrive later in the month than others, but not as late as its next delivery."""
_LEAST_PATIENCE = timedelta(days=3)
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of the data that a training would learn from.

    Attributes:
        health: Deliveries and failed checks.
        upstream: Assets from which the model is made, as ``layer/name``.
        is_new: Whether it differs from what the last challenger and the served model learned from.
        magnitudes: Amounts that suddenly are of another size.
    """

    health: "PipelineHealth"
    upstream: frozenset[str]
    is_new: bool
    magnitudes: tuple[ChangedMagnitude, ...] = ()

    def concerns(self, entity: str) -> bool:
        """Tell whether the model is made from an entity of the landing."""
        return f"landing/{entity}" in self.upstream


def open_trainings(
    settings: PlatformSettings,
    instance: dg.DagsterInstance,
    upstream_of: Callable[[dg.AssetKey], frozenset[str]],
    now: datetime,
) -> "list[Retraining]":
    """Bring the record up to date and return the trainings for which a run is still to be started.

    Args:
        settings: Settings of the platform.
        instance: Dagster's instance, which knows runs and checks.
        upstream_of: Gives the assets from which an asset is made.
        now: The moment; its zone says where a quarter begins.
    """
    from monitoring.policy import load_policy
    from monitoring.retrainings import read_retraining_lines, read_retrainings, record_retraining

    for use_case in USE_CASES:
        for line in follow_up(use_case, settings, instance, now):
            record_retraining(line, settings.reports_dir)
    for verdict in verdicts_to_act_on(settings, now):
        use_case = next(use_case for use_case in USE_CASES if use_case.name == verdict.use_case)
        decided = consider(
            verdict,
            read_retraining_lines(settings.reports_dir, verdict.use_case),
            load_policy(verdict.use_case, now.date()).retraining,
            partial(_evidence, use_case, settings, instance, upstream_of, now),
            is_left_to_a_person=not settings.retrain_on_act,
            now=now,
        )
        if decided is not None:
            record_retraining(decided, settings.reports_dir)
    return [
        retraining
        for use_case in USE_CASES
        for retraining in read_retrainings(settings.reports_dir, use_case.name)
        if retraining.status == "opened" and not retraining.run_id
    ]


def faults_of_today(
    use_case: UseCase,
    settings: PlatformSettings,
    instance: dg.DagsterInstance,
    upstream_of: Callable[[dg.AssetKey], frozenset[str]],
    now: datetime,
) -> "list[Refusal]":
    """Return what is broken in the data now, whatever it was when a training was opened.

    Args:
        use_case: Use case of the challenger that is about to be released.
        settings: Settings of the platform.
        instance: Dagster's instance, which knows runs and checks.
        upstream_of: Gives the assets from which an asset is made.
        now: The moment.
    """
    from monitoring.policy import load_policy

    rule = load_policy(use_case.name, now.date()).retraining
    # The challenger has learned from the newest data by now, which speaks against another training and not against it.
    evidence = replace(_evidence(use_case, settings, instance, upstream_of, now), is_new=True)
    verdicts = [verdict for verdict in latest_verdicts(settings) if verdict.use_case == use_case.name]
    return [
        *(refusal for verdict in verdicts for refusal in refusals_by_findings(verdict)),
        *refusals_by_evidence(evidence, rule),
    ]


def upstream_in(repository: dg.RepositoryDefinition) -> Callable[[dg.AssetKey], frozenset[str]]:
    """Return what gives the assets from which an asset is made, as ``layer/name``."""
    graph = repository.asset_graph

    def upstream_of(key: dg.AssetKey) -> frozenset[str]:
        return frozenset(ancestor.to_user_string() for ancestor in graph.get_ancestor_asset_keys(key))

    return upstream_of


def run_key(retraining: "Retraining") -> str:
    """Return the key under which Dagster starts one run and no second one."""
    return f"{retraining.retraining_id}-{retraining.opened_at:%Y%m%dT%H%M%S}"


def retrained_assets(use_case_name: str) -> list[dg.AssetKey]:
    """Return what a retraining makes: the challenger, behind the gate its release, and the month anew with that."""
    use_case = next(use_case for use_case in USE_CASES if use_case.name == use_case_name)
    keys = [[layer, use_case.name] for layer in ("sufficiency", "models", "evaluations", "releases")]
    keys += [["predictions", use_case.prediction], ["monitoring", f"{use_case.name}_drift"]]
    return [dg.AssetKey(key) for key in keys]


def standing_refusals(settings: PlatformSettings, now: datetime) -> list[str]:
    """Return in words why no training is opened for the verdicts that say act."""
    from monitoring.retrainings import RETRAINING_WORDS, read_retrainings

    sentences = []
    for verdict in verdicts_to_act_on(settings, now):
        known = read_retrainings(settings.reports_dir, verdict.use_case)
        here = next((one for one in known if one.retraining_id == _id_of(verdict)), None)
        if here is None:
            sentences.append(f"{verdict.use_case}: the verdict says act; another training is under way.")
        elif here.status == "refused":
            why = " ".join(refusal.sentence_en for refusal in here.refusals)
            sentences.append(f"{verdict.use_case}: the verdict says act. {why}")
        else:
            word, _ = RETRAINING_WORDS[here.status]
            sentences.append(f"{verdict.use_case}: the verdict says act. A training was opened: {word.lower()}.")
    return sentences


def verdicts_to_act_on(settings: PlatformSettings, now: datetime) -> "list[Verdict]":
    """Return the latest verdicts on what is served that say act, also without what somebody silenced."""
    from monitoring.acknowledgements import told_outcome

    today = now.astimezone(UTC).date()
    return [
        verdict
        for verdict in latest_verdicts(settings)
        if told_outcome(verdict, settings.reports_dir, today).outcome == "act"
    ]


def refusals_by_history(lines: "Sequence[Retraining]", rule: "RetrainingRule", now: datetime) -> "Iterator[Refusal]":
    """Return what speaks against a training after those that there have been.

    Args:
        lines: The record of the use case.
        rule: The policy.
        now: The moment; its zone says where a quarter begins.
    """
    from monitoring.retrainings import Refusal

    opened = {line.opened_at.astimezone(now.tzinfo) for line in lines if line.opened_at}
    last = max(opened, default=None)
    if last is not None and now < last + timedelta(days=rule.cooldown_days):
        rests_until = last + timedelta(days=rule.cooldown_days)
        yield Refusal(
            code="cooldown",
            sentence_en=f"The last training was opened on {last:%Y-%m-%d}; the policy waits {rule.cooldown_days} days, "
            f"until {rests_until:%Y-%m-%d}.",
            sentence_zh=f"上次训练始于 {last:%Y-%m-%d}；按规则需间隔 {rule.cooldown_days} 天，"
            f"即 {rests_until:%Y-%m-%d} 之后。",
        )
    in_quarter = sum(_quarter(at) == _quarter(now) for at in opened)
    if in_quarter >= rule.trainings_per_quarter:
        yield Refusal(
            code="budget",
            sentence_en=f"{in_quarter} of {rule.trainings_per_quarter} trainings of this quarter are used up.",
            sentence_zh=f"本季度的训练次数已用完：{in_quarter}/{rule.trainings_per_quarter}。",
        )


def refusals_by_findings(verdict: "Verdict") -> "Iterator[Refusal]":
    """Return what the verdict itself says about faults in the data."""
    from monitoring.retrainings import Refusal

    predictions = {score.column for score in verdict.columns if score.role == "prediction"}
    broken = [
        reason
        for reason in verdict.reasons
        # A prediction that broke is the model's fault, which a training may mend.
        if reason.code in BROKEN_DATA and reason.severity != "info" and reason.column not in predictions
    ]
    for reason in broken[:_NAMED]:
        yield Refusal(
            code=reason.code,
            sentence_en=f"The data is broken or incomplete, look at its source first: {reason.sentence_en}",
            sentence_zh=f"数据有误或不完整，请先检查来源：{reason.sentence_zh}",
        )


def refusals_by_evidence(evidence: Evidence, rule: "RetrainingRule") -> "Iterator[Refusal]":
    """Return what speaks against training on the data as it is in the landing and the marts."""
    from monitoring.retrainings import Refusal

    health = evidence.health
    latest = {rows.entity: rows for rows in sorted(health.deliveries, key=lambda rows: rows.month)}
    for rows in (rows for entity, rows in sorted(latest.items()) if evidence.concerns(entity)):
        share = 100 * rows.rows_quarantined / rows.rows_in if rows.rows_in else 0.0
        if rows.rows_in >= rule.minimum_delivered_rows and share >= rule.quarantined_pct:
            yield Refusal(
                code="quarantine",
                sentence_en=f"{share:.1f} % of the rows of {rows.entity} of {rows.month:%Y-%m} are in the quarantine "
                f"(limit {rule.quarantined_pct:g} %); correct them in the source and deliver the file again.",
                sentence_zh=f"{rows.month:%Y-%m} 的 {rows.entity} 有 {share:.1f} % 的记录被隔离（阈值 "
                f"{rule.quarantined_pct:g} %）；请在来源修正后重新交付。",
            )
    unread = sorted({file.source_file for file in health.unread_files if evidence.concerns(file.entity)})
    if unread:
        yield Refusal(
            code="unread_files",
            sentence_en=f"Delivered files could not be read: {_listed(unread)}.",
            sentence_zh=f"有交付文件无法读取：{_listed(unread)}。",
        )
    if missing := sorted(filter(evidence.concerns, _stopped_sources(health, rule))):
        yield Refusal(
            code="late_source",
            sentence_en=f"A source has stopped while others went on: {_listed(missing)}. Ask its supplier.",
            sentence_zh=f"有来源停止交付，而其他来源仍在更新：{_listed(missing)}。请询问供数方。",
        )
    for change in (change for change in evidence.magnitudes if evidence.concerns(change.entity)):
        yield Refusal(
            code="unit_suspicion",
            sentence_en=f"The unit of {change.column} in {change.entity} seems to have changed: the middle value of "
            f"delivery {change.delivery} is {change.median_now:.4g}, before it was {change.median_before:.4g}. Ask the "
            "owner of the source.",
            sentence_zh=f"{change.entity} 的 {change.column} 单位可能已改变：交付 {change.delivery} 的中位数为 "
            f"{change.median_now:.4g}，此前为 {change.median_before:.4g}。请询问来源负责人。",
        )
    failed = sorted(
        f"{check.check} of {check.asset}"
        for check in health.failed_checks
        if check.severity == "ERROR" and check.asset in evidence.upstream
    )
    if failed:
        yield Refusal(
            code="failed_checks",
            sentence_en=f"Checks of the data fail: {_listed(failed)}. Repair the cause and refresh the data.",
            sentence_zh=f"数据检查未通过：{_listed(failed)}。请修复原因并刷新数据。",
        )
    if not evidence.is_new:
        yield Refusal(
            code="no_new_data",
            sentence_en="There is no newer data than what the served model or the last challenger learned from; the "
            "same data makes the same model.",
            sentence_zh="没有比现用模型或上一个候选模型更新的数据；相同数据只会得到相同模型。",
        )


def _stopped_sources(health: "PipelineHealth", rule: "RetrainingRule") -> "Iterator[str]":
    """Yield the sources that missed a delivery by their own rhythm while another source went on.

    They are held against the source that is furthest ahead, not against today: a supplier that rests for a month has
    stopped none. What arrives only when something changes, a few rows at a time, has no rhythm.
    """
    newest = max((source.last_known_at for source in health.sources), default=None)
    for source in health.sources:
        usual_rows = median([rows.rows_in for rows in health.deliveries if rows.entity == source.entity] or [0])
        if newest is None or source.usual_gap_days is None or usual_rows < rule.minimum_delivered_rows:
            continue
        patience = max(_PATIENCE_GAPS * timedelta(days=source.usual_gap_days), _LEAST_PATIENCE)
        if newest - source.last_known_at >= patience:
            yield source.entity


def follow_up(
    use_case: UseCase, settings: PlatformSettings, instance: dg.DagsterInstance, now: datetime
) -> "Iterator[Retraining]":
    """Return a line for each retraining of which something new is known."""
    from monitoring.retrainings import read_retrainings

    for known in read_retrainings(settings.reports_dir, use_case.name):
        if known.status == "opened":
            line = _after_run(known, settings, instance, now)
        elif known.status == "awaits_approval":
            line = _after_gate(known, settings)
        else:
            continue
        if line != known:
            yield line.model_copy(update={"at": now.astimezone(UTC)})


def consider(
    verdict: "Verdict",
    lines: "Sequence[Retraining]",
    rule: "RetrainingRule",
    evidence: Callable[[], Evidence],
    *,
    is_left_to_a_person: bool,
    now: datetime,
) -> "Retraining | None":
    """Return the line that opens or refuses a training for a verdict that says act.

    Args:
        verdict: The verdict.
        lines: The record of its use case, oldest first.
        rule: The policy.
        evidence: Gathers what is known of the data; asked only if nothing else speaks against a training.
        is_left_to_a_person: Whether nothing is opened by itself.
        now: The moment; its zone says where a quarter begins.

    Returns:
        The line; None if the record says so already, a training for the verdict has come to a result, or one of the
        use case is under way.
    """
    from monitoring.retrainings import Retraining

    standing = {line.retraining_id: line for line in lines}
    known = standing.get(_id_of(verdict))
    if any(line.status == "opened" for line in standing.values()):
        return None
    if known is not None and known.status not in ("refused", "failed"):
        return None
    refusals = tuple(_refusals(verdict, lines, rule, evidence, is_left_to_a_person=is_left_to_a_person, now=now))
    line = Retraining(
        retraining_id=_id_of(verdict),
        use_case=verdict.use_case,
        month=verdict.month,
        release=verdict.release,
        status="refused" if refusals else "opened",
        at=now.astimezone(UTC),
        opened_at=None if refusals else now.astimezone(UTC),
        why_en=verdict.sentence("en"),
        why_zh=verdict.sentence("zh"),
        refusals=refusals,
    )
    return None if known is not None and _says_the_same(known, line) else line


def _refusals(
    verdict: "Verdict",
    lines: "Sequence[Retraining]",
    rule: "RetrainingRule",
    evidence: Callable[[], Evidence],
    *,
    is_left_to_a_person: bool,
    now: datetime,
) -> "Iterator[Refusal]":
    from monitoring.retrainings import Refusal

    if is_left_to_a_person:
        yield Refusal(
            code="left_to_a_person",
            sentence_en="The training is left to a person: KILOWISE_RETRAIN_ON_ACT is false. Start the job "
            "train_models when the cause is understood.",
            sentence_zh="训练由人工决定（KILOWISE_RETRAIN_ON_ACT=false）。查明原因后可启动作业 train_models。",
        )
        return
    known = [*refusals_by_findings(verdict), *refusals_by_history(lines, rule, now)]
    yield from known or refusals_by_evidence(evidence(), rule)


def _evidence(
    use_case: UseCase,
    settings: PlatformSettings,
    instance: dg.DagsterInstance,
    upstream_of: Callable[[dg.AssetKey], frozenset[str]],
    now: datetime,
) -> Evidence:
    from monitoring.policy import load_policy

    rule = load_policy(use_case.name, now.date()).retraining
    return Evidence(
        health=collect_pipeline_health(settings, instance, now),
        upstream=upstream_of(dg.AssetKey(["models", use_case.name])),
        is_new=has_new_training_data(use_case, current_marts(settings.marts_dir), settings),
        magnitudes=tuple(changed_magnitudes(settings.landing_dir, rule.minimum_delivered_rows)),
    )


def _says_the_same(known: "Retraining", line: "Retraining") -> bool:
    """Tell whether a refusal repeats the one before; each reason is recorded when it appears, not at every look."""
    return known.status == line.status == "refused" and [refusal.code for refusal in known.refusals] == [
        refusal.code for refusal in line.refusals
    ]


def _after_run(
    known: "Retraining", settings: PlatformSettings, instance: dg.DagsterInstance, now: datetime
) -> "Retraining":
    """Return how a retraining stands by its run."""
    runs = instance.get_runs(dg.RunsFilter(tags={RUN_TAG: run_key(known)}), limit=1)
    if not runs:
        is_lost = known.opened_at is not None and now - known.opened_at > _NOT_STARTED_AFTER
        return known.model_copy(update={"status": "failed"}) if is_lost else known
    # The latest: a run whose process died is started again by the run retries of dagster.yaml, with the same tags.
    run = runs[0]
    started = known.model_copy(update={"run_id": run.run_id})
    if not run.is_finished or run.tags.get(WILL_RETRY_TAG) == "true":
        return started
    trained, version = _trained_version(instance, run.run_id, known.use_case)
    if version:
        return _after_gate(started.model_copy(update={"challenger_version": version}), settings)
    return started.model_copy(update={"status": "not_enough_data" if trained else "failed"})


def _trained_version(instance: dg.DagsterInstance, run_id: str, use_case: str) -> tuple[bool, str]:
    """Return whether a run came to the end of its training, and the version that it gave; empty without a model."""
    key = dg.AssetKey(["models", use_case])
    records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION).records
    for record in records:
        made = record.event_log_entry.asset_materialization
        if made is not None and made.asset_key == key:
            version = made.metadata.get("version")
            return True, str(version.value) if version else ""
    return False, ""


def _after_gate(known: "Retraining", settings: PlatformSettings) -> "Retraining":
    """Return how a retraining stands by the gate's decision on its challenger and by what is released."""
    from ml.gate import GateDecision
    from serving.model_store import ModelStore

    path = decision_dir(settings, known.use_case, known.challenger_version) / "decision.json"
    if not path.exists():
        return known.model_copy(update={"status": "failed"})
    decision = GateDecision.model_validate_json(path.read_text(encoding="utf-8"))
    judged = known.model_copy(update={"gate_reason": decision.reason})
    if not decision.approved:
        return judged.model_copy(update={"status": "gate_refused"})
    releases = ModelStore(settings.home).list_releases(known.use_case)
    released = next((entry.name for entry in releases if entry.bundle_version == known.challenger_version), "")
    if not released:
        return judged.model_copy(update={"status": "awaits_approval"})
    return judged.model_copy(update={"status": "released", "released_as": released})


def _id_of(verdict: "Verdict") -> str:
    # By the model and not by the release: new data renews a release of the same model.
    return f"{verdict.use_case}-{verdict.month:%Y-%m}-{verdict.model_version}"


def _quarter(at: datetime) -> tuple[int, int]:
    return at.year, (at.month - 1) // 3


def _listed(items: Sequence[str]) -> str:
    more = len(items) - _NAMED
    return ", ".join(items[:_NAMED]) + (f" (+{more})" if more > 0 else "")
