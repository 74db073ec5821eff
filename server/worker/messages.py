"""What crosses the stream between the control process and a worker, as msgpack (msgspec); each message is one value.

To a worker: `Hello`, then again and again what makes the next set of zones out of the present one, and `Commit`, at
which all of it takes effect at once; between two sets, `ClockMoved`, `Watch` and `LogReopened`. From a worker:
`Acknowledged`, and every second `Counted`, with `Watched` while somebody looks.
"""

from __future__ import annotations

import msgspec

from keys.dnssec.dnskey_rrset import SignedDnskeyRRset
from keys.dnssec.signing_policy import Policy
from server.monitoring.query_stats import QueryStats
from server.watching.query_counts import QueryCounts
from server.worker.answering_settings import AnsweringSettings
from zones.storage.node_values import NodeValue

PROTOCOL = 5
"""Raised with every change to the classes below that an older program would misread."""


class KeysValue(msgspec.Struct, frozen=True, array_like=True):
    """As `keys.dnssec.dnskey_rrset.ZoneKeys`. Its repr says nothing of the private keys."""

    keyset: SignedDnskeyRRset
    signers: tuple[tuple[int, bytes], ...]
    """Since when each ZSK signs, and its private key (PKCS #8 DER)."""
    policy: Policy
    delegation: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"<KeysValue of {self.keyset.owner!r}, {len(self.signers)} ZSKs>"


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """The first message to a worker: how it is to answer."""

    protocol: int
    udp_size: int
    connections: int
    idle: float
    clock: float
    """Wall clock minus CLOCK_BOOTTIME of this machine, as the control process believes it: a worker that is started
    while a step of the wall clock is held off holds it off too.
    """
    answering: AnsweringSettings = AnsweringSettings()


class ZoneBegun(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """`Nodes` that follow are of this zone, up to the next message of another kind."""

    origin: bytes
    signed: bool
    denial: str
    fresh: bool
    """Whether it begins without nodes, and without keys; else with those that it has."""
    flood_denial: str | None = None


class ZoneMapped(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """The zone has the nodes of the image with this digest, and the keys that it has; `Nodes` that differ may follow.

    Where there is no common disk, the image must have been brought there before.
    """

    origin: bytes
    signed: bool
    denial: str
    image: bytes
    flood_denial: str | None = None


class Nodes(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """Names of the zone that was begun which have other nodes from now on, and names that are gone."""

    nodes: tuple[NodeValue, ...]
    gone: tuple[bytes, ...] = ()


class ZoneGone(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The zone is answered no more."""

    origin: bytes


class KeysReplaced(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """What signs a zone from now on."""

    origin: bytes
    keys: KeysValue | None


class Commit(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """All that came since the last one takes effect."""

    version: int


class ClockMoved(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """The control process believes another time from now on: a step was accepted, or a person trusts the clock."""

    clock: float
    """As in `Hello`."""


class Watch(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """Whether queries are counted by name and client from now on, since somebody looks."""

    on: bool


class LogReopened(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """The query log's file is to be opened anew."""


ToWorker = Hello | ZoneBegun | ZoneMapped | Nodes | ZoneGone | KeysReplaced | Commit | ClockMoved | Watch | LogReopened


class Acknowledged(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """Every answer from now on is of this version, or of a later one."""

    version: int


class Counted(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """What the worker has answered since it was started; every second, so that it is known to live."""

    query_stats: QueryStats


class AskedFor(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Somebody asks for a zone whose keys the worker does not have yet; at most once a second for a zone."""

    origin: bytes


class Watched(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """What was asked since the last time, every second while somebody looks."""

    counts: QueryCounts


FromWorker = Acknowledged | Counted | AskedFor | Watched

_encoder = msgspec.msgpack.Encoder()
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def encode(message: ToWorker | FromWorker) -> bytes:
    """The message as octets."""
    return _encoder.encode(message)


def decode_to_worker(octets: bytes) -> ToWorker:
    """A message to a worker. Raises `msgspec.DecodeError` (a `ValidationError` among them)."""
    return _to_worker.decode(octets)


def decode_from_worker(octets: bytes) -> FromWorker:
    """A message from a worker. Raises likewise."""
    return _from_worker.decode(octets)
