"""The zones above the child, served by the same process: which of them answers for its DS, and what it says.

The set of zones is the real one, changed as `server.hosting.zone_registry` changes it: whole zones, record sets, keys
that are published, and at each start what is durable of the keys. After each change the real answering code is asked
for the child's DS, and what it says is held against what was told of the zones, in words of its own:

    who answers     the middle zone, unless a signed grandparent delegates the child past it
    a delegation    has the DS of the KSKs that are published and may be named; none of any other
    unknown keys    SERVFAIL, never a signed denial

Under a parent that is not served here, or whose delegation leads elsewhere, the DS is as it was: some other server has
it now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from keys.custody.state_database import Store
from keys.dnssec.ds import ds_rdata
from keys.dnssec.zone_keys import ZoneKeys
from keys.rules.keyring import Keyring
from server.hosting.durable_keys import durable_keys
from server.hosting.parent_lookup import LocalParent
from server.hosting.shown_ds import ShownDs
from tests.lab import ask, zone_keys
from zones.masterfile.load import parse_zone
from zones.names import parent, to_text
from zones.node import Node
from zones.rrtypes import TYPE_DS
from zones.zone import Zone
from zones.zoneset import ZoneSet

if TYPE_CHECKING:
    from tests.simulation.world import World

GRANDPARENT, MIDDLE = "grandparent", "middle"


class Told(NamedTuple):
    """What a person has told of a zone."""

    zone: Zone
    delegates: str


class View(NamedTuple):
    """What is answered for the child's DS."""

    what: str
    """"ds", "denied" (signed), "plain" (unsigned, no DS), "servfail" or "elsewhere"."""
    rdatas: frozenset[bytes] = frozenset()


