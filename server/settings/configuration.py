"""The configuration in force: the file's settings and the command line, merged, checked, every path absolute.

A relative path in a configuration file is relative to that file; one on the command line, to the current folder.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

import zones
from keys.dnssec.signing_policy import Policy
from keys.emulator.aws_files import ROOT_PROFILE, SERVICE_PROFILE
from server.net.addresses import Address, parse_address
from server.net.listen import has_ipv6_loopback
from server.settings.parent_servers import ParentServers, anchor
from server.settings.schema import (
    ConfigError,
    Route53Settings,
    Settings,
    ZoneFilesSettings,
    ZoneSettings,
    key_text,
    line_of,
    parse_settings,
)
from server.settings.setting_errors import KeyPath, explain
from server.settings.zone_arguments import named_files, origin_of, origin_of_file, without_detours
from server.watching.query_log import QueryLogSpec
from zones.denial import DenialMode
from zones.masterfile.reading_limits import DEFAULT_LIMITS, ReadingLimits

__all__ = [
    "AUTO",
    "LOCAL",
    "ChaosConfig",
    "Config",
    "ConfigError",
    "EdnsConfig",
    "HooksConfig",
    "KmsConfig",
    "LimitsConfig",
    "Route53Config",
    "TcpConfig",
    "Where",
    "ZoneConfig",
    "ZoneFilesConfig",
    "load_config",
    "samples",
]

AUTO: Final = "auto"
"""The parent zone where it is served here, and otherwise none."""
LOCAL: Final = "local"
"""The parent zone, which is to be served here."""
Where = ParentServers | Literal["auto", "local"] | None
"""Where a zone's DS is looked up; `None`: nowhere."""
_WORDS: dict[str, Where] = {AUTO: AUTO, LOCAL: LOCAL, "none": None}
_DNS = 53
RESOLVER_OFFSET, ROUTE53_OFFSET, KMS_OFFSET, HIGHEST_OFFSET = 1, 80, 81, 83
"""What `--base-port` is added to: ports that belong together. 82 and 83 are for CloudWatch and the page."""
_IDENTITY_LIMIT = 128  # octets, so that an NSID fits into every response
_ABOUT = 0.02
"""How far a share of queries may be from 1/N: 0.33 stands for a third."""
_USER = re.compile(r"[A-Za-z0-9_+=,.@-]{1,64}")
"""A name of IAM's."""
_NAMES_OF_USERS = f'give letters, digits and any of "_+=,.@-", 64 at most, but not {ROOT_PROFILE} or {SERVICE_PROFILE}'
_PRINCIPALS = (ROOT_PROFILE, SERVICE_PROFILE)
"""Whose access keys are there in any case."""


class ZoneFilesConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What reading a zone file may take."""

    reading: ReadingLimits = DEFAULT_LIMITS
    time: int = ZoneFilesSettings().time
    """Seconds in which a large one is compiled."""
    memory: int = 0
    """Octets of memory that compiling it may take; 0: three quarters of the machine's."""


_DEFAULT_FILES = ZoneFilesConfig()


class ZoneConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One zone to serve."""

    origin: str
    """The apex as text: lower case, with its last dot."""
    file: Path | None
    """Its master file; `None` for a hosted zone, whose record sets are kept in the state database."""
    signed: bool = True
    denial: DenialMode = DenialMode.COMPACT
    flood_denial: DenialMode | None = None
    """How a process says no while it is flooded with random names; `None`: as ever."""
    ksk_arn: str | None = None
    parent: Where = AUTO
    """Where its DS is looked up."""
    policy: Policy = Policy()
    files: ZoneFilesConfig = _DEFAULT_FILES
    """What reading its file may take."""


class KmsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Which KMS holds the key-signing keys."""

    endpoint: str | None
    """URL of a KMS; `None`: the embedded emulator."""
    emulator: Address
    """Where the embedded emulator listens; port 0 for one that is free."""
    region: str
    account: str
    profile: str | None


class TcpConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of answering over TCP."""

    idle: int
    """Seconds without a query after which a connection is closed."""
    connections: int


class EdnsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What queries' EDNS options get."""

    cookies: bool = True
    nsid: str = ""
    """At most 128 octets as UTF-8; empty: nothing."""


class ChaosConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What queries of class CHAOS get; empty: nothing."""

    version: str = ""
    id: str = ""


class LimitsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What one network may be the target of."""

    responses: int = 500
    """A second; 0: no limit."""
    exempt: tuple[str, ...] = ()
    """Networks, as `ipaddress` reads them."""


class HooksConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where each change of a status is sent."""

    url: str | None = None
    command: tuple[str, ...] | None = None
    """A program, with an absolute path where it has one, and its arguments."""
    timeout: int = 10
    """Seconds that one try may take."""


class Route53Config(msgspec.Struct, frozen=True, kw_only=True):
    """The Route 53 API."""

    listen: Address
    """Port 0 for one that is free."""
    tls: tuple[Path, Path] | None = None
    """The files of the certificate chain and of its key."""
    name_servers: tuple[str, ...]
    """Names without last dots."""
    users: dict[str, str] = {}
    """Access by name: "full" or "read-only"."""
    rate: int
    parent: Where = AUTO
    """Where the DS of hosted zones is looked up."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All that a server is started with."""

    listen: tuple[Address, ...]
    state: Path
    kms: KmsConfig
    udp_size: int
    """Largest UDP answer in octets."""
    tcp: TcpConfig
    edns: EdnsConfig = EdnsConfig()
    chaos: ChaosConfig = ChaosConfig()
    limits: LimitsConfig = LimitsConfig()
    zones: tuple[ZoneConfig, ...]
    policy: Policy = Policy()
    """Of the keys of hosted zones."""
    flood_denial: DenialMode | None = None
    """Of hosted zones."""
    user: str | None = None
    """Who a server that root starts becomes."""
    workers: int = 0
    """Programs that answer; 0: the control process itself."""
    metrics: Address | None = None
    """Where /metrics is, beside the control socket; port 0 for one that is free."""
    hosts: tuple[str, ...] = ()
    """Names by which it may be called there, beside localhost and addresses: lower case, without last dots."""
    hooks: HooksConfig = HooksConfig()
    query_log: QueryLogSpec | None = None
    """How queries are logged; None: not at all."""
    route53: Route53Config | None = None
    file: Path | None = None
    """Where it is written, if it is in a file."""
    samples: bool = False
    """Whether `zones` are the samples because none were named."""
    resolver: Address = Address("127.0.0.1", 5301)
    """Where a resolver listens that somebody starts with STATE/trust/resolver.conf."""


def load_config(
    file: Path | None = None,
    *,
    zone_arguments: Sequence[str] = (),
    state: Path | None = None,
    listen: Sequence[str] = (),
    kms_endpoint: str | None = None,
    workers: int | None = None,
    base_port: int | None = None,
) -> Config:
    """The configuration from a file (or the defaults) and what the command line says beside it.

    Zones of the command line come after those of the file; with neither a file nor zones, the samples are served. The
    other arguments take the place of their settings; `base_port` those of the ports of all listeners but `metrics`.
    Raises `ConfigError`.
    """
    source = _ConfigurationSource.read(file) if file else _ConfigurationSource(Settings(), "", "", Path.cwd())
    zone_configs = [*source.zones()]
    for argument in zone_arguments:
        zone_configs += zones_from_argument(argument, source.settings.policy, source.zone_files())
    as_samples = not file and not zone_arguments
    if as_samples:
        zone_configs += samples()
    _refuse_twice(zone_configs, source)
    if kms_endpoint is not None:
        source.with_endpoint(kms_endpoint)
    config = Config(
        listen=tuple(_arguments_address(text) for text in listen) or source.listen(),
        state=Path.cwd() / state if state else source.path(source.settings.state),
        kms=source.kms(),
        udp_size=source.settings.udp.size,
        tcp=TcpConfig(idle=source.settings.tcp.idle, connections=source.settings.tcp.connections),
        edns=EdnsConfig(cookies=source.settings.edns.cookies, nsid=source.identity("edns", "nsid")),
        chaos=ChaosConfig(version=source.identity("chaos", "version"), id=source.identity("chaos", "id")),
        limits=source.limits(),
        zones=tuple(zone_configs),
        policy=source.settings.policy,
        flood_denial=_flood_denial(source.settings.route53.flood_denial),
        user=source.settings.user,
        workers=source.settings.workers if workers is None else workers,
        metrics=source.metrics(),
        hosts=source.hosts(),
        hooks=source.hooks(),
        query_log=source.query_log(),
        route53=source.route53(),
        samples=as_samples,
        file=Path.cwd() / file if file else None,
    )
    if base_port is not None:
        config = _on_ports(config, base_port, listens=bool(listen))
    _refuse_shared(config, source, arguments=bool(listen))
    return config


