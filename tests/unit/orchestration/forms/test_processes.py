"""What a process of the server form refuses before it becomes the program that it is for."""

from pathlib import Path

import pytest

from orchestration.forms.errors import FormError
from orchestration.forms.processes import enter_instance, work
from orchestration.forms.server import ServerSettings


def test_a_worker_of_a_queue_that_nobody_fills_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormError, match="There is no queue trainings; steps wait in: default, training, warehouse"):
        work(ServerSettings(home=tmp_path, _env_file=None), ["default", "trainings"], "worker")


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "No such file"), ("", "is no dagster.yaml"), (": [", "is no dagster.yaml"), ("runs: 3", "concurrency")],
)
def test_settings_of_an_instance_that_cannot_be_used_are_named_in_one_line(
    text: str | None, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "dagster.yaml"
    if text is not None:
        file.write_text(text)

    with pytest.raises(FormError, match=said) as refusal:
        enter_instance(ServerSettings(home=tmp_path, instance_file=file, _env_file=None))

    assert str(file) in str(refusal.value)
    assert "\n" not in str(refusal.value)
