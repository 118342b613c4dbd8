"""The five assets that every use case has: sufficiency, model, evaluation, predictions, drift review.

They are built here once, because their life cycle is one; the texts that the operator reads and the use case itself
come from ``segmentation.py``, ``tariff_matching.py`` and ``credit_risk.py``. Releases are in ``release.py``, drift in
``drift.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import dagster as dg

from orchestration import checks
from orchestration.lifecycle import (
    check_data,
    decision_dir,
    judge_challenger,
    read_challenger,
    score_month,
    train_challenger,
)
from orchestration.marts import current_marts
from orchestration.metadata import evaluation_metadata, key_figure_sentence, plot_metadata, report_link, table_value
from orchestration.settings import PlatformSettings
from orchestration.use_cases import UseCase

OWNER_BY_USE_CASE = {
    "segmentation": "team:marketing-analytics",
    "tariff_matching": "team:pricing-analytics",
    "credit_risk": "team:collections-analytics",
}


@dataclass(frozen=True, slots=True)
class ModelAssetTexts:
    """What the operator reads about the assets of one use case."""

    sufficiency: str
    model: str
    evaluation: str
    predictions: str


def build_model_assets(
    use_case: UseCase, texts: ModelAssetTexts, months: dg.MonthlyPartitionsDefinition
) -> Sequence[dg.AssetsDefinition]:
    """Return the assets of one use case, from sufficiency to predictions."""
    name = use_case.name
    owners = [OWNER_BY_USE_CASE[name]]
    marts = [dg.AssetKey(["marts", mart]) for mart in use_case.training_marts]
    sufficiency_key = dg.AssetKey(["sufficiency", name])
    model_key = dg.AssetKey(["models", name])
    evaluation_key = dg.AssetKey(["evaluations", name])
    release_key = dg.AssetKey(["releases", name])
    predictions_key = dg.AssetKey(["predictions", use_case.prediction])
    # A node of the graph shows the last part of its key only, which four assets share: the kind tells them apart.

    @dg.asset(
        key=sufficiency_key,
        deps=marts,
        group_name=name,
        owners=owners,
        kinds={"sufficiency"},
        description=texts.sufficiency,
        check_specs=[checks.sufficient_spec(sufficiency_key)],
    )
    def sufficiency(
        context: dg.AssetExecutionContext, settings: dg.ResourceParam[PlatformSettings]
    ) -> dg.MaterializeResult:
        report = check_data(use_case, current_marts(settings.marts_dir), settings)
        context.log.info(report.sentence())
        findings = table_value(
            [
                dg.TableRecord(
                    {"check": f.check, "found": f.found, "required": f.required, "passed": "yes" if f.passed else "no"}
                )
                for f in report.findings
            ]
        )
        return dg.MaterializeResult(
            metadata={"in words": report.sentence(), "is_sufficient": report.is_sufficient, "findings": findings},
            check_results=[checks.sufficient_result(report)],
        )

    @dg.asset(
        key=model_key,
        deps=[sufficiency_key, *marts],
        group_name=name,
        owners=owners,
        kinds={"model", "bentoml"},
        description=texts.model,
    )
    def model(context: dg.AssetExecutionContext, settings: dg.ResourceParam[PlatformSettings]) -> dg.MaterializeResult:
        challenger = train_challenger(use_case, current_marts(settings.marts_dir), settings, context.log.info)
        if challenger is None:
            return dg.MaterializeResult(metadata={"status": "no model: the data is not sufficient"})
        manifest = challenger.bundle.manifest
        context.log.info(f"{name} {manifest.version}: {key_figure_sentence(challenger.bundle.evaluation)}")
        return dg.MaterializeResult(
            data_version=dg.DataVersion(manifest.version),
            metadata={
                "status": "trained" if challenger.was_trained_now else "unchanged, kept",
                "version": manifest.version,
                "first_month": manifest.data_window.first_month.isoformat(),
                "last_month": manifest.data_window.last_month.isoformat(),
                "data_fingerprint": manifest.data_fingerprint,
                "code_version": manifest.code_version,
                "seed": manifest.seed,
                "bundle": dg.MetadataValue.path(str(challenger.bundle.directory)),
                **{f"rows_{part}": rows for part, rows in manifest.rows.items()},
            },
        )

    @dg.asset(
        key=evaluation_key,
        deps=[model_key],
        group_name=name,
        owners=owners,
        kinds={"evaluation", "html"},
        description=texts.evaluation,
        check_specs=[checks.gate_spec(evaluation_key)],
    )
    def evaluation(
        context: dg.AssetExecutionContext, settings: dg.ResourceParam[PlatformSettings]
    ) -> dg.MaterializeResult:
        bundle = read_challenger(name, settings)
        if bundle is None:
            return dg.MaterializeResult(
                metadata={"status": checks.NOTHING_TO_JUDGE}, check_results=[checks.gate_result(None)]
            )
        decision = judge_challenger(
            use_case, bundle, current_marts(settings.marts_dir), settings, decided_on=datetime.now(UTC).date()
        )
        context.log.info(decision.reason)
        card = decision_dir(settings, name, bundle.manifest.version) / "model_card.html"
        return dg.MaterializeResult(
            metadata={
                **evaluation_metadata(bundle.evaluation, decision),
                "model_card": report_link(settings, card),
                **plot_metadata(bundle),
            },
            check_results=[checks.gate_result(decision)],
        )

    @dg.asset(
        key=predictions_key,
        deps=[release_key, *(dg.AssetKey(["marts", mart]) for mart in use_case.scoring_marts)],
        partitions_def=months,
        group_name=name,
        owners=owners,
        kinds={"python", "parquet"},
        description=texts.predictions,
        check_specs=[checks.scored_spec(predictions_key)],
    )
    def predictions(
        context: dg.AssetExecutionContext, settings: dg.ResourceParam[PlatformSettings]
    ) -> dg.MaterializeResult:
        version = current_marts(settings.marts_dir)
        scored = [
            score_month(use_case, version, settings, date.fromisoformat(month)) for month in context.partition_keys
        ]
        for result in scored:
            note = f" ({result.note})" if result.note else ""
            context.log.info(f"{result.month:%Y-%m}: {result.rows:,} customers scored{note}")
        table = [
            dg.TableRecord({"month": f"{r.month:%Y-%m}", "rows": r.rows, "release": r.release, "note": r.note})
            for r in scored
        ]
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": sum(result.rows for result in scored),
                "months": dg.MetadataValue.table(table),
                "release": scored[-1].release or "none",
            },
            check_results=[checks.scored_result(scored)],
        )

    return [sufficiency, model, evaluation, predictions]
