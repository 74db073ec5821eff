"""Where many tests start: zones signed without any KMS, at a fixed time, with the same keys in every run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from keys.dnssec.dnskey_rrset import SignedDnskeyRRset, SlotSignature, dnskey_signing
from keys.dnssec.registry_numbers import FLAG_KSK
from keys.dnssec.rrsig import canonical_order, dnskey_rdata, key_tag
from keys.dnssec.signature_validity import slot_window
from keys.dnssec.signing_policy import Policy
from keys.dnssec.zone_keys import ActiveSigner, ZoneKeys
from keys.dnssec.zone_signer import ZoneSigner, load_signer
from server.query.cookies import CookieKey
from server.query.edns import CO
from server.query.fast.answer_caches import Caches
from server.query.fast.responder import Responder
from server.query.read_query import ID_SIZE
from server.query.respond import Via, respond
from server.query.server_facts import ServerFacts
from zones import names
from zones.denial import DenialMode
from zones.masterfile.load import parse_zone
from zones.storage.name_hash import KEY_OCTETS
from zones.zone import Zone
from zones.zoneset import ZoneSet

NOW = 1_900_000_000
"""Seconds since the epoch: in March 2030, at no boundary of a slot."""
CLIENT = b"\xc0\x00\x02\x63"
"""An address that queries are from."""
FACTS = ServerFacts(
    cookies=CookieKey(bytes(range(32))), nsid=b"fra1", keepalive=lambda: 100, version=b"Signwright", id=b"ns1.example"
)
"""A server that tells all that it can be asked for."""


@lru_cache
def signer(number: int) -> ZoneSigner:
    """The P-256 key whose private scalar is `number`: of no use but to tests."""
    key = ec.derive_private_key(number, ec.SECP256R1())
    return load_signer(
        key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@lru_cache(maxsize=256)
def zone_keys(
    origin: bytes,
    now: int = NOW,
    *,
    ksks: tuple[int, ...] = (1001,),
    zsks: tuple[tuple[int, int], ...] = ((0, 2001),),
    policy: Policy | None = None,
) -> ZoneKeys:
    """Keys of the zone `origin`, whose DNSKEY RRset is signed for the slots from `now` on.

    `zsks` are pairs: the time from which a ZSK signs, and the number of its key (`signer`).
    """
    policy = policy or Policy()
    holders = {dnskey_rdata(FLAG_KSK, signer(number).public_key): signer(number) for number in ksks}
    active = tuple(ActiveSigner(since, signer(number)) for since, number in zsks)
    rdatas = canonical_order([*holders, *(one.signer.rdata for one in active)])
    signatures = []
    for ahead in range(policy.slots):
        window = slot_window(now, policy, ahead)
        for rdata, holder in holders.items():
            prefix, data = dnskey_signing(origin, policy.dnskey_ttl, rdatas, key_tag(rdata), window)
            rrsig = prefix + holder.sign(data)
            signatures.append(
                SlotSignature(rdata, window.start, window.end, window.inception, window.expiration, rrsig)
            )
    return ZoneKeys(
        SignedDnskeyRRset(origin, policy.dnskey_ttl, rdatas, tuple(signatures)), active, policy, tuple(holders)
    )


def anchor(origin: bytes, keys: ZoneKeys | None = None) -> dns.rrset.RRset:
    """The DNSKEY RRset of `zone_keys`, as a validator trusts it."""
    keyset = (keys or zone_keys(origin)).keyset
    rrset = dns.rrset.RRset(dns.name.from_wire(origin, 0)[0], dns.rdataclass.IN, dns.rdatatype.DNSKEY)
    for rdata in keyset.rdatas:
        rrset.add(dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.DNSKEY, rdata, 0, len(rdata)), keyset.ttl)
    return rrset


def signed(zone: Zone, *, now: int = NOW, others: ZoneSet | None = None) -> ZoneSet:
    """A set with `zone`, signed by `zone_keys`, beside `others`."""
    return (others or ZoneSet()).with_zone(zone).with_keys(zone.origin, zone_keys(zone.origin, now))


def served(
    text: str,
    origin: str,
    *,
    denial: DenialMode = DenialMode.COMPACT,
    flood_denial: DenialMode | None = None,
    sign: bool = True,
    now: int = NOW,
) -> ZoneSet:
    """A set with the one zone whose master file is `text`."""
    zone = parse_zone(text, origin, signed=sign, denial=denial)
    zone = zone.answered_as(signed=sign, denial=denial, flood_denial=flood_denial).with_chain_ready()
    return signed(zone, now=now) if sign else ZoneSet().with_zone(zone)


def query(
    qname: str | dns.name.Name,
    qtype: int | str,
    *,
    do: bool = True,
    co: bool = False,
    edns: bool = True,
    size: int = 1232,
    ident: int = 0x4D53,
) -> bytes:
    """A query of class IN as bytes. Without `edns` there is no OPT record, and `do` and `co` mean nothing."""
    name = dns.name.from_text(qname) if isinstance(qname, str) else qname
    rdtype = dns.rdatatype.RdataType.make(qtype)
    message = dns.message.make_query(name, rdtype, id=ident)
    message.flags = dns.flags.Flag(0)
    if edns:
        message.use_edns(0, (dns.flags.DO if do else 0) | (CO if do and co else 0), size)
    return message.to_wire()


def surprised(_: bytes, __: int) -> None:
    """For a responder whose every failure is to fail the test: the exception that is being handled goes on."""
    raise  # noqa: PLE0704 - within the handling of another one


def ask(
    zoneset: ZoneSet,
    qname: str | dns.name.Name,
    qtype: int | str,
    *,
    now: int = NOW,
    via: Via = Via.TCP,
    caches: Caches | None = None,
    do: bool = True,
    co: bool = False,
    edns: bool = True,
    size: int = 1232,
) -> bytes:
    """The response to one query, which is never silence."""
    asked = query(qname, qtype, do=do, co=co, edns=edns, size=size)
    if caches is None:
        wire = respond(asked, zoneset, now, via, failed=surprised)
    else:
        responder = Responder(lambda: zoneset, caches, surprised)
        (wire,) = responder.messages([asked], now) if via is Via.TCP else datagrams(responder, [asked], now)
    assert wire is not None
    return wire


def wire_name(text: str) -> bytes:
    """A name of the core's: wire form, lower case."""
    return names.from_text(text)


def datagrams(responder: Responder, wires: Sequence[bytes], now: int = NOW, client: bytes = b"") -> list[bytes | None]:
    """The responses to whole datagrams, with their IDs. All are from the address `client`."""
    responses = responder.datagrams([wire[ID_SIZE:] for wire in wires], now, lambda _: client)
    return [
        None if response is None else wire[:ID_SIZE] + response for wire, response in zip(wires, responses, strict=True)
    ]


def new_key() -> bytes:
    """Octets for the index of an image."""
    return bytes(range(1, KEY_OCTETS + 1))
