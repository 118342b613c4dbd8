import pytest

for package in ("dagster_celery", "dagster_postgres", "psycopg2"):
    pytest.importorskip(package, reason="the group server is not installed: make env-server")

from orchestration.forms.drills.commands import chosen  # noqa: E402
from orchestration.forms.drills.faults import DRILLS  # noqa: E402
from orchestration.forms.drills.scratch import DrillError  # noqa: E402


def test_all_drills_are_done_when_none_is_named() -> None:
    assert list(chosen([])) == list(DRILLS)


def test_named_drills_are_done_in_the_order_of_their_names() -> None:
    assert [drill.name for drill in chosen(["redis", "worker"])] == ["redis", "worker"]


def test_a_name_that_is_none_is_refused_with_those_that_are() -> None:
    with pytest.raises(DrillError, match="no drill 'flood'; there are: undisturbed, worker"):
        chosen(["flood"])
