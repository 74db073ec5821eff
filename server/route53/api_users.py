"""Who may call the API, and what they may do: the account's root, and users with access keys of their own.

Each user is a profile of STATE/aws/credentials, made on first sight of its name in the configuration.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from keys.aws.caller_identity import Identity
from keys.emulator import aws_files
from keys.emulator.key_records import Site
from keys.emulator.principals import AccessKey, RandomBytes


class Access(enum.Enum):
    """What a user may do."""

    FULL = "full"
    READ_ONLY = "read-only"


class User(NamedTuple):
    """Somebody with an access key."""

    name: str
    arn: str
    access: Access


class Users:
    """All users, by their access keys."""

    def __init__(self, users: Mapping[AccessKey, User]) -> None:
        self._secrets = {key.id: key.secret for key in users}
        self._users = {key.id: user for key, user in users.items()}

    def secret_of(self, access_key_id: str) -> str | None:
        """The secret of an access key, `None` where nobody has it."""
        return self._secrets.get(access_key_id)

    def identity(self, access_key_id: str) -> Identity:
        """The same, as STS tells it. Raises `KeyError`."""
        arn = self._users[access_key_id].arn
        account = arn.split(":")[4]
        return Identity(arn, account, account if arn.endswith(":root") else access_key_id.replace("AKIA", "AIDA", 1))

    def user(self, access_key_id: str) -> User:
        """Whose access key this is. Raises `KeyError`."""
        return self._users[access_key_id]


def load_users(state: Path, site: Site, configured: Mapping[str, Access], random_bytes: RandomBytes) -> Users:
    """The account's root, with full access, and the users of the configuration; keys that are missing are made.

    Raises `CredentialsFileError`. Blocks.
    """
    root = aws_files.load_credentials(state, random_bytes).root
    keys = aws_files.load_profiles(state, list(configured), random_bytes)
    users = {root: User("root", site.root_arn, Access.FULL)}
    for name, access in configured.items():
        users[keys[name]] = User(name, f"arn:aws:iam::{site.account}:user/{name}", access)
    return Users(users)
