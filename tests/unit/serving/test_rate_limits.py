import math
import multiprocessing
import os
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving import rate_limits
from serving.api_keys import Allowance
from serving.rate_limits import (
    CALLERS_CAPACITY,
    SECONDS_PER_DAY,
    ClientLimits,
    SharedUsage,
    is_from_outside,
    limited_network,
    logged_network,
    spend,
)

NOON = 20_000 * SECONDS_PER_DAY + SECONDS_PER_DAY // 2


@dataclass
class Clock:
    """A clock that a test turns by hand."""

    monotonic_seconds: float = 1_000.0
    wall_seconds: float = float(NOON)

    def wait(self, seconds: float) -> None:
        self.monotonic_seconds += seconds
        self.wall_seconds += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def usage_at(path: Path, clock: Clock) -> SharedUsage:
    return SharedUsage(path, monotonic=lambda: clock.monotonic_seconds, wall_clock=lambda: clock.wall_seconds)


@pytest.fixture
def usage(tmp_path: Path, clock: Clock) -> SharedUsage:
    return usage_at(tmp_path / "limits" / "usage.bin", clock)


@settings(max_examples=60, deadline=None)
@given(
    pauses=st.lists(st.floats(0, 3), min_size=1, max_size=60),
    rate=st.sampled_from([0.5, 1.0, 2.0, 10.0]),
    burst=st.integers(1, 8),
)
def test_it_admits_what_a_bucket_of_tokens_admits(pauses: list[float], rate: float, burst: int) -> None:
    tokens, then, now, full_at = float(burst), 0.0, 0.0, 0.0
    for pause in pauses:
        now += pause
        tokens = min(burst, tokens + (now - then) * rate)
        then = now
        before = full_at
        full_at, wait = spend(full_at, now, requests_per_second=rate, burst_count=burst)
        if abs(tokens - 1) < 1e-6:
            tokens = tokens - 1 if not wait else tokens  # rounding decides; follow it
        elif tokens > 1:
            assert wait == 0
            tokens -= 1
        else:
            assert wait == pytest.approx((1 - tokens) / rate, abs=1e-5)
            assert full_at <= max(before, now + burst / rate)


@pytest.mark.parametrize("nonsense", [math.nan, math.inf, 1e300, 5_000.0])
def test_a_time_that_cannot_be_is_an_empty_bucket_and_heals(nonsense: float) -> None:
    full_at, wait = spend(nonsense, 1_000, requests_per_second=2, burst_count=4)

    assert wait == pytest.approx(0.5)
    assert spend(full_at, 1_002, requests_per_second=2, burst_count=4)[1] == 0


def test_a_burst_is_admitted_and_then_the_rate(usage: SharedUsage, clock: Clock) -> None:
    allowance = Allowance(requests_per_second=2, burst_count=3, quota_per_day=None)

    burst = [usage.admit("shop", allowance) for _ in range(4)]
    clock.wait(0.5)
    after_half_a_second = [usage.admit("shop", allowance).refusal for _ in range(2)]

    assert [admission.refusal for admission in burst] == [None, None, None, "rate_limited"]
    assert [admission.burst_left_count for admission in burst] == [2, 1, 0, 0]
    assert burst[3].retry_after_seconds == 1
    assert after_half_a_second == [None, "rate_limited"]


def test_waiting_as_told_is_enough(usage: SharedUsage, clock: Clock) -> None:
    allowance = Allowance(requests_per_second=0.3, burst_count=2, quota_per_day=None)
    while (refused := usage.admit("shop", allowance)).refusal is None:
        pass

    clock.wait(refused.retry_after_seconds)

    assert usage.admit("shop", allowance).refusal is None


def test_callers_do_not_share_limits(usage: SharedUsage) -> None:
    allowance = Allowance(requests_per_second=1, burst_count=1, quota_per_day=None)
    usage.admit("one", allowance)

    assert usage.admit("one", allowance).refusal == "rate_limited"
    assert usage.admit("two", allowance).refusal is None


def test_the_quota_ends_with_the_day(usage: SharedUsage, clock: Clock) -> None:
    allowance = Allowance(requests_per_second=1_000, burst_count=1_000, quota_per_day=2)

    admissions = [usage.admit("shop", allowance) for _ in range(3)]
    clock.wait(admissions[2].retry_after_seconds)

    assert [admission.refusal for admission in admissions] == [None, None, "quota_exhausted"]
    assert [admission.quota_left_count for admission in admissions] == [1, 0, 0]
    assert admissions[2].retry_after_seconds == SECONDS_PER_DAY // 2
    assert usage.admit("shop", allowance).refusal is None


