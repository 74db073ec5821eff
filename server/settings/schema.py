"""The configuration file as it is written: every setting, its type and its default.

`docs/signwright.toml` is the same as a template with comments. Durations are seconds, or text such as "90s", "5m",
"8h", "1d" and "1w". What is wrong is named with its file, its line and its key, and an unknown key with the nearest
known one.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec

from keys.dnssec.signing_policy import Policy
from server.settings.setting_errors import KeyPath, explain
from zones.denial import DenialMode
from zones.masterfile.reading_limits import ReadingLimits

DURATIONS: Mapping[str, int] = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

# What may stand at a setting, as a message about something else ends.
_ADDRESS = msgspec.Meta(description='an address and a port, such as "127.0.0.1:5300" or "[::1]:5300"')
_NOWHERE = msgspec.Meta(description="false for nowhere")
_NAME = msgspec.Meta(description='the name of a host, such as "ns1.example"')
_PARENT = msgspec.Meta(
    description='an address, such as "192.0.2.53" or "192.0.2.53:5300", or "auto", "local" or "none"'
)
_PARENTS = msgspec.Meta(max_length=16, description="a list of at most 16 addresses")
_ANCHOR = msgspec.Meta(description='a DS or DNSKEY record in quotes, such as "example. DS 1234 13 2 AB…"')
_ANCHORS = msgspec.Meta(max_length=16, description="a list of at most 16 records")
_Parent = Annotated[str, _PARENT] | Annotated[tuple[Annotated[str, _PARENT], ...], _PARENTS]
_ParentAnchor = Annotated[str, _ANCHOR] | Annotated[tuple[Annotated[str, _ANCHOR], ...], _ANCHORS]
_FOLDER = msgspec.Meta(description='the path of a folder, such as "/etc/zones/shared"')
_IDENTITY = msgspec.Meta(max_length=128, description='a text of at most 128 octets, such as "fra1"')
_NETWORK = msgspec.Meta(description='a network, such as "192.0.2.0/24" or "2001:db8::/32"')
_NETWORKS = msgspec.Meta(max_length=256, description="a list of at most 256 networks")
_PROGRAM = msgspec.Meta(description='the words of a command in quotes, such as "/usr/local/bin/page-somebody"')
_LOG_FILE = 'the path of a file, such as "/var/log/signwright/queries.json"'
_MODE = 'the mode of a file in quotes, such as "0640"'
_USER = 'the name of a user of this host, such as "signwright"'
_URL = 'a URL, such as "https://hooks.example/dnssec"'
_KMS_URL = 'the URL of a KMS, such as "https://kms.eu-west-1.amazonaws.com"'
_REGION = 'the name of a region of AWS, such as "eu-west-1"'
_ACCOUNT = 'the 12 digits of an account of AWS in quotes, such as "123456789012"'
_ARN = 'the ARN of a KMS key, such as "arn:aws:kms:us-east-1:123456789012:key/9d2c8a4e-5b7f-4e57-8a37-0f6f6c1d2e3b"'


class ConfigError(Exception):
    """A configuration that cannot be used: `file` (or ""), `line` (0 where unknown), `key` (or "") and `reason`."""

    def __init__(self, reason: str, *, file: str = "", line: int = 0, key: str = "") -> None:
        place = f"{file}:{line}" if file and line else file
        super().__init__(": ".join(part for part in (place, key, reason) if part))
        self.file = file
        self.line = line
        self.key = key
        self.reason = reason


class KmsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which KMS holds the key-signing keys."""

    endpoint: Annotated[str, msgspec.Meta(pattern=r"^https?://[^/\s]+/?$", description=_KMS_URL)] | None = None
    """URL of a KMS; without one, the embedded emulator."""
    emulator: Annotated[str, _ADDRESS] = "127.0.0.1:5381"
    """Where the embedded emulator listens."""
    region: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]+$", description=_REGION)] = "us-east-1"
    account: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{12}$", description=_ACCOUNT)] = "000000000000"
    """The account that owns the hosted zones."""
    profile: str | None = None
    """Profile of the AWS credential chain; without one, the emulator's own credentials or the chain's default."""


class UdpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Answering over UDP."""

    size: Annotated[int, msgspec.Meta(ge=512, le=4096)] = 1232
    """Largest answer in octets, whatever a query offers (RFC 9715)."""


class TcpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Answering over TCP (RFC 7766)."""

    idle: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 10
    """Seconds without a query after which a connection is closed; fewer once half of all connections are open."""
    connections: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000
    """Connections at one time, of all workers together."""


class EdnsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What queries' EDNS options get."""

    cookies: bool = True
    """Server cookies for clients that ask for one (RFC 7873); none is ever required."""
    nsid: Annotated[str, _IDENTITY] = ""
    """What tells this server from others (RFC 5001); empty: nothing."""


class ChaosSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What queries of class CHAOS get; empty: REFUSED."""

    version: Annotated[str, _IDENTITY] = ""
    """TXT of `version.bind` and `version.server`."""
    id: Annotated[str, _IDENTITY] = ""
    """TXT of `id.server` and `hostname.bind` (RFC 4892)."""


class LimitsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one network may be the target of."""

    responses: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 500
    """Responses a second over UDP for each /24 or /56 and class of responses; 0: no limit."""
    exempt: Annotated[tuple[Annotated[str, _NETWORK], ...], _NETWORKS] = ()
    """Networks that are not limited."""


class QueryLogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line for each query, or for some."""

    file: Annotated[str, msgspec.Meta(min_length=1, description=_LOG_FILE)] | None = None
    """Where they are written; without it, nowhere."""
    mode: Annotated[str, msgspec.Meta(pattern=r"^0[0-7]{3}$", description=_MODE)] = "0600"
    """Of the file, when it is made."""
    sample: Annotated[float, msgspec.Meta(ge=0.000001, le=1)] = 1.0
    """The share of queries that is logged: 1, or 1/N for one of N."""
    clients: Literal["addresses", "prefixes"] = "addresses"
    """Whether clients are logged by their address, or by their /24 or /56 alone."""


class Route53Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The Route 53 API."""

    listen: Annotated[str, _ADDRESS] | Annotated[bool, _NOWHERE] = "127.0.0.1:5380"
    """Where it listens; `false`: nowhere."""
    tls_certificate: str | None = None
    """File with the certificate chain, PEM. Needed beside `tls_key` for an address that is none of loopback."""
    tls_key: str | None = None
    name_servers: tuple[Annotated[str, _NAME], ...] = ("ns1.signwright.test", "ns2.signwright.test")
    """The delegation set of hosted zones that are made."""
    users: dict[str, Literal["full", "read-only"]] = {}
    """Who may call it beside the account's root, and what they may do."""
    parent: _Parent = "auto"
    """Where the DS of hosted zones is looked up, as for a zone of a file."""
    parent_anchor: _ParentAnchor = ()
    """What validates the answers of parents elsewhere, as for a zone of a file."""
    flood_denial: Literal["nsec"] | None = None
    """How hosted zones say no while they are flooded with random names; without it, as ever."""
    rate: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1000
    """Requests a second that each user may make."""


class HooksSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where each change of a zone's or a KSK's status is sent."""

    url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^/\s]+(/\S*)?$", description=_URL)] | None = None
    """A webhook: each change is posted there as JSON."""
    command: tuple[Annotated[str, _PROGRAM], ...] | None = None
    """A program and its arguments: each change is JSON on its standard input."""
    timeout: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 10
    """Seconds that one try may take."""


class ZoneFilesSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What reading one zone file may take, with all that it includes."""

    include_folders: tuple[Annotated[str, _FOLDER], ...] = ()
    """Folders whose files may be included, beside those below the folder of the zone file."""
    includes: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = ReadingLimits().includes
    """Files that are included."""
    include_depth: Annotated[int, msgspec.Meta(ge=0, le=100)] = ReadingLimits().depth
    """How deep one includes another."""
    octets: Annotated[int, msgspec.Meta(ge=1, le=1 << 40)] = ReadingLimits().octets
    """Of all files together, each as often as it is read."""
    generated: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)] = ReadingLimits().generated
    """Records that all $GENERATE of it make."""
    time: Annotated[int, msgspec.Meta(ge=1, le=7 * 86400)] = 1800
    """Seconds in which a large one is compiled."""
    memory: Annotated[int, msgspec.Meta(ge=0, le=1 << 50)] = 0
    """Octets of memory that compiling it may take; 0: three quarters of the machine's."""


class ZoneSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One zone to serve."""

    file: Annotated[str, msgspec.Meta(description='the path of a master file, such as "lab.example.zone"')]
    origin: Annotated[str, msgspec.Meta(description='the name of the apex, such as "lab.example"')] | None = None
    """Name of the apex; without one, from a file name such as `lab.example.zone`."""
    signed: bool = True
    denial: DenialMode = DenialMode.COMPACT
    flood_denial: Literal["nsec"] | None = None
    """How it says no while it is flooded with random names; without it, as ever."""
    ksk_arn: (
        Annotated[str, msgspec.Meta(pattern=r"^arn:[a-z0-9-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", description=_ARN)]
        | None
    ) = None
    """A KMS key of one's own as KSK; without one, the server creates it."""
    parent: _Parent = "auto"
    """Where the DS of the zone is looked up: one or several authoritative servers of the parent zone (ADDR or
    ADDR:PORT); "auto" for the parent that is served here, where there is one; "local" for one that has to be; "none"
    for nowhere.
    """
    parent_anchor: _ParentAnchor = ()
    """DS or DNSKEY records of the parent zone, which validate what its servers answer; none: nothing is validated."""
    policy: dict[str, int] = {}
    """Fields of the policy that differ for this zone."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    listen: tuple[Annotated[str, _ADDRESS], ...] = ("127.0.0.1:5300", "[::1]:5300")
    """Addresses for UDP and TCP. As long as it is the default, [::1] is left out on hosts without IPv6."""
    state: str = "./state"
    user: Annotated[str, msgspec.Meta(min_length=1, description=_USER)] | None = None
    """Who a server that root starts becomes once it may bind ports below 1024; without one, it stays who it is."""
    workers: Annotated[int, msgspec.Meta(ge=0, le=1024)] = 0
    """Programs that answer; 0: this one."""
    metrics: Annotated[str, _ADDRESS] | None = None
    """A loopback address for /metrics and /healthz; both are on the control socket in any case."""
    hosts: tuple[Annotated[str, _NAME], ...] = ()
    """Names by which /metrics and /healthz may be called there, beside localhost and addresses."""
    kms: KmsSettings = KmsSettings()
    udp: UdpSettings = UdpSettings()
    tcp: TcpSettings = TcpSettings()
    edns: EdnsSettings = EdnsSettings()
    chaos: ChaosSettings = ChaosSettings()
    limits: LimitsSettings = LimitsSettings()
    hooks: HooksSettings = HooksSettings()
    query_log: QueryLogSettings = QueryLogSettings()
    route53: Route53Settings = Route53Settings()
    zone_files: ZoneFilesSettings = ZoneFilesSettings()
    policy: Policy = Policy()
    """For every zone that says nothing else."""
    zones: tuple[ZoneSettings, ...] = ()


_KNOWN: Mapping[tuple[str, ...], type[msgspec.Struct]] = {
    (): Settings,
    ("kms",): KmsSettings,
    ("udp",): UdpSettings,
    ("tcp",): TcpSettings,
    ("edns",): EdnsSettings,
    ("chaos",): ChaosSettings,
    ("limits",): LimitsSettings,
    ("hooks",): HooksSettings,
    ("query_log",): QueryLogSettings,
    ("route53",): Route53Settings,
    ("zone_files",): ZoneFilesSettings,
    ("policy",): Policy,
    ("zones",): ZoneSettings,
    ("zones", "policy"): Policy,
}
_DURATIONS = {("tcp", "idle"), ("hooks", "timeout"), ("zone_files", "time")}
"""Beside every field of a policy but `slots`."""
_NO_DURATION = {("policy", "slots"), ("zones", "policy", "slots")}


def parse_settings(text: str, file: str) -> Settings:
    """Read a configuration file's text; `file` is what errors call it. Raises `ConfigError`."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(str(error), text, file) from None
    try:
        for path, table in _tables(raw):
            _check_keys(path, table)
            _read_durations(path, table)
        return msgspec.convert(raw, Settings)
    except _WrongError as error:
        path, reason = error.path, error.reason
    except msgspec.ValidationError as error:
        path, reason = explain(error, raw, Settings)
    raise ConfigError(reason, file=file, line=line_of(text, path), key=key_text(path))


