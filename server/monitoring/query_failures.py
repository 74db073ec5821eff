"""Queries that could not be answered: a bug, or a signature that failed. They get SERVFAIL; here they get a line."""

from __future__ import annotations

import structlog

_log = structlog.get_logger("signwright.answer")


def log_failure(qname: bytes) -> None:
    """Log the exception that is being handled, with the queried name (`server.query.respond.Failed`)."""
    _log.exception("cannot answer", qname=qname.hex())
