from datetime import UTC, datetime, timedelta

import pytest

from monitoring.pipeline_health import (
    HEALTH_NAME,
    PipelineHealth,
    PipelineHealthError,
    SourceFreshness,
    read_pipeline_health,
    write_pipeline_health,
)

OCTOBER = datetime(2026, 10, 2, tzinfo=UTC)


def monthly_bills(usual_gap_days: float | None = 30.0) -> SourceFreshness:
    return SourceFreshness(
        entity="bills",
        deliveries_count=2,
        last_known_at=OCTOBER,
        last_landed_at=OCTOBER,
        usual_gap_days=usual_gap_days,
    )


@pytest.mark.parametrize(("days", "state"), [(44, "fresh"), (46, "late")])
def test_a_monthly_source_may_slip_by_half_a_month_before_it_is_late(days, state) -> None:
    assert monthly_bills().state(OCTOBER + timedelta(days=days)) == state


def test_a_source_that_came_once_has_no_rhythm_and_is_never_late() -> None:
    assert monthly_bills(None).state(OCTOBER + timedelta(days=999)) == "no_rhythm"


def test_what_is_written_is_read_again(tmp_path) -> None:
    assert read_pipeline_health(tmp_path) is None
    health = PipelineHealth(collected_at=OCTOBER, sources=(monthly_bills(),))
    write_pipeline_health(health, tmp_path)
    assert read_pipeline_health(tmp_path) == health


def test_a_damaged_file_names_itself_and_the_remedy(tmp_path) -> None:
    (tmp_path / HEALTH_NAME).write_text('{"collected_at": ')
    with pytest.raises(PipelineHealthError, match=r"pipeline_health.json: not readable; materialise"):
        read_pipeline_health(tmp_path)
