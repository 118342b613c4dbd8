"""Random streams named by what they are for, so that one part's draws never shift another's."""

import zlib

import numpy as np


def stream(seed: int, *labels: str | int) -> np.random.Generator:
    """Return a generator for one purpose, such as ``stream(seed, "load", month_index, chunk_index)``.

    Equal labels give equal draws whatever else was drawn before, which keeps a month's bytes independent of how
    many months, threads or scenarios surround it.
    """
    entropy = [seed, *(zlib.crc32(str(label).encode()) for label in labels)]
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(entropy)))
