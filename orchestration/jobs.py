"""Jobs: what an operator starts as one thing. Schedules and sensors refer to these by name."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import dagster as dg
from pydantic import Field

from ml.errors import KilowiseError
from orchestration import dbt
from orchestration.metadata import frame_value, pictures, report_link, simulation_metadata
from orchestration.run_costs import STEP_COSTS
from orchestration.settings import PlatformSettings

DATA = dg.AssetSelection.groups("ingestion", "staging", "intermediate", "marts")
TRAINING = dg.AssetSelection.key_prefixes("sufficiency", "models", "evaluations")
RELEASES = dg.AssetSelection.key_prefixes("releases")
PREDICTIONS = dg.AssetSelection.key_prefixes("predictions")
# Part of the data's group, but it follows the scoring as well.
AFTER_MODELS = dg.AssetSelection.tag(dbt.AFTER_MODELS, "")
MONITORING = dg.AssetSelection.key_prefixes("monitoring")
TRIALS = dg.AssetSelection.key_prefixes("trials")
SERVING = dg.AssetSelection.key_prefixes("serving")

# Runs that somebody waits for go before others in the queue of runs, and their steps before others' steps.
AT_ONCE = {"dagster/priority": "10"}
SOON = {"dagster/priority": "5"}

full_refresh = dg.define_asset_job(
    "full_refresh",
    hooks=STEP_COSTS,
    # Trials are reported when somebody asks, and answers are compared at night: the main job has none of them.
    selection=dg.AssetSelection.all() - TRIALS - SERVING,
    description="Everything, once: deliveries, dbt, three models trained, judged and released, customers scored, drift "
    "reviewed. Choose the months to score and review as a range of partitions.",
)

refresh_data = dg.define_asset_job(
    "refresh_data",
    hooks=STEP_COSTS,
    selection=DATA,
    description="Lands what is new in the inbox and brings the marts up to date, with the predictions that there are. "
    "Nothing new: done in seconds.",
)

refresh_models = dg.define_asset_job(
    "refresh_models",
    hooks=STEP_COSTS,
    selection=TRAINING | RELEASES | PREDICTIONS | AFTER_MODELS | MONITORING,
    description="What follows the data: trains, judges, releases, scores and reviews the chosen months, and renews the "
    "marts that tell of predictions.",
)

train_models = dg.define_asset_job(
    "train_models",
    hooks=STEP_COSTS,
    selection=TRAINING,
    description="Trains a challenger per use case and judges it at the gate. What is served does not change.",
)

retrain_model = dg.define_asset_job(
    "retrain_model",
    hooks=STEP_COSTS,
    selection=TRAINING | RELEASES | PREDICTIONS | MONITORING,
    description="What the verdict act on one model leads to: trains a challenger on the data of today, judges it at "
    "the gate, releases it if the gate and the release policy let it, then scores and reviews the month of the verdict "
    "with it. Started by drift_verdict_sensor.",
)

release_models = dg.define_asset_job(
    "release_models",
    hooks=STEP_COSTS,
    selection=RELEASES,
    description="Releases each challenger that passed its gate; servers take it up without a restart.",
)

score_customers = dg.define_asset_job(
    "score_customers",
    hooks=STEP_COSTS,
    selection=PREDICTIONS | AFTER_MODELS,
    description="Scores every customer for the chosen months with the released models, and renews the marts that tell "
    "of it, such as the customer portrait.",
)

review_drift = dg.define_asset_job(
    "review_drift",
    hooks=STEP_COSTS,
    selection=MONITORING,
    description="Reviews the chosen months against the reference of the released models and renews the reports.",
)

review_trials = dg.define_asset_job(
    "review_trials",
    hooks=STEP_COSTS,
    selection=TRIALS,
    description="Reports what the latest trial of each challenger on live traffic showed so far.",
)


check_serving_parity = dg.define_asset_job(
    "check_serving_parity",
    hooks=STEP_COSTS,
    selection=SERVING,
    description="Computes a sample of the API's answers of the last days again by the offline path. Any difference "
    "fails a check.",
)


class RollbackConfig(dg.Config):
    """Which release to serve again, and who decided so."""

    use_case: str
    release_name: str
    approved_by: str
    reason: str


@dg.op
def move_release_pointer(
    context: dg.OpExecutionContext, config: RollbackConfig, settings: dg.ResourceParam[PlatformSettings]
) -> None:
    """Serve an earlier release again; the releases themselves stay as they are."""
    from serving.model_store import ModelStore

    store = ModelStore(settings.home)
    previous = store.current_name(config.use_case)
    release = store.rollback(config.use_case, config.release_name, by=config.approved_by, reason=config.reason)
    context.log.info(f"{config.use_case}: {release.name} is served instead of {previous} ({config.reason}).")
    context.add_output_metadata(
        {"previous_release": str(previous), "current_release": release.name, "reason": config.reason}
    )


@dg.job(
    tags=AT_ONCE,
    hooks=STEP_COSTS,
    description="Serves an earlier release of one use case again. Give its name, who approved and why; "
    "takes seconds, and servers follow without a restart.",
)
def rollback_release() -> None:
    """Move the release pointer back."""
    move_release_pointer()


class AcknowledgementConfig(dg.Config):
    """What is recorded about the findings of a model, by whom and why."""

    action: Literal["acknowledge", "silence", "end"] = Field(
        description="acknowledge: somebody is at work on it; silence: no checks and alerts; end: end one of them early"
    )
    by: str = Field(description="Person who decides so")
    reason: str = Field(description="Why, in at least ten characters")
    use_case: str = Field(default="", description="Model; needed unless action is end")
    code: str | None = Field(default=None, description="Only findings of this code, such as column_drift")
    column: str | None = Field(default=None, description="Only findings about this column")
    until: str = Field(default="", description="Last day, such as 2026-12-31; needed unless action is end")
    identifier: str = Field(default="", description="Record to end, as `python -m monitoring list` shows it")


@dg.op
def record_acknowledgement(
    context: dg.OpExecutionContext, config: AcknowledgementConfig, settings: dg.ResourceParam[PlatformSettings]
) -> None:
    """Add a record, and let the API and the pages know; the asset check follows with the next review."""
    from monitoring import acknowledgements
    from monitoring.site import build_site
    from orchestration.model_verdicts import publish_verdicts

    if config.action == "end":
        record = acknowledgements.end_acknowledgement(
            settings.reports_dir, config.identifier, by=config.by, reason=config.reason
        )
    else:
        try:
            until = date.fromisoformat(config.until)
        except ValueError:
            raise acknowledgements.AcknowledgementError(
                f"until is {config.until!r}; name the last day, such as 2026-12-31"
            ) from None
        record = acknowledgements.record_acknowledgement(
            settings.reports_dir,
            config.action,
            config.use_case,
            by=config.by,
            reason=config.reason,
            until=until,
            code=config.code,
            column=config.column,
        )
    publish_verdicts(settings)
    index = build_site(settings.home, settings.service_targets)
    context.log.info(record.sentence())
    context.add_output_metadata({"record": record.sentence(), "site": report_link(settings, index)})


@dg.job(
    tags=SOON,
    hooks=STEP_COSTS,
    description="Records that somebody is at work on findings of a review, or keeps them from raising checks and "
    "alerts until a day, or ends such a record. The pages go on showing every finding.",
)
def acknowledge_findings() -> None:
    """Record what is done about findings."""
    record_acknowledgement()


class TrialConfig(dg.Config):
    """Which challenger to try, how, and who asks for it."""

    use_case: str
    started_by: str
    mode: str = Field(default="shadow", description="`shadow`: nobody is told. `share`: it answers some customers.")
    share: float = Field(default=1.0, gt=0, le=1, description="Share of the traffic.")


@dg.op
def put_on_trial(
    context: dg.OpExecutionContext, config: TrialConfig, settings: dg.ResourceParam[PlatformSettings]
) -> None:
    """Try the challenger of the last training on live traffic; what is released stays."""
    from orchestration.trials import TrialError, start_trial

    try:
        if config.mode not in ("shadow", "share"):
            raise TrialError(f"There is no mode {config.mode!r}; there are: shadow, share.")
        mode: Literal["shadow", "share"] = "share" if config.mode == "share" else "shadow"
        trial = start_trial(settings, config.use_case, mode=mode, share=config.share, by=config.started_by)
    except KilowiseError as error:
        raise dg.Failure("; ".join(str(error).splitlines()), allow_retries=False) from None
    context.log.info(f"{trial.release} of {trial.use_case} is tried: {trial.mode}, {trial.share:.1%} of the traffic.")
    context.add_output_metadata({"trial": trial.trial_id, "release": trial.release, "champion": trial.champion_version})


@dg.job(
    name="start_trial",
    hooks=STEP_COSTS,
    description="Tries the challenger of one use case on live traffic: in shadow, where nobody is told, or on a share "
    "of the customers. Servers take it up within a second; the answers say which release gave them.",
)
def start_trial_job() -> None:
    """Begin a trial."""
    put_on_trial()


class TrialEndConfig(dg.Config):
    """Which trial to end, and who asks for it."""

    use_case: str
    stopped_by: str


@dg.op
def take_off_trial(
    context: dg.OpExecutionContext, config: TrialEndConfig, settings: dg.ResourceParam[PlatformSettings]
) -> None:
    """End a trial and say what it showed."""
    from orchestration.trials import stop_trial

    try:
        trial, summary = stop_trial(settings, config.use_case, by=config.stopped_by)
    except KilowiseError as error:
        raise dg.Failure("; ".join(str(error).splitlines()), allow_retries=False) from None
    for sentence in summary.sentences():
        context.log.info(sentence)
    context.add_output_metadata({"trial": trial.trial_id, "in words": " ".join(summary.sentences())})


@dg.job(
    name="stop_trial",
    hooks=STEP_COSTS,
    description="Ends the trial of one use case and says what it showed; the release answers every customer again.",
)
def stop_trial_job() -> None:
    """End a trial."""
    take_off_trial()


class PriceSimulationConfig(dg.Config):
    """What to simulate."""

    proposal_paths: list[str] = Field(description="YAML files (or folders of them) with the proposed tariffs.")
    mode: str = Field(
        default="replace",
        description="`replace`: each file is the next version of a present tariff, for everybody on it. `offer`: each "
        "is a new tariff, taken by customers who would pay less.",
    )
    uptake_share: float = Field(default=1.0, description="Mode `offer`: share of those who would gain who take it.")
    elasticity_set: str = Field(
        default="zero", description="Response to prices that is shown beside no response: zero, shift, low or high."
    )
    name: str = Field(default="", description="Name of the report; by default that of the first file.")


@dg.op
def simulate_proposed_prices(
    context: dg.OpExecutionContext, config: PriceSimulationConfig, settings: dg.ResourceParam[PlatformSettings]
) -> None:
    """Price last year's loads on today's and on proposed tariffs and write the report."""
    from orchestration.price_simulation import SimulationRequest, simulate

    request = SimulationRequest(
        proposal_paths=[Path(path).expanduser() for path in config.proposal_paths],
        mode=config.mode,
        uptake_share=config.uptake_share,
        elasticity_set=config.elasticity_set,
        name=config.name,
    )
    try:
        report = simulate(request, settings, today=datetime.now(UTC).date())
    except KilowiseError as error:
        # What a person can correct is one sentence; a traceback would bury it.
        raise dg.Failure("; ".join(str(error).splitlines()), allow_retries=False) from None
    for note in report.simulation.notes:
        context.log.info(note)
    context.add_output_metadata(
        {"report": report_link(settings, report.page), **simulation_metadata(report.simulation, report.plots)}
    )


@dg.job(
    hooks=STEP_COSTS,
    description="Says what changed or new tariffs would do to revenue, to customers and to the peak, without and with "
    "a response to prices. Give the file of the proposed tariff; changes nothing but its own report.",
)
def simulate_prices() -> None:
    """Simulate proposed tariffs."""
    simulate_proposed_prices()


class PolicyRehearsalConfig(dg.Config):
    """Which policy to try on which months."""

    policy_id: str = Field(default="", description="Id of the credit policy; by default the platform's.")
    months_count: int = Field(default=12, ge=1, le=120, description="Latest as-of months to decide.")


@dg.op
def decide_past_months(
    context: dg.OpExecutionContext, config: PolicyRehearsalConfig, settings: dg.ResourceParam[PlatformSettings]
) -> None:
    """Decide the latest months as a credit policy would have, and judge it by what happened."""
    from orchestration.credit_policy import rehearse_policy

    try:
        report = rehearse_policy(
            settings,
            today=datetime.now(UTC).date(),
            policy_id=config.policy_id,
            months_count=config.months_count,
        )
    except KilowiseError as error:
        raise dg.Failure("; ".join(str(error).splitlines()), allow_retries=False) from None
    context.log.info(report.sentence)
    context.add_output_metadata(
        {
            "report": report_link(settings, report.page),
            "in words": report.sentence,
            "measures": frame_value(report.rehearsal.measures),
            **pictures(report.plots),
        }
    )


@dg.job(
    hooks=STEP_COSTS,
    description="Dry run of the credit policy over the last year: who would have been affected, how often wrongly, and "
    "at what cost. Nobody is affected; it writes nothing but its own report.",
)
def rehearse_credit_policy() -> None:
    """Try a credit policy on past months."""
    decide_past_months()


class DunningConfig(dg.Config):
    """How many customers can be contacted."""

    daily_capacity: int = Field(default=0, ge=0, description="Contacts of a working day; 0 for the platform's setting.")


@dg.op
def rank_overdue_customers(
    context: dg.OpExecutionContext, config: DunningConfig, settings: dg.ResourceParam[PlatformSettings]
) -> None:
    """Rank the customers with overdue bills by expected loss, and judge the ranking by past months."""
    from orchestration.credit_policy import make_dunning_list

    try:
        report = make_dunning_list(
            settings, today=datetime.now(UTC).date(), daily_capacity=config.daily_capacity or None
        )
    except KilowiseError as error:
        raise dg.Failure("; ".join(str(error).splitlines()), allow_retries=False) from None
    context.log.info(report.sentence)
    tested = {"back_test": frame_value(report.tested.rows)} if report.tested else {}
    context.add_output_metadata(
        {
            "report": report_link(settings, report.page),
            "in words": report.sentence,
            "list": dg.MetadataValue.path(str(report.page.with_name("customers.parquet"))),
            **tested,
            **pictures(report.plots),
        }
    )


@dg.job(
    hooks=STEP_COSTS,
    description="The dunning list of the latest scored month: customers with overdue bills by expected loss, dealt out "
    "to working days by the daily capacity, with a back-test against ranking by age of debt. Contacts nobody.",
)
def rank_dunning() -> None:
    """Make the dunning list."""
    rank_overdue_customers()


class AudienceConfig(dg.Config):
    """Which audience to draw, and who asks for it."""

    definition_path: str = Field(description="YAML file of the audience.")
    recorded_by: str = Field(description="Member of staff or desk that selects.")
    file_format: str = Field(default="csv", description="Format of the export: csv or parquet.")


@dg.op
def draw_audience(
    context: dg.OpExecutionContext, config: AudienceConfig, settings: dg.ResourceParam[PlatformSettings]
) -> None:
    """Draw the customers of a campaign with their control group, keep them in the register and export them."""
    from orchestration.audiences import export_audience, select_audience

    today = datetime.now(ZoneInfo(settings.time_zone)).date()
    try:
        report = select_audience(
            settings, Path(config.definition_path).expanduser(), recorded_by=config.recorded_by, today=today
        )
        path = export_audience(settings, report.campaign_id, config.file_format)
    except KilowiseError as error:
        raise dg.Failure("; ".join(str(error).splitlines()), allow_retries=False) from None
    for sentence in report.sentences:
        context.log.info(sentence)
    context.add_output_metadata(
        {
            "export": dg.MetadataValue.path(str(path)),
            "in words": " ".join(report.sentences),
            "to contact": report.treated_count,
            "control group": report.control_count,
        }
    )


@dg.job(
    hooks=STEP_COSTS,
    description="Selects the customers of a campaign from the portrait by a definition (YAML), holds a control group "
    "out, keeps both in the campaign register and exports pseudonymous ids. Contacts nobody; the same definition again "
    "gives the same groups.",
)
def select_audience() -> None:
    """Draw an audience."""
    draw_audience()


class DrillConfig(dg.Config):
    """How much is replayed. A seed of quiet months takes three minutes of processor time, a scenario one."""

    customers: int = Field(default=420, ge=400, le=10_000, description="Customers of each simulated supplier.")
    quiet_seeds: int = Field(default=1, ge=1, le=10, description="Suppliers of which 24 quiet months are replayed.")
    scenarios: list[str] = Field(default=[], description="Names from monitoring/policies/drills.yaml; none means all.")
    workers: int = Field(default=2, ge=1, le=64, description="Processes that replay at the same time.")


@dg.op
def replay_drills(
    context: dg.OpExecutionContext, config: DrillConfig, settings: dg.ResourceParam[PlatformSettings]
) -> None:
    """Replay scenarios and quiet months on simulated suppliers, and score what the monitors said."""
    from monitoring.drills import drill_table, estimate_table, false_alarm_table, load_expectations, write_drill_report
    from orchestration.drills import DrillPlan, run_drills

    expectations = load_expectations()
    if unknown := sorted(set(config.scenarios) - set(expectations)):
        raise dg.Failure(
            f"{', '.join(unknown)}: no such scenario; there are {', '.join(expectations)}", allow_retries=False
        )
    chosen = {name: one for name, one in expectations.items() if name in (config.scenarios or expectations)}
    plan = DrillPlan(customers=config.customers, seeds=DrillPlan().seeds[: config.quiet_seeds])
    report = run_drills(plan, chosen, settings.home, workers=config.workers, log=context.log.info)
    path = write_drill_report(report, settings.reports_dir)
    context.add_output_metadata(
        {
            "drills": dg.MetadataValue.md(drill_table(report, expectations)),
            "false alarms": dg.MetadataValue.md(false_alarm_table(report)),
            "estimates": dg.MetadataValue.md(estimate_table(report)),
            "file": dg.MetadataValue.path(str(path)),
        }
    )


@dg.job(
    hooks=STEP_COSTS,
    description="Tries the monitors: replays scenarios such as a recession or a wrong unit, and months in which "
    "nothing happens, on simulated suppliers of their own, and tells what was caught, missed and cried wolf about. "
    "Touches no data of the platform; takes some minutes.",
)
def drill_monitors() -> None:
    """Drill the monitors."""
    replay_drills()


@dg.op
def tell_of_incidents(context: dg.OpExecutionContext, settings: dg.ResourceParam[PlatformSettings]) -> None:
    """Tell every channel what it does not know yet of the models' incidents."""
    from orchestration.alerting import tell_people

    told = tell_people(settings)
    for line in told.delivered:
        context.log.info(line)
    for line in told.problems:
        context.log.warning(line)
    context.add_output_metadata({"delivered": len(told.delivered), "not delivered": len(told.problems)})


