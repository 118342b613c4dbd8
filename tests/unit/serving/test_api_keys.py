import json
import logging
import os
import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from serving import metrics
from serving.api_keys import (
    DEVELOPER,
    SCOPES,
    Allowance,
    ApiKeyError,
    Caller,
    KeyRing,
    RefusedKey,
    add_key,
    digest_of,
    read_keys,
    revoke_keys,
    rotate_key,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ALLOWANCE = Allowance(requests_per_second=5, burst_count=10, quota_per_day=1_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "api_keys.json"


def add(path: Path, name: str = "shop", **options: object) -> str:
    return add_key(path, name, ["credit_risk"], **{"now": NOW, "allowance": ALLOWANCE, **options})  # type: ignore[arg-type]


def ring(path: Path, at: Callable[[], datetime] = lambda: NOW) -> KeyRing:
    return KeyRing(path, may_be_open=False, clock=at)


def reason(answer: Caller | RefusedKey) -> str:
    assert isinstance(answer, RefusedKey)
    return answer.reason


def test_a_key_has_256_random_bits_and_is_not_in_its_file(path: Path) -> None:
    keys = {add(path, name) for name in ("a", "b", "c")}

    assert len(keys) == 3
    assert all(len(key.removeprefix("kilowise_")) == 43 for key in keys)
    assert not any(key in path.read_text() or key[9:] in path.read_text() for key in keys)
    assert {digest_of(key).hex() for key in keys} == {key.sha256 for key in read_keys(path)}


def test_only_the_owner_may_read_the_file(path: Path) -> None:
    add(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620, 0o666])
def test_a_file_that_others_may_read_or_write_is_refused(path: Path, mode: int) -> None:
    add(path)
    path.chmod(mode)

    with pytest.raises(ApiKeyError, match=f"has mode {mode:o}; run `chmod 600"):
        read_keys(path)


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o640])
def test_a_mounted_secret_that_a_group_may_read_is_accepted(path: Path, mode: int) -> None:
    add(path)
    path.chmod(mode)

    assert len(read_keys(path)) == 1


def test_a_key_names_its_caller_with_scopes_and_limits(path: Path) -> None:
    key = add(path)

    caller = ring(path).identify(key)

    assert caller == Caller("shop", digest_of(key).hex()[:8], frozenset({"credit_risk"}), ALLOWANCE)
    assert isinstance(caller, Caller)
    assert caller.may("credit_risk")
    assert not caller.may("admin")


@pytest.mark.parametrize("presented", [None, ""])
def test_no_key_is_missing(path: Path, presented: str | None) -> None:
    add(path)

    assert reason(ring(path).identify(presented)) == "missing_key"


def test_neither_a_near_miss_nor_the_digest_opens_the_api(path: Path) -> None:
    key = add(path)
    keys = ring(path)

    for presented in (key[:-1], key + " ", key.upper(), digest_of(key).hex(), "é", "\x00"):
        assert reason(keys.identify(presented)) == "unknown_key"


def test_every_digest_is_compared_whichever_matches(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [add(path, name) for name in ("a", "b", "c")]
    in_force = ring(path)
    compared: list[bytes] = []

    def compare(left: bytes, right: bytes) -> bool:
        compared.append(right)
        return left == right

    monkeypatch.setattr("serving.api_keys.hmac.compare_digest", compare)
    counts = []
    for presented in (*keys, "unknown"):
        compared.clear()
        in_force.identify(presented)
        counts.append(len(compared))

    assert counts == [3, 3, 3, 3]


def test_an_expired_key_is_refused_from_the_second_on(path: Path) -> None:
    key = add(path, expires_at=NOW + timedelta(hours=1))

    assert isinstance(ring(path, lambda: NOW + timedelta(minutes=59, seconds=59)).identify(key), Caller)
    refused = ring_at(path, NOW + timedelta(hours=1)).identify(key)
    assert reason(refused) == "expired_key"


def ring_at(path: Path, moment: datetime) -> KeyRing:
    times = iter([NOW])  # the key is active when the ring is made
    return KeyRing(path, may_be_open=False, clock=lambda: next(times, moment))


def test_rotation_gives_a_new_key_and_the_old_one_works_until_the_overlap_ends(path: Path) -> None:
    old = add(path)
    new = rotate_key(path, "shop", now=NOW, overlap=timedelta(hours=24))

    during, after = ring(path), ring(path, lambda: NOW + timedelta(hours=24))

    old_caller, new_caller = during.identify(old), during.identify(new)
    assert isinstance(old_caller, Caller)
    assert isinstance(new_caller, Caller)
    assert (old_caller.name, old_caller.allowance) == (new_caller.name, new_caller.allowance)
    assert reason(after.identify(old)) == "expired_key"
    assert isinstance(after.identify(new), Caller)


def test_rotation_keeps_the_lifetime_and_never_prolongs_the_old_key(path: Path) -> None:
    add(path, expires_at=NOW + timedelta(days=2))
    later = NOW + timedelta(days=1, hours=12)

    rotate_key(path, "shop", now=later, overlap=timedelta(days=7))

    old, new = read_keys(path)
    assert old.expires_at == NOW + timedelta(days=2)
    assert new.expires_at == later + timedelta(days=2)


@pytest.mark.parametrize("by", ["name", "key_id"])
def test_revocation_shuts_out_at_once(path: Path, by: str) -> None:
    key = add(path)
    add(path, "other")
    entry = read_keys(path)[0]

    assert revoke_keys(path, getattr(entry, by), now=NOW) == 1

    assert reason(ring(path).identify(key)) == "revoked_key"
    assert reason(ring(path, lambda: NOW - timedelta(days=1)).identify(key)) == "revoked_key"


def test_mistakes_of_the_operator_are_named(path: Path) -> None:
    add(path)

    with pytest.raises(ApiKeyError, match="keys rotate shop"):
        add(path)
    with pytest.raises(ApiKeyError, match="nobody has no active key"):
        rotate_key(path, "nobody", now=NOW, overlap=timedelta())
    with pytest.raises(ApiKeyError, match="no active key has the name or key id nobody"):
        revoke_keys(path, "nobody", now=NOW)
    with pytest.raises(ApiKeyError, match="name"):
        add(path, "Ms Smith\n")
    with pytest.raises(ApiKeyError, match="requests_per_second"):
        add(path, "other", allowance=Allowance(0, 1, None))
    assert [key.name for key in read_keys(path)] == ["shop"]


def test_editors_do_not_lose_each_others_keys(path: Path) -> None:
    editors = [threading.Thread(target=add, args=(path, f"caller-{number}")) for number in range(8)]
    for editor in editors:
        editor.start()
    for editor in editors:
        editor.join()

    assert len(read_keys(path)) == 8


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "Invalid JSON"),
        ("{}", "keys: Field required"),
        ('{"version": 2, "keys": []}', "version"),
        ('{"keys": [{"name": "a"}]}', r"keys.0.sha256: Field required"),
        ('{"keys": [], "key": "x"}', "key: Extra inputs"),
    ],
)
def test_a_broken_file_is_refused_with_the_place(path: Path, content: str, sentence: str) -> None:
    path.parent.mkdir()
    path.write_text(content)
    path.chmod(0o600)

    with pytest.raises(ApiKeyError, match=sentence):
        ring(path)


