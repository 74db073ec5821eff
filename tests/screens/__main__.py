"""Renew docs/timeline.svg, and the pictures of screens in docs from a server that runs on zones made here.

Its clock begins at a fixed time and moves 60 times slower than ours, and key tags are replaced, so that a picture
changes only where the output does.
"""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from keys.dnssec.signing_policy import Policy
from keys.rules.events import Event, KskDeactivated, KskDeleting, KskIntended, ParentSeen
from keys.rules.forecast import steps
from keys.rules.timeline import timeline
from server.display.timeline_svg import render_svg
from tests.keys.rules.key_history import DAY, history
from tests.keys.rules.key_history import START as BEGAN

START = 1_796_126_400  # 2026-12-01 12:00 UTC
# The clocks of every process here: a minute of ours is a second of theirs.
CLOCKS = f"""
import sys, time
sys.path.insert(0, {str(Path.cwd())!r})
began, monotonic = {time.monotonic()}, time.monotonic
time.time = lambda: {START} + (monotonic() - began) / 60
from keys.timekeeping import system_clocks
system_clocks.boottime = time.time
system_clocks.SYSTEM = system_clocks.Clocks(time.time, time.time, time.time, lambda: True)
from server.cli import main
sys.exit(main())
"""
ZONE = """\
$TTL 1h
@    SOA ns1 hostmaster 2026120101 2h 1h 2w 5m
@    NS  ns1
@    MX  10 mail
ns1  A   192.0.2.1
mail A   192.0.2.25
www  A   192.0.2.80
"""
PARENT = ZONE + "lab  NS  ns1.lab\nshop NS  ns1.shop\nns1.lab A 192.0.2.1\nns1.shop A 192.0.2.1\n"
WRONG = ZONE.replace("10 mail", "mail") + "www2 5x A 192.0.2.81\nftp  CNAME www.shop.example\n"
CONFIG = """\
listen = ["127.53.0.1:5300"]
[kms]
emulator = "127.53.0.1:5381"
[[zones]]
file = "example.zone"
[[zones]]
file = "lab.example.zone"
[[zones]]
file = "shop.example.zone"
"""
DOCS = Path("docs").absolute()
FOLDER = Path("/tmp/signwright")  # in each screen, so it never changes


def command(*arguments: str) -> list[str]:
    """A command of ours, by those clocks."""
    return [sys.executable, "-c", CLOCKS, *arguments]


def shown(folder: Path, *arguments: str) -> str:
    """What a command prints on a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    look = {**os.environ, "COLUMNS": "80", "TERM": "xterm-256color"}
    look.pop("NO_COLOR", None)
    process = subprocess.Popen(command(*arguments), cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=look)
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        parts.append(part)
    process.wait()
    os.close(ours)
    return b"".join(parts).decode().replace("\r\n", "\n")


def plain(folder: Path, *arguments: str) -> str:
    """What a command prints for programs."""
    return subprocess.run(command(*arguments), cwd=folder, capture_output=True, text=True, check=False).stdout


def save(name: str, title: str, screens: Sequence[tuple[str, str]], same: Mapping[str, str]) -> None:
    """Draw what was typed and printed; `same` replaces what differs from run to run."""
    console = Console(record=True, width=80, file=StringIO())
    for number, (typed, printed) in enumerate(screens):
        if number:
            console.print()
        console.print(Text(f"$ {typed}", style="bold"))
        text = printed
        for before, after in {"up 1s": "up 0s", **same}.items():
            text = text.replace(before, after)
        console.print(Text.from_ansi(text.rstrip("\n")))
    console.save_svg(str(DOCS / f"screen-{name}.svg"), title=title, unique_id=name)


def keys(folder: Path) -> list[dict[str, Any]]:
    """The status of the keys of each zone."""
    return [zone["keys"] for zone in json.loads(plain(folder, "status", "--json"))["zones"]]


def pictures(folder: Path) -> bool:
    """Whether they are made: key tags of another length would move columns."""
    tags = [str(key["key_tag"]) for zone in keys(folder) for key in (*zone["ksks"], *zone["zsks"])]
    if any(len(tag) != 5 for tag in tags) or len(set(tags)) < len(tags):
        return False
    same = {tag: str(20001 + 1111 * number) for number, tag in enumerate(tags)}

    def screen(*arguments: str) -> tuple[str, str]:
        return " ".join(("signwright", *arguments)), shown(folder, *arguments)

    plans = [
        screen("plan", "lab.example", "--until", "60d"),
        screen("plan", "lab.example", "--until", "20d", "--detail"),
    ]
    save("plan", "Planned rollovers", plans, same)
    save("timeline", "Keys over time", [screen("timeline", "lab.example", "--until", "60d")], same)
    (folder / "shop.example.zone").write_text(WRONG)
    save("check", "All errors of a zone file", [screen("check", "shop.example.zone")], same)
    plain(folder, "reload")
    save("status", "What to do, and how the zones are", [screen("status")], same)
    return True


def attempt() -> bool:
    """Serve, and make the pictures; whether they are made."""
    FOLDER.mkdir(mode=0o700)
    try:
        folder = FOLDER
        (folder / "example.zone").write_text(PARENT)
        for zone in ("lab", "shop"):
            (folder / f"{zone}.example.zone").write_text(ZONE)
        (folder / "signwright.toml").write_text(CONFIG)
        with (folder / "log").open("w") as log:
            serve = command("serve", "--config", "signwright.toml", "--log-level", "warning")
            server = subprocess.Popen(serve, cwd=folder, stdout=log, stderr=log)
            try:
                until(lambda: "\nReady: " in (folder / "log").read_text(), server, folder)
                until(lambda: all(zone["valid_until"] for zone in keys(folder)), server, folder)
                return pictures(folder)
            finally:
                server.terminate()
                server.wait()
    finally:
        shutil.rmtree(FOLDER)


def months() -> None:
    """docs/timeline.svg: keys through months that the real planner went through, without a server."""

    def day(number: int, event: Callable[..., Event], *arguments: object) -> tuple[int, Event]:
        return BEGAN + number * DAY, event(BEGAN + number * DAY, *arguments)

    told = [
        day(2, ParentSeen, ("ksk_1",), 3600),
        day(20, KskIntended, "ksk_new", "token", None),
        day(22, ParentSeen, ("ksk_1", "ksk_new"), 3600),
        day(25, ParentSeen, ("ksk_new",), 3600),
        day(27, KskDeactivated, "ksk_1"),
        day(29, KskDeleting, "ksk_1"),
    ]
    now, until = BEGAN + 44 * DAY + 7200, BEGAN + 104 * DAY
    keyring, log = history(now, told, [("ksk_new", BEGAN + 33 * DAY, BEGAN + 36 * DAY)])
    future = steps(keyring, Policy(), now, until)
    picture = render_svg(timeline(keyring, Policy(), log, future, now, BEGAN + 14 * DAY, until))
    (DOCS / "timeline.svg").write_text(picture + "\n", encoding="utf-8")


def until(what: Callable[[], bool], server: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait for it, for half a minute. Ends the program with the server's log where it does not come."""
    deadline = time.monotonic() + 30
    while not what():
        if server.poll() is not None or time.monotonic() > deadline:
            sys.exit((folder / "log").read_text())
        time.sleep(0.2)


if __name__ == "__main__":
    while not attempt():
        pass
    months()
