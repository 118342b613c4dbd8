"""Replays drills on the simulated supplier: release on what was known, let months follow, review each of them.

Every supplier of a drill has a home of its own in a temporary folder, with default settings: nothing of the operator's
environment and nothing of the platform's data counts. Months that follow are delivered some at a time and reviewed one
by one; features are made of what was known at each month's end, so this equals a platform that ran all that time.
What the results mean is judged in ``monitoring.drills``. No Dagster asset in here: the job ``drill_monitors`` calls it.
"""

import multiprocessing
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.ingestion.simulated_supplier.config import Scenario, SupplierConfig
from orchestration.ingestion.simulated_supplier.deliveries import DELIVERY_DAY, write_deliveries
from orchestration.settings import PlatformSettings

if TYPE_CHECKING:
    from monitoring.drills import DailyAlarm, DrillReport, Expectation, JudgedMonth, Replay
    from orchestration.use_cases import UseCase

Log = Callable[[str], None]

# The marts of segmentation and tariffs keep twelve as-of months of a customer, so no more may follow at once. Those of
# a scenario never do: an expectation has at most twelve months before it and twelve of it.
MONTHS_AT_ONCE = 12
# Folders of a home whose files are never changed in place, so that copies may share them.
_IMMUTABLE_FOLDERS = ("inbox", "landing/deliveries", "marts/versions")


@dataclass(frozen=True, slots=True)
class DrillPlan:
    """What all drills have in common.

    Attributes:
        customers: Customers of each simulated supplier; a few more than the 300 that a review needs, so that ten
            suppliers are replayed in minutes.
        seeds: Seeds of the quiet replays; the scenarios act on the supplier of the first.
        start_month: First month with data. Public holidays and the tariffs of businesses are embedded for 2024 to 2027.
        history_months: Months that are known when the models are released.
        quiet_months: Months that follow in a quiet replay.
        default_days: Days past due that make a bill a default. Of some hundred customers too few are 30 days late.
    """

    customers: int = 420
    seeds: tuple[int, ...] = tuple(range(7, 17))
    start_month: date = date(2024, 1, 1)
    history_months: int = 24
    quiet_months: int = 24
    default_days: int = 10

    def supplier(self, seed: int, months: int, scenarios: tuple[Scenario, ...] = ()) -> SupplierConfig:
        """Return the supplier of a seed with so many months."""
        return SupplierConfig(
            customers=self.customers, months=months, start_month=self.start_month, seed=seed, scenarios=scenarios
        )

    def month_at(self, months_after_release: int) -> date:
        """Return a month by its distance from the last that was known at the release: 1 is the first that follows."""
        return self.supplier(0, 1).month_at(self.history_months - 1 + months_after_release)

    def settings(self, home: Path) -> PlatformSettings:
        """Return the settings of a drill: the defaults, whatever the environment says."""
        return PlatformSettings.model_construct(
            home=home.resolve(), simulate=False, first_month=self.start_month, default_days=self.default_days
        )


def run_drills(
    plan: DrillPlan,
    expectations: "Mapping[str, Expectation]",
    folder: Path,
    *,
    workers: int = 2,
    log: Log,
) -> "DrillReport":
    """Replay the quiet months of every seed and every scenario, and score them.

    Args:
        plan: What all drills have in common.
        expectations: What each scenario should lead to; none replays quiet months only.
        folder: Where the homes of the suppliers are made and removed again; 0.4 GB for each worker.
        workers: Processes that replay at the same time.
        log: Takes a sentence whenever a replay is done.
    """
    from monitoring.drills import DrillReport, false_alarms, score_drill
    from monitoring.outcomes import EstimateRecord

    _prepare_process()
    first_seed = plan.seeds[0]
    quiet: dict[int, Replay] = {}
    drilled: dict[str, Replay] = {}
    with (
        TemporaryDirectory(dir=folder, prefix="drills-") as scratch,
        # A forked copy of a process with threads of DuckDB and polars in it would hang.
        ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool,
    ):
        homes = Path(scratch)
        released = homes / "released"
        release_models(plan, first_seed, released)
        log(f"Seed {first_seed}: models released on {plan.history_months} months of {plan.customers} customers.")
        tasks: dict[Future[Replay], int | str] = {
            pool.submit(replay_scenario, plan, first_seed, expectation, released, homes / name): name
            for name, expectation in expectations.items()
        }
        tasks |= {
            pool.submit(replay_quiet, plan, seed, homes / f"quiet_{seed}", released if seed == first_seed else None): (
                seed
            )
            for seed in plan.seeds
        }
        for task in as_completed(tasks):
            name, replay = tasks[task], task.result()
            log(f"Replayed {name if isinstance(name, str) else f'quiet months of seed {name}'}.")
            if isinstance(name, str):
                drilled[name] = replay
            else:
                quiet[name] = replay
    return DrillReport(
        measured_at=datetime.now(UTC),
        customers=plan.customers,
        seeds=plan.seeds,
        results=tuple(
            score_drill(expectation, drilled[name], quiet[first_seed]) for name, expectation in expectations.items()
        ),
        false_alarms=false_alarms(quiet.values()),
        estimates=EstimateRecord.of(tuple(entry for replay in quiet.values() for entry in replay.estimates)),
    )


