"""`python -m benchmarks [--only ID]`: measure, print the table and keep the results."""

import argparse
import sys

# Importing registers their figures.
from benchmarks import (  # noqa: F401
    bills,
    drift,
    drills,
    fault_drills,
    http,
    load_cube,
    main_job,
    parity,
    raw_data,
    scale,
    segmentation,
    server_form,
    suite,
)
from benchmarks.harness import meets_bar, run_benchmarks


def main() -> int:
    """Run the chosen benchmarks and print one line per figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="id of one figure")
    arguments = parser.parse_args()
    try:
        results = run_benchmarks(arguments.only)
    except KeyError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    print(f"{'figure':28} {'value':>12} {'unit':6} {'bar':>8}  peer")
    for result in results:
        peer = "" if result["peer"] is None else f"{result['peer']}: {result['peer_value']} (ratio {result['ratio']})"
        mark = "ok" if meets_bar(result) else "below the bar"
        print(f"{result['id']:28} {result['value']:>12} {result['unit']:6} {result['bar']:>8}  {peer}  {mark}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
