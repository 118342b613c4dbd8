"""Errors that a person can act on: each message says what was found, what was expected and what to do next."""


class KilowiseError(Exception):
    """Base of every error that Kilowise raises on purpose."""


class InsufficientDataError(KilowiseError):
    """The data cannot support what was asked; the message says in words what is missing."""


class SchemaMismatchError(KilowiseError):
    """A table lacks a column, or holds a value, that its schema does not allow."""


class BundleError(KilowiseError):
    """A model bundle is incomplete, was altered, or was written by incompatible libraries."""


class OtherCodeError(BundleError):
    """A model bundle is whole, but was written by other code or libraries: what must be done is training again."""


class TariffError(KilowiseError):
    """A tariff says something that cannot be priced exactly; the message names the field."""
