"""Logs: one event a line, from every logger."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from server.monitoring.logs import LEVELS, configure_logs, hold_log, level_now


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:], level, config = before
    root.setLevel(level)
    structlog.configure(**config)
    for name in ("signwright", "signwright.keys"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def written(form: str) -> list[str]:
    stream = io.StringIO()
    configure_logs(form, stream)
    log = structlog.get_logger("signwright.zones")
    log.info("zone loaded", zone="lab.example.", reason=None, serial=1)
    log.debug("detail")
    logging.getLogger("signwright.http").warning("a %s", "word")
    logging.getLogger("library").info("chatter")
    try:
        int("two\nlines")
    except ValueError:
        log.exception("failed")
    return stream.getvalue().splitlines()


def test_logfmt_is_what_a_program_gets() -> None:
    lines = written("auto")
    assert len(lines) == 3
    assert lines[0].split(" ", 1)[1] == (
        'level=info logger=signwright.zones event="zone loaded" zone=lab.example. serial=1'
    )
    assert lines[0].startswith("timestamp=20")
    assert lines[1].split(" ", 1)[1] == 'level=warning logger=signwright.http event="a word"'
    assert "ValueError: invalid literal" in lines[2]


def test_json() -> None:
    events = [json.loads(line) for line in written("json")]
    assert [event["event"] for event in events] == ["zone loaded", "a word", "failed"]
    assert events[0]["zone"] == "lab.example."
    assert "reason" not in events[0]
    assert events[2]["exception"][0]["exc_type"] == "ValueError"


def test_console() -> None:
    lines = written("console")
    assert "zone loaded" in lines[0]
    assert "serial=1" in lines[0]
    assert "\x1b" not in lines[0]  # not a terminal


@pytest.mark.parametrize("form", ["console", "logfmt", "json"])
def test_a_traceback_shows_no_local_variables(form: str) -> None:
    stream = io.StringIO()
    configure_logs(form, stream)
    secret = "never to be " + "seen"  # the line itself may be shown in the traceback, its value not
    try:
        secret.index("?")
    except ValueError:
        structlog.get_logger("signwright").exception("failed")
    assert "failed" in stream.getvalue()
    assert "never to be seen" not in stream.getvalue()


def test_on_a_terminal_what_is_done_to_keys_is_logged_at_debug_only() -> None:
    for form, level, said in (
        ("console", logging.INFO, False),
        ("console", logging.DEBUG, True),
        ("logfmt", logging.INFO, True),
    ):
        stream = io.StringIO()
        configure_logs(form, stream, level)
        structlog.get_logger("signwright.keys").info("KSK created")
        structlog.get_logger("signwright.keys").error("KSK lost")
        assert ("KSK created" in stream.getvalue()) == said
        assert "KSK lost" in stream.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_banner_comes_before_the_log_unless_something_is_wrong() -> None:
    stream = Terminal()
    configure_logs("console", stream)
    log, let_go = structlog.get_logger("signwright"), hold_log()
    log.info("loaded")
    assert stream.getvalue() == ""
    log.warning("a word")
    assert "loaded" in stream.getvalue()
    log.info("second")
    assert "second" not in stream.getvalue()
    let_go()
    assert "second" in stream.getvalue()
    log.info("third")
    assert "third" in stream.getvalue()


def test_a_log_for_programs_waits_for_nothing() -> None:
    stream = io.StringIO()
    configure_logs("logfmt", stream)
    hold_log()
    structlog.get_logger("signwright").info("loaded")
    assert "loaded" in stream.getvalue()


@pytest.mark.parametrize("level", LEVELS)
def test_a_worker_logs_from_the_same_level(level: str) -> None:
    configure_logs("logfmt", io.StringIO(), logging.getLevelNamesMapping()[level.upper()])
    assert level_now() == level
