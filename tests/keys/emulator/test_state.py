"""What is on disk: private, durable, and named in the error when it is damaged."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio

from keys.custody.private_files import TEMPORARY, write_private
from keys.emulator.aws_files import CredentialsFileError, load_credentials, load_profiles, write_config
from keys.emulator.key_material import generate_key
from keys.emulator.key_records import AliasRecord, KeyRecord
from keys.emulator.keystore import Keystore, KeystoreError, StoredKey
from keys.emulator.run import Emulator, run_emulator
from tests.keys.emulator.conftest import Clock, client, listening_socket

T = TypeVar("T")
P256 = {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}
SIGN = {"Message": b"DNSKEY", "SigningAlgorithm": "ECDSA_SHA_256"}
KEY_ID = "1234abcd-12ab-34cd-56ef-1234567890ab"


async def directly(function: Callable[[], T]) -> T:
    return function()


def record(key_id: str = KEY_ID, **changes: Any) -> KeyRecord:
    return KeyRecord(key_id, "ECC_NIST_P256", 1000.5, "{}", **changes)


def keystore(directory: Path) -> Keystore:
    return Keystore(directory, directly)


async def stored(directory: Path) -> Path:
    """A key store with one key; the file that holds it."""
    await keystore(directory).put(StoredKey(record(tags={"a": "b"}), generate_key("ECC_NIST_P256")))
    return directory / f"{KEY_ID}.key"


async def test_all_that_is_secret_is_private(root: Any, tmp_path: Path) -> None:
    await root("create_key", **P256)
    await root("create_alias", AliasName="alias/a", TargetKeyId=(await root("list_keys"))["Keys"][0]["KeyId"])
    found = [path for folder in ("kms", "aws") for path in (tmp_path / folder).rglob("*")]
    assert len(found) == 6  # a key, the aliases, a lock; config, credentials and env
    for path in found:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for folder in ("kms", "aws"):
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700


def test_an_open_directory_is_closed(tmp_path: Path) -> None:
    (tmp_path / "kms").mkdir(mode=0o755)
    keystore(tmp_path / "kms")
    assert stat.S_IMODE((tmp_path / "kms").stat().st_mode) == 0o700


async def test_a_key_is_read_as_it_was_written(tmp_path: Path) -> None:
    key = StoredKey(record(tags={"a": "b"}, deletion=5.0), generate_key("ECC_NIST_P256"))
    alias = AliasRecord(KEY_ID, 1.0, 2.0)
    written = keystore(tmp_path)
    await written.put(key)
    await written.put_alias("alias/a", alias)
    read = keystore(tmp_path).key(KEY_ID)
    assert read is not None
    assert read.record == key.record
    assert read.private.public_key() == key.private.public_key()
    assert keystore(tmp_path).aliases() == [("alias/a", alias)]


async def test_a_write_that_fails_changes_nothing(tmp_path: Path) -> None:
    async def broken(_: Callable[[], T]) -> T:
        raise OSError("no space left on device")

    store = Keystore(tmp_path, broken)
    with pytest.raises(OSError, match="no space"):
        await store.put(StoredKey(record(), generate_key("ECC_NIST_P256")))
    with pytest.raises(OSError, match="no space"):
        await store.put_alias("alias/a", AliasRecord(KEY_ID, 1.0, 1.0))
    assert store.key_ids() == []
    assert store.aliases() == []


def test_a_half_written_file_replaces_nothing(tmp_path: Path) -> None:
    target = tmp_path / "credentials"
    write_private(target, b"old")
    target.with_name(target.name + TEMPORARY).write_bytes(b"ne")  # what a crash leaves
    assert target.read_bytes() == b"old"
    write_private(target, b"new")
    assert target.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["credentials"]


def damaged(change: Any) -> Any:
    return lambda text: json.dumps({**json.loads(text), **change(json.loads(text))})


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: "", "damaged"),
        (lambda text: text[:-10], "damaged"),
        (damaged(lambda key: {"private_key": key["private_key"][:-24]}), "private key"),
        (damaged(lambda key: {"private_key": "AAAA"}), "private key"),
        (damaged(lambda key: {"private_key": 1}), "damaged"),
        (damaged(lambda key: {"record": {**key["record"], "spec": "ECC_NIST_EDWARDS25519"}}), "private key"),
        (damaged(lambda key: {"record": {**key["record"], "spec": "RSA"}}), "private key"),
        (damaged(lambda key: {"record": {**key["record"], "state": "Lost"}}), "damaged"),
        (damaged(lambda key: {"record": {**key["record"], "id": KEY_ID[::-1]}}), "does not match the file's name"),
        (damaged(lambda key: {"version": 2}), "newer version"),
        (damaged(lambda key: {"extra": 1}), "damaged"),
    ],
)
async def test_a_damaged_key_is_named(tmp_path: Path, damage: Any, reason: str) -> None:
    path = await stored(tmp_path)
    secret = json.loads(path.read_text())["private_key"]
    path.write_text(damage(path.read_text()))
    with pytest.raises(KeystoreError, match=reason) as caught:
        keystore(tmp_path)
    assert str(path) in str(caught.value)
    assert secret[:20] not in str(caught.value)


async def test_damaged_aliases_are_named(tmp_path: Path) -> None:
    (tmp_path / "aliases.json").write_bytes(b'{"version": 1}')
    with pytest.raises(KeystoreError, match=r"aliases\.json"):
        keystore(tmp_path)


def test_no_secret_in_a_repr(tmp_path: Path) -> None:
    credentials = load_credentials(tmp_path, os.urandom)
    for access_key in credentials:
        assert access_key.secret not in repr(credentials)
        assert access_key.id in repr(credentials)
    key = StoredKey(record(), generate_key("ECC_NIST_P256"))
    assert re.fullmatch(r".*private=<[\w.]+ object at 0x[0-9a-f]+>\)|.*private=<[\w.]+>\)", repr(key))


def test_credentials_are_made_once(tmp_path: Path) -> None:
    made = load_credentials(tmp_path, os.urandom)
    assert load_credentials(tmp_path, os.urandom) == made
    assert len({made.root.id, made.service.id, made.root.secret, made.service.secret}) == 4
    assert made.secret_of(made.root.id) == made.root.secret
    assert made.secret_of("AKIAIOSFODNN7EXAMPLE") is None


@pytest.mark.parametrize("text", ["", "[default]\n", "nonsense", "[default]\naws_access_key_id = a\n", "\xff"])
def test_damaged_credentials_are_named(tmp_path: Path, text: str) -> None:
    load_credentials(tmp_path, os.urandom)
    (tmp_path / "aws" / "credentials").write_bytes(text.encode("latin-1"))
    with pytest.raises(CredentialsFileError, match="credentials: "):
        load_credentials(tmp_path, os.urandom)


def test_further_profiles_are_made_once_and_leave_the_others_alone(tmp_path: Path) -> None:
    principals = load_credentials(tmp_path, os.urandom)
    made = load_profiles(tmp_path, ["deploy", "audit"], os.urandom)
    assert load_profiles(tmp_path, ["audit", "deploy"], os.urandom) == made
    assert load_credentials(tmp_path, os.urandom) == principals
    assert len({key.id for key in (*principals, *made.values())}) == 4
    path = tmp_path / "aws" / "credentials"
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text(path.read_text().replace("aws_secret_access_key", "secret"))
    path.write_text(path.read_text().replace("secret", "aws_secret_access_key", 2))
    with pytest.raises(CredentialsFileError, match="aws_secret_access_key"):
        load_profiles(tmp_path, ["deploy", "audit"], os.urandom)


def test_a_service_keeps_its_endpoint_until_it_loses_it(tmp_path: Path) -> None:
    def written() -> str:
        return (tmp_path / "aws" / "config").read_text()

    write_config(tmp_path, "us-east-1", {"route_53": "http://127.0.0.1:1"}, ["deploy"])
    write_config(tmp_path, "us-east-1", {"kms": "http://127.0.0.1:2"})
    assert "http://127.0.0.1:1" in written() and "http://127.0.0.1:2" in written()
    assert "[profile deploy]" in written()
    write_config(tmp_path, "us-east-1", {"kms": "http://127.0.0.1:3", "route_53": None})
    assert "http://127.0.0.1:1" not in written() and "http://127.0.0.1:2" not in written()
    assert "http://127.0.0.1:3" in written()


ASK = """
import boto3, json, sys
session = boto3.Session(profile_name=sys.argv[1] if len(sys.argv) > 1 else None)
route53, kms = session.client("route53"), session.client("kms")
print(json.dumps([kms.list_keys()["Keys"] if len(sys.argv) == 1 else None, kms.meta.endpoint_url, kms.meta.region_name,
    route53.meta.endpoint_url, session.get_credentials().access_key]))
