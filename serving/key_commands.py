"""``python -m serving keys``: the operator adds, lists, rotates and revokes API keys."""

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path

from serving.api_keys import SCOPES, Allowance, add_key, read_keys, revoke_keys, rotate_key

LONGEST_DAYS = 3_650


def add_keys_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its verbs to the command line."""
    keys = commands.add_parser("keys", help="add, list, rotate or revoke API keys")
    verbs = keys.add_subparsers(dest="verb", required=True)

    add = verbs.add_parser("add", help="give a caller a key; it is shown once")
    add.add_argument("name", help="caller, such as branch-office-north")
    add.add_argument("--scope", action="append", choices=SCOPES, required=True, help="what it may ask; repeatable")
    add.add_argument("--per-second", type=float, default=50, help="requests a second that may last (%(default)s)")
    add.add_argument("--burst", type=int, default=100, help="requests that may come at once (%(default)s)")
    add.add_argument("--per-day", type=int, default=200_000, help="customers a day, 0 for no limit (%(default)s)")
    add.add_argument("--expires-days", type=_days, help="days after which the key expires; default never")

    verbs.add_parser("list", help="show callers with scopes, limits and states; no key can be shown again")

    rotate = verbs.add_parser("rotate", help="give a caller a new key and let the old one run out")
    rotate.add_argument("name")
    rotate.add_argument("--overlap-hours", type=_hours, default=24.0, help="how long the old key works (%(default)g)")

    revoke = verbs.add_parser("revoke", help="shut out a caller, or one of its keys, within a second")
    revoke.add_argument("name_or_key_id")


def run_keys_command(options: argparse.Namespace, path: Path, *, now: datetime | None = None) -> list[str]:
    """Run one verb on a key file and return what to tell the operator.

    Raises:
        ApiKeyError: The file or the request cannot be used.
    """
    now = now or datetime.now(UTC)
    if options.verb == "add":
        key = add_key(
            path,
            options.name,
            options.scope,
            now=now,
            allowance=Allowance(options.per_second, options.burst, options.per_day or None),
            expires_at=None if options.expires_days is None else now + timedelta(days=options.expires_days),
        )
        return _shown_once(key, options.name, path)
    if options.verb == "rotate":
        key = rotate_key(path, options.name, now=now, overlap=timedelta(hours=options.overlap_hours))
        return [
            *_shown_once(key, options.name, path),
            f"the old key works for {options.overlap_hours:g} hours more",
        ]
    if options.verb == "revoke":
        count = revoke_keys(path, options.name_or_key_id, now=now)
        return [f"{count} key(s) revoked; running servers refuse them within a second"]
    return _table(path, now)


def _shown_once(key: str, name: str, path: Path) -> list[str]:
    return [
        f"key of {name}, shown once: {key}",
        f"its SHA-256 is in {path}; running servers take it up within a second",
    ]


def _table(path: Path, now: datetime) -> list[str]:
    rows = [("name", "key id", "state", "expires", "per second", "burst", "per day", "scopes")]
    rows += [
        (
            key.name,
            key.key_id,
            key.state(now),
            "never" if key.expires_at is None else key.expires_at.astimezone(UTC).strftime("%Y-%m-%d %H:%MZ"),
            f"{key.requests_per_second:g}",
            str(key.burst_count),
            "unlimited" if key.quota_per_day is None else str(key.quota_per_day),
            " ".join(key.scopes),
        )
        for key in read_keys(path)
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _days(text: str) -> float:
    return _bounded(text, LONGEST_DAYS)


def _hours(text: str) -> float:
    return _bounded(text, LONGEST_DAYS * 24)


def _bounded(text: str, largest: float) -> float:
    number = float(text)
    if not 0 <= number <= largest:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {largest:g}")
    return number
