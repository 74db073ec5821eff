"""Becoming an ordinary user: what is refused, and a real server that root starts on a port below 1024."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from keys.custody.zsk_encryption import StateError
from server.privileges import CannotBecomeUser, _hand_over, account_of, become
from server.state.directory import open_state

ROOT = Path(__file__).parents[2]
NOBODY = "nobody"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def test_a_user_that_this_host_does_not_have_is_refused_with_the_way_out() -> None:
    with pytest.raises(CannotBecomeUser, match="no user signwright-absent: create it"):
        account_of("signwright-absent")


def test_root_is_refused() -> None:
    with pytest.raises(CannotBecomeUser, match="root is root: name an unprivileged user"):
        account_of("root")


def test_an_ordinary_user_becomes_nobody_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(CannotBecomeUser, match="runs as user ID 12345, and only root can become nobody"):
        become(NOBODY, tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_who_is_that_user_already_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: pwd.getpwnam(NOBODY).pw_uid)
    become(NOBODY, tmp_path / "state")
    assert not (tmp_path / "state").exists()


@as_root
def test_a_state_of_another_user_is_left_as_it_is(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    os.chown(state, pwd.getpwnam(NOBODY).pw_uid, -1)
    (state / "version").write_text("signwright state 1\n")
    with pytest.raises(
        StateError, match=rf"does not belong to nobody \({state}/version\): run chown -R nobody: {state}"
    ):
        become(NOBODY, state)
    assert (state / "version").stat().st_uid == 0
    assert os.geteuid() == 0


@as_root
@pytest.mark.parametrize("empty", [True, False])
def test_a_state_that_is_replaced_while_it_is_made_gives_nothing_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty: bool
) -> None:
    """The owner of the folder above it is quicker: by a link to it, or by one to a folder above it."""
    other, above = tmp_path / "other", tmp_path / "above"
    (other / "state").mkdir(parents=True)
    if not empty:
        (other / "state" / "shadow").write_text("")
    above.mkdir()

    def raced(path: Path) -> None:
        if empty:
            path.symlink_to(other / "state")
        else:
            above.rmdir()
            above.symlink_to(other)

    monkeypatch.setattr("server.privileges.private_directory", raced)
    with pytest.raises(StateError, match="was replaced while it was made"):
        _hand_over(above / "state", pwd.getpwnam(NOBODY))
    assert (other / "state").stat().st_uid == 0


@as_root
def test_what_a_state_is_called_by_may_be_of_another_user(tmp_path: Path) -> None:
    nobody = pwd.getpwnam(NOBODY)
    state, link = tmp_path / "state", tmp_path / "link"
    state.mkdir(mode=0o700)
    link.symlink_to(state)
    with pytest.raises(StateError, match=rf"does not belong to nobody \({link}\): "):
        _hand_over(link, nobody)
    os.chown(state, nobody.pw_uid, -1)
    _hand_over(link, nobody)


@as_root
def test_a_state_that_is_no_directory_is_left_to_who_opens_it(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    _hand_over(tmp_path / "state", pwd.getpwnam(NOBODY))
    with pytest.raises(StateError), open_state(tmp_path / "state"):
        pass


_SERVE = """
import os, subprocess, sys
from pathlib import Path
from server.net.addresses import Address
from server.net.listen import bind
from server import privileges
privileges._check_readable = lambda user: None  # a developer's interpreter may be in a home directory
state = Path(sys.argv[1])
privileges.become("nobody", state)
with open("/proc/self/status") as status:
    rights = {line.split(":")[0]: line.split()[1] for line in status if line.startswith("Cap")}
pair = bind(Address("127.99.10.21", 1021))
child = subprocess.run(["sh", "-c", "id -un; grep CapEff /proc/self/status"], stdout=subprocess.PIPE, text=True)
kept = rights["CapPrm"], rights["CapEff"]
print(os.getresuid(), os.getgroups(), *kept, pair.address, state.owner(), os.getenv("HOME"))
print(child.stdout.split())
try:
    os.setuid(0)
except PermissionError:
    print("never root again")
"""


_SERVE_PASSED = """
import ctypes, socket, sys
from pathlib import Path
from server.net.addresses import Address
from server.net.listen import bind
from server.net.passed_sockets import Claims, PassedSocket
from server import privileges
privileges._check_readable = lambda user: None
address = Address("127.99.10.22", 1021)
passed = [PassedSocket(sock, "dns", address) for sock in bind(address)[1:]]
privileges._keep_one_capability = lambda: None
privileges.become("nobody", Path(sys.argv[1]))
for _ in range(2):
    pair = Claims(passed).pair(address)
    with pair.udp, pair.tcp, socket.create_connection(address) as client:
        assert pair.tcp.accept()
        client.close()
print("answers as", Path(sys.argv[1]).owner())
"""


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that every user can reach, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@as_root
def test_a_program_that_the_user_cannot_read_is_named(reachable: Path) -> None:
    code = f"import os, pathlib; from server.privileges import become; os.__file__ = {str(reachable / 'os.py')!r}\n"
    code += f"become({NOBODY!r}, pathlib.Path({str(reachable / 'state')!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert f"nobody cannot read {reachable / 'os.py'}, a part of this program" in done.stderr


@as_root
def test_sockets_that_were_passed_are_used_as_that_user(reachable: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _SERVE_PASSED, str(reachable / "state")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "answers as nobody\n", done.stderr


@as_root
@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
def test_the_user_keeps_one_right_and_its_children_none(reachable: Path) -> None:
    nobody = pwd.getpwnam(NOBODY)
    done = subprocess.run(
        [sys.executable, "-c", _SERVE, str(reachable / "state")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    rights = f"{1 << 10:016x}"
    assert lines[0] == (
        f"({nobody.pw_uid}, {nobody.pw_uid}, {nobody.pw_uid}) [{nobody.pw_gid}] {rights} {rights} "
        f"127.99.10.21:1021 nobody {nobody.pw_dir}"
    )
    assert lines[1] == str(["nobody", "CapEff:", "0" * 16])
    assert lines[2] == "never root again"