route53.close()
kms.close()
"""


async def test_the_files_lead_a_client_here(emulator: Any, root: Any, tmp_path: Path) -> None:
    """boto3 in a process of its own, that knows the two files and nothing else."""
    await root("create_key", **P256)
    write_config(tmp_path, "us-east-1", {"kms": emulator.endpoint, "route_53": "http://127.0.0.1:4580"})
    environment = {
        "AWS_CONFIG_FILE": str(tmp_path / "aws" / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "aws" / "credentials"),
        "PATH": os.environ["PATH"],
    }

    async def ask(*profile: str) -> Any:
        run = await trio.run_process([sys.executable, "-c", ASK, *profile], capture_stdout=True, env=environment)
        return json.loads(run.stdout)

    keys = (await root("list_keys"))["Keys"]
    credentials = emulator.credentials
    for profile, answer, key in (((), keys, credentials.root), (("signwright-service",), None, credentials.service)):
        expected = [answer, emulator.endpoint, "us-east-1", "http://127.0.0.1:4580", key.id]
        assert await ask(*profile) == expected


async def test_one_process_at_a_time(emulator: Any, tmp_path: Path, listening: Any) -> None:
    with pytest.raises(KeystoreError, match="another process"):
        await run_emulator(tmp_path, listening(), now=lambda: 0.0)


SERVE = """
import socket, sys, time, trio
from functools import partial
from pathlib import Path
from keys.emulator.run import Emulator, run_emulator

