"""The real server, which kills itself with SIGKILL at its n-th point: `mortal.py STATE ZONEFILE POINTS N`.

A point lies before and after each store transaction and each KMS call. Those passed are written to the file POINTS.
Once ready, the server ends by itself.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio

from keys.custody.state_database import Store
from keys.kms.kms_client import KmsClient
from server.app import run
from server.control.operations import RequestOutcome
from server.settings.configuration import Config, load_config

state, zone_file, points, kill_at = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
passed = itertools.count()


def point(name: str) -> None:
    with points.open("a") as file:
        file.write(name + "\n")
    if next(passed) == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)


def around_call(name: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def wrapped(*arguments: Any, **named: Any) -> Any:
        point(f"before {name}")
        result = await call(*arguments, **named)
        point(f"after {name}")
        return result

    return wrapped


def around_save(save: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*arguments: Any, **named: Any) -> Any:
        point("before save")
        result = save(*arguments, **named)
        point("after save")
        return result

    return wrapped


def config() -> Config:
    file = state.parent / "mortal.toml"
    file.write_text('listen = ["127.0.0.1:0"]\n[kms]\nemulator = "127.0.0.1:0"\n[route53]\nlisten = "127.0.0.1:0"\n')
    return load_config(file, zone_arguments=[zone_file], state=state)


for method in ("create_key", "find_key", "get_public_key", "sign"):
    setattr(KmsClient, method, around_call(method, getattr(KmsClient, method)))
setattr(Store, "save", around_save(Store.save))  # noqa: B010 - mypy minds the plain assignment
trio.run(run, config(), config, lambda running: running.end(RequestOutcome.STOPPED))
