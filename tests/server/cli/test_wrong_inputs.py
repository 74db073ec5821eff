"""Wrong zone files, configurations and commands: what `wrong_inputs.txt` says of each is what people read.

    == TITLE
    -- FILE                 # a file's text follows; "@zone" in it is the beginning of a zone that is right
    $ COMMAND
    exit N
    …                       # stdout, then stderr, each line of it with "! "

`--rewrite` writes the present output.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

from tests.processes import run

FILE = Path(__file__).parent / "wrong_inputs.txt"
ZONE = """\
@ 300 SOA ns1 hostmaster 1 7200 3600 1209600 300
@ 300 NS ns1
ns1 300 A 192.0.2.1"""
LEAST = 30
"""Wrong inputs that stand in the file."""


def cases() -> list[tuple[str, list[str], str]]:
    """Of each: its title, its lines before the exit code, its command."""
    found = []
    for block in FILE.read_text().split("== ")[1:]:
        title, *lines = block.splitlines()
        at = next(at for at, line in enumerate(lines) if line.startswith("$ "))
        found.append((title, lines[: at + 1], lines[at].removeprefix("$ ")))
    return found


def told(folder: Path, lines: list[str], command: str) -> str:
    """What the command of a case ends with."""
    folder.mkdir()
    texts: dict[str, list[str]] = {}
    name = ""
    for line in lines[:-1]:
        if line.startswith("-- "):
            name = line.removeprefix("-- ")
            texts[name] = []
        else:
            texts[name].append(ZONE if line == "@zone" else line)
    for name, text in texts.items():
        (folder / name).write_text("\n".join(text) + "\n")
    done = run(*shlex.split(command), cwd=folder)
    output = [
        f"exit {done.returncode}",
        *done.stdout.splitlines(),
        *(f"! {line}".rstrip() for line in done.stderr.splitlines()),
    ]
    return re.sub(re.escape(str(folder)) + "/?", "", "\n".join(output))


def test_what_is_told_of_wrong_inputs(tmp_path: Path, matches_transcript: Callable[[Path, str], None]) -> None:
    wrong = cases()
    assert len(wrong) >= LEAST
    blocks = []
    for number, (title, lines, command) in enumerate(wrong):
        now = told(tmp_path / str(number), lines, command)
        blocks.append("\n".join([f"== {title}", *lines, now, ""]))
        if not title.startswith("no error"):
            assert not now.startswith("exit 0"), title
        assert "Traceback" not in now, title
    matches_transcript(FILE, "\n".join(blocks))
