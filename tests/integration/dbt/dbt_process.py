"""dbt in a process that has it loaded already: loading takes longer than most runs on a small landing."""

import os
import sys
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path

from orchestration.parsed_dbt import main

# Children are forked from a server that has imported this module and done nothing else.
_context = get_context("forkserver")
_context.set_forkserver_preload([__name__])


def run_dbt(arguments: Sequence[str], warehouse: Path, output: Path) -> int:
    """Run dbt as the platform does and return its exit code; what it says is in a file."""
    process = _context.Process(target=_run, args=(arguments, warehouse, output))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _run(arguments: Sequence[str], warehouse: Path, output: Path) -> None:
    with output.open("w") as stream:
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)
    os.environ["KILOWISE_WAREHOUSE_PATH"] = str(warehouse)
    sys.exit(main(arguments))
