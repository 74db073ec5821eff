"""Settings that a server reads when it starts and not again: what of them differs takes a restart.

A reload reads [[zones]], their [policy] and [zone_files] anew. Sockets, the KMS, workers and the API are as they were
at the start.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from server.settings.configuration import Config

_TABLES = ("kms", "tcp", "edns", "chaos", "limits", "hooks", "query_log", "route53")
_RELOADED = ("zones", "samples", "policy")
_NAMES = {
    "udp_size": ("udp.size",),
    "flood_denial": ("route53.flood_denial",),
    "route53.tls": ("route53.tls_certificate", "route53.tls_key"),
    "query_log.every": ("query_log.sample",),
    "query_log.prefixes": ("query_log.clients",),
}
"""Settings that go by another name in a configuration."""

_TURNED_ON_BY = {"route53": "listen", "query_log": "file"}
"""Of a table that is there or not, the setting that says so."""


def waiting_for_restart(started: Config, now: Config, *, hosted: bool) -> tuple[str, ...]:
    """The names of the settings by which `now` differs from what the server was started with, as in the file.

    `hosted` tells whether there are hosted zones, whose policy is that of the start.
    """
    differing = [name for field in _changed(started, now) for name in _NAMES.get(field, (field,))]
    if hosted and started.policy != now.policy:
        differing.append("policy (of hosted zones)")
    return tuple(differing)


def _changed(started: Config, now: Config) -> Iterator[str]:
    for field in _fields(started, now, _RELOADED):
        before, after = getattr(started, field), getattr(now, field)
        if field not in _TABLES:
            yield field
        elif before is None or after is None:
            yield f"{field}.{_TURNED_ON_BY[field]}"
        else:
            yield from (f"{field}.{one}" for one in _fields(before, after))


def _fields(before: msgspec.Struct, after: msgspec.Struct, but: Sequence[str] = ()) -> Iterator[str]:
    """The fields by which two of a kind differ."""
    for field in before.__struct_fields__:
        if field not in but and getattr(before, field) != getattr(after, field):
            yield field
