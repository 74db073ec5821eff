"""The real server, which kills itself with SIGKILL at its n-th point: `mortal.py`, then lines `FOLDER N` to its input.

A point lies before and after each store transaction and each KMS call. Each line starts a server on what FOLDER holds,
in a process forked from this one, which has imported everything already: that takes longer than to serve. For each, the
exit code is printed; the points passed are in FOLDER/points. Once ready, the server ends by itself.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy.dialects.sqlite  # noqa: F401 - would else be imported by each server
import trio

from keys.custody.state_database import Store
from keys.kms.kms_client import KmsClient
from server.app import run
from server.control.server_operations import RequestOutcome
from server.settings.configuration import Config, load_config
from tests.warm import set_imported_aside


def point(file: Path, passed: Iterator[int], kill_at: int, name: str) -> None:
    with file.open("a") as points:
        points.write(name + "\n")
    if next(passed) == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)


def around_call(call: Callable[..., Awaitable[Any]], at: Callable[[str], None]) -> Callable[..., Awaitable[Any]]:
    async def wrapped(*arguments: Any, **named: Any) -> Any:
        at(f"before {call.__name__}")
        result = await call(*arguments, **named)
        at(f"after {call.__name__}")
        return result

    return wrapped


def around_save(save: Callable[..., Any], at: Callable[[str], None]) -> Callable[..., Any]:
    def wrapped(*arguments: Any, **named: Any) -> Any:
        at("before save")
        result = save(*arguments, **named)
        at("after save")
        return result

    return wrapped


def config(folder: Path) -> Config:
    file = folder / "mortal.toml"
    file.write_text('listen = ["127.0.0.1:0"]\n[kms]\nemulator = "127.0.0.1:0"\n[route53]\nlisten = "127.0.0.1:0"\n')
    return load_config(file, zone_arguments=[str(folder / "lab.example.zone")], state=folder / "state")


def live(folder: Path, kill_at: int) -> None:
    """Be the server."""
    output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    at = partial(point, folder / "points", itertools.count(), kill_at)
    for method in ("create_key", "find_key", "get_public_key", "sign"):
        setattr(KmsClient, method, around_call(getattr(KmsClient, method), at))
    setattr(Store, "save", around_save(Store.save, at))  # noqa: B010 - mypy minds the plain assignment
    trio.run(run, config(folder), partial(config, folder), lambda running: running.end(RequestOutcome.STOPPED))


def main() -> None:
    set_imported_aside()
    for line in sys.stdin:
        folder, kill_at = line.rsplit(maxsplit=1)
        pid = os.fork()
        if not pid:
            live(Path(folder), int(kill_at))
            sys.exit()
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
