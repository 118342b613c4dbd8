"""Reports on trials of challengers on live traffic. The comparing is in ``ml.trials``."""

import dagster as dg

from orchestration import checks
from orchestration.assets.model_assets import OWNER_BY_USE_CASE
from orchestration.metadata import table_value
from orchestration.settings import PlatformSettings
from orchestration.trials import latest_trial, report_path, report_trial, trial_requirement
from orchestration.use_cases import UseCase


def build_trial_asset(use_case: UseCase) -> dg.AssetsDefinition:
    """Return the report on the latest trial of a use case."""
    key = dg.AssetKey(["trials", use_case.name])

    @dg.asset(
        key=key,
        deps=[dg.AssetKey(["models", use_case.name]), dg.AssetKey(["releases", use_case.name])],
        group_name=use_case.name,
        owners=[OWNER_BY_USE_CASE[use_case.name]],
        kinds={"trial"},
        description="What a challenger does on live traffic. Agreement with the champion, changed decisions, speed and "
        "errors, from the prediction log. Start one with the job start_trial; this report is renewed by the job "
        "review_trials, and the gate reads the log itself where KILOWISE_TRIAL_REQUIREMENTS demands a trial.",
        check_specs=[checks.trial_spec(key)],
    )
    def trial_report(
        context: dg.AssetExecutionContext, settings: dg.ResourceParam[PlatformSettings]
    ) -> dg.MaterializeResult:
        trial = latest_trial(settings, use_case.name)
        if trial is None:
            return dg.MaterializeResult(
                metadata={"status": "no challenger was tried"},
                check_results=[checks.trial_result(None, trial_requirement(settings, use_case.name))],
            )
        summary = report_trial(settings, trial)
        for sentence in summary.sentences():
            context.log.info(sentence)
        arms = [
            dg.TableRecord(
                {
                    "model": name,
                    "decisions": arm.decisions_count,
                    "customers": arm.customers_count,
                    "errors": arm.errors_count,
                    "median ms": None if arm.median_ms is None else round(arm.median_ms, 3),
                    "95 % within ms": None if arm.p95_ms is None else round(arm.p95_ms, 3),
                    "decided": ", ".join(f"{what} {share:.1%}" for what, share in list(arm.shares.items())[:8]),
                }
            )
            for name, arm in (("champion", summary.champion), ("challenger", summary.challenger))
        ]
        changes = [
            dg.TableRecord({"champion said": one.before, "challenger said": one.after, "times": one.count})
            for one in summary.changes
        ]
        return dg.MaterializeResult(
            metadata={
                "in words": " ".join(summary.sentences()),
                "trial": trial.trial_id,
                "mode": trial.mode,
                "compared": summary.compared_count,
                "arms": table_value(arms),
                "changed decisions": table_value(changes),
                "summary": dg.MetadataValue.path(str(report_path(settings, trial))),
            },
            check_results=[checks.trial_result(summary, trial_requirement(settings, use_case.name))],
        )

    return trial_report
