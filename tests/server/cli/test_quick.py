"""The commands that are typed most cost little more than Python itself: what they import, and their processor time."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from importlib import import_module
from pathlib import Path
from socketserver import UnixStreamServer
from tempfile import TemporaryDirectory

import click
import pytest

from server.cli import COMMANDS, cli
from server.cli.exit_codes import _EXITS, _NOTHING_TO_SERVE
from server.state.paths import StateDir

ROOT = Path(__file__).parents[3]
SLOW = {"trio", "httpx", "httpx2", "botocore", "dns", "sqlalchemy", "rich", "structlog", "msgspec", "cryptography"}
QUICK = [("--help",), ("status",), ("ds", "lab.example"), ("reload",)]
MOST = 8
"""Times the processor time of `python -c pass`."""


class Shown(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b'{"out": "OK: nothing to do\\n", "err": "", "exit": 0}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815

    log_message = staticmethod(lambda *_: None)  # type: ignore[assignment]


@pytest.fixture
def state() -> Iterator[Path]:
    """The folder of a state whose server answers everything."""
    with (
        TemporaryDirectory() as folder,
        UnixStreamServer(str(StateDir(Path(folder)).control_socket), Shown) as server,
    ):
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield Path(folder)
        server.shutdown()
        thread.join()


def command(arguments: tuple[str, ...], state: Path, *options: str) -> list[str]:
    """As the console script runs it."""
    script = "import sys; from server.cli import main; sys.exit(main())"
    located = ["--state", str(state)] if arguments != ("--help",) else []
    return [sys.executable, *options, "-c", script, *arguments, *located]


def cost(command: list[str]) -> float:
    """Seconds of processor time."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize("arguments", QUICK, ids=lambda arguments: arguments[0])
def test_quick_commands_import_nothing_that_takes_long(arguments: tuple[str, ...], state: Path) -> None:
    done = subprocess.run(
        command(arguments, state, "-X", "importtime"), cwd=ROOT, capture_output=True, text=True, check=True
    )
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "click" in imported
    assert not imported & SLOW


def test_quick_commands_cost_at_most_eight_times_what_python_costs(state: Path) -> None:
    commands = {arguments[0]: command(arguments, state) for arguments in QUICK}
    taken: dict[str, list[float]] = {name: [] for name in (*commands, "python")}
    for _ in range(9):
        taken["python"].append(cost([sys.executable, "-c", "pass"]))
        for name, one in commands.items():
            taken[name].append(cost(one))
    python = statistics.median(taken.pop("python"))
    ratios = {name: statistics.median(times) / python for name, times in taken.items()}
    assert max(ratios.values()) <= MOST, ratios


def test_the_list_of_commands_says_what_each_command_says() -> None:
    context = click.Context(cli)
    for name, (_, said) in COMMANDS.items():
        found = cli.get_command(context, name)
        assert found is not None
        assert found.get_short_help_str(limit=80) == said, name


def test_failures_are_named_as_they_are() -> None:
    for name in (*_EXITS, _NOTHING_TO_SERVE):
        module, _, kind = name.rpartition(".")
        assert issubclass(getattr(import_module(module), kind), Exception)
        assert getattr(import_module(module), kind).__module__ == module


def all_commands(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    yield command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from all_commands(found, click.Context(found, context, name))


def test_help_fits_eighty_columns() -> None:
    seen = 0
    for one, context in all_commands(cli, click.Context(cli, info_name="signwright", terminal_width=80)):
        for line in one.get_help(context).splitlines():
            assert len(line) <= 80, (context.command_path, line)
        seen += 1
    assert seen > len(COMMANDS)
