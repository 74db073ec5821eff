"""Backup and restore: what goes in comes out, and a crash leaves the old or the new."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from keys.custody.state_database import DATABASE, STATE_KEY, StateDamaged, StateTooNew, Store
from keys.custody.zsk_encryption import StateError, StateKeyWrong
from server.state import restore_swap
from server.state.backup_archive import ArchiveError, stage_archive, write_archive
from server.state.directory import StateLocked, finish_restore, locked, open_state

ORIGIN = b"\x03lab\x07example\x00"
NOW = 1_767_225_600


def fill(path: Path, mark: str) -> None:
    """A state in which everything carries `mark`."""
    with open_state(path) as state, Store.open(state.path, os.urandom) as store:
        store.hosted_zone_id(ORIGIN, lambda: mark, NOW)
        for folder, name in [(state.kms / "keys", "1.json"), (state.aws, "credentials")]:
            folder.mkdir(parents=True, mode=0o700)
            (folder / name).write_text(mark)
        (state.kms / "keys" / "2.json.new").write_text("half")
        (state.path / "restored/etc").mkdir(parents=True, mode=0o700)
        (state.path / "restored/etc/s.toml").write_text(f"put there with {mark}")
        state.kms_lock.touch()


def mark(path: Path) -> set[str]:
    """What everything in a state carries."""
    with Store.open(path, os.urandom) as store:
        found = {store.hosted_zone_id(ORIGIN, lambda: "lost", NOW)}
    return found | {(path / "kms/keys/1.json").read_text(), (path / "aws/credentials").read_text()}


def backup(path: Path, *configured: Path) -> bytes:
    to = io.BytesIO()
    with open_state(path) as state, Store.open(state.path, os.urandom) as store:
        write_archive(state, store.backup, to, configured)
        assert not list(state.path.glob("backup-*"))
    return to.getvalue()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    fill(tmp_path / "old", "old")
    return tmp_path / "old"


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    fill(tmp_path / "new", "new")
    return backup(tmp_path / "new")


def stage(path: Path, archive: bytes) -> str:
    with open_state(path) as state:
        return stage_archive(state, io.BytesIO(archive), NOW)


def test_an_archive_holds_what_cannot_be_made_again_and_no_more(archive: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        assert members.getnames() == ["version", DATABASE, STATE_KEY, "kms/keys/1.json", "aws/credentials"]
        assert {member.mode for member in members} == {0o600}


def test_a_restored_state_takes_its_place_at_the_next_start(old: Path, archive: bytes) -> None:
    kept = stage(old, archive)
    assert kept == "before-restore-20260101T000000Z"
    assert mark(old) == {"old"}
    with open_state(old):
        pass
    assert mark(old) == {"new"}
    assert mark(old / kept) == {"old"}
    assert {stat.S_IMODE(p.stat().st_mode) for p in old.rglob("*") if p.is_file() and kept not in p.parts} == {0o600}
    with open_state((old / kept).rename(old.parent / "kept")):  # a state directory of its own
        pass


def test_a_running_server_puts_it_in_place_itself(old: Path, archive: bytes) -> None:
    with open_state(old) as state:
        assert finish_restore(state) == []
        kept = [stage_archive(state, io.BytesIO(archive), NOW) for _ in range(2)]
        assert finish_restore(state) == kept == ["before-restore-20260101T000000Z", "before-restore-20260101T000000Z.1"]
    assert mark(old) == {"new"}
    assert mark(old / kept[0]) == {"old"}
    assert mark(old / kept[1]) == {"new"}


def test_configuration_and_zone_files_are_put_beside_the_state(old: Path, tmp_path: Path) -> None:
    fill(tmp_path / "new", "new")
    there = tmp_path / "etc" / "a b"
    there.mkdir(parents=True)
    files = [there / "s.toml", there / "x.zone", there / "absent", there / "fifo", there / "sp\nit"]
    for file in (files[0], files[1], files[4]):
        file.write_text(file.name)
    os.mkfifo(files[3])
    with capture_logs() as logs:
        archive = backup(tmp_path / "new", *files)
    assert [(log["file"], log["reason"]) for log in logs] == [
        (str(files[2]), "No such file or directory"),
        (str(files[3]), "it is a FIFO, not a regular file"),
        (str(files[4]), "its path has characters that can't be printed"),
    ]
    kept = stage(old, archive)
    with open_state(old):
        pass
    below = str(there).lstrip("/")
    restored = sorted((old / "restored").rglob("*"))
    assert [path.name for path in restored if path.is_file()] == ["s.toml", "x.zone"]
    assert (old / "restored" / below / "x.zone").read_text() == "x.zone"
    assert {stat.S_IMODE(path.stat().st_mode) for path in restored if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in restored if path.is_file()} == {0o600}
    # What the last restore put there is a part of what was there before.
    assert (old / kept / "restored/etc/s.toml").read_text() == "put there with old"
    assert mark(old) == {"new"}


def test_what_would_make_a_backup_too_large_to_restore_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "new", "new")
    large, small = tmp_path / "large.zone", tmp_path / "small.zone"
    large.write_bytes(b"x" * (1 << 20))
    small.write_bytes(b"x")
    monkeypatch.setattr("server.state.backup_archive.LARGEST", 1 << 20)
    with capture_logs() as logs:
        archive = backup(tmp_path / "new", large, small)
    assert [log["file"] for log in logs] == [str(large)]
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        assert members.getnames()[-1].endswith("small.zone")


def test_an_emulator_that_uses_the_keys_is_waited_for(old: Path, archive: bytes) -> None:
    stage(old, archive)
    with locked(old / "kms" / "lock", old / "kms"), pytest.raises(StateLocked, match="kms is in use"):
        open_state(old).__enter__()
    with open_state(old):
        pass
    assert mark(old) == {"new"}


def test_into_a_directory_that_was_empty(tmp_path: Path, archive: bytes) -> None:
    stage(tmp_path / "fresh", archive)
    with open_state(tmp_path / "fresh"):
        pass
    assert mark(tmp_path / "fresh") == {"new"}


class Killed(BaseException):
    """The process ended here."""


def steps_of(monkeypatch: pytest.MonkeyPatch, at: int | None) -> list[str]:
    """Have the process end before its `at`-th change of a name. Returns the list of changes, which grows."""
    steps: list[str] = []
    for name in ("rename", "rmdir"):
        real: Callable[..., object] = getattr(Path, name)

        def change(path: Path, *args: Path, real: Callable[..., object] = real, name: str = name) -> object:
            if len(steps) == at:
                raise Killed
            steps.append(f"{name} {path.name}")
            return real(path, *args)

        monkeypatch.setattr(Path, name, change)
    return steps


def test_a_crash_at_any_step_leaves_the_old_or_the_new(
    tmp_path: Path, archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = 0
    outcomes = []
    while True:
        path = tmp_path / str(at)
        fill(path, "old")
        kept = "before-restore-20260101T000000Z"
        with monkeypatch.context() as patch:
            steps = steps_of(patch, at)
            try:
                stage(path, archive)
                with open_state(path):
                    pass
            except Killed:
                pass
            finished = len(steps) < at
        with open_state(path):
            assert not restore_swap.pending(path)
        found = mark(path)
        # The backup has no such files: of those of the last restore, nothing is mixed with it.
        assert (path / "restored").exists() == (found == {"old"})
        outcomes.append(found)
        assert found == {"old"} or (found == {"new"} and mark(path / kept) == {"old"})
        assert not list(path.glob("partial-*"))
        if finished:
            break
        at += 1
    assert outcomes[0] == {"old"}
    assert outcomes[-1] == {"new"}
    assert len(outcomes) > 8


def repacked(archive: bytes, change: Callable[[dict[str, bytes]], None]) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        files = {m.name: f.read() for m in members if (f := members.extractfile(m))}
    change(files)
    return packed([(tarfile.TarInfo(name), content) for name, content in files.items()])


def packed(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    to = io.BytesIO()
    with tarfile.open(fileobj=to, mode="w:gz") as out:
        for member, content in members:
            member.size = len(content)
            out.addfile(member, io.BytesIO(content))
    return to.getvalue()


def link(name: str, kind: bytes) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = "/etc/passwd"
    return member, b""


@pytest.mark.parametrize(
    ("archive_bytes", "message"),
    [
        (b"", "not a complete Signwright backup"),
        (b"hello", "not a complete Signwright backup"),
        (packed([(tarfile.TarInfo("../evil"), b"x")]), r"it contains '../evil'"),
        (packed([(tarfile.TarInfo("/etc/evil"), b"x")]), r"it contains '/etc/evil'"),
        (packed([(tarfile.TarInfo("kms/../../evil"), b"x")]), r"it contains 'kms/../../evil'"),
        (packed([(tarfile.TarInfo("restored/../x"), b"x")]), r"it contains 'restored/../x'"),
        (packed([(tarfile.TarInfo("restored/a\x1b"), b"x")]), r"it contains 'restored/a"),
        (packed([(tarfile.TarInfo("restored/a"), b"x")] * 2), r"'restored/a' is in it twice"),
        (
            packed([(tarfile.TarInfo(name), b"x") for name in ("restored/a", "restored/a/b")]),
            r"'restored/a/b' is in it",
        ),
        (packed([link("restored/a", tarfile.SYMTYPE)]), r"it contains 'restored/a'"),
        (packed([(tarfile.TarInfo("trust/x"), b"x")]), r"it contains 'trust/x'"),
        (packed([(tarfile.TarInfo("kms"), b"x")]), r"it contains 'kms'"),
        (packed([link("kms/a", tarfile.SYMTYPE)]), r"it contains 'kms/a'"),
        (packed([link("kms/a", tarfile.LNKTYPE)]), r"it contains 'kms/a'"),
        (packed([link("kms/a", tarfile.CHRTYPE)]), r"it contains 'kms/a'"),
        (packed([(tarfile.TarInfo("version"), b"signwright state 1\n")]), f"it lacks {DATABASE}"),
    ],
    ids=lambda value: value if isinstance(value, str) else "archive",  # its bytes hold the time
)
def test_what_is_no_backup_is_refused(old: Path, archive_bytes: bytes, message: str) -> None:
    with pytest.raises(ArchiveError, match=message):
        stage(old, archive_bytes)
    assert mark(old) == {"old"}
    assert not list(old.glob("*-*"))


def test_a_backup_cut_short_is_refused(old: Path, archive: bytes) -> None:
    for length in [*range(0, len(archive), 211), len(archive) - 1]:
        with pytest.raises(StateError):
            stage(old, archive[:length])
    assert mark(old) == {"old"}


def test_a_backup_with_a_flipped_bit_is_refused(old: Path, archive: bytes) -> None:
    content, refused = gzip.decompress(archive), 0
    for at in range(10, len(archive), 97):
        flipped = archive[:at] + bytes([archive[at] ^ 1]) + archive[at + 1 :]
        with suppress(OSError, EOFError, zlib.error):
            if gzip.decompress(flipped) == content:
                continue  # where all octets are zero, it does not matter how far back they are copied from
        with pytest.raises(StateError):
            stage(old, flipped)
        refused += 1
    assert refused > 9
    assert mark(old) == {"old"}


def test_a_backup_that_would_fill_the_disk_is_refused(
    old: Path, archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.state.backup_archive.LARGEST", 1000)
    with pytest.raises(ArchiveError, match="exceeds 1000 octets"):
        stage(old, archive)


def test_a_newer_backup_and_one_that_does_not_open_are_refused(old: Path, archive: bytes) -> None:
    def newer(files: dict[str, bytes]) -> None:
        files["version"] = b"signwright state 9\n"

    def damaged(files: dict[str, bytes]) -> None:
        files[DATABASE] = files[DATABASE][:5000]

    def another_key(files: dict[str, bytes]) -> None:
        files[STATE_KEY] = b"x"

    for change, error in [(newer, StateTooNew), (damaged, StateDamaged), (another_key, StateKeyWrong)]:
        with pytest.raises(error):
            stage(old, repacked(archive, change))
    assert mark(old) == {"old"}