@dg.job(
    tags=SOON,
    hooks=STEP_COSTS,
    description="Sends the alerts that did not arrive, and those of silences that ended. A review sends its own; "
    "this job is started by alert_sensor.",
)
def deliver_alerts() -> None:
    """Tell people what they missed."""
    tell_of_incidents()


class SliceConfig(dg.Config):
    """Which months and which customers to review."""

    use_case: str = Field(description="segmentation, tariff_matching or credit_risk.")
    month: str = Field(description="The as-of month, or the last of a window: 2026-09.")
    since: str = Field(default="", description="First month of a window: 2026-07. Empty for one month.")
    customer_class: str = Field(default="", description="Only this class, such as residential. Empty for all.")
    district: str = Field(default="", description="Only this district. Empty for all.")
    segment_id: str = Field(default="", description="Only this segment, such as R3. Empty for all.")


@dg.op
def review_part_of_customers(
    context: dg.OpExecutionContext, config: SliceConfig, settings: dg.ResourceParam[PlatformSettings]
) -> None:
    """Judge the part by the policy of the month and put its report beside the monthly ones."""
    from orchestration.slice_reviews import review_part

    try:
        verdict = review_part(settings, **config.model_dump())
    except KilowiseError as error:
        raise dg.Failure("; ".join(str(error).splitlines()), allow_retries=False) from None
    for reason in verdict.reasons:
        context.log.info(reason.sentence_en)
    metadata: dict[str, dg.RawMetadataValue] = {"verdict": verdict.outcome, "in words": verdict.sentence()}
    if verdict.report_path:
        metadata["report"] = report_link(settings, settings.reports_dir / verdict.report_path)
    context.add_output_metadata(metadata)