async def main():
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    async with trio.open_nursery() as nursery:
        emulator = await nursery.start(partial(run_emulator, Path(sys.argv[1]), sock, now=time.time))
        print(emulator.endpoint, flush=True)

trio.run(main)
"""


class Killable:
    """An emulator in a process of its own."""

    def __init__(self, state: Path) -> None:
        command = [sys.executable, "-W", "error", "-c", SERVE, str(state)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.endpoint = self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


async def test_what_was_answered_outlives_sigkill(tmp_path: Path, make_client: Any) -> None:
    """Killed after each answer: the key, its changes, its alias and its tags are still there, and it signs."""
    key_id = ""
    steps: list[tuple[str, dict[str, Any], Any]] = [
        ("create_key", {**P256, "Description": "KSK"}, lambda m: m["Description"] == "KSK"),
        ("create_alias", {"AliasName": "alias/ksk"}, None),
        ("disable_key", {}, lambda m: m["KeyState"] == "Disabled"),
        ("enable_key", {}, lambda m: m["KeyState"] == "Enabled"),
        ("tag_resource", {"Tags": [{"TagKey": "zone", "TagValue": "lab.example"}]}, None),
        ("schedule_key_deletion", {}, lambda m: m["KeyState"] == "PendingDeletion"),
        ("cancel_key_deletion", {}, lambda m: m["KeyState"] == "Disabled"),
    ]
    public = None
    for operation, params, expected in steps:
        emulator = await trio.to_thread.run_sync(Killable, tmp_path)
        try:
            root = make_client(emulator.endpoint, load_credentials(tmp_path, os.urandom).root)
            if key_id and public is None:
                public = (await root("get_public_key", KeyId=key_id))["PublicKey"]
            named = {"TargetKeyId" if operation == "create_alias" else "KeyId": key_id} if key_id else {}
            answer = await root(operation, **params, **named)
        finally:
            await trio.to_thread.run_sync(emulator.kill)
        key_id = key_id or answer["KeyMetadata"]["KeyId"]
        after = keystore(tmp_path / "kms").key(key_id)
        assert after is not None
        if expected is not None:
            metadata = {"KeyState": after.record.state, "Description": after.record.description}
            assert expected(metadata), operation
    emulator = await trio.to_thread.run_sync(Killable, tmp_path)
    try:
        root = make_client(emulator.endpoint, load_credentials(tmp_path, os.urandom).root)
        await root("enable_key", KeyId=key_id)
        assert (await root("get_public_key", KeyId="alias/ksk"))["PublicKey"] == public
        await root("sign", KeyId="alias/ksk", **SIGN)
        assert (await root("list_resource_tags", KeyId=key_id))["Tags"] == [
            {"TagKey": "zone", "TagValue": "lab.example"}
        ]
    finally:
        await trio.to_thread.run_sync(emulator.kill)


async def test_writers_do_not_undo_each_other(root: Any) -> None:
    """Twenty tags set at once are twenty tags: each change is made on the one before."""
    key_id = (await root("create_key", **P256))["KeyMetadata"]["KeyId"]
    async with trio.open_nursery() as nursery:
        for number in range(20):
            tags = [{"TagKey": f"t{number}", "TagValue": ""}]
            nursery.start_soon(partial(root, "tag_resource", KeyId=key_id, Tags=tags))
    assert len((await root("list_resource_tags", KeyId=key_id))["Tags"]) == 20


async def test_a_disk_that_refuses_a_deletion_ends_nothing(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys that are not due sign on, the trouble is reported, and what is due is deleted once the disk takes it."""
    for name in ("FIRST_RETRY", "EXPIRY_INTERVAL"):
        monkeypatch.setattr(f"keys.emulator.run.{name}", 0.01)
    told: list[str | None] = []
    async with trio.open_nursery() as nursery:
        emulator = await nursery.start(
            partial(run_emulator, tmp_path, listening_socket(), now=clock, report=told.append)
        )
        account = client(emulator.endpoint, emulator.credentials.root)
        kept, due = [(await account("create_key", **P256))["KeyMetadata"]["KeyId"] for _ in range(2)]
        await account("create_alias", AliasName="alias/x", TargetKeyId=due)
        await account("schedule_key_deletion", KeyId=due, PendingWindowInDays=7)
        for failing in ("write_private", "remove"):
            with monkeypatch.context() as patched:
                patched.setattr(f"keys.custody.private_files.{failing}", _refuse)
                clock.ahead = 8 * 86400
                told.clear()
                await until(lambda: sum(reason is not None for reason in told) > 2)
                assert (await account("sign", KeyId=kept, **SIGN))["Signature"]
                assert [key["KeyId"] for key in (await account("list_keys"))["Keys"]] == sorted([kept, due])
        told.clear()
        await until(lambda: None in told)
        assert [key["KeyId"] for key in (await account("list_keys"))["Keys"]] == [kept]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC])