def test_two_entries_of_one_key_are_refused(path: Path) -> None:
    add(path)
    content = json.loads(path.read_text())
    content["keys"].append({**content["keys"][0], "name": "other"})
    path.write_text(json.dumps(content))

    with pytest.raises(ApiKeyError, match="same sha256"):
        read_keys(path)


def test_a_complaint_about_the_file_does_not_repeat_its_content(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"keys": [{"name": "a", "sha256": "a key in plain text"}]}')
    path.chmod(0o600)

    with pytest.raises(ApiKeyError) as error:
        read_keys(path)

    assert "plain text" not in str(error.value)


def test_outside_development_a_start_without_an_active_key_is_refused(path: Path) -> None:
    with pytest.raises(ApiKeyError, match="keys add"):
        ring(path)
    add(path)
    revoke_keys(path, "shop", now=NOW)
    with pytest.raises(ApiKeyError, match=r"no key in .* is active"):
        ring(path)


def test_a_changed_file_is_taken_up_without_a_restart(path: Path) -> None:
    first = add(path)
    keys = ring(path)

    second = rotate_key(path, "shop", now=NOW, overlap=timedelta())
    assert reason(keys.identify(second)) == "unknown_key"
    keys.refresh()

    assert isinstance(keys.identify(second), Caller)
    assert reason(keys.identify(first)) == "expired_key"


@pytest.mark.parametrize("damage", ["broken", "removed", "exposed"])
def test_a_file_that_becomes_unusable_leaves_the_last_keys_in_force_and_says_so(
    path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    key = add(path)
    keys = ring(path)
    good = path.read_bytes()
    if damage == "broken":
        path.write_bytes(good[:-20])
    elif damage == "removed":
        path.unlink()
    else:
        path.chmod(0o666)

    with caplog.at_level(logging.ERROR, logger="serving.api_keys"):
        keys.refresh()
        keys.refresh()

    assert isinstance(keys.identify(key), Caller)
    assert not keys.is_open
    assert len(caplog.records) == 1
    assert "stay in force" in caplog.text
    assert metrics.API_KEY_FILE_USABLE._value.get() == 0
    path.write_bytes(good)
    path.chmod(0o600)
    os.utime(path, ns=(1, 1))
    keys.refresh()
    assert metrics.API_KEY_FILE_USABLE._value.get() == 1


def test_an_open_api_does_not_complain_about_the_keys_that_it_does_not_need(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics.API_KEY_FILE_USABLE.set(0)
    keys = KeyRing(path, may_be_open=True)

    keys.refresh()

    assert keys.is_open
    assert caplog.messages == []
    assert REGISTRY.get_sample_value("kilowise_api_key_file_usable") == 1


def test_development_is_open_until_the_first_key_and_never_again(path: Path) -> None:
    keys = KeyRing(path, may_be_open=True)
    assert keys.is_open

    add(path)
    keys.refresh()
    assert not keys.is_open
    path.unlink()
    keys.refresh()

    assert not keys.is_open


def test_the_developer_may_everything() -> None:
    assert all(DEVELOPER.may(scope) for scope in SCOPES)


def test_the_background_thread_follows_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.api_keys.POLL_SECONDS", 0.01)
    add(path)
    keys = ring(path)
    keys.start()
    key = add(path, "second")
    done = threading.Event()
    for _ in range(200):
        if isinstance(keys.identify(key), Caller):
            break
        done.wait(0.01)
    keys.stop()

    assert isinstance(keys.identify(key), Caller)
