"""What a KMS key and an alias are, without the private key.

Every time is in seconds since the epoch.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class KeyState(StrEnum):
    """The states of a key that is neither imported nor in a custom key store."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"
    PENDING_DELETION = "PendingDeletion"


class KeyRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key: all that DescribeKey, GetKeyPolicy and ListResourceTags answer from."""

    id: str
    spec: str
    created: float
    policy: str
    description: str = ""
    state: KeyState = KeyState.ENABLED
    deletion: float | None = None
    """When it is deleted; set in PENDING_DELETION only."""
    tags: dict[str, str] = {}


class AliasRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The key that an alias stands for."""

    key_id: str
    created: float
    updated: float


class Site(msgspec.Struct, frozen=True):
    """Where the emulator claims to be: the account and region in every ARN."""

    account: str = "000000000000"
    region: str = "us-east-1"

    @property
    def root_arn(self) -> str:
        """The account's root, the principal that holds every IAM permission here."""
        return f"arn:aws:iam::{self.account}:root"

    def key_arn(self, key_id: str) -> str:
        """The ARN of a key."""
        return f"arn:aws:kms:{self.region}:{self.account}:key/{key_id}"

    def alias_arn(self, alias: str) -> str:
        """The ARN of an alias (`alias/…`)."""
        return f"arn:aws:kms:{self.region}:{self.account}:{alias}"
