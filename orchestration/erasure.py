"""Erases a customer from everything that Kilowise keeps, has it made anew without the customer, and proves it.

The landing is cleared first and refuses the customer from then on; so an erasure that is interrupted at any moment is
completed by the same command. What is derived goes before the run that makes it anew: nothing can then be taken for
unchanged. No Dagster in here.
"""

import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ml.audiences.register import CampaignRegister
from ml.credit_risk.register import erase as erase_from_register
from ml.errors import KilowiseError
from orchestration.credit_policy import FOLDERS as CREDIT_FOLDERS
from orchestration.forms.warehouse import warehouse
from orchestration.ingestion.identities import erase_customer, find_traces, is_erased
from orchestration.ingestion.pseudonym import customer_key
from orchestration.lifecycle import forget_lost_challengers
from orchestration.price_simulation import FOLDER as SIMULATIONS_FOLDER
from orchestration.settings import PlatformSettings
from orchestration.traces import CustomerTrace
from serving.idempotency import forget_answers
from serving.model_store import ModelStore
from serving.portrait_store import remove_portraits

Say = Callable[[str], None]

REPORT_FOLDERS = (SIMULATIONS_FOLDER, *CREDIT_FOLDERS)


class UnknownCustomerError(KilowiseError):
    """Nothing that Kilowise keeps names the customer, so the id is probably mistyped."""


@dataclass(frozen=True, slots=True)
class PredictionErasure:
    """Rows removed from batch predictions and the online log, and the files that held them."""

    rows_removed: int
    files_changed: int


def erase(settings: PlatformSettings, customer_id: str, run: Callable[[PlatformSettings], int], say: Say) -> bool:
    """Remove every trace of a customer, make anew what was derived, and search everything that is left.

    Args:
        settings: Settings of the platform.
        customer_id: The supplier's id of the customer.
        run: The main job; returns 0 when every step did its work.
        say: Receives a sentence per step. None of them names the customer.

    Returns:
        Whether the run did its work and nothing names the customer any more.

    Raises:
        UnknownCustomerError: If nothing names the customer and no erasure of the customer was begun.
    """
    secret = settings.pseudonym_key.get_secret_value()
    trace = CustomerTrace(customer_id, customer_key(customer_id, secret))
    if not settings.landing_dir.is_dir():
        raise UnknownCustomerError(f"Nothing was landed in {settings.landing_dir} yet, so there is nobody to erase.")
    if not (
        is_erased(settings.landing_dir, customer_id, secret)
        or find_traces(settings.landing_dir, customer_id, secret)
        or traces(settings, trace)
    ):
        raise UnknownCustomerError(
            "Nothing names a customer of this id, so nothing was changed. Give the id exactly as the supplier does."
        )
    landing = erase_customer(settings.landing_dir, customer_id, secret)
    say(f"Landing: {landing.rows_removed:,} rows removed from {len(landing.files_rewritten)} files.")
    remove_derived(settings, trace, say)
    say("Now everything derived is made anew.")
    succeeded = run(settings) == 0
    if not succeeded:
        say("The run did not finish: repair the cause and give the same command again.")
    left = traces(settings, trace)
    for place in left:
        say(f"Still names the customer: {place}")
    if not left:
        say(f"Nothing found: no file below {settings.home} names the customer any more (the inbox aside).")
    if not trace.is_id_searchable:
        say("The id is too short to be told from other figures, so outside the landing only its key was searched.")
    say(
        f"The inbox {settings.inbox_dir} belongs to the supplier and was not changed. Kilowise refuses the customer "
        "from now on, but have the customer removed from the supplier's files there, and from further deliveries."
    )
    return succeeded and not left


def remove_derived(settings: PlatformSettings, trace: CustomerTrace, say: Say) -> None:
    """Remove a customer from everything that is made from the landing, or remove what cannot be changed."""
    store = ModelStore(settings.home).erase_customer(trace.customer_key, trace.is_in)
    forget_lost_challengers(settings)
    if store.bundles_removed:
        say(
            f"Models: {', '.join(store.bundles_removed)} held the customer in their samples, cannot be changed and "
            f"were removed, and with them {_listed(store.releases_removed, 'no release')}. The run trains anew; until "
            "a model has passed its gate, the API has no release of these use cases."
        )
    say(f"Releases rewritten without the customer: {_listed(store.snapshots_rewritten, 'none')}.")
    predictions = erase_predictions(settings, trace.customer_key)
    say(f"Predictions: {predictions.rows_removed:,} rows removed from {predictions.files_changed} files.")
    say(f"Credit register: {erase_from_register(settings.credit_register_path, trace.customer_key):,} records removed.")
    campaigns = CampaignRegister(settings.campaigns_dir).erase(trace.customer_key)
    say(f"Campaign register: removed from {campaigns:,} campaigns.")
    reports = erase_reports(settings.reports_dir, trace)
    if reports:
        say(f"Reports: {', '.join(reports)} named the customer and were removed; start their jobs again.")
    for marts_dir in (settings.after_models_marts_dir, settings.marts_dir):
        (marts_dir / "CURRENT").unlink(missing_ok=True)
    remove_portraits(settings.home)
    say(f"Answers kept for callers who send a request again: all {forget_answers(settings.home):,} forgotten.")
    for folder in (settings.after_models_marts_dir, settings.marts_dir / "versions"):
        if folder.exists():
            shutil.rmtree(folder)
    warehouse(settings).remove()
    say("Marts, portraits and warehouse: removed.")


def erase_predictions(settings: PlatformSettings, key: str) -> PredictionErasure:
    """Remove a customer's rows from batch predictions and the online log; each file is replaced atomically."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from serving.log_erasure import erase_from_log
    from serving.log_ledger import ledger_key

    log_dir = settings.predictions_dir / "log"
    removed, changed = erase_from_log(log_dir, ledger_key(settings.pseudonym_key.get_secret_value().encode()), key)
    for path in sorted(settings.predictions_dir.rglob("*.parquet")):
        if path.is_relative_to(log_dir):
            continue
        table = pq.read_table(path, partitioning=None)
        is_other = pc.invert(pc.fill_null(pc.equal(table["customer_key"], key), False))
        kept = table.filter(is_other)
        if len(kept) == len(table):
            continue
        removed += len(table) - len(kept)
        changed += 1
        if not len(kept):
            path.unlink()
            continue
        temporary = path.with_name(f".{uuid.uuid4().hex}.parquet")
        pq.write_table(kept, temporary, compression="zstd")
        temporary.replace(path)
    return PredictionErasure(removed, changed)


def erase_reports(reports_dir: Path, trace: CustomerTrace) -> list[str]:
    """Remove the reports that name a customer and that only a person makes anew; return them as ``folder/name``."""
    removed = []
    for kind in REPORT_FOLDERS:
        for folder in sorted((reports_dir / kind).glob("*")):
            if any(trace.below(folder)):
                shutil.rmtree(folder)
                removed.append(f"{kind}/{folder.name}")
    return removed


def traces(settings: PlatformSettings, trace: CustomerTrace) -> list[str]:
    """Return every place of the home that names a customer, the supplier's inbox aside."""
    secret = settings.pseudonym_key.get_secret_value()
    without = frozenset({settings.inbox_dir, settings.landing_dir})
    return [
        *(f"landing/{place}" for place in find_traces(settings.landing_dir, trace.customer_id, secret)),
        *(path.relative_to(settings.home).as_posix() for path in trace.below(settings.home, without=without)),
    ]


def _listed(names: tuple[str, ...], nothing: str) -> str:
    return ", ".join(names) if names else nothing
