"""The asset graph as a text that a person reviews in a diff."""

from collections.abc import Iterable, Iterator

import dagster as dg
from dagster import AssetCheckKey, AssetKey


def graph_text(definitions: dg.Definitions) -> str:
    """Return everything that an operator meets in the UI: assets, checks, jobs, schedules, sensors."""
    sections = (_assets(definitions), _jobs(definitions), _schedules(definitions), _sensors(definitions))
    return "\n".join(line for section in sections for line in section)


def _assets(definitions: dg.Definitions) -> Iterator[str]:
    graph = definitions.resolve_asset_graph()
    for key in sorted(graph.get_all_asset_keys(), key=AssetKey.to_user_string):
        node = graph.get(key)
        yield f"asset {key.to_user_string()}"
        yield f"  group {node.group_name}, {', '.join(node.owners)}, {', '.join(sorted(node.kinds))}"
        if node.is_external:
            yield "  observed only: another process writes it"
        if node.partitions_def is not None:
            scheme = type(node.partitions_def).__name__.removesuffix("PartitionsDefinition").lower()
            policy = node.backfill_policy
            in_one_run = policy is not None and policy.max_partitions_per_run is None
            yield f"  partitioned: {scheme}{', a range in one run' if in_one_run else ''}"
        if node.pools:
            yield f"  pool {', '.join(sorted(node.pools))}"
        if node.automation_condition is not None:
            yield f"  automation: {node.automation_condition.get_label() or type(node.automation_condition).__name__}"
        yield from (f"  after {parent}" for parent in _names(node.parent_keys))
        yield from (f"  check {check}" for check in _checks(definitions, node.check_keys))
        yield ""


def _checks(definitions: dg.Definitions, keys: Iterable[AssetCheckKey]) -> Iterator[str]:
    graph = definitions.resolve_asset_graph()
    for key in sorted(keys, key=lambda key: key.name):
        yield f"{key.name}{' (blocking)' if graph.get_check_spec(key).blocking else ''}"


def _jobs(definitions: dg.Definitions) -> Iterator[str]:
    repository = definitions.get_repository_def()
    for job in sorted(repository.get_all_jobs(), key=lambda job: job.name):
        # Dagster's own job over all assets is no choice of ours.
        if job.name.startswith("__"):
            continue
        yield f"job {job.name}"
        selected = sorted(key.to_user_string() for key in job.asset_layer.selected_asset_keys)
        whole_layers = {name.split("/")[0] for name in selected}
        for layer in sorted(whole_layers):
            members = [name.removeprefix(f"{layer}/") for name in selected if name.startswith(f"{layer}/")]
            yield f"  {layer}: {', '.join(members)}"
        yield from sorted(f"  op {node.name}" for node in job.nodes if not selected)
        yield ""


def _schedules(definitions: dg.Definitions) -> Iterator[str]:
    for schedule in sorted(definitions.get_repository_def().schedule_defs, key=lambda schedule: schedule.name):
        yield f"schedule {schedule.name}"
        yield f"  {schedule.cron_schedule} {schedule.execution_timezone}, {schedule.default_status.value}"
        yield f"  starts {schedule.job_name}"
        yield ""


def _sensors(definitions: dg.Definitions) -> Iterator[str]:
    for sensor in sorted(definitions.get_repository_def().sensor_defs, key=lambda sensor: sensor.name):
        yield f"sensor {sensor.name}"
        yield f"  every {sensor.minimum_interval_seconds} s, {sensor.default_status.value}"
        if sensor.targets:
            yield f"  starts {', '.join(target.job_name for target in sensor.targets)}"
        yield ""


def _names(keys: Iterable[AssetKey]) -> list[str]:
    return sorted(key.to_user_string() for key in keys)
