"""Deliveries and landing tables. The reading, judging and writing is in ``orchestration.ingestion``."""

from collections.abc import Iterator, Sequence

import dagster as dg

from ml.errors import KilowiseError
from orchestration import checks
from orchestration.ingestion.contract import ENTITIES, landing_tables
from orchestration.settings import PlatformSettings

GROUP = "ingestion"
OWNER = "team:data-platform"
# Each line of the log is a write to the event storage; the rest is in the metadata and in the quarantine.
SENTENCES_IN_LOG = 12
INBOX_KEY = dg.AssetKey(["inbox", "deliveries"])
SUMMARIES = {
    "deliveries": "One row per delivered file: how many rows came in, were loaded, were exact duplicates, were "
    "quarantined, and when they became known.",
    "reading_months": "One row per delivery and month that its readings touch; dbt renews only these months.",
}


def landing_key(entity: str) -> dg.AssetKey:
    """Return the asset key of a landing table."""
    return dg.AssetKey(["landing", entity])


def build_inbox_asset(settings: PlatformSettings) -> dg.AssetsDefinition | dg.AssetSpec:
    """Return the inbox: filled by the simulated supplier, or by somebody else."""
    description = (
        "One folder per delivery, with files of any shape. The simulated supplier writes a month per folder; "
        "set KILOWISE_SIMULATE=false to use deliveries of your own."
    )
    if not settings.simulate:
        return dg.AssetSpec(INBOX_KEY, description=description, group_name=GROUP, owners=[OWNER], kinds={"file"})

    @dg.asset(key=INBOX_KEY, description=description, group_name=GROUP, owners=[OWNER], kinds={"python", "parquet"})
    def inbox(context: dg.AssetExecutionContext, settings: dg.ResourceParam[PlatformSettings]) -> dg.MaterializeResult:
        from orchestration.ingestion.simulated_supplier.config import SupplierConfig
        from orchestration.ingestion.simulated_supplier.deliveries import write_deliveries

        report = write_deliveries(
            SupplierConfig(
                customers=settings.simulated_customers,
                months=settings.simulated_months,
                start_month=settings.simulated_start_month,
                interval_minutes=settings.simulated_interval_minutes,
                seed=settings.simulated_seed,
            ),
            settings.inbox_dir,
            progress=context.log.info,
        )
        return dg.MaterializeResult(
            metadata={
                "deliveries": len(report.deliveries),
                "folder": dg.MetadataValue.path(str(settings.inbox_dir)),
            }
        )

    return inbox


def _landing_specs() -> Sequence[dg.AssetSpec]:
    descriptions = {
        entity.name: f"{entity.description} Landed from the inbox by the mapping; rows that break the contract are in "
        "the quarantine with their reason. Without new files nothing changes here."
        for entity in ENTITIES.values()
    }
    columns_by_table = landing_tables()
    return [
        dg.AssetSpec(
            landing_key(table),
            deps=[INBOX_KEY],
            description=description,
            group_name=GROUP,
            owners=[OWNER],
            kinds={"parquet", "duckdb"},
            metadata={
                "dagster/column_schema": dg.TableSchema(
                    columns=[
                        dg.TableColumn(column.name, column.duckdb_type, description=column.description)
                        for column in columns_by_table[table]
                    ]
                )
            },
        )
        for table, description in {**descriptions, **SUMMARIES}.items()
    ]


@dg.multi_asset(
    name="land_deliveries",
    specs=_landing_specs(),
    check_specs=[
        *(checks.reconciled_spec(landing_key(entity)) for entity in ENTITIES),
        checks.holidays_spec(landing_key("meter_readings")),
    ],
    # A file that is still being copied is the usual reason for a failure here.
    retry_policy=dg.RetryPolicy(max_retries=1, delay=5),
)
def landing(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[PlatformSettings]
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Land what is new in the inbox, one delivery at a time; each becomes visible whole or not at all."""
    from orchestration.ingestion.holidays import missing_holidays
    from orchestration.ingestion.landing import land_deliveries
    from orchestration.ingestion.mapping import load_mapping
    from orchestration.ingestion.totals import landed_totals

    try:
        report = land_deliveries(
            settings.inbox_dir,
            load_mapping(settings.mapping),
            settings.landing_dir,
            pseudonym_key=settings.pseudonym_key.get_secret_value(),
            time_zone=settings.time_zone,
            memory_limit=settings.duckdb_memory_limit,
            progress=context.log.info,
        )
    except KilowiseError as error:
        # A mapping or a file that is wrong now is wrong in five seconds too.
        raise dg.Failure(str(error), allow_retries=False) from error
    context.log.info(report.sentence())
    sentences = [*(file.message for file in report.unreadable), *report.findings, *report.messages]
    for sentence in sentences[:SENTENCES_IN_LOG]:
        context.log.warning(sentence)
    if len(sentences) > SENTENCES_IN_LOG:
        context.log.warning(f"{len(sentences) - SENTENCES_IN_LOG} more sentences about refused rows: see the metadata.")
    missing = missing_holidays(settings.landing_dir, settings.jurisdiction, time_zone=settings.time_zone)
    if missing:
        context.log.warning(missing)
    words = "\n".join(f"- {sentence}" for sentence in sentences) or "Every row was loaded."
    totals = landed_totals(settings.landing_dir)
    for entity in ENTITIES:
        files = [file for file in report.files if file.entity == entity]
        unreconciled = [file.source_file for file in files if not file.is_reconciled]
        yield dg.MaterializeResult(
            asset_key=landing_key(entity),
            metadata={
                "dagster/row_count": totals[entity].rows_loaded,
                "rows_quarantined": totals[entity].rows_quarantined,
                "rows_duplicate": totals[entity].rows_duplicate,
                "rows_new": sum(file.rows_loaded for file in files),
                "files_new": len(files),
                "refused in this run": dg.MetadataValue.md(words),
            },
            check_results=[
                dg.AssetCheckResult(
                    asset_key=landing_key(entity),
                    check_name=checks.RECONCILED,
                    passed=not unreconciled,
                    severity=checks.ERROR,
                    description=f"{len(files)} new files reconcile."
                    if not unreconciled
                    else "Rows are unaccounted for in " + ", ".join(unreconciled),
                )
            ],
        )
    yield checks.holidays_result(landing_key("meter_readings"), missing)
    for summary in SUMMARIES:
        yield dg.MaterializeResult(asset_key=landing_key(summary), metadata={"deliveries_new": len(report.deliveries)})
