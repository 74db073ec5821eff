"""The values of hosted zones: zones, their record sets, changes, and what is refused.

Names are text as Route 53 keeps and lists them (`zones.recordsets.route53_names`): lower case, absolute, with octal
escapes. Times are seconds since the epoch. An error's code is Route 53's name for it.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

MOST_CHANGES = 1000
"""Resource records in one change batch; those of an UPSERT count twice."""
MOST_CHARACTERS = 32_000
"""Characters in all values of one change batch; those of an UPSERT count twice."""
MOST_IN_A_SET = 400
"""Values in one record set."""
MOST_WITH_ONE_NAME = 100
"""Record sets of one name and type, each with its set identifier."""
MOST_ALIASES_IN_A_ROW = 32
"""Aliases from a name to the records that it is answered with."""
MOST_FOLLOWED = 1000
"""Aliases that are followed for one name and type, where weighted ones lead on to weighted ones; further ones have
nothing.
"""
MOST_MULTIVALUE = 8
"""Record sets that one multivalue answer holds."""
MAXIMUM_TTL = 0x7FFFFFFF
MAXIMUM_WEIGHT = 255

TYPES = (
    "A AAAA CAA CNAME DS HTTPS MX NAPTR NS PTR SOA SPF SRV SSHFP SVCB TLSA TXT".split()  # noqa: SIM905 - a list of words
)
"""Every type that Route 53 has."""

RecordSetKey = tuple[str, str, str]
"""What tells one record set from all others of its zone: name, type, and set identifier or an empty string."""


class AliasTarget(msgspec.Struct, frozen=True, omit_defaults=True):
    """The record sets of another name in the same zone, which an alias answers as its own."""

    hosted_zone_id: str
    dns_name: str
    """Normalised, as all names are."""
    evaluate_target_health: bool = False
    """Kept and told; nothing is ever found unhealthy, since health checks are not built."""


class RecordSet(msgspec.Struct, frozen=True, omit_defaults=True):
    """One record set, simple or with a routing policy."""

    name: str
    type: str
    ttl: int | None = None
    """`None` for an alias, which has its target's."""
    values: tuple[str, ...] = ()
    """As the caller spelled them."""
    set_identifier: str | None = None
    weight: int | None = None
    multivalue: bool | None = None
    alias: AliasTarget | None = None
    unsupported: tuple[str, ...] = ()
    """Elements of the request that belong to policies that are not built: "Failover", "Region", "GeoLocation",
    "GeoProximityLocation", "CidrRoutingConfig", "HealthCheckId", "TrafficPolicyInstanceId". Always refused.
    """

    @property
    def key(self) -> RecordSetKey:
        """What tells it from all others of its zone."""
        return self.name, self.type, self.set_identifier or ""


class ChangeAction(enum.Enum):
    """What a change does to a record set."""

    CREATE = "CREATE"
    DELETE = "DELETE"
    UPSERT = "UPSERT"


class RecordSetChange(NamedTuple):
    """One change of a batch."""

    action: ChangeAction
    record_set: RecordSet


class HostedZone(msgspec.Struct, frozen=True, kw_only=True):
    """A hosted zone without its record sets."""

    id: str
    """ "Z" and 20 letters or digits, without "/hostedzone/"."""
    name: str
    """Its apex."""
    caller_reference: str
    comment: str = ""
    created: int
    name_servers: tuple[str, ...]
    """Its delegation set: names without a last dot."""
    record_set_count: int
    read_only: bool = False
    """Whether it is loaded from a file, which is where it is changed."""


class ChangeStatus(enum.Enum):
    """Whether a change is answered from everywhere."""

    PENDING = "PENDING"
    INSYNC = "INSYNC"


class ChangeInfo(msgspec.Struct, frozen=True):
    """The API's description of a change."""

    id: str
    """ "C" and 20 letters or digits, without "/change/"."""
    status: ChangeStatus
    submitted: int
    comment: str = ""


class Position(NamedTuple):
    """Where a listing of record sets begins: the first one at or after it in Route 53's order."""

    name: str
    type: str = ""
    set_identifier: str = ""


class ZoneRequestError(Exception):
    """A request that is refused. Nothing was changed."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class InvalidChangeBatchError(ZoneRequestError):
    """A change batch that is refused whole, with every reason."""

    def __init__(self, messages: Sequence[str]) -> None:
        self.messages = tuple(messages)
        super().__init__(INVALID_CHANGE_BATCH, f"[{', '.join(messages)}]")


INVALID_CHANGE_BATCH = "InvalidChangeBatch"
INVALID_INPUT = "InvalidInput"
INVALID_NAME = "InvalidDomainName"
NO_SUCH_ZONE = "NoSuchHostedZone"
NO_SUCH_CHANGE = "NoSuchChange"
ZONE_EXISTS = "HostedZoneAlreadyExists"
"""The caller reference was used before, for another zone."""
NAME_TAKEN = "ConflictingDomainExists"
"""A zone of that name is hosted here already."""
NOT_EMPTY = "HostedZoneNotEmpty"
PARTIALLY_DELEGATED = "HostedZonePartiallyDelegated"
"""The parent delegates the zone to other name servers than its own, or can't be asked."""
