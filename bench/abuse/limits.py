"""The settings that rate limits, cookies and floods take, of each server, in one place.

`bench.servers` writes configurations without limits; here is what becomes of which line of them. Where limits are on,
all have the same: 500 responses a second for each /24, every second limited one truncated, and DNS cookies, of which a
valid one passes by the limit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.rounds import free_port
from bench.servers import SERVERS, Site
from server.settings.schema import Settings, ZoneSettings

RATE, SLIP = 500, 2


class Amendment(NamedTuple):
    """In a file of the site's, the first match of a regular expression becomes another text."""

    file: str
    pattern: str
    text: str


@dataclass(frozen=True, slots=True)
class Variant:
    """A server and its settings, under a name of its own."""

    server: str
    """One of `bench.servers.SERVERS`."""
    limited: bool = False
    """Whether rate limits and cookies are on."""
    flood: bool = False
    """Whether the zone denies from its chain under a flood; Signwright alone."""
    http: bool = False
    """Whether the Route 53 API, /metrics and the emulator listen; Signwright alone."""

    @property
    def title(self) -> str:
        extra = [word for word, has in (("limits on", self.limited), ("flood_denial", self.flood)) if has]
        return ", ".join([SERVERS[self.server].title, *extra])


class Ports(NamedTuple):
    """Where a variant's HTTP listens on 127.0.0.1."""

    emulator: int
    route53: int
    metrics: int


class Unbuilt(Exception):  # noqa: N818 - not an error: the row cannot be measured yet
    """A variant needs a setting that this version does not have; the message names it."""


_LIMITED = {
    "nsd": [
        Amendment("nsd.conf", r"rrl-ratelimit: 0", f"rrl-ratelimit: {RATE}\n    rrl-slip: {SLIP}"),
        Amendment("nsd.conf", r"rrl-whitelist-ratelimit: 0", "rrl-ipv4-prefix-length: 24\n    answer-cookie: yes"),
    ],
    "knot": [
        Amendment(
            "knot.conf", r"\nzone:",
            f"\nmod-rrl:\n  - id: default\n    rate-limit: {RATE}\n    slip: {SLIP}\n"
            "template:\n  - id: default\n    global-module: [mod-cookies, mod-rrl/default]\nzone:",
        )
    ],
    "bind": [
        Amendment(
            "named.conf", r"recursion no;",
            f"recursion no;\n    answer-cookie yes;\n    rate-limit {{ responses-per-second {RATE}; slip {SLIP}; "
            "ipv4-prefix-length 24; };",
        )
    ],
}  # fmt: skip
"""By the server. What has no line of its own in BIND's rate-limit follows responses-per-second."""
_OWN = "signwright.toml"


def configure(variant: Variant, site: Site) -> tuple[list[str], Ports | None]:
    """Write the configuration; the command that serves, and the ports of HTTP where it listens.

    Raises `Unbuilt` where this version lacks a setting, and `RuntimeError` where a line to be amended is not there.
    """
    command = SERVERS[variant.server].set_up(site)
    ports = None
    if not variant.server.startswith("signwright"):
        _amend(site, _LIMITED[variant.server] if variant.limited else [])
        return command, None
    for table, key, value in _own_limits(variant.limited):
        _set(site.directory / _OWN, table, key, value)
    if variant.flood:
        if "flood_denial" not in ZoneSettings.__struct_fields__:
            raise Unbuilt("flood_denial")
        _amend(site, [Amendment(_OWN, r'denial = "compact"', 'denial = "compact"\nflood_denial = "nsec"')])
    if variant.http:
        ports = Ports(free_port(), free_port(), free_port())
        _amend(
            site,
            [
                Amendment(_OWN, r"\nstate =", f'\nmetrics = "127.0.0.1:{ports.metrics}"\nstate ='),
                Amendment(_OWN, r"127\.0\.0\.1:0", f"127.0.0.1:{ports.emulator}"),
                Amendment(
                    _OWN, r"listen = false",
                    f'listen = "127.0.0.1:{ports.route53}"\n[route53.users]\naudit = "read-only"\n',
                ),
            ],
        )  # fmt: skip
    return command, ports


def has_limits() -> bool:
    """Whether this version of Signwright limits its responses."""
    return "limits" in Settings.__struct_fields__


def _own_limits(limited: bool) -> list[tuple[str, str, str]]:
    """Table, key and value of those settings that this version has: the rate of responses, and cookies."""
    settings = [
        ("limits", "responses", str(RATE if limited else 0)),
        ("edns", "cookies", "true" if limited else "false"),
    ]
    return [setting for setting in settings if setting[0] in Settings.__struct_fields__]


def _set(path: Path, table: str, key: str, value: str) -> None:
    """Give a setting its value, whether its table is there or not."""
    text = path.read_text()
    heading = f"\n[{table}]\n"
    text = re.sub(rf"(?<=\n\[{table}\]\n)((?:[^\[\n].*\n)*?){key} = .*\n", r"\1", text)
    if heading not in text:
        text = text.replace("\n[kms]", f"{heading}\n[kms]", 1)
    path.write_text(text.replace(heading, f"{heading}{key} = {value}\n", 1))


def _amend(site: Site, amendments: list[Amendment]) -> None:
    for file, pattern, text in amendments:
        path = site.directory / file
        amended, count = re.subn(pattern, lambda _, text=text: text, path.read_text(), count=1)  # type: ignore[misc]
        if not count:
            raise RuntimeError(f"{path}: nothing is like {pattern!r}: bench.servers writes it otherwise now")
        path.write_text(amended)
