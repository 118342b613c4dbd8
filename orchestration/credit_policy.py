"""The credit policy on the published marts: its dry run over past months, and the dunning list, each with a report.

No Dagster in here, and no calculation: that is in ``ml.credit_risk.rehearsal`` and ``ml.credit_risk.dunning``.
"""

import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from ml.errors import InsufficientDataError
from orchestration.lifecycle import predictions_path
from orchestration.marts import MartsVersion, current_marts
from orchestration.settings import PlatformSettings
from orchestration.use_cases import CreditRisk, with_ratings_in_force

if TYPE_CHECKING:
    import pandas as pd

    from ml.bundle import Bundle
    from ml.credit_risk.dunning import DunningBackTest, DunningList
    from ml.credit_risk.policy_schema import CreditPolicy
    from ml.credit_risk.rehearsal import Rehearsal

FOLDER = "credit_policy"
DUNNING_FOLDER = "dunning"
FOLDERS = (FOLDER, DUNNING_FOLDER)
"""Folders of reports that name customers by their key."""
REPORT = "index.html"
_PARQUET_TABLES = ("rows", "customers")
_CREDIT_RISK = CreditRisk()
# Twelve months to judge and the months after which the back-test looks again.
_BACK_TEST_MONTHS = 15


@dataclass(frozen=True, slots=True)
class RehearsalReport:
    """A finished dry run and where its report lies.

    Attributes:
        rehearsal: The result.
        page: The HTML page; tables lie beside it as CSV, and one row per customer and measure as ``rows.parquet``.
        sentence: The result in one sentence.
        plots: Plots of the page by file name.
    """

    rehearsal: "Rehearsal"
    page: Path
    sentence: str
    plots: Mapping[str, bytes]


def chosen_policy(settings: PlatformSettings, day: date, policy_id: str = "") -> "CreditPolicy":
    """Return the version of the policy that applies on a day; by default the one of the settings.

    Raises:
        PolicyError: There is none, or a policy file cannot be read.
    """
    from ml.credit_risk.policy_schema import load_policies, policy_on

    return policy_on(load_policies(settings.credit_policy_paths), policy_id or settings.credit_policy, day)


def rehearse_policy(
    settings: PlatformSettings, *, today: date, policy_id: str = "", months_count: int = 12
) -> RehearsalReport:
    """Apply a policy to the latest months, judge it by what happened, and write the report.

    Args:
        settings: Settings of the platform.
        today: Day whose version of the policy is taken.
        policy_id: The policy; by default that of the settings.
        months_count: Latest as-of months to decide.

    Raises:
        KilowiseError: A mistake that a person can correct; the message says how.
    """
    from ml.credit_risk.register import Register
    from ml.credit_risk.rehearsal import rehearse
    from ml.credit_risk.rehearsal_report import PLOT, plot, render_report, summary, tables

    policy = chosen_policy(settings, today, policy_id)
    marts = current_marts(settings.marts_dir)
    scored = scored_snapshots(marts, settings, months_count)
    register = Register.read(settings.credit_register_path)
    rehearsal = rehearse(
        policy,
        scored.rows,
        _CREDIT_RISK.outcomes(marts),
        standing_of=register.standing,
        trained_until=scored.trained_until,
        seed=settings.seed,
    )
    image = plot(rehearsal)
    page = write_report(
        settings.reports_dir / FOLDER / policy.policy_id,
        render_report(rehearsal, settings.currency, image),
        tables(rehearsal),
    )
    return RehearsalReport(rehearsal, page, summary(rehearsal, settings.currency), {PLOT: image})


@dataclass(frozen=True, slots=True)
class DunningReport:
    """A finished dunning list, its back-test, and where the report lies.

    Attributes:
        made: The list.
        tested: Its back-test; ``None`` when there is too little history for one.
        page: The HTML page; the list lies beside it as ``customers.parquet``, the back-test as CSV.
        sentence: The result in one sentence.
        plots: Plots of the page by file name.
    """

    made: "DunningList"
    tested: "DunningBackTest | None"
    page: Path
    sentence: str
    plots: Mapping[str, bytes]


