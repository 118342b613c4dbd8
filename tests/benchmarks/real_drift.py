"""What the monitors say of real months: the figures of the chapter *Real data* of ``docs/monitoring-results.md``.

Run by hand, in folders that do not exist yet::

    python -m tests.benchmarks.real_drift london ~/public-data /tmp/london
    python -m tests.benchmarks.real_drift clients ~/public-data /tmp/clients

``london`` trains and releases on what was known at one moment, lands the rest and reviews the months after, as they
were and with a fault of the meters put into them. ``clients`` does the main job on the UCI clients. Both then compare
random halves of one month, between which nothing differs: whatever a review finds there is a false alarm.
"""

import argparse
import itertools
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import pandas as pd

from monitoring.review import review_month
from monitoring.verdicts import Outcome, Verdict, read_verdict
from orchestration.lifecycle import latest_months, predictions_path
from orchestration.marts import current_marts
from tests.benchmarks.real_segments import customer_attributes
from tests.integration.platform_home import PlatformHome
from tests.integration.real_data.real_data_run import settings_on_page

LONDON_PAGE = "Low Carbon London: one reading a day"
CLIENTS_PAGE = "UCI credit default: bills and payments"
TRAINED_UNTIL = date(2013, 4, 1)
"""The first day that London's model does not know. Daily readings need a winter to make segments, and most households
joined in 2012, so that a training on 2012 alone ends with "not enough data"; with March 2013 there is enough."""
FAULTY_SINCE = date(2013, 10, 1)
FAULTY_SHARE = 0.2
FAULTS = {
    "silent meters": "select * from days where not (is_faulty and day >= since)",
    "kWh as tenths": "select * replace (case when is_faulty and day >= since then kwh_sum / 10 else kwh_sum end as "
    "kwh_sum) from days",
}
"""What a fault makes of the table ``days``, whose column ``is_faulty`` marks a batch of meters."""

CLIENTS_MONTH = date(2005, 9, 1)
HALVES_SEEDS = range(10)
LOW_LIMIT_AMOUNT = 50_000
"""Clients with no more credit than this are the fifth of whom a third did not pay."""
WAVE_SHARES = (0.0, 0.05, 0.1, 0.2, 0.4)
WAVE_CUSTOMERS_COUNT = 4_000


def london_known_before(day: date, public_data: Path, inbox: Path) -> None:
    """Write the London files as they would have been delivered before a day."""
    folder = inbox / "lcl"
    folder.mkdir(parents=True)
    with duckdb.connect() as connection:
        for name, column in (("households", "first_day"), ("daily", "day"), ("weather_daily", "day")):
            connection.execute(
                f"copy (select * from '{public_data}/lcl/{name}.parquet' where {column} < date '{day}') "
                f"to '{folder}/{name}.parquet' (format parquet, compression zstd)"
            )


def london_with_fault(fault: str, public_data: Path, inbox: Path) -> None:
    """Write the London files with one of ``FAULTS``, of a batch of meters chosen by their number."""
    folder = inbox / "lcl"
    folder.mkdir(parents=True)
    for name in ("households", "weather_daily"):
        shutil.copyfile(public_data / "lcl" / f"{name}.parquet", folder / f"{name}.parquet")
    with duckdb.connect() as connection:
        connection.execute(
            f"create view days as select *, date '{FAULTY_SINCE}' as since, "
            f"hash(lclid) % 1000 < {1000 * FAULTY_SHARE:.0f} as is_faulty from '{public_data}/lcl/daily.parquet'"
        )
        connection.execute(
            f"copy (select * exclude (since, is_faulty) from ({FAULTS[fault]})) "
            f"to '{folder}/daily.parquet' (format parquet, compression zstd)"
        )


def months_after_training(home: PlatformHome) -> Sequence[date]:
    """Return the as-of months of the marts that the model did not know; January and February 2014 where present."""
    months = latest_months(current_marts(home.settings.marts_dir), 36, date.min)
    return [month for month in months if month >= TRAINED_UNTIL]


def land_and_review(home: PlatformHome, inbox: Path) -> list[Verdict]:
    """Land an inbox in a home with a release, score the months after its training, and review them."""
    there = home.choose(inbox=inbox)
    assert there.execute("refresh_data").success
    months = months_after_training(there)
    for job in ("score_customers", "review_drift"):
        assert there.execute(job, [month.isoformat() for month in months]).success
    release = there.store.current_name("segmentation")
    assert release is not None
    return [read_verdict(there.settings.reports_dir, "segmentation", month, release) for month in months]