@dg.job(
    hooks=STEP_COSTS,
    description="Reviews any window of months, of all customers or of a class, a district or a segment, against the "
    "released model's reference. Raises no alert and starts no training: it answers whoever asks.",
)
def review_slice() -> None:
    """Review a part of the customers on demand."""
    review_part_of_customers()


# Readings are changed while nobody reads them: dbt takes turns in the same pool.
@dg.op(pool="warehouse")
def remove_old_landed_readings(context: dg.OpExecutionContext, settings: dg.ResourceParam[PlatformSettings]) -> None:
    """Remove the readings of months that are older than the settings keep; what was computed from them stays."""
    from orchestration.ingestion.retention import remove_old_readings
    from orchestration.tidy_up import first_kept_month

    months = settings.retained_reading_months
    if months is None:
        context.log.info("Readings of all months are kept (KILOWISE_RETAINED_READING_MONTHS).")
        return
    first_kept = first_kept_month(datetime.now(UTC).date(), months)
    try:
        removed = remove_old_readings(settings.landing_dir, first_kept)
    except KilowiseError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    metadata: dict[str, dg.RawMetadataValue] = {
        "first month kept": f"{first_kept:%Y-%m}",
        "months removed": ", ".join(f"{month:%Y-%m}" for month in removed.months) or "none",
        "rows removed": removed.rows_count,
        "megabytes removed": round(removed.size_bytes / 1e6, 1),
    }
    if removed.months:
        context.log_event(
            dg.AssetObservation(
                asset_key=["landing", "meter_readings"],
                description=f"Readings before {first_kept:%Y-%m} were removed for their age. What was computed from "
                "them stays; later deliveries of these months are refused.",
                metadata=metadata,
            )
        )
    context.add_output_metadata(metadata)