class ZonesAbove:
    """The zones of the process, with the child among them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.child = world.plan.origin
        middle = parent(self.child)
        self._origins = {MIDDLE: middle, GRANDPARENT: parent(middle)}
        self._told: dict[str, Told] = {}
        self._child_zone = parse_zone(_text(world.plan.ds_ttl), to_text(self.child))
        self._starts = 0
        self.zoneset = ZoneSet()
        self.parent = LocalParent(lambda: self.zoneset, world.now, ShownDs(), required=False)
        self._is_unknown = False
        """Whether what is stored of the child's keys could not be read at the start."""
        self._unsigned = False
        self._published: frozenset[bytes] | None = None
        """The DS that the keys published last are to have; `None` before any were."""
        self._ksks: dict[bytes, bytes] = {}
        """DNSKEY rdata of each KSK that there ever was, by its DS rdata."""
        self._view = self._last = View("elsewhere")
        self._seen_of: tuple[object, ...] = ()

    # --- what happens

    def begin(self, store: Store) -> None:
        """A process starts: from what is durable, in one set or zone by zone."""
        self._starts += 1
        known = durable_keys(store, [self.child], int(self._world.now()))[self.child]
        self._is_unknown = known.problem is not None
        self._unsigned = known.has_keys and known.unsigned
        self._published = None
        zones = [told.zone for told in self._told.values()]
        zones.insert(self._starts % (len(zones) + 1), self._child_as_served())
        self.zoneset = ZoneSet()
        if self._starts % 2:
            self.zoneset = self.zoneset.with_zones(zones, {self.child: known.ds})
        else:
            for zone in zones:
                self.zoneset = self.zoneset.with_zone(zone, known.ds if zone.origin == self.child else None)
        for zone in zones:
            self._sign(zone)
        self.parent = LocalParent(lambda: self.zoneset, self._world.now, ShownDs(), required=False)
        self._look()
        # What follows later from what is stored waits for the keys to be published.
        self._published = nameable(self._world.keyring, self._world.now())

    def publish(self, keys: ZoneKeys | None) -> None:
        """The child's keys are published."""
        self._is_unknown = False
        if self._unsigned != (keys is None):
            self._unsigned = keys is None
            self.zoneset = self.zoneset.with_zone(self._child_as_served())
        self.zoneset = self.zoneset.with_keys(self.child, keys)
        wanted = frozenset(ds_rdata(self.child, ksk) for ksk in keys.delegation) if keys is not None else frozenset()
        changed, self._published = wanted != self._published, wanted
        self._look()
        if changed:
            self.parent.tell_changed(self.child)

    def stored(self, keyring: Keyring) -> None:
        """The child's keyring was stored."""
        self._ksks |= {ds_rdata(self.child, k.rdata): k.rdata for k in keyring.ksks if k.public_key is not None}

    def put(self, name: str, *, delegates: str, signed: bool, by_api: bool) -> None:
        """A zone joins, or takes the place of the one with its name."""
        origin, before = self._origins[name], self._told.get(name)
        zone = self._zone(name, delegates, signed=signed)
        if by_api and before is None:
            self._told[name] = Told(self._zone(name, "nothing", signed=signed), "nothing")
            self.zoneset = self.zoneset.with_zones([self._told[name].zone])
            self._sign(zone)
            self._look()
            before = self._told[name]
        self._told[name] = Told(zone, delegates)
        if by_api and before is not None and before.zone.signed == signed:
            differing: dict[bytes, Node | None] = {
                owner: zone.nodes.get(owner)
                for owner in (self._origins[MIDDLE], self.child)
                if owner != origin and (owner in zone.nodes or owner in before.zone.nodes)
            }
            self.zoneset = self.zoneset.with_nodes(origin, differing)
        else:
            self.zoneset = self.zoneset.with_zone(zone)
            self._sign(zone)
        self._look()
        self.parent.tell_changed(self.child)

    def remove(self, name: str) -> None:
        """A zone leaves."""
        if self._told.pop(name, None) is not None:
            self.zoneset = self.zoneset.without_zone(self._origins[name])
            self._look()
            self.parent.tell_changed(self.child)

    def _sign(self, zone: Zone) -> None:
        if zone.signed and zone.origin != self.child:
            self.zoneset = self.zoneset.with_keys(zone.origin, zone_keys(zone.origin))

    def _zone(self, name: str, delegates: str, *, signed: bool) -> Zone:
        owner = {"child": self.child, MIDDLE: self._origins[MIDDLE]}.get(delegates)
        text = _text(self._world.plan.ds_ttl) + (f"{to_text(owner)} NS ns.elsewhere.test.\n" if owner else "")
        return parse_zone(text, to_text(self._origins[name]), signed=signed)

    def _child_as_served(self) -> Zone:
        zone = self._child_zone
        return zone.answered_as(signed=not self._unsigned, denial=zone.denial.mode, flood_denial=None)

    # --- what is seen

    def _look(self) -> None:
        """Ask for the child's DS, and judge what is said."""
        view = self._asked()
        if view != self._view:
            self._view = view
            if view.what in ("ds", "denied", "plain"):
                self._world.set_ds(frozenset(self._ksks[ds] for ds in view.rdatas if ds in self._ksks))
        objection = self.objection()
        if objection is not None:
            self._world.object(objection)

    def _asked(self) -> View:
        served = self.zoneset.find(self.child, TYPE_DS)
        if served is None or served.zone.origin == self.child:
            return View("elsewhere")
        # What is answered for the DS follows from these alone.
        nodes = served.zone.nodes
        at = served.zone.origin, nodes.get(self._origins[MIDDLE]), nodes.get(self.child)
        of = *at, served.zone.signed, served.keys is not None
        if of != self._seen_of:
            self._seen_of, self._last = of, view_of(ask(self.zoneset, dns.name.from_wire(self.child, 0)[0], "DS"))
        return self._last

    def objection(self) -> str | None:
        """What is wrong with what is said of the child's DS now; `None`: nothing."""
        view, middle, grandparent = self._view, self._told.get(MIDDLE), self._told.get(GRANDPARENT)
        past = grandparent is not None and grandparent.zone.signed and grandparent.delegates == "child"
        responsible = middle if middle is not None and not past else grandparent
        if (middle is not None and not past) != (self.zoneset.get(self._origins[MIDDLE]) is not None):
            return "a middle zone that is not delegated is answered" if past else "a middle zone is not answered"
        if responsible is None or responsible.delegates == MIDDLE:
            return None if view.what == "elsewhere" else f"the DS of a child that is delegated elsewhere: {view.what}"
        if responsible.delegates == "nothing" or not responsible.zone.signed:
            return "a DS without a signed delegation" if view.what in ("ds", "elsewhere") else None
        if self._is_unknown:
            return None if view.what == "servfail" else f"a DS that is unknown is not SERVFAIL: {view.what}"
        if view.what not in ("ds", "denied"):
            return f"a zone above that delegates the child says nothing of its DS: {view.what}"
        return self._of_rdatas(view.rdatas)

    def _of_rdatas(self, shown: frozenset[bytes]) -> str | None:
        """Whether these are those that have to stand, and none of a KSK that isn't there, or was withdrawn."""
        stored = nameable(self._world.keyring, self._world.now())
        published = stored if self._published is None else self._published
        if shown - stored - published:
            return "a zone above shows the DS of a KSK that no DS may name"
        if (published & stored) - shown:
            return "a zone above denies a DS that has to stand" if not shown else "a zone above leaves out a DS"
        return None


def nameable(keyring: Keyring | None, now: float) -> frozenset[bytes]:
    """The DS of the KSKs that may be named by what is stored, derived from its facts alone."""
    if keyring is None or keyring.keyset is None or keyring.served_unsigned:
        return frozenset()
    began = next((zsk.activated for zsk in keyring.zsks if zsk.sequence == 1), None)
    return frozenset(
        ds_rdata(keyring.origin, ksk.rdata)
        for ksk in keyring.ksks
        if ksk.published is not None and ksk.withdrawn is None and ksk.rdata in keyring.keyset.rdatas
        if (ksk.ready is not None and ksk.ready <= now) or (ksk.published == began and not keyring.was_unsigned)
    )


def view_of(wire: bytes) -> View:
    """What a response to a query for DS says."""
    response = dns.message.from_wire(wire)
    if response.rcode() == dns.rcode.SERVFAIL:
        return View("servfail")
    if not response.flags & dns.flags.AA:
        return View("elsewhere")
    found = [rdata.to_wire() for rrset in response.answer if rrset.rdtype == dns.rdatatype.DS for rdata in rrset]
    if found:
        return View("ds", frozenset(found))
    is_signed = any(rrset.rdtype == dns.rdatatype.RRSIG for rrset in response.authority)
    return View("denied" if is_signed else "plain")


def _text(ttl: int) -> str:
    soa = "ns.elsewhere.test. host.elsewhere.test. 1 7200 900 1209600"
    return f"$TTL {ttl}\n@ SOA {soa} {ttl}\n@ NS ns.elsewhere.test.\n"
