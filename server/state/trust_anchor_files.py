"""What others need to trust the zones: DS records, anchors for delv, resolver configuration, commands to paste.

The rendering is pure; `write_trust` puts it under the state directory, where only what changed is written again. A file
that can't be written keeps none of the others from being so.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from keys.custody.private_files import private_directory, write_private
from keys.dnssec.ds import ds_text
from server.net.addresses import Address

_LONGEST_STEM = 240
"""Characters of a file's name before its suffix; while it is written, another one follows."""
_KEPT_OF_LONG = 200
RESOLVER = Address("127.0.0.1", 5301)
"""Where the resolver of `resolver.conf` listens, unless `--base-port` says otherwise."""

_NAMES_OF_SPECIAL_USE = ("test.", "invalid.", "onion.", "localhost.", "local.", "arpa.")
"""What resolvers answer by themselves (RFC 6761, RFC 6303) unless told that a zone is served."""


class ZoneTrust(NamedTuple):
    """One served zone as its trust anchors see it."""

    origin: str
    """Lower case, with its last dot."""
    ds: tuple[bytes, ...] = ()
    """DS rdata of each ACTIVE KSK; none where the zone is not signed, or not yet."""
    signed: bool = True
    ds_ttl: int = 3600


def ds_records(zone: ZoneTrust) -> list[str]:
    """The lines to put into the parent zone."""
    return [f"{zone.origin} {zone.ds_ttl} IN DS {ds_text(rdata)}" for rdata in zone.ds]


def delv_anchors(zones: Iterable[ZoneTrust]) -> str:
    """A file for delv's `-a`, in the syntax of BIND 9: every signed zone is a trust anchor."""
    lines = []
    for zone in zones:
        for rdata in zone.ds:
            tag, algorithm, digest_type, digest = ds_text(rdata).split()
            lines.append(f'    "{zone.origin}" static-ds {tag} {algorithm} {digest_type} "{digest}";')
    return "\n".join(["// Use: delv -a THIS_FILE +root=ZONE …", "trust-anchors {", *lines, "};", ""])


def unbound_conf(zones: Sequence[ZoneTrust], servers: Sequence[Address]) -> str:
    """A fragment of unbound's configuration that works when included as it stands, wherever it is included.

    Every zone gets a stub of its own, so that nothing has to be found through the public DNS. An unsigned zone below a
    signed one is proven to be so by its parent; one that has no such parent here is said to be so.
    """
    lines = [
        "# Include this file from unbound.conf.",
        "server:",
        "    # Signwright answers on this host.",
        "    do-not-query-localhost: no",
    ]
    signed = [zone.origin for zone in zones if zone.signed]
    for zone in zones:
        lines += [f'    trust-anchor: "{zone.origin} DS {ds_text(rdata)}"' for rdata in zone.ds]
        if not zone.signed and not any(_is_below(zone.origin, origin) for origin in signed):
            lines.append(f'    domain-insecure: "{zone.origin}"')
        if any(_is_below(zone.origin, special) for special in _NAMES_OF_SPECIAL_USE):
            lines.append(f'    local-zone: "{zone.origin}" transparent')
    for zone in zones:
        lines += ["", "stub-zone:", f'    name: "{zone.origin}"']
        lines += [f"    stub-addr: {server.host}@{server.port}" for server in servers]
    # What follows the include in the including file goes on in the clause that most such files are in.
    return "\n".join([*lines, "", "server:", ""])


def resolver_conf(fragment: Path, resolver: Address = RESOLVER) -> str:
    """A whole configuration for an unbound that anyone may start, with the fragment included."""
    lines = [
        "# A validating resolver to try the zones with: unbound -d -c THIS_FILE",
        "server:",
        f"    interface: {resolver.host}@{resolver.port}",
        '    username: ""',
        '    chroot: ""',
        '    directory: ""',
        '    pidfile: ""',
        "    use-syslog: no",
        "    do-daemonize: no",
        f'    include: "{fragment}"',
        "",
    ]
    return "\n".join(lines)


