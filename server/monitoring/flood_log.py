"""Zones that are flooded with random names, and are denied by their NSEC chains meanwhile: a line for each change."""

from __future__ import annotations

from contextlib import suppress

import structlog

from zones import names

_log = structlog.get_logger("signwright.answer")


def log_flood(origin: bytes, is_on: bool) -> None:
    """Log the beginning or the end of a flood of a zone (`server.query.fast.flood_detection.Switched`)."""
    with suppress(Exception):  # a log that cannot be written to keeps nobody from an answer
        zone = names.to_text(origin)
        if is_on:
            _log.warning("flood of random names: the zone uses the NSEC chain", zone=zone)
        else:
            _log.info("end of the flood of random names: the zone uses compact denial again", zone=zone)