def test_refused_requests_cost_nothing(usage: SharedUsage, clock: Clock) -> None:
    allowance = Allowance(requests_per_second=1, burst_count=1, quota_per_day=3)
    for _ in range(50):
        usage.admit("shop", allowance)
    clock.wait(1)

    assert usage.admit("shop", allowance).quota_left_count == 1


def test_a_batch_is_charged_by_its_customers_or_not_at_all(usage: SharedUsage) -> None:
    allowance = Allowance(requests_per_second=1_000, burst_count=1_000, quota_per_day=10)
    usage.admit("shop", allowance)

    assert usage.charge("shop", allowance, 6) is None
    assert usage.charge("shop", allowance, 4) == 3
    assert usage.charge("shop", allowance, 3) is None
    assert usage.admit("shop", allowance).refusal == "quota_exhausted"


def test_rate_and_quota_survive_a_restart(tmp_path: Path, clock: Clock) -> None:
    allowance = Allowance(requests_per_second=1, burst_count=2, quota_per_day=5)
    first = usage_at(tmp_path / "usage.bin", clock)
    first.admit("shop", allowance)
    first.admit("shop", allowance)
    first.close()

    admission = usage_at(tmp_path / "usage.bin", clock).admit("shop", allowance)

    assert admission.refusal == "rate_limited"
    assert admission.quota_left_count == 3


def test_after_a_reboot_the_clock_starts_anew_and_nobody_is_shut_out(tmp_path: Path, clock: Clock) -> None:
    allowance = Allowance(requests_per_second=1, burst_count=3, quota_per_day=None)
    clock.monotonic_seconds = 1e6
    usage_at(tmp_path / "usage.bin", clock).admit("shop", allowance)
    clock.monotonic_seconds = 10.0

    usage = usage_at(tmp_path / "usage.bin", clock)
    assert usage.admit("shop", allowance).retry_after_seconds == 1
    clock.wait(1)

    assert usage.admit("shop", allowance).refusal is None


@pytest.mark.parametrize("jump_seconds", [-SECONDS_PER_DAY, -3_600, 3_600])
def test_a_wall_clock_that_jumps_near_midnight_renews_a_quota_once(
    usage: SharedUsage, clock: Clock, jump_seconds: int
) -> None:
    allowance = Allowance(requests_per_second=1_000, burst_count=1_000, quota_per_day=1)
    usage.admit("shop", allowance)

    clock.wall_seconds += jump_seconds
    assert usage.admit("shop", allowance).refusal == "quota_exhausted"
    clock.wall_seconds -= jump_seconds
    assert usage.admit("shop", allowance).refusal == "quota_exhausted"
    clock.wait(SECONDS_PER_DAY)

    assert usage.admit("shop", allowance).refusal is None


def test_a_day_in_the_far_future_does_not_hold_a_quota_for_years(usage: SharedUsage, clock: Clock) -> None:
    allowance = Allowance(requests_per_second=1_000, burst_count=1_000, quota_per_day=1)
    clock.wall_seconds += 400 * SECONDS_PER_DAY
    usage.admit("shop", allowance)

    clock.wall_seconds -= 400 * SECONDS_PER_DAY

    assert usage.admit("shop", allowance).refusal is None


def spend_until_refused(path: Path, allowance: Allowance, calls: int) -> int:
    usage = SharedUsage(path, monotonic=lambda: 1.0, wall_clock=lambda: float(NOON))
    return sum(usage.admit("shop", allowance).refusal is None for _ in range(calls))


@pytest.mark.parametrize(("burst", "quota"), [(10_000, 1_500), (1_500, None)])
def test_limits_hold_exactly_across_processes(tmp_path: Path, burst: int, quota: int | None) -> None:
    allowance = Allowance(requests_per_second=1, burst_count=burst, quota_per_day=quota)

    # A fork would inherit the threads that earlier tests left in this process.
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        admitted = pool.starmap(spend_until_refused, [(tmp_path / "usage.bin", allowance, 1_000)] * 3)

    assert sum(admitted) == 1_500