@dg.op(pool="warehouse", ins={"after": dg.In(dg.Nothing)})
def compact_landed_readings(context: dg.OpExecutionContext, settings: dg.ResourceParam[PlatformSettings]) -> None:
    """Put the readings of each month that came in many small files into one; every row stays as it is."""
    from orchestration.ingestion.compaction import compact_readings

    try:
        months = compact_readings(
            settings.landing_dir,
            from_files=settings.compact_readings_from_files,
            memory_limit=settings.duckdb_memory_limit,
        )
    except KilowiseError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    metadata: dict[str, dg.RawMetadataValue] = {
        "months compacted": ", ".join(month.month[:7] for month in months) or "none",
        "files before": sum(month.files_count for month in months),
        "files after": len(months),
        "rows, unchanged": sum(month.rows_count for month in months),
        "megabytes saved": round(sum(month.bytes_before - month.bytes_after for month in months) / 1e6, 1),
    }
    if months:
        context.log_event(
            dg.AssetObservation(
                asset_key=["landing", "meter_readings"],
                description="The same readings in fewer files; each row keeps its delivery and file.",
                metadata=metadata,
            )
        )
    context.add_output_metadata(metadata)


@dg.op
def remove_what_is_old(context: dg.OpExecutionContext, settings: dg.ResourceParam[PlatformSettings]) -> None:
    """Remove runs, logs and drift pages that are older than the settings keep, and what killed scorings left."""
    from orchestration.tidy_up import (
        remove_abandoned_scorings,
        remove_old_logs,
        remove_old_report_pages,
        remove_old_runs,
    )
    from orchestration.use_cases import USE_CASES

    now = datetime.now(UTC)
    removed = [
        remove_old_runs(settings, context.instance, now),
        remove_old_logs(settings, Path(context.instance.root_directory), now),
        remove_old_report_pages(settings, [use_case.name for use_case in USE_CASES], now.date()),
        remove_abandoned_scorings(settings, now),
    ]
    for one in removed:
        context.log.info(one.sentence())
    context.add_output_metadata({f"{one.what} removed": one.count for one in removed})


@dg.job(
    hooks=STEP_COSTS,
    description="Puts months of readings that came in many small files into one file each, and removes readings, runs, "
    "logs and drift pages that are older than the settings keep. Changes no mart, verdict, decision or release.",
)
def tidy_up() -> None:
    """Compact readings and remove what is old."""
    compact_landed_readings(after=remove_old_landed_readings())
    remove_what_is_old()


ASSET_JOBS = [
    full_refresh,
    refresh_data,
    refresh_models,
    train_models,
    retrain_model,
    release_models,
    score_customers,
    review_drift,
    review_trials,
    check_serving_parity,
]
"""Jobs that materialise assets."""

SINGLE_JOBS = [
    rollback_release,
    acknowledge_findings,
    start_trial_job,
    stop_trial_job,
    simulate_prices,
    rehearse_credit_policy,
    rank_dunning,
    select_audience,
    drill_monitors,
    deliver_alerts,
    review_slice,
    tidy_up,
]
"""Jobs that do one thing beside the graph."""
