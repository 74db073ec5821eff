"""The two files that AWS clients read, so that they find the emulator and may use it without one option.

`AWS_CONFIG_FILE=STATE/aws/config AWS_SHARED_CREDENTIALS_FILE=STATE/aws/credentials aws kms list-keys` works as it
stands: the default profile is the account's root, `signwright-service` the service principal.
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

from keys.emulator import files
from keys.emulator.credentials import AccessKey, Credentials, RandomBytes, generate_access_key

ROOT_PROFILE = "default"
SERVICE_PROFILE = "signwright-service"


class CredentialsFileError(Exception):
    """A credentials file that can't be used; the message names it and shows no secret."""


def config_path(state: Path) -> Path:
    """Where AWS_CONFIG_FILE points."""
    return state / "aws" / "config"


def credentials_path(state: Path) -> Path:
    """Where AWS_SHARED_CREDENTIALS_FILE points."""
    return state / "aws" / "credentials"


def load_credentials(state: Path, random_bytes: RandomBytes) -> Credentials:
    """The credentials of both principals, generated and kept on first start. Raises `CredentialsFileError`."""
    path = credentials_path(state)
    if path.exists():
        return _read(path)
    credentials = Credentials(generate_access_key(random_bytes), generate_access_key(random_bytes))
    files.private_directory(path.parent)
    files.write_private(
        path, _ini({ROOT_PROFILE: _section(credentials.root), SERVICE_PROFILE: _section(credentials.service)})
    )
    return credentials


def write_config(state: Path, region: str, endpoints: Mapping[str, str]) -> None:
    """Write STATE/aws/config: the region, and the URL of each service by its AWS name (`kms`, `route_53`)."""
    profile = {"region": region, "output": "json", "services": "signwright"}
    # A nested section of an AWS configuration file: an empty value, and indented lines below it.
    services = {service: f"\nendpoint_url = {url}" for service, url in endpoints.items()}
    sections = {ROOT_PROFILE: profile, f"profile {SERVICE_PROFILE}": profile, "services signwright": services}
    files.private_directory(config_path(state).parent)
    files.write_private(config_path(state), _ini(sections))


def _section(key: AccessKey) -> dict[str, str]:
    return {"aws_access_key_id": key.id, "aws_secret_access_key": key.secret}


def _ini(sections: Mapping[str, Mapping[str, str]]) -> bytes:
    parser = configparser.RawConfigParser(default_section="")
    parser.read_dict(sections)
    text = StringIO()
    parser.write(text)
    return text.getvalue().encode()


def _read(path: Path) -> Credentials:
    parser = configparser.RawConfigParser(default_section="")
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
        root, service = (
            AccessKey(parser[profile]["aws_access_key_id"], parser[profile]["aws_secret_access_key"])
            for profile in (ROOT_PROFILE, SERVICE_PROFILE)
        )
    except (configparser.Error, KeyError, UnicodeDecodeError):
        raise CredentialsFileError(
            f"{path}: not a credentials file with the profiles {ROOT_PROFILE} and {SERVICE_PROFILE}; "
            "remove it to have new credentials generated"
        ) from None
    return Credentials(root, service)