def _prepare_process() -> None:
    """Make dbt's manifest before anything imports it, and keep Dagster from sending usage data."""
    from orchestration.manifest import renew_manifest

    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    renew_manifest()


def release_models(plan: DrillPlan, seed: int, home: Path) -> None:
    """Make a home that knows the months before the drill, with a release of every use case.

    A model that the gate would refuse is released by an override: of some hundred customers no gate could see a lead
    over the baselines, and a drill asks what the monitors see.
    """
    from orchestration.marts import current_marts
    from orchestration.use_cases import USE_CASES

    settings = plan.settings(home)
    write_deliveries(plan.supplier(seed, plan.history_months), settings.inbox_dir)
    _refresh(settings)
    marts = current_marts(settings.marts_dir)
    for use_case in USE_CASES:
        _release(use_case, settings, marts, decided_on=plan.month_at(1))


def _release(use_case: "UseCase", settings: PlatformSettings, marts: Any, *, decided_on: date) -> None:
    from ml.errors import KilowiseError
    from ml.gate import Override, decide
    from orchestration.files import replace_text
    from orchestration.lifecycle import decision_dir, release_challenger, train_challenger

    challenger = train_challenger(use_case, marts, settings, _silent)
    if challenger is None:
        raise KilowiseError(f"{use_case.name}: the data of the drill does not suffice; take more customers or months")
    bundle = challenger.bundle

    def judge(overrides: Sequence[Override] = ()) -> Any:
        return decide(
            bundle.evaluation,
            policy=use_case.gate_policy(),
            decided_on=decided_on,
            has_champion=False,
            challenger_version=bundle.manifest.version,
            overrides=overrides,
        )

    decision = judge()
    if not decision.approved:
        decision = judge(
            [
                Override(
                    criterion=criterion.name,
                    person="drill",
                    reason="A drill asks what the monitors see, not whether the model is good.",
                    expires_on=decided_on,
                )
                for criterion in decision.criteria
                if criterion.passed is not True
            ]
        )
    folder = decision_dir(settings, use_case.name, bundle.manifest.version)
    replace_text(folder / "decision.json", decision.model_dump_json(indent=2))
    release_challenger(use_case, marts, settings, approved_by="")


def replay_quiet(plan: DrillPlan, seed: int, home: Path, released: Path | None = None) -> "Replay":
    """Replay months in which nothing happens.

    Args:
        plan: The plan.
        seed: Seed of the supplier.
        home: Home to make; removed at the end.
        released: Home of the same seed with its releases, if it is there already.
    """
    from monitoring.drills import Replay
    from monitoring.outcomes import read_outcomes

    if released is None:
        release_models(plan, seed, home)
    else:
        copy_home(released, home)
    steps = [min(step + MONTHS_AT_ONCE, plan.quiet_months) for step in range(0, plan.quiet_months, MONTHS_AT_ONCE)]
    months, alarms = _follow(plan, seed, home, (), steps)
    outcomes = read_outcomes(plan.settings(home).reports_dir, "credit_risk")
    shutil.rmtree(home)
    return Replay(
        scenario=None,
        seed=seed,
        released_month=plan.month_at(0),
        months=months,
        daily_alarms=alarms,
        estimates=outcomes.estimates if outcomes else (),
    )