def trust_files(
    folder: Path, zones: Sequence[ZoneTrust], servers: Sequence[Address], resolver: Address = RESOLVER
) -> dict[str, str]:
    """Everything under STATE/trust/, which is `folder`, by file name. `resolver` is where `resolver.conf` listens."""
    files = {ds_file(zone.origin): "\n".join([*ds_records(zone), ""]) for zone in zones if zone.ds}
    return {
        **files,
        "anchors.delv": delv_anchors(zones),
        "unbound.conf": unbound_conf(zones, reachable(servers)),
        "resolver.conf": resolver_conf(folder / "unbound.conf", resolver),
    }


class Commands(NamedTuple):
    """Ready to paste into a shell."""

    dig: str
    delv: str
    unbound: str
    through_unbound: str


def commands(
    folder: Path, origin: str, query: str, servers: Sequence[Address], resolver: Address = RESOLVER
) -> Commands:
    """How to ask the first of `servers` for `query` ("www.lab.example A"), and to have the answer validated.

    `folder` is STATE/trust/.
    """
    server = reachable(servers)[0]
    at = f"@{server.host} -p {server.port}"
    name, _, rrtype = query.partition(" ")
    query = f"{name.removesuffix('.') or '.'} {rrtype}"
    anchors, configuration = shlex.quote(str(folder / "anchors.delv")), shlex.quote(str(folder / "resolver.conf"))
    return Commands(
        dig=f"dig {at} +dnssec {query}",
        delv=f"delv {at} -a {anchors} +root={origin.removesuffix('.') or '.'} {query}",
        unbound=f"unbound -d -c {configuration}",
        through_unbound=f"dig @{resolver.host} -p {resolver.port} +dnssec {query}",
    )


def ds_file(origin: str) -> str:
    """The name of the file with a zone's DS records: `lab.example.ds`; another one for each zone.

    A file's name has at most 255 octets, a zone's in text up to four times as many: one that is too long is cut off,
    and ends with a digest of all of it.
    """
    if origin == ".":
        return "root.ds"
    # The zone "root." must not be taken for the root, nor "a%2Fb." for "a/b.".
    stem = origin.removesuffix(".").replace("%", "%25").replace("/", "%2F")
    stem = "%72oot" if stem == "root" else stem
    if len(stem) > _LONGEST_STEM:
        stem = f"{stem[:_KEPT_OF_LONG]}%-{sha256(origin.encode()).hexdigest()[:32]}"
    return stem + ".ds"


def reachable(servers: Iterable[Address]) -> list[Address]:
    """The addresses as a client on this host names them: the wildcard addresses become loopback ones."""
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound
    return [server._replace(host=loopback.get(server.host, server.host)) for server in servers]


class Written(NamedTuple):
    """What came of writing trust files."""

    changed: tuple[Path, ...]
    failed: tuple[tuple[Path, str], ...] = ()
    """Those that are not as they should be, and why."""


def write_trust(folder: Path, files: Mapping[str, str]) -> Written:
    """Write `files` into `folder`, each whole, and remove DS records of former zones. Raises nothing."""
    try:
        private_directory(folder)
        former = [path for path in folder.glob("*.ds") if path.name not in files]
    except OSError as error:
        return Written((), ((folder, _why(error)),))
    changed: list[Path] = []
    failed: list[tuple[Path, str]] = []
    for path, text in [*((path, None) for path in former), *((folder / name, text) for name, text in files.items())]:
        try:
            # A path of this machine may hold octets that are not UTF-8, and stands in a file as it is.
            data = None if text is None else text.encode(errors="surrogateescape")
            if data is None:
                path.unlink()
            elif _has(path, data):
                continue
            else:
                write_private(path, data)
        except (OSError, ValueError) as error:
            failed.append((path, _why(error)))
        else:
            changed.append(path)
    return Written(tuple(changed), tuple(failed))


def _has(path: Path, data: bytes) -> bool:
    """Whether this is what stands there. What can't be read is to be replaced."""
    try:
        return path.is_file() and path.read_bytes() == data
    except OSError:
        return False


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _is_below(origin: str, ancestor: str) -> bool:
    return ancestor in (".", origin) or origin.endswith("." + ancestor)
