"""Nodes and keys to the values of `messages` and back."""

from __future__ import annotations

from keys.keyset import ActiveSigner, ZoneKeys
from keys.rrsig import canonical_order
from keys.zsk import load_signer
from server.worker.messages import AnyRRset, KeysValue, MultivalueRRset, NodeValue, PlainRRset, WeightedRRset
from zones.choice import Multivalue, Weighted
from zones.zone import Node, RRset


def node_value(owner: bytes, node: Node) -> NodeValue:
    """The node at `owner`."""
    rrsets = tuple([_rrset_value(rrset) for rrset in node.rrsets.values()])
    if not node.is_cut:
        return NodeValue(owner, node.bitmap, rrsets)
    glue, sibling_glue = (
        tuple((target, _rrset_value(rrset)) for target, rrset in addresses)
        for addresses in (node.glue, node.sibling_glue)
    )
    return NodeValue(owner, node.bitmap, rrsets, node.is_cut, glue, sibling_glue)


def node_of(value: NodeValue) -> Node:
    """The node of a value."""
    rrsets = {rrset.type: rrset for rrset in map(_rrset_of, value.rrsets)}
    glue, sibling_glue = (
        tuple((target, _rrset_of(rrset)) for target, rrset in addresses)
        for addresses in (value.glue, value.sibling_glue)
    )
    return Node.of_bitmap(rrsets, value.bitmap, is_cut=value.is_cut, glue=glue, sibling_glue=sibling_glue)


def _rrset_value(rrset: RRset) -> AnyRRset:
    if isinstance(rrset, Weighted):
        return WeightedRRset(tuple((weight, _rrset_value(option)) for weight, option in rrset.options))
    if isinstance(rrset, Multivalue):
        return MultivalueRRset(rrset.type, rrset.ttl, rrset.values)
    rdatas = tuple(rrset.rdatas())
    # Nearly always one record, and nearly always no name in another spelling.
    ordered = rdatas if len(rdatas) == 1 else canonical_order(rdatas)
    return PlainRRset(rrset.type, rrset.ttl, rdatas, None if ordered == rrset.canonical else rrset.canonical)


def _rrset_of(value: AnyRRset) -> RRset:
    if isinstance(value, PlainRRset):
        return RRset(value.rrtype, value.ttl, value.rdatas, value.canonical)
    if isinstance(value, MultivalueRRset):
        return Multivalue(value.rrtype, value.ttl, value.values)
    return Weighted([(weight, _rrset_of(option)) for weight, option in value.options])


def keys_value(keys: ZoneKeys) -> KeysValue:
    """The keys of a zone, private ones among them: for the stream to a worker and nothing else."""
    signers = tuple((active.since, active.signer.private_key()) for active in keys.signers)
    return KeysValue(keys.keyset, signers, keys.policy, keys.delegation)


def keys_of(value: KeysValue) -> ZoneKeys:
    """The keys of a value. Raises `ValueError` where a private key is none."""
    signers = tuple(ActiveSigner(since, load_signer(private_key)) for since, private_key in value.signers)
    return ZoneKeys(value.keyset, signers, value.policy, value.delegation)
