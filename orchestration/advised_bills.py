"""Bills since earlier tariff advice, for the reviews: what was advised, priced on the load that was metered since.

No Dagster in here; the pricing is in ``ml``, the judging in ``monitoring``.
"""

import json
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from ml.splits import add_months
from orchestration.marts import MartsVersion
from orchestration.predictions import PREDICTIONS_FILE

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from ml.tariffs.schema import Tariff
    from monitoring.policy import DriftPolicy


def advised_bills(
    marts: MartsVersion,
    read_tariffs: "Callable[[], Sequence[Tariff]]",
    predictions_dir: Path,
    bundle_dir: Path,
    *,
    month: date,
    release: str,
    policy: "DriftPolicy",
) -> "pd.DataFrame | None":
    """Price the advice of the months whose age the policy judges, by what was metered until a month.

    Advice for months that the model had learned from is no evidence and is left out.

    Args:
        marts: Loads, and the tariffs that customers are on by now.
        read_tariffs: Returns the catalogue, every version of a tariff; called only where there is advice to price.
        predictions_dir: Folder of the batch predictions of tariff matching.
        bundle_dir: Folder of the released bundle.
        month: Month under review; later bills are not looked at.
        release: Name of the release.
        policy: Says which ages are judged and on how many customers.

    Returns:
        Rows with ``monitoring.tariff_outcomes.ADVISED_BILL_COLUMNS``; ``None`` where no advice is old enough.
    """
    import pandas as pd

    rule = policy.tariff_outcomes
    if rule is None:
        return None
    manifest = json.loads((bundle_dir / "bundle.json").read_bytes())
    learned_until = date.fromisoformat(manifest["data_window"]["last_month"])
    advised: dict[int, pl.DataFrame] = {}
    for age in rule.ages_months:
        path = predictions_dir / f"as_of_month={add_months(month, -age).isoformat()}" / PREDICTIONS_FILE
        if add_months(month, -age) >= learned_until and path.exists():
            advised[age] = _advised(path, release, rule.customers, policy.sample.seed)
    if all(advice.is_empty() for advice in advised.values()):
        return None
    tariffs = read_tariffs()
    parts = [
        _priced(advice.to_pandas(), marts, tariffs, add_months(month, -age), age)
        for age, advice in advised.items()
        if not advice.is_empty()
    ]
    return pd.concat(parts, ignore_index=True)


def _advised(path: Path, release: str, customers: int, seed: int) -> "pl.DataFrame":
    """Return the rows of customers who were advised to change, a seeded sample of them where there are many."""
    import polars as pl

    rows = pl.scan_parquet(path, hive_partitioning=False).filter(
        pl.col("release") == release, pl.col("is_switch_recommended")
    )
    drawn = rows.sort(pl.col("customer_key").hash(seed=seed)).head(customers)
    return drawn.collect().sort("customer_key")


def _priced(
    advice: "pd.DataFrame", marts: MartsVersion, tariffs: "Sequence[Tariff]", advised_in: date, months_since: int
) -> "pd.DataFrame":
    import polars as pl

    from ml.tariff_matching.realised import realised_bills
    from monitoring.tariff_outcomes import ADVISED_BILL_COLUMNS

    last = add_months(advised_in, months_since)
    since = [add_months(advised_in, count) for count in range(1, months_since + 1)]
    keys = advice["customer_key"].tolist()
    cube = (
        pl.scan_parquet(marts.path("customer_load_cube"), hive_partitioning=False)
        .filter(
            pl.col("month").is_in([*since, *(add_months(one, -12) for one in since)]),
            pl.col("customer_key").is_in(keys),
        )
        .collect()
    )
    present = (
        pl.scan_parquet(marts.path("customer_tariff_features"), hive_partitioning=False)
        .filter(pl.col("as_of_month") == last)
        .select("customer_key", present_tariff_id="tariff_id")
        .collect()
        .to_pandas()
    )
    # Without any reading there are no bills, and the advice stays unjudged.
    bills = advice[["customer_key"]]
    if not cube.is_empty():
        bills = realised_bills(advice, cube, tariffs, advised_in, months_since).to_frame()
    told = advice.merge(bills, on="customer_key").merge(present, on="customer_key", how="left")
    told = told.assign(
        as_of_month=advised_in,
        months_since=months_since,
        is_followed=told["present_tariff_id"] == told["recommended_tariff_id"],
    )
    return told.reindex(columns=list(ADVISED_BILL_COLUMNS))
