"""The catalogue: the tariffs on offer, by id and date. Built-in tariffs are the YAML files beside this module."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from ml.errors import TariffError
from ml.tariffs.eligibility import CustomerFacts, ineligibility_reasons
from ml.tariffs.refusals import prefixed
from ml.tariffs.schema import Tariff, load_tariff, read_document
from ml.tariffs.urdb import is_urdb, load_urdb

_BUILT_IN = Path(__file__).parent


@dataclass(frozen=True)
class Catalogue:
    """Tariffs whose versions do not overlap, ordered by id and validity."""

    tariffs: tuple[Tariff, ...]

    @classmethod
    def of(cls, tariffs: Iterable[Tariff]) -> Self:
        """Collect tariffs; refuse two versions of one tariff that have one name or are valid on the same day."""
        ordered = sorted(tariffs, key=lambda tariff: (tariff.tariff_id, tariff.valid_from))
        named: dict[tuple[str, str], Tariff] = {}
        for tariff in ordered:
            other = named.setdefault((tariff.tariff_id, tariff.version), tariff)
            if other is not tariff:
                raise TariffError(
                    f"{tariff.tariff_id}: version {tariff.version} stands twice, from {other.valid_from} and from "
                    f"{tariff.valid_from}; give one of them another version"
                )
        for earlier, later in pairwise(ordered):
            if earlier.tariff_id == later.tariff_id and (
                earlier.valid_to is None or later.valid_from <= earlier.valid_to
            ):
                raise TariffError(
                    f"{later.tariff_id}: version {later.version} starts on {later.valid_from} while version "
                    f"{earlier.version} is still valid; end that with valid_to or remove one"
                )
        return cls(tuple(ordered))

    def get(self, tariff_id: str, on_date: date | None = None) -> Tariff:
        """Return the version that is valid on a day, or the latest."""
        versions = [tariff for tariff in self.tariffs if tariff.tariff_id == tariff_id]
        if not versions:
            known = ", ".join(dict.fromkeys(tariff.tariff_id for tariff in self.tariffs))
            raise TariffError(f"no tariff `{tariff_id}` in the catalogue; it holds {known or 'none'}")
        if on_date is None:
            return versions[-1]
        for tariff in versions:
            if tariff.is_valid_on(on_date):
                return tariff
        raise TariffError(f"{tariff_id}: no version is valid on {on_date}")

    def valid_on(self, on_date: date) -> list[Tariff]:
        """Return the tariffs that are valid on a day."""
        return [tariff for tariff in self.tariffs if tariff.is_valid_on(on_date)]

    def eligible(self, customer: CustomerFacts, on_date: date) -> list[Tariff]:
        """Return the tariffs that a customer may take on a day."""
        return [tariff for tariff in self.valid_on(on_date) if not ineligibility_reasons(tariff, customer)]


def load_catalogue(paths: Sequence[Path] = (), *, built_in: bool = True) -> Catalogue:
    """Load the built-in tariffs and those of further files.

    Args:
        paths: YAML or JSON files with one tariff, a list of tariffs, or a mapping with a list ``tariffs``; or JSON
            files of URDB rates. A folder stands for the files in it.
        built_in: Whether to start from the built-in tariffs. A tariff_id of a file replaces the built-in one.
    """
    own = [tariff for path in paths for tariff in _read_path(path)]
    own_ids = {tariff.tariff_id for tariff in own}
    kept = [tariff for tariff in _built_in_tariffs() if tariff.tariff_id not in own_ids] if built_in else []
    return Catalogue.of([*kept, *own])


@cache
def _built_in_tariffs() -> tuple[Tariff, ...]:
    return tuple(_read_path(_BUILT_IN))


def _read_path(path: Path) -> list[Tariff]:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in {".yaml", ".yml", ".json"})
    else:
        files = [path]
    return [tariff for file in files for tariff in _read_file(file)]


def _read_file(path: Path) -> list[Tariff]:
    document: Any = read_document(path)
    if is_urdb(document):
        return _read_urdb(document, path.name)
    if isinstance(document, Mapping) and "tariffs" in document:
        document = document["tariffs"]
    records = document if isinstance(document, list) else [document]
    tariffs, refusals = [], []
    for index, record in enumerate(records):
        try:
            tariffs.append(load_tariff(record))
        except TariffError as error:
            has_name = record is document or (isinstance(record, Mapping) and "tariff_id" in record)
            refusals.append(prefixed(str(error), path.name, *([] if has_name else [f"item {index}"])))
    if refusals:
        raise TariffError("\n".join(refusals))
    return tariffs


def _read_urdb(document: Any, label: str) -> list[Tariff]:
    imports = load_urdb(document)
    refused = [
        f"{label}: {found.report.label} ({found.report.name}): {finding.field}: {finding.reason}"
        for found in imports
        for finding in found.report.refusals
    ]
    if refused:
        remedy = "take these rates out of the file, or load it with load_urdb and UrdbRules.leave_out"
        raise TariffError("\n".join([*refused, remedy]))
    return [found.tariff for found in imports if found.tariff is not None]
