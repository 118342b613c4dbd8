"""``python -m monitoring review``: a review on demand of any window, class, district or segment."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ml.columns import USE_CASES
from monitoring.sections import ReviewSlice
from monitoring.slices import SliceError, review_slice


@dataclass(frozen=True)
class ReleasedModel:
    """What is served of a use case.

    Attributes:
        release: Name of the release.
        bundle_dir: Folder of its bundle in the model store.
    """

    release: str
    bundle_dir: Path


def add_commands(commands: Any) -> None:
    """Add the command to the subparsers of the command line; it sets ``run`` to what it does and says."""
    text = "judge any window of months, of all customers or a part of them, against the released model's reference"
    command = commands.add_parser("review", help=text, description=text)
    command.add_argument("use_case", choices=USE_CASES, metavar="MODEL", help=" | ".join(USE_CASES))
    command.add_argument("--month", required=True, type=_month, help="the month, or the last of a window: 2026-09")
    command.add_argument("--since", type=_month, help="first month of a window: 2026-07")
    command.add_argument("--class", dest="customer_class", help="only customers of this class, such as residential")
    command.add_argument("--district", help="only customers of this district")
    command.add_argument("--segment", help="only customers of this segment, such as R3")
    command.set_defaults(run=_review)


def released_model(home: Path, use_case: str) -> ReleasedModel:
    """Find what is served of a use case.

    Raises:
        SliceError: If nothing is released.
    """
    folder = home / "releases" / use_case
    pointer = folder / "CURRENT"
    if not pointer.exists():
        raise SliceError(f"{use_case} has no release in {home}; train and release it first, or pass --home")
    release = pointer.read_text(encoding="utf-8").strip()
    version = json.loads((folder / release / "release.json").read_bytes())["bundle_version"]
    return ReleasedModel(release, home / "models" / "models" / use_case / version / "bundle")


def _month(text: str) -> date:
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no month; write it as 2026-09") from None


def _review(options: argparse.Namespace, home: Path) -> Iterator[str]:
    part = ReviewSlice(
        first_month=options.since or options.month,
        last_month=options.month,
        customer_class=options.customer_class,
        district=options.district,
        segment_id=options.segment,
    )
    model = released_model(home, options.use_case)
    predictions = home / "predictions"
    verdict = review_slice(
        options.use_case,
        part,
        predictions_dir=predictions / "batch" / options.use_case,
        log_dir=predictions / "log" / options.use_case,
        bundle_dir=model.bundle_dir,
        release=model.release,
        reports_dir=home / "reports",
    )
    yield f"{part.sentence()}: {verdict.sentence()}"
    yield from (f"- {reason.sentence_en}" for reason in verdict.reasons[1:])
    if verdict.report_path:
        yield f"Evidently's report: {home / 'reports' / verdict.report_path}"
