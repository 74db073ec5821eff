"""Queries that could not be answered: a bug, or a signature that failed. They get SERVFAIL; here they get a line."""

from __future__ import annotations

from contextlib import suppress

import structlog

_log = structlog.get_logger("signwright.answer")


def log_failure(qname: bytes, qtype: int) -> None:
    """Log the exception that is being handled, with the queried name and type (`server.query.respond.Failed`).

    A log that cannot be written to keeps nobody from an answer.
    """
    with suppress(Exception):
        _log.exception("cannot answer", qname=qname.hex(), qtype=qtype)
