"""Commands whose reader leaves, as `| head` does: no traceback, and the status of the work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]


def left_alone(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command that writes to a pipe which nobody reads any more."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=REPOSITORY,
            env={**os.environ, "KILOWISE_HOME": str(home)},
            stdout=write_end,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(write_end)


def test_what_follows_the_last_sentence_that_was_read_is_still_done(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from serving.terminal import say\n"
        "say('one'); say('two'); Path(sys.argv[1]).touch(); sys.exit(3)"
    )

    ended = left_alone(tmp_path, "-c", script, str(tmp_path / "done"))

    assert (ended.returncode, ended.stderr) == (3, "")
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("orchestration", "trial", "status"),
        ("serving", "keys", "add", "desk", "--scope", "admin"),
    ],
    ids=" ".join,
)
def test_commands_end_well_without_a_reader(arguments: tuple[str, ...], tmp_path: Path) -> None:
    ended = left_alone(tmp_path, "-m", *arguments)

    assert (ended.returncode, ended.stderr) == (0, "")
