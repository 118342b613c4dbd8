"""Files that other processes read while we write, each visible whole by one rename, and what to say of a full disk."""

import uuid
from pathlib import Path

from ml.errors import KilowiseError

_DISK_FULL_WORDS = ("no space left", "disk quota exceeded", "file too large", "disk is full", "disk i/o error")


class DiskFullError(KilowiseError):
    """The disk took no more; the message says what to do."""


def replace_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` so that a reader sees the old or the new content, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def is_disk_full(message: str) -> bool:
    """Return whether an error's text, of whatever tool, says that the disk took no more."""
    return any(words in message.lower() for words in _DISK_FULL_WORDS)


def disk_full_sentence(home: Path) -> str:
    """Return what to do when the disk is full."""
    return (
        f"The disk of {home} took no more: free some space or set KILOWISE_HOME to a larger disk, and run again. "
        "What is visible is whole; the next run continues."
    )