def replay_scenario(plan: DrillPlan, seed: int, expectation: "Expectation", released: Path, home: Path) -> "Replay":
    """Replay the months of a scenario.

    What the daily checks say is asked after the first delivery of the scenario, and once more at the end.

    Args:
        plan: The plan.
        seed: Seed of the supplier.
        expectation: Which scenario, from when, for how long.
        released: Home of the same seed with its releases.
        home: Home to make; removed at the end.
    """
    from monitoring.drills import Replay

    copy_home(released, home)
    onset = plan.month_at(expectation.onset_months)
    scenario = Scenario.model_validate({"name": expectation.scenario, "from_month": onset})
    last = expectation.onset_months + expectation.replayed_months - 1
    months, alarms = _follow(plan, seed, home, (scenario,), sorted({expectation.onset_months, last}))
    shutil.rmtree(home)
    return Replay(
        scenario=expectation.scenario,
        seed=seed,
        released_month=plan.month_at(0),
        onset_month=onset,
        months=tuple(judged for judged in months if judged.month >= onset),
        daily_alarms=alarms,
    )


def _follow(
    plan: DrillPlan, seed: int, home: Path, scenarios: tuple[Scenario, ...], steps: Sequence[int]
) -> "tuple[tuple[JudgedMonth, ...], tuple[DailyAlarm, ...]]":
    """Deliver months up to each step, bring the data up to date, then score and review the months that are new."""
    from monitoring.drills import DailyAlarm

    settings = plan.settings(home)
    months: list[JudgedMonth] = []
    found_on_by_alarm: dict[str, date] = {}
    done = 0
    for step in steps:
        write_deliveries(plan.supplier(seed, plan.history_months + step, scenarios), settings.inbox_dir)
        failed = _refresh(settings)
        delivered_on = plan.month_at(step + 1).replace(day=DELIVERY_DAY)
        for name in failed:
            found_on_by_alarm.setdefault(name, delivered_on)
        next_delivery_on = plan.month_at(step + 2).replace(day=DELIVERY_DAY)
        for name, late_on in _late_sources(settings, next_delivery_on):
            found_on_by_alarm.setdefault(name, late_on)
        new = [plan.month_at(number) for number in range(done + 1, step + 1)]
        months += _reviewed(settings, new)
        done = step
    alarms = tuple(DailyAlarm(name=name, found_on=found_on) for name, found_on in found_on_by_alarm.items())
    return tuple(months), alarms


def _refresh(settings: PlatformSettings) -> Collection[str]:
    """Land what was delivered, build and publish the marts; return the names of the checks that failed.

    A test that stops the build leaves the marts as they were, as it does on a platform.
    """
    from orchestration.assets.transformation import dbt_models_after_scoring
    from orchestration.definitions import build_definitions

    job = build_definitions(settings).resolve_job_def("refresh_data")
    settings.home.mkdir(parents=True, exist_ok=True)
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(
            instance=instance,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
            asset_selection=sorted(job.asset_layer.selected_asset_keys - dbt_models_after_scoring.keys),
        )
    return [
        f"check: {evaluation.asset_key.to_user_string()} {evaluation.check_name}"
        for evaluation in result.get_asset_check_evaluations()
        if not evaluation.passed
    ]


def _late_sources(settings: PlatformSettings, on: date) -> Iterator[tuple[str, date]]:
    """Yield the sources that count as late on a day, and since when."""
    from orchestration.pipeline_health import source_freshness

    at = datetime.combine(on, time(), UTC)
    for source in source_freshness(settings):
        if source.expected_by is not None and source.state(at) == "late":
            yield f"freshness: {source.entity}", source.expected_by.date()


def _reviewed(settings: PlatformSettings, months: Sequence[date]) -> "Iterator[JudgedMonth]":
    """Score and review months, one after the other, as the platform would have done after each."""
    from monitoring.drills import JudgedMonth
    from orchestration.lifecycle import review_month, score_month
    from orchestration.marts import current_marts
    from orchestration.use_cases import USE_CASES

    marts = current_marts(settings.marts_dir)
    for use_case in USE_CASES:
        for month in months:
            score_month(use_case, marts, settings, month)
            verdict = review_month(use_case, marts, settings, month, with_report=False)
            if verdict is not None:
                known_on = _following(month) + timedelta(days=settings.as_of_lag_days)
                yield JudgedMonth.of(verdict, known_on)


def _following(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


def copy_home(source: Path, target: Path) -> None:
    """Copy a home; files that are never changed in place are shared."""
    shared = tuple(str(source / folder) + os.sep for folder in _IMMUTABLE_FOLDERS)

    def link_or_copy(file: str, copy: str) -> str:
        # The supplier's own notes lie in the inbox and are replaced with every delivery, which leaves a link alone.
        if file.startswith(shared):
            os.link(file, copy)
            return copy
        return shutil.copy2(file, copy)

    shutil.copytree(source, target, copy_function=link_or_copy)


def _silent(_: str) -> None:
    """Say nothing: the sentences of a training are not those of a drill."""
