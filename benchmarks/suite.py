"""How long the whole test suite takes, environment ready."""

import os
from collections.abc import Sequence

from benchmarks.harness import PROJECT_ROOT, Figure, Measurement, benchmark, run_measured


@benchmark(Figure("test_suite_seconds", unit="s", bar=600, better="lower"))
def suite() -> Sequence[Measurement]:
    """Time ``make test``.

    Raises:
        RuntimeError: If the suite does not pass; the time of a failing suite says nothing.
    """
    run = run_measured(["make", "test"], cwd=PROJECT_ROOT, env=dict(os.environ))
    if run.return_code != 0:
        raise RuntimeError(f"make test failed:\n{run.output[-4000:]}")
    return [Measurement("test_suite_seconds", run.seconds)]