def test_limits_hold_exactly_across_threads(tmp_path: Path) -> None:
    usage = SharedUsage(tmp_path / "usage.bin", monotonic=lambda: 1.0)
    allowance = Allowance(requests_per_second=1, burst_count=100_000, quota_per_day=9_000)
    usage.admit("shop", allowance)

    def spend_all(_: int) -> int:
        return sum(
            2 * (usage.charge("shop", allowance, 2) is None) + (usage.admit("shop", allowance).refusal is None)
            for _ in range(2_000)
        )

    # Threads change places as often as they can.
    switch_seconds = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            spent = sum(pool.map(spend_all, range(4)))
    finally:
        sys.setswitchinterval(switch_seconds)

    assert spent == 9_000 - 1


def test_the_file_is_the_owners_and_holds_no_name(tmp_path: Path) -> None:
    path = tmp_path / "limits" / "usage.bin"
    SharedUsage(path).admit("branch-office-north", Allowance(1, 1, 1))

    assert path.stat().st_mode & 0o777 == 0o600
    assert b"branch" not in path.read_bytes()


def test_a_damaged_file_refuses_nobody_for_longer_than_a_day(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "usage.bin"
    usage = usage_at(path, clock)
    allowance = Allowance(requests_per_second=1, burst_count=2, quota_per_day=5)
    usage.admit("shop", allowance)
    usage.close()
    content = bytearray(path.read_bytes())
    content[16:40] = struct.pack("<dqQ", math.nan, 2**60, 2**60)
    path.write_bytes(content)

    usage = usage_at(path, clock)
    usage.admit("shop", allowance)
    clock.wait(SECONDS_PER_DAY)

    assert usage.admit("shop", allowance).refusal is None


def test_without_room_on_the_disk_limits_hold_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(rate_limits.os, "posix_fallocate", full)
    usage = SharedUsage(tmp_path / "usage.bin")
    allowance = Allowance(requests_per_second=1e-3, burst_count=1, quota_per_day=None)

    assert [usage.admit("shop", allowance).refusal for _ in range(2)] == [None, "rate_limited"]
    assert "No space left" in caplog.text


def test_more_callers_than_records_reuse_the_one_unused_for_longest(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "CALLERS_CAPACITY", 3)
    path = tmp_path / "usage.bin"
    allowance = Allowance(requests_per_second=1_000, burst_count=1_000, quota_per_day=2)
    for name in ("old", "b", "c"):
        usage_at(path, clock).admit(name, allowance)
        clock.wait(SECONDS_PER_DAY)
    usage_at(path, clock).admit("c", allowance)

    usage_at(path, clock).admit("new", allowance)

    assert path.stat().st_size == 3 * 64
    assert usage_at(path, clock).admit("c", allowance).quota_left_count == 0
    assert CALLERS_CAPACITY >= 1_000  # as many as a key file may hold


def test_clients_are_limited_by_network(clock: Clock) -> None:
    limits = ClientLimits(requests_per_second=1, burst_count=2, monotonic=lambda: clock.monotonic_seconds)

    assert [limits.wait_seconds("203.0.113.7") for _ in range(3)] == [0, 0, 1]
    assert limits.wait_seconds("203.0.113.8") == 0
    assert [limits.wait_seconds(f"2001:db8:0:1::{number}") for number in range(1, 4)] == [0, 0, 1]
    assert limits.wait_seconds("2001:db8:0:2::1") == 0


def test_clients_take_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "CLIENTS_CAPACITY", 10)
    limits = ClientLimits(requests_per_second=1, burst_count=1)

    for number in range(100):
        limits.wait_seconds(f"10.0.0.{number}")

    assert len(limits._full_at_by_network) == 10


@pytest.mark.parametrize(
    ("address", "limited", "logged", "outside"),
    [
        ("203.0.113.77", "203.0.113.77/32", "203.0.113.0/24", True),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48", True),
        ("127.0.0.1", "127.0.0.1/32", "127.0.0.0/24", False),
        ("::1", "::/64", "::/48", False),
        ("", "local", "local", False),
        ("C0000001\n", "local", "local", False),
    ],
)
def test_addresses_become_networks(address: str, limited: str, logged: str, outside: bool) -> None:
    assert (limited_network(address), logged_network(address)) == (limited, logged)
    assert is_from_outside(address) is outside
