"""Reviews on demand: any window of months, of all customers or of a class, a district or a segment.

Such a review is judged by the same policy as a month and stored beside the monthly ones, under
``reports/<use case>/on_demand/<name>/``. It is no row of the table of verdicts and tells nobody: it answers whoever
asked. The reference is cut to the same customers: by class, by district, and by segment. Segmentation knows the segment
of its reference's rows; for the other models a segment is its members in the window's last month, then and now.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ml.columns import CUSTOMER_CLASSES, CUSTOMER_KEY
from ml.errors import KilowiseError
from monitoring.policy import DriftPolicy, load_policy
from monitoring.sections import ReviewSlice
from monitoring.verdicts import Verdict, VerdictError, write_atomically

if TYPE_CHECKING:
    import polars as pl

    from monitoring.review import Surroundings

FOLDER = "on_demand"
LONGEST_WINDOW_MONTHS = 36
_SEGMENT_COLUMN = "segment_id"


class SliceError(KilowiseError):
    """A review on demand asks for a window or for customers that there are not."""


@dataclass(frozen=True)
class StoredSlice:
    """A review on demand that is kept.

    Attributes:
        directory: Its folder, with ``verdict.json`` and, if anything could be judged, ``report.html``.
        verdict: What it concluded; ``verdict.part`` says whom it is about.
    """

    directory: Path
    verdict: Verdict


def review_slice(
    use_case: str,
    part: ReviewSlice,
    *,
    predictions_dir: Path,
    log_dir: Path,
    bundle_dir: Path,
    release: str,
    reports_dir: Path,
    policy: DriftPolicy | None = None,
    surroundings: "Surroundings | None" = None,
    with_report: bool = True,
) -> Verdict:
    """Compare what a release predicted for a part of the customers with the same part of its reference.

    Args:
        use_case: Use case of the model.
        part: Months and customers.
        predictions_dir: Folder of the use case's batch predictions; those of segmentation lie beside it.
        log_dir: Folder of the use case's online log; it may be missing.
        bundle_dir: Folder of the released bundle.
        release: Name of the release.
        reports_dir: Folder of all reports.
        policy: Rules; None takes the version that is valid today.
        surroundings: What explains rows from outside of them, such as the weather.
        with_report: False leaves out Evidently's page.

    Returns:
        The verdict, stored under ``on_demand``. Too small a part is *not enough data*.

    Raises:
        SliceError: If the window is none, or class, district or segment is unknown.
        PolicyError: If there is no valid policy.
        ReferenceUnreadableError: If the bundle has no readable reference.
    """
    from monitoring.datasets import load_current, load_reference
    from monitoring.review import Evidence, judge

    _check_window(part)
    policy = policy or load_policy(use_case, datetime.now(UTC).date())
    # Outcomes are judged by month and group in the monthly review; a part would repeat a part of that.
    policy = policy.model_copy(update={"performance": None, "concept": None})
    reference_path = bundle_dir / "reference.parquet"
    _check_district(part, reference_path)
    only = _condition(use_case, part, predictions_dir, reference_path)
    current = load_current(
        use_case,
        part.last_month,
        first_month=part.first_month,
        predictions_dir=predictions_dir,
        log_dir=log_dir,
        release=release,
        sample=policy.sample,
        only=only,
    )
    reference = load_reference(use_case, bundle_dir, policy.sample, policy.reference, only)
    directory = reports_dir / use_case / FOLDER / slice_name(part)
    verdict = judge(
        current,
        reference,
        policy,
        month=part.last_month,
        release=release,
        bundle_dir=bundle_dir,
        evidence=Evidence(),
        surroundings=surroundings,
        reports_dir=reports_dir,
        page=directory / "report.html" if with_report else None,
        part=part,
    )
    if verdict.report_path is None:
        (directory / "report.html").unlink(missing_ok=True)
    write_atomically(directory / "verdict.json", verdict.model_dump_json(indent=1).encode())
    return verdict


def slice_name(part: ReviewSlice) -> str:
    """Return the folder name of a review on demand; parts that differ have names that differ."""
    named = [value for value in (part.customer_class, part.district, part.segment_id) if value]
    words = [re.sub(r"[^\w-]+", "-", value) for value in named]
    months = sorted({f"{part.first_month:%Y-%m}", f"{part.last_month:%Y-%m}"})
    # The same words can stand for a class and a district, and two districts can read alike as a folder.
    mark = hashlib.sha256(part.model_dump_json().encode()).hexdigest()[:6]
    return "_".join([*months, *(words or ["all"]), mark])


def read_slices(reports_dir: Path) -> list[StoredSlice]:
    """Return all reviews on demand that are kept, the newest first.

    Raises:
        VerdictError: If one is not readable.
    """
    found = []
    for path in reports_dir.glob(f"*/{FOLDER}/*/verdict.json"):
        try:
            found.append(StoredSlice(path.parent, Verdict.model_validate_json(path.read_bytes())))
        except ValidationError as error:
            raise VerdictError(f"{path}: not readable; review this part again or remove its folder: {error}") from error
    return sorted(found, key=lambda stored: stored.verdict.reviewed_at, reverse=True)


def _check_window(part: ReviewSlice) -> None:
    first, last = part.first_month, part.last_month
    if first.day != 1 or last.day != 1:
        raise SliceError(f"window {first} to {last}: give the first days of months, such as {last.replace(day=1)}")
    months = 12 * (last.year - first.year) + last.month - first.month + 1
    if not 1 <= months <= LONGEST_WINDOW_MONTHS:
        raise SliceError(
            f"window {first:%Y-%m} to {last:%Y-%m}: give 1 to {LONGEST_WINDOW_MONTHS} months, the earlier one first"
        )
    if part.customer_class is not None and part.customer_class not in CUSTOMER_CLASSES:
        raise SliceError(f"class {part.customer_class!r} is unknown; known are {', '.join(CUSTOMER_CLASSES)}")


def _check_district(part: ReviewSlice, reference_path: Path) -> None:
    import polars as pl

    if part.district is None or not reference_path.exists():
        return
    if "district" not in pl.read_parquet_schema(reference_path):
        raise SliceError(f"district {part.district!r}: the reference of the release names no districts; leave it out")
    known = pl.scan_parquet(reference_path).select(pl.col("district").cast(pl.String).unique()).collect()
    districts = sorted(known["district"].drop_nulls())
    if part.district not in districts:
        raise SliceError(f"district {part.district!r} is unknown to the release; known are {', '.join(districts)}")


def _condition(use_case: str, part: ReviewSlice, predictions_dir: Path, reference_path: Path) -> "pl.Expr | None":
    """Return the condition that holds for the rows of the part, in the predictions and in the reference."""
    import polars as pl

    conditions = []
    if part.customer_class is not None:
        conditions.append(pl.col("customer_class") == part.customer_class)
    if part.district is not None:
        conditions.append(pl.col("district") == part.district)
    if part.segment_id is not None and use_case == "segmentation":
        _check_segment(part.segment_id, pl.scan_parquet(reference_path))
        conditions.append(pl.col(_SEGMENT_COLUMN) == part.segment_id)
    elif part.segment_id is not None:
        folder = predictions_dir.with_name("segmentation") / f"as_of_month={part.last_month.isoformat()}"
        paths = sorted(folder.glob("*.parquet"))
        if not paths:
            raise SliceError(
                f"segment {part.segment_id!r}: segmentation has no predictions of {part.last_month:%Y-%m}; score that "
                "month, or choose another last month"
            )
        segments = pl.scan_parquet(paths, hive_partitioning=False)
        _check_segment(part.segment_id, segments)
        members = segments.filter(pl.col(_SEGMENT_COLUMN).cast(pl.String) == part.segment_id).select(CUSTOMER_KEY)
        conditions.append(pl.col(CUSTOMER_KEY).is_in(members.unique().collect()[CUSTOMER_KEY].to_list()))
    return pl.all_horizontal(conditions) if conditions else None


def _check_segment(segment_id: str, rows: "pl.LazyFrame") -> None:
    import polars as pl

    known = rows.select(pl.col(_SEGMENT_COLUMN).cast(pl.String).unique()).collect()[_SEGMENT_COLUMN].drop_nulls()
    if segment_id not in known:
        raise SliceError(f"segment {segment_id!r} is unknown; known are {', '.join(sorted(known))}")
