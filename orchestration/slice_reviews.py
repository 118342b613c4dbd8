"""Reviews on demand for the platform: finds what is released, has the part judged, and renews the site. No Dagster."""

from datetime import date
from typing import TYPE_CHECKING

from ml.columns import USE_CASES
from ml.errors import KilowiseError
from orchestration.settings import PlatformSettings
from orchestration.surroundings import published_surroundings

if TYPE_CHECKING:
    from monitoring.verdicts import Verdict


class NothingReleasedError(KilowiseError):
    """A part of a model's customers is to be reviewed, and no model is released."""


def review_part(
    settings: PlatformSettings,
    use_case: str,
    *,
    month: str,
    since: str = "",
    customer_class: str = "",
    district: str = "",
    segment_id: str = "",
) -> "Verdict":
    """Review a window of months, of all customers or a part of them, and show it on the site.

    Args:
        settings: Settings of the platform.
        use_case: Use case of the model.
        month: The as-of month, or the last of a window, such as 2026-09.
        since: First month of a window; empty for one month.
        customer_class: Only customers of this class; empty for all.
        district: Only customers of this district; empty for all.
        segment_id: Only customers of this segment; empty for all.

    Raises:
        KilowiseError: If the use case, the window or the part is unknown, or nothing is released.
    """
    from monitoring.sections import ReviewSlice
    from monitoring.site import build_site
    from monitoring.slices import review_slice
    from serving.model_store import ModelStore

    if use_case not in USE_CASES:
        raise KilowiseError(f"unknown use case {use_case!r}; known are {', '.join(USE_CASES)}")
    part = ReviewSlice(
        first_month=_month(since or month),
        last_month=_month(month),
        customer_class=customer_class or None,
        district=district or None,
        segment_id=segment_id or None,
    )
    store = ModelStore(settings.home)
    release = store.current_release(use_case)
    if release is None:
        raise NothingReleasedError(f"no model of {use_case} is released; train and release one first")
    verdict = review_slice(
        use_case,
        part,
        predictions_dir=settings.predictions_dir / "batch" / use_case,
        log_dir=settings.predictions_dir / "log" / use_case,
        bundle_dir=store.bundle_dir(use_case, release.bundle_version),
        release=release.name,
        reports_dir=settings.reports_dir,
        surroundings=published_surroundings(settings),
    )
    build_site(settings.home, settings.service_targets)
    return verdict


def _month(text: str) -> date:
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        raise KilowiseError(f"{text!r} is no month; write it as 2026-09") from None
