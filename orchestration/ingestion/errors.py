"""Errors of the ingestion that a person can act on."""

from ml.errors import KilowiseError


class MappingError(KilowiseError):
    """A mapping file says something that the landing contract does not allow; the message names the YAML path."""


class UnreadableFileError(KilowiseError):
    """One file cannot be read at all; the message names it and what to do, and the other files still load."""


class ReconciliationError(KilowiseError):
    """Rows in differ from rows loaded, duplicate and quarantined: a defect of the landing, nothing is published."""


class DiskFullError(KilowiseError):
    """The disk took no more; nothing of the delivery is visible and the next run repeats it."""


class LandingLockedError(KilowiseError):
    """Another process is landing into the same folder."""


class PseudonymKeyError(KilowiseError):
    """The key that pseudonyms are made with is missing, too short, or the development key outside development."""