def halves(rows: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return two random halves of the rows."""
    order = np.random.default_rng(seed).permutation(len(rows))
    middle = len(rows) // 2
    return rows.iloc[order[:middle]], rows.iloc[order[middle:]]


def wave(rows: pd.DataFrame, is_new: "pd.Series[bool]", share: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return half of the rows as the reference, and a month from the other half to which new customers came.

    Args:
        rows: Rows of one month.
        is_new: Which rows are of the kind that comes.
        share: Share of the month that is drawn from that kind alone; the rest is drawn from all others.
        seed: Seed of the draws.
    """
    reference, others = halves(rows, seed)
    newcomers = others[is_new.loc[others.index]].sample(round(share * WAVE_CUSTOMERS_COUNT), random_state=seed)
    rest = others.drop(newcomers.index).sample(WAVE_CUSTOMERS_COUNT - len(newcomers), random_state=seed)
    return reference, pd.concat([rest, newcomers])


@dataclass(frozen=True)
class ReleasedMonth:
    """What one release predicted for one month, and the bundle that did it."""

    use_case: str
    month: date
    release: str
    bundle_dir: Path
    rows: pd.DataFrame

    @classmethod
    def of(cls, home: PlatformHome, use_case: str, month: date) -> "ReleasedMonth":
        """Read it from a home."""
        release = home.store.current_release(use_case)
        assert release is not None
        path = predictions_path(home.settings, use_case, month)
        return cls(
            use_case,
            month,
            release.name,
            home.store.bundle_dir(use_case, release.bundle_version),
            pd.read_parquet(path, partitioning=None),
        )

    def review(self, reference: pd.DataFrame, rows: pd.DataFrame) -> Verdict:
        """Review rows as the month against other rows as the reference, by the policy and in a folder of its own."""
        with TemporaryDirectory() as folder:
            bundle = Path(folder) / "bundle"
            shutil.copytree(self.bundle_dir, bundle)
            reference.to_parquet(bundle / "reference.parquet", index=False)
            batch = Path(folder) / "predictions" / f"as_of_month={self.month.isoformat()}"
            batch.mkdir(parents=True)
            rows.to_parquet(batch / "predictions.parquet", index=False)
            return review_month(
                self.use_case,
                self.month,
                predictions_dir=batch.parent,
                log_dir=Path(folder) / "log",
                bundle_dir=bundle,
                release=self.release,
                reports_dir=Path(folder) / "reports",
                with_report=False,
            )


@dataclass(frozen=True)
class FalseAlarms:
    """What reviews found between rows that differ by chance alone.

    Attributes:
        outcomes: Outcome of each review.
        columns_judged: Columns judged, over all reviews.
        columns_drifted: How many of them were called drifted.
        largest_score: Largest score of any column.
    """

    outcomes: tuple[Outcome, ...]
    columns_judged: int
    columns_drifted: int
    largest_score: float

    @classmethod
    def of(cls, verdicts: Sequence[Verdict]) -> "FalseAlarms":
        """Count them."""
        judged = [score for verdict in verdicts for score in verdict.columns if score.score is not None]
        return cls(
            tuple(verdict.outcome for verdict in verdicts),
            len(judged),
            sum(score.level != "quiet" for score in judged),
            max((score.score or 0.0 for score in judged), default=0.0),
        )


def false_alarms(month: ReleasedMonth, rows_count: int, seeds: Sequence[int] = HALVES_SEEDS) -> FalseAlarms:
    """Review random halves of a month against each other.

    Args:
        month: The month.
        rows_count: Customers in each half, at most half of those there are.
        seeds: One review each.
    """
    pairs = (halves(month.rows, seed) for seed in seeds)
    return FalseAlarms.of([month.review(then.head(rows_count), now.head(rows_count)) for then, now in pairs])


def verdict_lines(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Return a line of a table per verdict, and a line per finding."""
    for verdict in verdicts:
        score = "" if verdict.prediction_score is None else f"{verdict.prediction_score:.2f}"
        yield (
            f"{verdict.month:%Y-%m}  {verdict.outcome:16} prediction {score:5} "
            f"{verdict.columns_drifted} of {verdict.columns_judged} columns drifted, {verdict.rows_current:,} customers"
        )
        yield from (f"         {reason.severity:8} {reason.sentence_en}" for reason in verdict.reasons)


def drifted_months(verdicts: Sequence[Verdict]) -> Mapping[str, str]:
    """Return, by column that drifted in some month, the months with its scores."""
    cells = [
        (score.column, f"{verdict.month:%m} {score.score:.2f}")
        for verdict in verdicts
        for score in verdict.columns
        if score.level in ("drifted", "strong")
    ]
    grouped = itertools.groupby(sorted(cells), key=lambda cell: cell[0])
    return {column: ", ".join(text for _, text in members) for column, members in grouped}


def tell(title: str, verdicts: Sequence[Verdict]) -> None:
    """Print the verdicts and the columns behind them."""
    print(f"\n{title}")
    print("\n".join(verdict_lines(verdicts)))
    for column, months in drifted_months(verdicts).items():
        print(f"    {column:28} {months}")


def tell_false_alarms(month: ReleasedMonth, sizes: Sequence[int]) -> None:
    """Print the false alarms between random halves, by size."""
    print(f"\nRandom halves of {month.month:%Y-%m}, {len(HALVES_SEEDS)} draws each")
    for size in sizes:
        found = false_alarms(month, size)
        outcomes = ", ".join(f"{found.outcomes.count(outcome)} {outcome}" for outcome in sorted(set(found.outcomes)))
        print(
            f"    {size:6,} customers: {found.columns_drifted} of {found.columns_judged} columns drifted, "
            f"largest score {found.largest_score:.3f}; {outcomes}"
        )


def on_the_trials_price(month: ReleasedMonth, home: Path) -> Verdict:
    """Review the households on the trial's dynamic price of 2013 against those on the flat price, in one month."""
    rows = month.rows.merge(customer_attributes(home)[["customer_key", "tariff_group"]], on="customer_key")
    is_on_trial = rows.pop("tariff_group") == "ToU"
    return month.review(rows[~is_on_trial], rows[is_on_trial])


def study_london(public_data: Path, folder: Path) -> None:
    """Train on what was known, review what came, and what would have come with faults."""
    trained = PlatformHome(folder / "trained", {**settings_on_page(LONDON_PAGE, public_data), "review_months": 1})
    london_known_before(TRAINED_UNTIL, public_data, folder / "inbox")
    done = trained.choose(inbox=folder / "inbox").run()
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout[done.stdout.index("Kilowise:") :])
    real = trained.copy_to(folder / "real")
    tell("London as it was", land_and_review(real, public_data))
    december = ReleasedMonth.of(real, "segmentation", date(2013, 12, 1))
    tell_false_alarms(december, (300, 1_000, 1_700))
    tell("Households on the trial's price against those on the flat price", [on_the_trials_price(december, real.path)])
    for fault in FAULTS:
        faulty = trained.copy_to(folder / fault.replace(" ", "_"))
        london_with_fault(fault, public_data, folder / f"inbox_{fault.replace(' ', '_')}")
        verdicts = land_and_review(faulty, folder / f"inbox_{fault.replace(' ', '_')}")
        tell(f"London, {fault} of a fifth of the households from {FAULTY_SINCE:%B %Y}", verdicts)


def study_clients(public_data: Path, folder: Path) -> None:
    """Do the main job on the UCI clients; compare halves of September, and waves of clients with little credit."""
    home = PlatformHome(folder / "home", settings_on_page(CLIENTS_PAGE, public_data))
    if not home.path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        done = home.run()
        assert done.returncode == 0, done.stdout + done.stderr
    month = ReleasedMonth.of(home, "credit_risk", CLIENTS_MONTH)
    tell_false_alarms(month, (300, 1_000, 3_000, len(month.rows) // 2))
    is_new = month.rows["credit_limit_amount"] <= LOW_LIMIT_AMOUNT
    print(f"\n{is_new.mean():.1%} of the clients have a limit of at most {LOW_LIMIT_AMOUNT:,}")
    outcomes = current_marts(home.settings.marts_dir).read("customer_credit_outcomes")
    is_default = outcomes[outcomes["is_mature"]].set_index("customer_key")["is_default"].astype(float)
    for share in WAVE_SHARES:
        reference, rows = wave(month.rows, is_new, share, seed=1)
        tell(
            f"{share:.0%} of the month are newcomers of that kind: foretold {rows['default_probability'].mean():.1%}, "
            f"observed {is_default.loc[rows['customer_key']].mean():.1%}",
            [month.review(reference, rows)],
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one study and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", choices=("london", "clients"))
    parser.add_argument("public_data", type=Path, help="folder of the public data sets")
    parser.add_argument("folder", type=Path, help="folder for the homes that the study makes")
    options = parser.parse_args(arguments)
    studies = {"london": study_london, "clients": study_clients}
    studies[options.study](options.public_data.resolve(), options.folder.resolve())


if __name__ == "__main__":
    main()