def parse_duration(text: str) -> int:
    """Seconds in a text such as "90s", "5m", "8h", "1d", "2w" or "1h30m". Raises `ValueError`."""
    if not re.fullmatch(r"(\d+[smhdw])+", text, re.ASCII):
        raise ValueError(f'{text!r} is not a valid duration: give seconds, or text such as "90s", "5m", "8h", "1d"')
    return sum(int(number) * DURATIONS[unit] for number, unit in re.findall(r"(\d+)([smhdw])", text))


def key_text(path: KeyPath) -> str:
    """A key path for people: `zones[1].denial`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def line_of(text: str, path: KeyPath) -> int:
    """The line on which the value at `path` is set, 0 where it is not.

    tomllib gives no lines for values, but every beginning of a document that ends with a statement is a document of its
    own: the statement that sets `path` is the last one of the first such beginning that holds it.
    """
    lines = text.splitlines(keepends=True)

    def holds(count: int) -> bool:
        """Whether the document holds the path after `count` lines and what completes their last statement."""
        for end in range(count, len(lines) + 1):
            try:
                return _has(tomllib.loads("".join(lines[:end])), path)
            except tomllib.TOMLDecodeError:
                continue
        return False

    return bisect_left(range(len(lines) + 1), True, key=holds) if path and holds(len(lines)) else 0


class _WrongError(Exception):
    """Something wrong at a path of the document."""

    def __init__(self, path: KeyPath, reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason


def _syntax_error(message: str, text: str, file: str) -> ConfigError:
    at = re.search(r" \(at line (\d+), column \d+\)$", message)
    line = int(at[1]) if at else len(text.splitlines())
    reason = re.sub(r" \(at [^)]*\)$", "", message)
    return ConfigError(f"not valid TOML: {reason[:1].lower()}{reason[1:]}", file=file, line=line)


def _tables(raw: dict[str, Any]) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """The document and each of its known tables, with their paths."""
    yield (), raw
    for name in (
        "kms",
        "udp",
        "tcp",
        "edns",
        "chaos",
        "limits",
        "hooks",
        "query_log",
        "route53",
        "zone_files",
        "policy",
    ):
        if isinstance(raw.get(name), dict):
            yield (name,), raw[name]
    zones = raw.get("zones")
    for index, zone in enumerate(zones if isinstance(zones, list) else ()):
        if isinstance(zone, dict):
            yield ("zones", index), zone
            if isinstance(zone.get("policy"), dict):
                yield ("zones", index, "policy"), zone["policy"]


def _names(path: KeyPath) -> tuple[str, ...]:
    return tuple(part for part in path if isinstance(part, str))


def _check_keys(path: KeyPath, table: Mapping[str, Any]) -> None:
    known = _KNOWN[_names(path)].__struct_fields__
    for key in table:
        if key in known:
            continue
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        elsewhere = [key_text((*where, key)) for where, of in _KNOWN.items() if key in of.__struct_fields__]
        hint = near[0] if near else " or ".join(elsewhere)
        raise _WrongError(
            (*path, key), "unknown setting" + (f"; did you mean {hint}?" if hint else f"; known: {', '.join(known)}")
        )


def _read_durations(path: KeyPath, table: dict[str, Any]) -> None:
    kind = _KNOWN[_names(path)]
    for key, value in table.items():
        here = (*_names(path), key)
        if isinstance(value, str) and (kind is Policy or here in _DURATIONS) and here not in _NO_DURATION:
            try:
                table[key] = parse_duration(value)
            except ValueError as error:
                raise _WrongError((*path, key), str(error)) from None


def _has(value: Any, path: KeyPath) -> bool:
    try:
        for part in path:
            value = value[part]
    except (LookupError, TypeError):
        return False
    return True
