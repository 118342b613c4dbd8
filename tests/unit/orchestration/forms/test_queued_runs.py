"""What is said when the queue of the server form takes no job."""

import socket
from pathlib import Path
from typing import Any, cast

import dagster as dg
import pytest
from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError

from orchestration.forms.errors import FormError, UnreachableError
from orchestration.forms.queued_runs import QueuedJobs, through_the_queue
from orchestration.forms.server import ServerSettings


class _ClientOfNobody:
    def submit_job_execution(self, *_arguments: object, **_options: object) -> str:
        cause = ConnectionError("Connection refused\nby nobody")
        raise DagsterGraphQLClientError("Exception occured during execution of query \n query { jobs }") from cause


def test_a_job_that_is_not_taken_is_told_in_one_line() -> None:
    client = cast("DagsterGraphQLClient", _ClientOfNobody())
    with dg.DagsterInstance.ephemeral() as instance:
        queue = QueuedJobs(client, instance, {}, lambda _sentence: None)
        with pytest.raises(FormError, match=r"did not take refresh_data \(Connection refused\)") as refusal:
            queue.run("refresh_data")

    assert "\n" not in str(refusal.value)


def test_a_web_server_that_does_not_answer_is_named_with_its_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    settings: dict[str, Any] = {"home": tmp_path, "webserver_url": f"http://127.0.0.1:{port}", "_env_file": None}

    with (
        pytest.raises(UnreachableError, match="KILOWISE_SERVER_WEBSERVER_URL"),
        through_the_queue(ServerSettings(**settings), {}, lambda _sentence: None),
    ):
        pytest.fail("it went on")