async def test_a_disk_that_takes_nothing_keeps_no_emulator_from_its_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A restart on a full or a read-only disk; what leads clients to it is written once that can be."""
    monkeypatch.setattr("keys.emulator.run.FIRST_RETRY", 0.01)
    told: list[str | None] = []

    async def life(*, task_status: trio.TaskStatus[Emulator]) -> None:
        sock = listening_socket()
        await run_emulator(tmp_path, sock, now=time.time, report=told.append, task_status=task_status)

    async with trio.open_nursery() as nursery:
        emulator = await nursery.start(life)
        root = client(emulator.endpoint, emulator.credentials.root)
        key = (await root("create_key", **P256))["KeyMetadata"]["KeyId"]
        nursery.cancel_scope.cancel()
    opened, config = os.open, tmp_path / "aws/config"

    def refuse(path: Any, flags: int, *arguments: int, **named: Any) -> int:
        if flags & (os.O_RDWR | os.O_WRONLY | os.O_CREAT):
            raise OSError(number, os.strerror(number), str(path))
        return opened(path, flags, *arguments, **named)

    async with trio.open_nursery() as nursery:
        with monkeypatch.context() as patched:
            patched.setattr(os, "open", refuse)
            patched.setattr(Path, "chmod", lambda path, _: refuse(path, os.O_WRONLY))
            emulator = await nursery.start(life)
            root = client(emulator.endpoint, emulator.credentials.root)
            assert (await root("sign", KeyId=key, **SIGN))["Signature"]
            await until(lambda: any(told))
            assert emulator.endpoint not in config.read_text()
        await until(lambda: emulator.endpoint in config.read_text())
        nursery.cancel_scope.cancel()


def _refuse(*_: object) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


async def until(what: Callable[[], bool]) -> None:
    with trio.fail_after(60):
        while not what():  # noqa: ASYNC110
            await trio.sleep(0.01)
