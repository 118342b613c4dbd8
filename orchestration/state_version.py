"""The version of a home's state: what wrote it, how an older one becomes today's, and why a newer one is refused.

A home carries the number of the form in which its files are written. A change that the code cannot read by itself
raises ``STATE_VERSION`` and adds a migration here. Migrations change or remove only what the next run makes anew, or
rewrite a file by one rename, so one that was interrupted is completed by the same command. No Dagster in here.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ml.errors import KilowiseError
from orchestration.files import replace_text
from orchestration.home_lock import only_main_run
from orchestration.settings import PlatformSettings

STATE_VERSION = 1
"""The form that this code writes. 0 stands for homes from before the number was kept."""

STATE_FILE = "state.json"

Say = Callable[[str], None]


class StateVersionError(KilowiseError):
    """The home was written in another form than this code can use."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step from a version of the state to the next.

    Attributes:
        makes: Version that the home has afterwards.
        does: What it does, in a sentence that the operator reads.
        apply: Does it; may be repeated after an interruption.
    """

    makes: int
    does: str
    apply: Callable[[PlatformSettings], None]


def read_state_version(home: Path) -> int | None:
    """Return the version of a home's state; None for a folder in which nothing was made yet.

    Raises:
        StateVersionError: The file with the number is damaged.
    """
    path = home / STATE_FILE
    try:
        return int(json.loads(path.read_bytes())["version"])
    except FileNotFoundError:
        # The lock files of a landing or a main job that had nothing to do are no state.
        return 0 if any((home / name).is_dir() for name in ("landing", "marts", "releases", "models")) else None
    except (ValueError, KeyError, TypeError) as error:
        raise StateVersionError(
            f"{path} does not say the version of the state; restore it from a backup, or write "
            f'{{"version": {STATE_VERSION}}} into it if this code made the home.'
        ) from error


def refuse_newer_state(home: Path) -> None:
    """Refuse a home that a newer Kilowise has written: this code could misread or destroy what it does not know.

    Raises:
        StateVersionError: The home is newer than the code.
    """
    found = read_state_version(home)
    if found is not None and found > STATE_VERSION:
        raise StateVersionError(
            f"{home} was written by a newer Kilowise (state {found}, this code knows {STATE_VERSION}): install that "
            "version again, or restore a backup from before the upgrade into another KILOWISE_HOME."
        )


def open_state(settings: PlatformSettings, say: Say) -> None:
    """Prepare a home for this code: number a new one, migrate an older one, refuse a newer one.

    Args:
        settings: Settings of the platform.
        say: Receives a sentence per step.

    Raises:
        StateVersionError: The home is newer than the code.
        MainRunBusyError: The main job is at work in the home.
    """
    refuse_newer_state(settings.home)
    found = read_state_version(settings.home)
    if found == STATE_VERSION:
        return
    settings.home.mkdir(parents=True, exist_ok=True)
    with only_main_run(settings.home):
        if found is not None:
            for migration in pending_migrations(found):
                say(f"State {migration.makes}: {migration.does}")
                migration.apply(settings)
                _write(settings.home, migration.makes)
        _write(settings.home, STATE_VERSION)


def pending_migrations(found: int) -> tuple[Migration, ...]:
    """Return the migrations that a state needs, in order."""
    return tuple(migration for migration in MIGRATIONS if migration.makes > found)


def served_releases(settings: PlatformSettings) -> Iterator[tuple[str, str | None, str]]:
    """Yield for each use case its current release, and why this code refuses to serve it; empty where it serves it.

    A use case without a release has None for its name.
    """
    from ml.columns import USE_CASES
    from serving.model_store import ModelStore

    store = ModelStore(settings.home)
    for use_case in USE_CASES:
        name = store.current_name(use_case)
        refusal = ""
        if name is not None:
            try:
                store.load(store.read_release(use_case, name))
            except KilowiseError as error:
                refusal = str(error)
        yield use_case, name, refusal


def migrate(settings: PlatformSettings, say: Say) -> int:
    """Bring a home to the form of this code and say which releases it still serves.

    Returns:
        0 when every use case that had a release is still served, 1 otherwise; the next run then makes a new one.
    """
    found = read_state_version(settings.home)
    if found is None:
        say(f"{settings.home} holds no state yet; `make run` makes it.")
        return 0
    open_state(settings, say)
    say(f"The state of {settings.home} has version {STATE_VERSION}" + (" already." if found == STATE_VERSION else "."))
    refused = 0
    for use_case, name, refusal in served_releases(settings):
        if refusal:
            refused += 1
            say(f"{use_case}: release {name} is refused by this version: {refusal}")
        elif name is not None:
            say(f"{use_case}: release {name} is served by this version.")
    if refused:
        say("`make run` trains anew and releases what passes its gate; until then the old version can go on serving.")
    return 1 if refused else 0


def _write(home: Path, number: int) -> None:
    try:
        written_by = version("kilowise")
    except PackageNotFoundError:
        written_by = "a clone"
    document: Mapping[str, object] = {
        "version": number,
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "written_by": written_by,
    }
    replace_text(home / STATE_FILE, json.dumps(document, indent=2))


def _forget_derived_tables(settings: PlatformSettings) -> None:
    """Remove what dbt keeps for its next start; the published marts stay and are read until the next are there."""
    for name in ("dbt_target", "first_stage_notes.json", "after_models_notes.json", "column_lineage.json"):
        path = settings.warehouse_path.with_name(name)
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        1,
        "what dbt remembers of earlier runs is forgotten, so that the next one builds and tests every table anew.",
        _forget_derived_tables,
    ),
)
"""Every step from the first state on; a new one is added at the end and never changed afterwards."""
