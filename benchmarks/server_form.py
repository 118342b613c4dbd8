"""The main job in the server form, beside the same job in one process: what queue and workers cost and save."""

from collections.abc import Sequence

from benchmarks.forms import CUSTOMERS, folder_for_homes, main_job
from benchmarks.harness import Figure, Measurement, benchmark
from orchestration.marts import current_marts


@benchmark(Figure("server_main_job_seconds", unit="s", bar=300, better="lower"))
def server_main_job() -> Sequence[Measurement]:
    """Run the main job of a small supplier in both forms; the marts must be equal.

    Start and end of the servers are not measured.
    """
    with folder_for_homes() as root:
        alone = main_job(root / "embedded", "embedded")
        on_workers = main_job(root / "server", "server")
        marts = [current_marts(root / home / "marts").fingerprints for home in ("embedded", "server")]
    if marts[0] != marts[1]:
        raise RuntimeError("The marts of the two forms differ.")
    return [
        Measurement(
            "server_main_job_seconds",
            on_workers.seconds,
            rows=CUSTOMERS,
            peer="the same main job in one process",
            peer_value=alone.seconds,
            ratio=on_workers.seconds / alone.seconds,
        )
    ]
