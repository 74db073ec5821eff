"""Logs: one event a line on stderr, in colour for people, logfmt or JSON for programs.

Never a private key, a credential or the content of an Authorization header: who logs names keys by their tag or ARN.
"""

from __future__ import annotations

import logging
import logging.handlers
import sys
from collections.abc import Callable, Mapping
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

FORMATS = ("auto", "console", "logfmt", "json")
"""`auto`: console where stderr is a terminal, else logfmt."""

LEVELS = ("debug", "info", "warning", "error")
"""From all to least."""
_KEYS = "signwright.keys"
"""Logs each thing that is done to a key."""
_HELD = 1000
"""Lines that wait for the banner at most."""
_ORDER = ["timestamp", "level", "logger", "event", "zone"]


def configure_logs(form: str = "auto", stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Have every logger of this process, structlog's and the standard library's, write to `stream` (stderr).

    What is done to keys is in a log for programs from INFO, and for people at DEBUG: `events` tells it better.
    """
    stream = stream or sys.stderr
    if form == "auto":
        form = "console" if stream.isatty() else "logfmt"
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if form == "console" else "iso", utc=form != "console"),
        _without_nothing,
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(form, stream)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)  # libraries
    logging.getLogger("signwright").setLevel(level)
    quieter = form == "console" and level == logging.INFO
    logging.getLogger(_KEYS).setLevel(logging.WARNING if quieter else logging.NOTSET)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def level_now() -> str:
    """One of `LEVELS`, for a program of our own that is started."""
    return logging.getLevelName(logging.getLogger("signwright").getEffectiveLevel()).lower()


def hold_log() -> Callable[[], None]:
    """Hold lines back where people read them, so that a banner comes first; what is returned lets them go.

    A warning or an error goes at once, with all that waits, and so does what is held when the process ends.
    """
    root = logging.getLogger()
    handler = root.handlers[0]
    if not (isinstance(handler, logging.StreamHandler) and handler.stream.isatty()):
        return lambda: None
    holding = logging.handlers.MemoryHandler(_HELD, flushLevel=logging.WARNING, target=handler)
    root.handlers[:] = [holding]

    def let_go() -> None:
        holding.close()
        if root.handlers == [holding]:
            root.handlers[:] = [handler]

    return let_go


def _renderers(form: str, stream: TextIO) -> list[Processor]:
    if form == "console":
        # A traceback that shows local variables would show secrets.
        return [
            structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    if form == "json":
        without_locals = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        return [structlog.processors.ExceptionRenderer(without_locals), structlog.processors.JSONRenderer()]
    return [
        structlog.processors.format_exc_info,
        _on_one_line,
        structlog.processors.LogfmtRenderer(key_order=_ORDER, drop_missing=True, bool_as_flag=False),
    ]


def _without_nothing(_: WrappedLogger, __: str, event: EventDict) -> Mapping[str, object]:
    """Leave out what is not known."""
    return {key: value for key, value in event.items() if value is not None}


def _on_one_line(_: WrappedLogger, __: str, event: EventDict) -> Mapping[str, object]:
    """logfmt has one event a line: a traceback's line ends become visible."""
    return {key: value.replace("\n", "\\n") if isinstance(value, str) else value for key, value in event.items()}