def _on_ports(config: Config, base: int, *, listens: bool) -> Config:
    """The same on the ports that follow from `base`; `listens` tells whether --listen says where DNS is served."""
    hosts = config.listen if listens else tuple(dict.fromkeys(one._replace(port=base) for one in config.listen))
    route53 = config.route53
    if route53 is not None:
        route53 = replace(route53, listen=route53.listen._replace(port=base + ROUTE53_OFFSET))
    return replace(
        config,
        listen=hosts,
        resolver=config.resolver._replace(port=base + RESOLVER_OFFSET),
        kms=replace(config.kms, emulator=config.kms.emulator._replace(port=base + KMS_OFFSET)),
        route53=route53,
    )


def samples() -> list[ZoneConfig]:
    """The sample zones, as `zones/samples/signwright.toml` configures them."""
    return list(_ConfigurationSource.read(Path(zones.__file__).parent / "samples" / "signwright.toml").zones())


def at_setting(file: Path, *path: str | int) -> ConfigError:
    """The place of a setting in a file, as the text of an error about it begins."""
    return _ConfigurationSource.read(file).wrong("", *path)


class _ConfigurationSource:
    """Settings with the file they come from, so that an error can name its place."""

    def __init__(self, settings: Settings, text: str, name: str, folder: Path) -> None:
        self.settings = settings
        self._text = text
        self._name = name
        self._folder = folder

    @classmethod
    def read(cls, file: Path) -> _ConfigurationSource:
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"cannot be read: {error.strerror}", file=str(file)) from None
        except UnicodeDecodeError as error:
            raise ConfigError(f"not UTF-8 at byte {error.start}", file=str(file)) from None
        return cls(parse_settings(text, str(file)), text, str(file), file.absolute().parent)

    def wrong(self, reason: str, *path: str | int) -> ConfigError:
        return ConfigError(reason, file=self._name, line=line_of(self._text, path), key=key_text(path))

    def leaves_out(self, path: KeyPath) -> bool:
        """Whether the file does not have the setting."""
        return not line_of(self._text, path)

    def path(self, text: str) -> Path:
        return self._folder / Path(text).expanduser()

    def address(self, text: str, *path: str | int) -> Address:
        try:
            return parse_address(text)
        except ValueError as error:
            raise self.wrong(str(error), *path) from None

    def listen(self) -> tuple[Address, ...]:
        texts = self.settings.listen
        if not texts:
            raise self.wrong("no address to listen on; give at least one", "listen")
        addresses = tuple(self.address(text, "listen") for text in texts)
        if texts == Settings().listen and not has_ipv6_loopback():
            return tuple(address for address in addresses if not address.is_ipv6)
        return addresses

    def with_endpoint(self, url: str) -> None:
        kms = msgspec.to_builtins(self.settings.kms) | {"endpoint": url}
        try:
            kms = msgspec.convert(kms, type(self.settings.kms))
        except msgspec.ValidationError:
            raise ConfigError(
                f"--kms-endpoint {url!r} is not a URL such as https://kms.eu-west-1.amazonaws.com"
            ) from None
        self.settings = msgspec.structs.replace(self.settings, kms=kms)

    def kms(self) -> KmsConfig:
        kms = self.settings.kms
        return KmsConfig(
            endpoint=kms.endpoint,
            emulator=self.address(kms.emulator, "kms", "emulator"),
            region=kms.region,
            account=kms.account,
            profile=kms.profile,
        )

    def metrics(self) -> Address | None:
        if self.settings.metrics is None:
            return None
        address = self.address(self.settings.metrics, "metrics")
        if not ipaddress.ip_address(address.host).is_loopback:
            raise self.wrong("must be a loopback address, because there is no authentication", "metrics")
        return address

    def hosts(self) -> tuple[str, ...]:
        try:
            return tuple(origin_of(name).removesuffix(".") for name in self.settings.hosts)
        except ValueError as error:
            raise self.wrong(str(error), "hosts") from None

    def identity(self, table: str, key: str) -> str:
        """What the server says of itself."""
        text: str = getattr(getattr(self.settings, table), key)
        size = len(text.encode())
        if size > _IDENTITY_LIMIT:
            raise self.wrong(f"has {size} octets; give at most {_IDENTITY_LIMIT}", table, key)
        return text

    def limits(self) -> LimitsConfig:
        limits = self.settings.limits
        for number, text in enumerate(limits.exempt):
            try:
                ipaddress.ip_network(text)
            except ValueError as error:
                reason = str(error)
                if "host bits" in reason:
                    reason = f"{text} has host bits set; did you mean {ipaddress.ip_network(text, strict=False)}?"
                else:
                    reason = f'{text!r} is not a network, such as "192.0.2.0/24" or "2001:db8::/32"'
                raise self.wrong(reason, "limits", "exempt", number) from None
        return LimitsConfig(responses=limits.responses, exempt=limits.exempt)

    def hooks(self) -> HooksConfig:
        hooks = self.settings.hooks
        if hooks.command is not None and not (hooks.command and hooks.command[0]):
            raise self.wrong("no program; give its path and its arguments", "hooks", "command")
        command = hooks.command
        if command is not None and "/" in command[0]:
            command = (str(self.path(command[0])), *command[1:])
        return HooksConfig(url=hooks.url, command=command, timeout=hooks.timeout)

    def route53(self) -> Route53Config | None:
        route53 = self.settings.route53
        if route53.listen is False:
            return None
        if route53.listen is True:
            raise self.wrong("true is not valid; give an address and a port, or false", "route53", "listen")
        address = self.address(route53.listen, "route53", "listen")
        tls = self._tls(route53)
        if tls is None and not ipaddress.ip_address(address.host).is_loopback:
            raise self.wrong(
                "must be a loopback address, unless tls_certificate and tls_key are set", "route53", "listen"
            )
        if not route53.name_servers:
            raise self.wrong("give at least one name server", "route53", "name_servers")
        try:
            servers = tuple(origin_of(name).removesuffix(".") for name in route53.name_servers)
        except ValueError as error:
            raise self.wrong(str(error), "route53", "name_servers") from None
        for name in route53.users:
            if not _USER.fullmatch(name) or name in _PRINCIPALS:
                raise self.wrong(f"{name!r} is not a valid user name; {_NAMES_OF_USERS}", "route53", "users", name)
        return Route53Config(
            listen=address,
            tls=tls,
            name_servers=servers,
            users=dict(route53.users),
            rate=route53.rate,
            parent=self._parent(route53.parent, route53.parent_anchor, "route53"),
        )

    def _tls(self, route53: Route53Settings) -> tuple[Path, Path] | None:
        if route53.tls_certificate is None and route53.tls_key is None:
            return None
        if route53.tls_certificate is None or route53.tls_key is None:
            given = "tls_key" if route53.tls_certificate is None else "tls_certificate"
            raise self.wrong("set both tls_certificate and tls_key, or neither", "route53", given)
        return self.path(route53.tls_certificate), self.path(route53.tls_key)

    def query_log(self) -> QueryLogSpec | None:
        given = self.settings.query_log
        if given.file is None:
            return None
        every = round(1 / given.sample)
        if abs(every * given.sample - 1) > _ABOUT:
            nearest = f"{1 / every:.6g} or {1 / (every + 1 if every * given.sample < 1 else every - 1):.6g}"
            reason = f"{given.sample:g} is not 1/N of all queries; give {nearest}"
            raise self.wrong(reason, "query_log", "sample")
        prefixes = given.clients == "prefixes"
        return QueryLogSpec(str(self.path(given.file)), int(given.mode, 8), every, prefixes)

    def zone_files(self) -> ZoneFilesConfig:
        """What reading each of the zone files may take."""
        given = self.settings.zone_files
        reading = ReadingLimits(
            folders=tuple(str(self.path(folder)) for folder in given.include_folders),
            includes=given.includes,
            depth=given.include_depth,
            octets=given.octets,
            generated=given.generated,
        )
        return ZoneFilesConfig(reading=reading, time=given.time, memory=given.memory)

    def zones(self) -> Iterator[ZoneConfig]:
        files = self.zone_files()
        for index, zone in enumerate(self.settings.zones):
            if zone.ksk_arn and not zone.signed:
                raise self.wrong(
                    "an unsigned zone has no KSK: remove ksk_arn, or set signed = true", "zones", index, "ksk_arn"
                )
            if zone.flood_denial is not None and zone.flood_denial == zone.denial.value:
                reason = f'same as denial: remove it, or set denial = "{DenialMode.COMPACT.value}"'
                raise self.wrong(reason, "zones", index, "flood_denial")
            try:
                origin = origin_of(zone.origin) if zone.origin else origin_of_file(Path(zone.file))
            except ValueError as error:
                raise self.wrong(str(error), "zones", index, "origin" if zone.origin else "file") from None
            yield ZoneConfig(
                origin=origin,
                file=without_detours(self.path(zone.file)),
                signed=zone.signed,
                denial=zone.denial,
                flood_denial=_flood_denial(zone.flood_denial),
                ksk_arn=zone.ksk_arn,
                parent=self._parent(zone.parent, zone.parent_anchor, "zones", index),
                policy=self._policy(index, zone),
                files=files,
            )

    def _parent(self, named: str | tuple[str, ...], anchors: str | tuple[str, ...], *path: str | int) -> Where:
        """Who the settings `parent` and `parent_anchor` of the table at `path` say is asked for the DS."""
        anchored = (anchors,) if isinstance(anchors, str) else anchors
        for text in anchored:
            try:
                anchor(text)
            except ValueError as error:
                raise self.wrong(str(error), *path, "parent_anchor") from None
        if isinstance(named, str) and named in _WORDS:
            if anchored:
                reason = f"needs the addresses of servers in parent, not {named!r}"
                raise self.wrong(reason, *path, "parent_anchor")
            return _WORDS[named]
        addresses = tuple(self._server(text, path) for text in ((named,) if isinstance(named, str) else named))
        if not addresses:
            raise self.wrong('no address; for no parent, give "none"', *path, "parent")
        return ParentServers(addresses, anchored)

    def _server(self, text: str, path: KeyPath) -> Address:
        try:
            return Address(str(ipaddress.ip_address(text)), _DNS)
        except ValueError:
            pass  # with a port, then
        try:
            return parse_address(text)
        except ValueError as error:
            raise self.wrong(f'{error}; or give "auto", "local" or "none"', *path, "parent") from None

    def _policy(self, index: int, zone: ZoneSettings) -> Policy:
        try:
            return msgspec.convert(msgspec.to_builtins(self.settings.policy) | zone.policy, Policy)
        except msgspec.ValidationError as error:
            wrong = explain(error, zone.policy, Policy)
            raise self.wrong(wrong.reason, "zones", index, "policy", *wrong.path) from None


