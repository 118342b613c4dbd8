"""What the forms refuse, each with the sentence that helps."""

from ml.errors import KilowiseError


class FormError(KilowiseError):
    """The chosen form of the platform cannot run as it is set up."""


class GroupMissingError(FormError):
    """The packages of the form are not installed."""


class UnreachableError(FormError):
    """A server that the form needs does not answer."""


class RightsError(FormError):
    """A server answers, but refuses what the platform must do there."""


class VersionError(FormError):
    """A server or a package is of a version that does not fit."""


class ClockError(FormError):
    """The clocks of two machines differ too much."""
