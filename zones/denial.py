"""How a zone says no: what each kind of denial must be able to prove, and by which NSEC records.

A denial is an object without state that is given the zone: `zones.denial_compact`, `zones.denial_nsec_chain`. It
decides all that differs between them. Only the short ways to an answer (`server.query.fast`) ask which one it is.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol, runtime_checkable

from zones.node import Node, RRset


class DenialMode(enum.Enum):
    """The kinds of denial, by their names in the configuration."""

    COMPACT = "compact"
    """One NSEC at the queried name itself (RFC 9824)."""
    NSEC = "nsec"
    """The classic chain of NSEC records (RFC 4035 §3.1.3)."""


class Proof(NamedTuple):
    """One NSEC record, to be signed under its owner."""

    owner: bytes
    rrset: RRset


class NsecChain(Protocol):
    """The names that own an NSEC record, in canonical order, by `names.canonical_key`."""

    def around(self, key: bytes, /) -> tuple[bytes, bytes]:
        """The name at `key` or the last one before, and the one after that; after the last comes the first.

        `key` must not lie before the first.
        """

    def changed(self, changes: Mapping[bytes, bytes | None], /) -> NsecChain:
        """The chain in which the names with these keys are there, or are not where there is None."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[bytes]:
        """The keys."""

    def values(self) -> Iterator[bytes]:
        """The names."""


@runtime_checkable
class ChainedNodes(Protocol):
    """Nodes that know the chain of their names, which costs less than to make it anew."""

    def nsec_chain(self) -> NsecChain:
        """The names that own an NSEC record."""


class DeniedZone(Protocol):
    """What a denial needs of a zone."""

    origin: bytes
    nodes: Mapping[bytes, Node]
    negative_ttl: int
    """TTL of negative answers, in seconds."""

    @property
    def chain(self) -> NsecChain:
        """The names that own an NSEC record."""
        ...


class Denial(Protocol):
    """One way of saying no. Owners are names in wire form, lower case."""

    mode: DenialMode
    needs_chain: bool
    """Whether it shows gaps of the zone's chain, which is then worth having ready."""
    has_every_name: bool
    """Whether an NSEC record stands at every name that one asks for, also where nothing else does."""

    def is_nxdomain(self, *, compact_answers_ok: bool) -> bool:
        """Whether a name that does not exist gets NXDOMAIN, and not NOERROR, where signatures are wanted."""

    def no_name(self, zone: DeniedZone, owner: bytes, closest_encloser: bytes) -> list[Proof]:
        """`owner` does not exist, and no wildcard stands for it."""

    def no_data(self, zone: DeniedZone, owner: bytes, node: Node, wildcard: bytes | None) -> list[Proof]:
        """`owner`, or the wildcard that stands for it, exists without the type asked for."""

    def expansion(self, zone: DeniedZone, owner: bytes) -> list[Proof]:
        """`owner` was answered from a wildcard: no closer match exists (RFC 4035 §3.1.3.3)."""

    def signed_as(self, owner: bytes, wildcard: bytes) -> bytes:
        """The owner whose RRSIG stands beside an RRset that was expanded from `wildcard` at `owner`."""

    def no_signer(self, zone: DeniedZone, cut: bytes, node: Node) -> list[Proof]:
        """The delegation point `cut` has no DS (RFC 4035 §3.1.4.1)."""

    def nsec_at(self, zone: DeniedZone, owner: bytes, node: Node | None, wildcard: bytes | None) -> RRset | None:
        """The NSEC record that a query for it at `owner` gets; None where there is none.

        `node` is None where the name does not exist; `wildcard` is the one that stands for `owner`, if one does.
        """
