"""What commands say on the terminal."""

import os
import sys


def say(sentence: str) -> None:
    """Print a sentence at once.

    Who reads no more, as ``| head`` after its lines, is told nothing further; the work goes on to its end.
    """
    try:
        print(sentence, flush=True)  # noqa: T201  # commands print
    except BrokenPipeError:
        # The interpreter writes out what is left when it ends, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