def _flood_denial(named: str | None) -> DenialMode | None:
    return DenialMode(named) if named is not None else None


def zones_from_argument(argument: str, policy: Policy, files: ZoneFilesConfig = _DEFAULT_FILES) -> list[ZoneConfig]:
    """The zones that an argument of the command line names, as `named_files`. Raises `ConfigError`."""
    found = named_files(argument)
    return [ZoneConfig(origin=origin, file=file, policy=policy, files=files) for origin, file in found]


def _arguments_address(text: str) -> Address:
    try:
        return parse_address(text)
    except ValueError as error:
        raise ConfigError(f"--listen: {error}") from None


def _refuse_twice(zone_configs: Sequence[ZoneConfig], source: _ConfigurationSource) -> None:
    """Raise `ConfigError` for a zone that is there twice. The first of `zone_configs` are those of the file."""
    seen: dict[str, Path | None] = {}
    for index, zone in enumerate(zone_configs):
        if zone.origin in seen:
            reason = f"zone {zone.origin} is configured twice: {seen[zone.origin]} and {zone.file}"
            of_file = index < len(source.settings.zones)
            raise source.wrong(reason, "zones", index, "file") if of_file else ConfigError(reason)
        seen[zone.origin] = zone.file


def _refuse_shared(config: Config, source: _ConfigurationSource, *, arguments: bool) -> None:
    """Raise `ConfigError` for two listeners on one address and port, of which only the first could be bound.

    `arguments` tells whether `config.listen` is from the command line.
    """
    listened: list[tuple[Address, KeyPath]] = [(address, ("listen",)) for address in config.listen]
    if config.metrics is not None:
        listened.append((config.metrics, ("metrics",)))
    if config.route53 is not None:
        listened.append((config.route53.listen, ("route53", "listen")))
    if config.kms.endpoint is None:
        listened.append((config.kms.emulator, ("kms", "emulator")))
    for first, second in combinations(listened, 2):
        if first[0].overlaps(second[0]):
            # Told at the one that is in the file: the other may be there by default.
            (address, path), (other, elsewhere) = (first, second) if source.leaves_out(second[1]) else (second, first)
            where = "given twice" if path == elsewhere else f"the address of {key_text(elsewhere)} already"
            reason = f"{address} is {where}" + ("" if address == other else f" ({other})")
            raise (
                ConfigError(f"--listen: {reason}") if arguments and path == ("listen",) else source.wrong(reason, *path)
            )
