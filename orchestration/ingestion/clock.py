"""Local wall time to UTC, set-based: clock changes are found once per range, rows are shifted by plain arithmetic.

Per-row time zone functions cost more than everything else in the landing of a million readings, and they silently
move local times that never existed and pick one of two for those that existed twice. Here both are conditions of
their own.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_FIRST_YEAR, _LAST_YEAR = 1980, 2100


@dataclass(frozen=True, slots=True)
class ClockChange:
    """One change of the clock of a zone.

    Attributes:
        at: UTC instant of the change, without zone.
        before: Offset from UTC until then.
        after: Offset from UTC from then on.
    """

    at: datetime
    before: timedelta
    after: timedelta

    @property
    def repeats(self) -> bool:
        """Whether local times occur twice (clock set back) rather than never (clock set forward)."""
        return self.after < self.before

    @property
    def local_start(self) -> datetime:
        """First local time that occurs twice or never."""
        return self.at + min(self.before, self.after)

    @property
    def local_end(self) -> datetime:
        """First local time after it that is ordinary again."""
        return self.at + max(self.before, self.after)


@dataclass(frozen=True, slots=True)
class LocalClock:
    """The clock of a zone over a range of local times.

    Attributes:
        first_offset: Offset from UTC at the start of the range.
        changes: Clock changes in the range, in order of time.
    """

    first_offset: timedelta
    changes: tuple[ClockChange, ...]

    def utc_sql(self, local: str) -> str:
        """Return SQL for the UTC timestamp of a local timestamp; of two occurrences, the first."""
        if not self.changes:
            return f"({local} - {_interval(self.first_offset)})"
        branches = " ".join(
            f"when {local} < {_timestamp(change.at + change.before)} then {_interval(change.before)}"
            for change in self.changes
        )
        return f"({local} - case {branches} else {_interval(self.changes[-1].after)} end)"

    def never_sql(self, local: str) -> str:
        """Return an SQL condition for local times that the clock skipped."""
        return self._any_sql(local, repeats=False)

    def twice_sql(self, local: str) -> str:
        """Return an SQL condition for local times that occurred twice."""
        return self._any_sql(local, repeats=True)

    def _any_sql(self, local: str, *, repeats: bool) -> str:
        ranges = [
            f"({local} >= {_timestamp(change.local_start)} and {local} < {_timestamp(change.local_end)})"
            for change in self.changes
            if change.repeats == repeats
        ]
        return f"({' or '.join(ranges)})" if ranges else "false"

    @property
    def repeated(self) -> timedelta:
        """How far the second occurrence of a repeated local time lies behind the first."""
        return max((change.before - change.after for change in self.changes if change.repeats), default=timedelta(0))


@lru_cache(maxsize=256)
def local_clock(zone_name: str, first_local: datetime, last_local: datetime) -> LocalClock:
    """Return the clock of a zone for local times between two bounds.

    Args:
        zone_name: IANA name of the zone.
        first_local: Earliest local time, without zone; absurd years are clamped, not refused.
        last_local: Latest local time, without zone.
    """
    zone = ZoneInfo(zone_name)
    start = max(first_local, datetime(_FIRST_YEAR, 1, 1)).replace(minute=0, second=0, microsecond=0) - timedelta(days=2)
    end = min(last_local, datetime(_LAST_YEAR, 1, 1)) + timedelta(days=2)
    changes: list[ClockChange] = []
    moment, offset = start, _offset(zone, start)
    first_offset = offset
    while moment < end:
        following = moment + timedelta(days=1)
        if (following_offset := _offset(zone, following)) != offset:
            changes.append(ClockChange(_change_between(zone, moment, following), offset, following_offset))
        moment, offset = following, following_offset
    return LocalClock(first_offset, tuple(changes))


def _offset(zone: ZoneInfo, utc: datetime) -> timedelta:
    offset = utc.replace(tzinfo=UTC).astimezone(zone).utcoffset()
    return offset if offset is not None else timedelta(0)


def _change_between(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    before = _offset(zone, low)
    low_minute, high_minute = 0, int((high - low).total_seconds() // 60)
    while high_minute - low_minute > 1:
        middle = (low_minute + high_minute) // 2
        if _offset(zone, low + timedelta(minutes=middle)) == before:
            low_minute = middle
        else:
            high_minute = middle
    return low + timedelta(minutes=high_minute)


def _interval(offset: timedelta) -> str:
    return f"interval ({int(offset.total_seconds())}) second"


def _timestamp(moment: datetime) -> str:
    return f"timestamp '{moment:%Y-%m-%d %H:%M:%S}'"
