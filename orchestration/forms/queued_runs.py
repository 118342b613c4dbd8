"""Jobs through the queue of the server form: submitted to the web server, done by workers, waited for here."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

import dagster as dg
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG
from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError

from orchestration.forms.errors import FormError, UnreachableError
from orchestration.forms.job_runs import JobOutcome, JobRunner, refusals
from orchestration.forms.processes import answers
from orchestration.forms.server import ServerSettings
from orchestration.progress import failure_sentence

_LOOK_SECONDS = 1.0
_RETRY_SECONDS = 180.0
_SHOWN = {
    dg.DagsterEventType.STEP_START: "> {step}",
    dg.DagsterEventType.STEP_FAILURE: "! {step} {failure}",
    dg.DagsterEventType.STEP_UP_FOR_RETRY: "  {step} is tried again",
    dg.DagsterEventType.STEP_SKIPPED: "- {step} skipped",
    dg.DagsterEventType.STEP_SUCCESS: "  {step} done",
}


class QueuedJobs:
    """Submits jobs, waits for them, and follows the retries that the daemon makes of runs whose process died.

    Args:
        client: Connection to the web server.
        instance: Instance of the server form.
        tags: Tags of every run.
        say: Told of steps as they begin and end.
    """

    def __init__(
        self,
        client: DagsterGraphQLClient,
        instance: dg.DagsterInstance,
        tags: Mapping[str, str],
        say: Callable[[str], None],
    ) -> None:
        self._client, self._instance, self._tags, self._say = client, instance, tags, say

    def run(
        self,
        job_name: str,
        *,
        tags: Mapping[str, str] | None = None,
        asset_selection: Sequence[dg.AssetKey] | None = None,
    ) -> JobOutcome:
        """Submit a job and wait for its end."""
        try:
            run_id = self._client.submit_job_execution(
                job_name,
                tags={**self._tags, **(tags or {})},
                asset_selection=list(asset_selection) if asset_selection is not None else None,
            )
        except DagsterGraphQLClientError as error:
            raise FormError(
                f"Dagster's web server did not take {job_name} ({_reason(error)}): are web server, code server and "
                "daemon at work (`make server-status`; their logs are named there)?"
            ) from error
        self._say(f"{job_name}: run {run_id} waits in the queue.")
        runs = [self._end_of(run_id)]
        while (retried := self._retry_of(runs[-1])) is not None:
            self._say(f"{job_name}: the process of the run died; run {retried} goes on with what is left.")
            runs.append(self._end_of(retried))
        last = runs[-1]
        failed = {
            record.event_log_entry.step_key: None
            for record in self._records(last.run_id, dg.DagsterEventType.STEP_FAILURE)
            if record.event_log_entry.step_key
        }
        data = (
            record.event_log_entry.dagster_event.event_specific_data
            for run in runs
            for record in self._records(run.run_id, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
            if record.event_log_entry.dagster_event is not None
        )
        evaluations = [entry for entry in data if isinstance(entry, dg.AssetCheckEvaluation)]
        is_success = last.status == dg.DagsterRunStatus.SUCCESS
        steps = tuple(failed) or (() if is_success else (f"run {last.run_id} ({last.status.value.lower()})",))
        return JobOutcome(is_success, steps, refusals(evaluations))

    def _records(self, run_id: str, kind: dg.DagsterEventType) -> Sequence[dg.EventLogRecord]:
        return self._instance.get_records_for_run(run_id, of_type=kind).records

    def _end_of(self, run_id: str) -> dg.DagsterRun:
        cursor: str | None = None
        while True:
            run = self._instance.get_run_by_id(run_id)
            if run is None:
                raise FormError(f"The run {run_id} is gone from Dagster's database: somebody deleted it.")
            # Asked for after the status, so that nothing is missing at the end.
            found = self._instance.get_records_for_run(run_id, cursor=cursor, of_type=set(_SHOWN), ascending=True)
            cursor = found.cursor
            for record in found.records:
                self._show(record.event_log_entry)
            if run.is_finished:
                return run
            time.sleep(_LOOK_SECONDS)

    def _show(self, entry: dg.EventLogEntry) -> None:
        event = entry.dagster_event
        if event is None or event.step_key is None:
            return
        failure = failure_sentence(event) if event.event_type is dg.DagsterEventType.STEP_FAILURE else ""
        self._say(_SHOWN[event.event_type].format(step=event.step_key.replace("__", "/"), failure=failure))

    def _retry_of(self, run: dg.DagsterRun) -> str | None:
        """Return the run that the daemon made of one whose process died; wait for it if it is promised."""
        end = time.monotonic() + _RETRY_SECONDS
        while time.monotonic() < end:
            current = self._instance.get_run_by_id(run.run_id) or run
            if AUTO_RETRY_RUN_ID_TAG in current.tags:
                return current.tags[AUTO_RETRY_RUN_ID_TAG]
            if current.tags.get(WILL_RETRY_TAG) != "true":
                return None
            time.sleep(_LOOK_SECONDS)
        return None


def _reason(error: DagsterGraphQLClientError) -> str:
    """Return what lies beneath an error in one line: its own text repeats the whole query."""
    return str(error.__cause__ or error).strip().partition("\n")[0].rstrip(" .:")


@contextmanager
def through_the_queue(
    server: ServerSettings, tags: Mapping[str, str], say: Callable[[str], None]
) -> Iterator[JobRunner]:
    """Yield what runs jobs through the queue.

    Raises:
        FormError: If the web server does not answer, or an earlier main job is still at work.
    """
    address = urlsplit(server.webserver_url)
    if not address.hostname:
        raise FormError("KILOWISE_SERVER_WEBSERVER_URL must look like http://127.0.0.1:3000.")
    is_https = address.scheme == "https"
    if not answers(address.hostname, address.port or (443 if is_https else 80)):
        raise UnreachableError(
            f"Dagster's web server does not answer at {server.webserver_url} (KILOWISE_SERVER_WEBSERVER_URL): start "
            "the platform (`make server-up` on one machine), then run this again."
        )
    client = DagsterGraphQLClient(address.hostname, port_number=address.port, use_https=is_https)
    with dg.DagsterInstance.get() as instance:
        statuses = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
        at_work = instance.get_runs(dg.RunsFilter(tags=dict(tags), statuses=statuses), limit=1)
        if at_work:
            raise FormError(
                f"The main job is already at work in run {at_work[0].run_id}, {server.webserver_url}/runs/"
                f"{at_work[0].run_id}: wait until it has finished, or end it there."
            )
        yield QueuedJobs(client, instance, tags, say)
