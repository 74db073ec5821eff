"""Who may call: two principals with an access key each, the account's root and the DNSSEC service."""

from __future__ import annotations

from base64 import b32encode, b64encode
from collections.abc import Callable
from typing import NamedTuple

from keys.aws.caller_identity import Identity
from keys.emulator.key_policy import Caller
from keys.emulator.key_records import Site

SERVICE = "dnssec-route53.amazonaws.com"
"""The service principal that signs DNSKEY RRsets; it may do what key policies give it, and nothing in the account."""

RandomBytes = Callable[[int], bytes]


class AccessKey(NamedTuple):
    """An access key; its repr does not show the secret."""

    id: str
    secret: str

    def __repr__(self) -> str:
        return f"<AccessKey {self.id}>"


class Principals(NamedTuple):
    """The access keys of both principals."""

    root: AccessKey
    service: AccessKey

    def secret_of(self, access_key_id: str) -> str | None:
        """The secret of an access key, `None` where nobody has it."""
        return next((key.secret for key in self if key.id == access_key_id), None)

    def caller(self, access_key_id: str, site: Site) -> Caller:
        """The principal whose access key this is."""
        if access_key_id == self.service.id:
            return Caller(SERVICE, None)
        return Caller(site.root_arn, site.account)

    def identity(self, access_key_id: str, site: Site) -> Identity:
        """The same, as STS tells it."""
        if access_key_id == self.service.id:
            return Identity(f"arn:aws:sts::{site.account}:assumed-role/{SERVICE}/signwright", site.account, SERVICE)
        return Identity(site.root_arn, site.account, site.account)


def generate_access_key(random_bytes: RandomBytes) -> AccessKey:
    """A new access key in the form of AWS's: 20 characters, and a secret of 40 from 240 random bits."""
    return AccessKey("AKIA" + b32encode(random_bytes(10)).decode(), b64encode(random_bytes(30)).decode())
