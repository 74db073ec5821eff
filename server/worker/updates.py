"""From one set of zones to the next: as messages, and back.

Two sets that follow each other share what has not changed, down to the nodes of a zone (`persistent_map`), so most of
the difference is found by identity, and the code that replaces a set of zones need not say what is new. A zone that was
loaded again shares nothing: there, nodes are compared by what they hold. So a small change to a large zone is a small
update, whatever way it came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from server.worker.messages import (
    ClockMoved,
    Commit,
    Hello,
    KeysReplaced,
    Nodes,
    ToWorker,
    ZoneBegun,
    ZoneGone,
    ZoneMapped,
)
from server.worker.zone_key_values import keys_of, keys_value
from zones.denial import DenialMode
from zones.node import Node, RRset
from zones.persistent_map import differing, persistent
from zones.routing_policy import RoutedRRset
from zones.storage.mapped_nodes import MappedNodes
from zones.storage.node_values import NodeValue, node_of, node_value
from zones.zone import Zone
from zones.zoneset import ServedZone, ZoneSet, signed_with

NODES_A_MESSAGE = 512
"""So that neither side is busy for long with one message."""
_COMPARED_A_MESSAGE = 8 * NODES_A_MESSAGE
"""Nor the sender with none: after so many names comes a message, though nothing may be in it."""


def updates(before: ZoneSet, after: ZoneSet) -> Iterator[ToWorker]:
    """What makes `after` out of `before`, but for the `Commit`."""
    for origin in before:
        if after.get(origin) is None:
            yield ZoneGone(origin)
    for origin in after:
        old, new = before.get(origin), after.get(origin)
        if new is None or new is old:
            continue
        yield from _zone_updates(old.zone if old is not None else None, new.zone)
        if new.keys is not (old.keys if old is not None else None):
            yield KeysReplaced(origin, keys_value(new.keys) if new.keys is not None else None)


def _zone_updates(before: Zone | None, after: Zone) -> Iterator[ToWorker]:
    if before is after:
        return
    if isinstance(after.nodes, MappedNodes) and (before is None or not _has_image_of(before, after.nodes)):
        yield ZoneMapped(after.origin, after.signed, after.denial.mode.value, after.nodes.image, _flood_denial(after))
        yield from _node_updates(after.nodes.unchanged, after.nodes)
        return
    fresh = before is None
    yield ZoneBegun(after.origin, after.signed, after.denial.mode.value, fresh, _flood_denial(after))
    yield from _node_updates(before.nodes if before is not None else {}, after.nodes)


def _flood_denial(zone: Zone) -> str | None:
    return zone.flood_denial.value if zone.flood_denial is not None else None


def answered_as(zone: Zone, told: ZoneBegun | ZoneMapped) -> Zone:
    """The same nodes, answered as a message tells, with the chain for that made."""
    flood_denial = DenialMode(told.flood_denial) if told.flood_denial is not None else None
    return zone.answered_as(
        signed=told.signed, denial=DenialMode(told.denial), flood_denial=flood_denial
    ).with_chain_ready()


def _has_image_of(zone: Zone, nodes: MappedNodes) -> bool:
    return isinstance(zone.nodes, MappedNodes) and zone.nodes.image == nodes.image


def _node_updates(before: Mapping[bytes, Node], after: Mapping[bytes, Node]) -> Iterator[Nodes]:
    nodes: list[NodeValue] = []
    gone: list[bytes] = []
    compared = enumerate(differing(before, after), 1)
    for count, (owner, old, new) in compared:
        if new is None:
            gone.append(owner)
        elif old is None or not _alike(old, new):
            nodes.append(node_value(owner, new))
        if len(nodes) + len(gone) >= NODES_A_MESSAGE or count % _COMPARED_A_MESSAGE == 0:
            yield Nodes(tuple(nodes), tuple(gone))
            nodes, gone = [], []
    if nodes or gone:
        yield Nodes(tuple(nodes), tuple(gone))


def _alike(one: Node, other: Node) -> bool:
    return (
        one.bitmap == other.bitmap
        and one.is_cut == other.is_cut
        and one.rrsets.keys() == other.rrsets.keys()
        and all(_same(rrset, other.rrsets[rrtype]) for rrtype, rrset in one.rrsets.items())
        and _same_addresses(one.glue, other.glue)
        and _same_addresses(one.sibling_glue, other.sibling_glue)
    )


def _same(one: RRset, other: RRset) -> bool:
    if one is other:
        return True
    if isinstance(one, RoutedRRset) or isinstance(other, RoutedRRset):
        return False  # the same choice made again: to send it once more does no harm
    return (type(one), one.ttl, one.records, one.canonical) == (type(other), other.ttl, other.records, other.canonical)


def _same_addresses(one: tuple[tuple[bytes, RRset], ...], other: tuple[tuple[bytes, RRset], ...]) -> bool:
    return len(one) == len(other) and all(
        mine == theirs and _same(rrset, another) for (mine, rrset), (theirs, another) in zip(one, other, strict=True)
    )


class Follower:
    """Makes sets of zones out of messages."""

    def __init__(self, mapped: Callable[[bytes, bytes], Zone]) -> None:
        """`mapped` gives the zone with that name whose image has that digest; what it raises, `follow` raises."""
        self._mapped = mapped
        self.zoneset = ZoneSet()
        """As it was committed last."""
        self._served: dict[bytes, ServedZone] = {}
        self._begun: ZoneBegun | None = None
        self._nodes: dict[bytes, Node] = {}
        """Of a zone that begins fresh."""

    def follow(self, message: ToWorker) -> int | None:
        """Take a message; the version that `zoneset` is now, where it was a `Commit`.

        Raises `ValueError` for what can't follow what came before.
        """
        match message:
            case Nodes():
                self._take_nodes({value.owner: node_of(value) for value in message.nodes}, message.gone)
                return None
            case Hello() | ClockMoved():
                raise ValueError(f"{type(message).__name__} does not update a zone")
        self._end_zone()
        match message:
            case ZoneBegun():
                self._begin_zone(message)
            case ZoneMapped():
                self._begin_mapped(message)
            case ZoneGone(origin):
                self._served.pop(origin, None)
            case KeysReplaced(origin, keys):
                if origin not in self._served:
                    raise ValueError("keys of an unknown zone")
                self._served[origin] = signed_with(self._served[origin], keys_of(keys) if keys is not None else None)
            case Commit(version):
                self.zoneset = ZoneSet(self._served)
                return version
        return None

    def _begin_zone(self, begun: ZoneBegun) -> None:
        self._begun, self._nodes = begun, {}
        served = self._served.get(begun.origin)
        if begun.fresh:
            return
        if served is None:
            raise ValueError("a change to an unknown zone")
        zone = answered_as(served.zone, begun)
        if zone is not served.zone:
            self._served[begun.origin] = served._replace(zone=zone, loaded=zone)

    def _begin_mapped(self, begun: ZoneMapped) -> None:
        zone = answered_as(self._mapped(begun.origin, begun.image), begun)
        served = self._served.get(begun.origin, ServedZone(zone, None, zone))
        self._served[begun.origin] = served._replace(zone=zone, loaded=zone)
        self._begun = ZoneBegun(begun.origin, begun.signed, begun.denial, fresh=False)

    def _take_nodes(self, nodes: Mapping[bytes, Node], gone: tuple[bytes, ...]) -> None:
        begun = self._begun
        if begun is None:
            raise ValueError("nodes outside a zone update")
        if begun.fresh:
            self._nodes.update(nodes)
        if begun.fresh or not (nodes or gone):
            return
        served = self._served[begun.origin]
        zone = served.zone.with_nodes({**nodes, **dict.fromkeys(gone)})
        self._served[begun.origin] = served._replace(zone=zone, loaded=zone)

    def _end_zone(self) -> None:
        begun, self._begun = self._begun, None
        if begun is None or not begun.fresh:
            return
        if begun.origin not in self._nodes:
            raise ValueError("a zone without an apex")
        zone = answered_as(Zone(begun.origin, persistent(self._nodes)), begun)
        self._served[begun.origin] = ServedZone(zone, None, zone)
        self._nodes = {}
