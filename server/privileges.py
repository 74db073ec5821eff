"""Becoming an ordinary user: a server that root starts keeps one right of root's, to bind ports below 1024.

That right (CAP_NET_BIND_SERVICE on Linux) is kept since a restored state makes the same process bind its addresses once
more. All else is given up before the state is opened or a zone file is read, so that whatever this process makes, it
makes as that user. Programs that it starts, as workers and hooks, have no right at all: execve(2) passes none on.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import sys
from pathlib import Path

from keys.custody.private_files import private_directory
from keys.custody.zsk_encryption import StateError

_ROOT = 0
_MOST_NAMED = 3
_PR_SET_KEEPCAPS = 8
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_NET_BIND_SERVICE = 1 << 10


class CannotBecomeUser(Exception):  # noqa: N818 - it names what happened
    """There is no such user, or this process may not become it."""


def become(user: str, state: Path) -> None:
    """Run as `user` from now on; `state` is made where it is missing, as the user's own.

    To be called before there are threads. Raises `CannotBecomeUser`, and `StateError` for a state directory that is
    another user's.
    """
    account = account_of(user)
    if os.geteuid() == account.pw_uid:
        return
    if os.geteuid() != _ROOT:
        raise CannotBecomeUser(
            f"this process runs as user ID {os.geteuid()}, and only root can become {user}: "
            f"start it as root or as {user}"
        )
    _hand_over(state, account)
    if sys.platform == "linux":
        _call("prctl", _PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.initgroups(user, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    if sys.platform == "linux":
        _keep_one_capability()
    _check_readable(user)
    # As a login would: what the AWS credential chain reads is in the home directory.
    os.environ.update(HOME=account.pw_dir, USER=user, LOGNAME=user)


def account_of(user: str) -> pwd.struct_passwd:
    """Who `user` is. Raises `CannotBecomeUser` where this host has no such user, and for root."""
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        raise CannotBecomeUser(
            f"this host has no user {user}: create it (useradd --system {user}), or name another"
        ) from None
    if account.pw_uid == _ROOT:
        raise CannotBecomeUser(f"{user} is root: name an unprivileged user, or remove the setting to stay root")
    return account


def _hand_over(state: Path, account: pwd.struct_passwd) -> None:
    """A new state directory is the user's. One that is another's is left as it is: a person decides whose it is."""
    if not state.exists():
        private_directory(state)
        _give(state, account)
        return
    if not state.is_dir():
        return  # the code that opens it reports what is wrong
    owners = {state: state.stat(), **{path: path.lstat() for path in sorted(state.iterdir())}}
    of_others = [path for path, status in owners.items() if status.st_uid != account.pw_uid]
    if of_others:
        named = ", ".join(str(path) for path in of_others[:_MOST_NAMED])
        more = " and others" if len(of_others) > _MOST_NAMED else ""
        raise StateError(
            f"the state directory {state} does not belong to {account.pw_name} ({named}{more}): run "
            f"chown -R {account.pw_name}: {state}"
        )


def _give(made: Path, account: pwd.struct_passwd) -> None:
    """Make a directory that has just been made the user's. Raises `StateError` where something else stands there.

    The owner of a folder above it may put a link in its place meanwhile, and root would give away the link's target.
    """
    try:
        descriptor = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise StateError(f"the state directory {made} was replaced while it was made: {error.strerror}") from None
    try:
        is_ours = os.fstat(descriptor).st_uid == os.geteuid()
        if not is_ours or os.listdir(descriptor):  # noqa: PTH208 - of what is open, whatever stands there by now
            raise StateError(f"the state directory {made} was replaced while it was made: look who owns its parents")
        os.fchown(descriptor, account.pw_uid, account.pw_gid)
    finally:
        os.close(descriptor)


def _check_readable(user: str) -> None:
    """Raises `CannotBecomeUser` where the user can't read this program: modules are read when they are needed."""
    for path in (os.__file__, __file__, sys.executable):
        if not os.access(path, os.R_OK):
            raise CannotBecomeUser(
                f"{user} cannot read {path}, a part of this program: install it where that user can read it, as in /opt"
            )


def _keep_one_capability() -> None:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)  # 0: this process
    # Effective, permitted, inheritable; twice, since the set has 64 bits.
    data = (ctypes.c_uint32 * 6)(_CAP_NET_BIND_SERVICE, _CAP_NET_BIND_SERVICE, 0, 0, 0, 0)
    _call("capset", header, data)


def _call(name: str, *arguments: object) -> None:
    """Call a function of the C library that says 0 when it is done. Raises `OSError`."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
