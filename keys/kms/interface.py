"""What the key manager asks of a KMS: five questions, each answered or refused by one declared error.

The client of the AWS KMS protocol and the fake of the simulation both are a `Kms`. A KMS is not trusted to be right:
callers verify each signature against the public key first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

MAXIMUM_MESSAGE = 4096
"""Bytes a KMS takes to hash and sign itself: Sign's `Message` with `MessageType` RAW."""


def check_message(message: bytes) -> None:
    """Raises `ValueError` for a message longer than a KMS signs: a bug of the caller, no matter of the KMS."""
    if len(message) > MAXIMUM_MESSAGE:
        raise ValueError(f"the message has {len(message)} bytes; a KMS signs at most {MAXIMUM_MESSAGE}")


class KeyRequest(NamedTuple):
    """A KSK to be made: an ECDSA P-256 key that signs and verifies, and never leaves the KMS."""

    description: str
    policy: str | None
    """The key policy as JSON (see `policy_document`); `None` leaves it to the KMS's default."""
    tags: Mapping[str, str]


class PublicKey(NamedTuple):
    """The public half of a KSK."""

    arn: str
    """As the KMS names the key, also where it was asked for by an alias."""
    point: bytes
    """x‖y, 64 bytes, as a DNSKEY holds it (RFC 6605 §4)."""


class KmsSignature(NamedTuple):
    """One answered Sign."""

    value: bytes
    """r‖s, 64 bytes, as an RRSIG holds it (RFC 6605 §4)."""
    request_id: str
    """The KMS's name for the call, by which its audit log can be searched."""


class Kms(Protocol):
    """A KMS. Every method raises `KmsUnavailable` where trying again may help, and `KmsRefused` where it will not.

    `hosted_zone_id` names the zone on whose behalf a key is used; a key policy may allow the one and not the other.
    """

    async def create_key(self, request: KeyRequest) -> str:
        """Make a key; its ARN. Not idempotent: after a lost answer, `find_key` by a tag finds what was made."""
        ...

    async def find_key(self, tag: str, value: str) -> str | None:
        """The ARN of a key that carries the tag `tag` with `value` and is not about to be deleted, if there is one.

        Keys that may not be looked at count as not there. A disabled key is found: it can be enabled again.
        """
        ...

    async def get_public_key(self, arn: str, hosted_zone_id: str) -> PublicKey:
        """The public half. A key that is not a P-256 signing key is refused with the code `WrongKey`."""
        ...

    async def sign(self, arn: str, hosted_zone_id: str, message: bytes) -> KmsSignature:
        """Sign `message`, at most 4096 bytes (`ValueError` above), by ECDSA P-256 with SHA-256."""
        ...

    async def probe(self, arn: str, hosted_zone_id: str) -> None:
        """Return if `sign` would succeed now, as far as the KMS tells without signing; else raise what it would."""
        ...