def make_dunning_list(settings: PlatformSettings, *, today: date, daily_capacity: int | None = None) -> DunningReport:
    """Rank the customers with overdue bills of the latest month, judge the ranking by past months, write the report.

    Args:
        settings: Settings of the platform.
        today: Day whose version of the policy says how much money is at stake; disputes are those of that day.
        daily_capacity: Contacts of a working day; by default that of the settings.

    Raises:
        KilowiseError: A mistake that a person can correct; the message says how.
    """
    from ml.credit_risk.dunning import DunningConfig, back_test, dunning_list
    from ml.credit_risk.dunning_report import PLOT, plot, render_report, summary, tables
    from ml.credit_risk.register import Register

    config = DunningConfig(
        daily_capacity=daily_capacity or settings.dunning_daily_capacity,
        exposure_months=chosen_policy(settings, today).exposure_months,
    )
    scored = scored_snapshots(current_marts(settings.marts_dir), settings, _BACK_TEST_MONTHS)
    register = Register.read(settings.credit_register_path)
    made = dunning_list(scored.rows, config, disputing=register.disputing(today))
    try:
        tested = back_test(scored.rows, config, seed=settings.seed)
    except InsufficientDataError:
        # A young platform has a list from its first month; its report says that no back-test is possible yet.
        tested = None
    images = {PLOT: plot(tested)} if tested else {}
    page = write_report(
        settings.reports_dir / DUNNING_FOLDER / f"{made.month:%Y-%m}",
        render_report(made, tested, config, settings.currency, images.get(PLOT), scored.trained_until),
        tables(made, tested),
    )
    return DunningReport(made, tested, page, summary(made, tested, config, settings.currency), images)


@dataclass(frozen=True, slots=True)
class ScoredSnapshots:
    """Features with scores of past months.

    Attributes:
        rows: One row per customer and as-of month.
        trained_until: Last month on which the released model was trained.
    """

    rows: "pd.DataFrame"
    trained_until: date


def scored_snapshots(marts: MartsVersion, settings: PlatformSettings, months_count: int) -> ScoredSnapshots:
    """Return the latest months as they were scored at the time, or else as the released model scores them now.

    Raises:
        InsufficientDataError: No model is released, or no customer has features.
    """
    import pandas as pd

    from ml.bundle import read_bundle
    from ml.splits import month_start
    from serving.model_store import ModelStore

    store = ModelStore(settings.home)
    release = store.current_release(_CREDIT_RISK.name)
    if release is None:
        raise InsufficientDataError("No credit model is released, so nobody has a score. Run `make run` first.")
    found = {
        month_start(month) for month in marts.read(_CREDIT_RISK.feature_mart, columns=["as_of_month"])["as_of_month"]
    }
    months = sorted(found)[-months_count:]
    if not months:
        raise InsufficientDataError(f"The mart {_CREDIT_RISK.feature_mart} has no customer.")
    bundle = read_bundle(store.bundle_dir(_CREDIT_RISK.name, release.bundle_version))
    parts = []
    # Every month at once, because the rating in force follows from all months before.
    history: pd.DataFrame | None = None
    for month in months:
        logged = predictions_path(settings, _CREDIT_RISK.name, month)
        if logged.exists():
            parts.append(pd.read_parquet(logged, partitioning=None))
            continue
        if history is None:
            history = with_ratings_in_force(bundle, marts.read(_CREDIT_RISK.feature_mart))
        features = history[history["as_of_month"] == month]
        predictions = _CREDIT_RISK.predict(bundle, features, marts, settings)
        parts.append(features.merge(predictions, on="customer_key", validate="one_to_one"))
    return ScoredSnapshots(pd.concat(parts, ignore_index=True), _trained_until(bundle))


def _trained_until(bundle: "Bundle") -> date:
    """Return the last month that may have been trained on: the one before the hold-out where that is later in time."""
    from ml.splits import add_months, month_start

    window = bundle.manifest.data_window
    holdout = bundle.holdout()
    if holdout is None or holdout.empty:
        return window.last_month
    first = min(month_start(month) for month in holdout["as_of_month"])
    return add_months(first, -1) if first > window.first_month else window.last_month


def write_report(folder: Path, page: str, tables: "Mapping[str, pd.DataFrame]") -> Path:
    """Write page and tables to a folder that becomes visible by one rename, and return the page's path."""
    incoming = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    incoming.mkdir(parents=True)
    try:
        (incoming / REPORT).write_text(page, encoding="utf-8")
        for name, table in tables.items():
            if name in _PARQUET_TABLES:
                table.to_parquet(incoming / f"{name}.parquet", index=False)
            else:
                table.to_csv(incoming / f"{name}.csv", index=False)
        if folder.exists():
            shutil.rmtree(folder)
        incoming.rename(folder)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    return folder / REPORT
