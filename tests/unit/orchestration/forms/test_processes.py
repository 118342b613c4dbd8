"""What a process of the server form refuses before it becomes the program that it is for."""

import socket
from pathlib import Path

import pytest

from orchestration.forms.errors import FormError
from orchestration.forms.processes import become, enter_instance, work
from orchestration.forms.server import ServerSettings


def test_a_worker_of_a_queue_that_nobody_fills_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormError, match="There is no queue trainings; steps wait in: default, training, warehouse"):
        work(ServerSettings(home=tmp_path, _env_file=None), ["default", "trainings"], "worker")


def test_a_port_that_is_taken_is_named_with_its_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = ServerSettings(
            home=tmp_path, code_server_port=port, webserver_url=f"http://127.0.0.1:{port}", _env_file=None
        )
        for process, setting in (("code-server", "CODE_SERVER_PORT"), ("webserver", "WEBSERVER_URL")):
            with pytest.raises(FormError, match=f"Port {port}, .*KILOWISE_SERVER_{setting}"):
                become(process, server, lambda _program, _command: pytest.fail("it became the program"))


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
