"""The files that AWS clients read, so that they find the emulator and may use it without one option.

`AWS_CONFIG_FILE=STATE/aws/config AWS_SHARED_CREDENTIALS_FILE=STATE/aws/credentials aws kms list-keys` works as it
stands: the default profile is the account's root, `signwright-service` the service principal.
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping, Sequence
from contextlib import suppress
from io import StringIO
from pathlib import Path

from keys.custody import private_files
from keys.emulator.aws_environment import write_environment
from keys.emulator.principals import AccessKey, Principals, RandomBytes, generate_access_key

ROOT_PROFILE = "default"
SERVICE_PROFILE = "signwright-service"
_SERVICES = "services signwright"


class CredentialsFileError(Exception):
    """A credentials file that can't be used; the message names it and shows no secret."""


def config_path(state: Path) -> Path:
    """Where AWS_CONFIG_FILE points."""
    return state / "aws" / "config"


def credentials_path(state: Path) -> Path:
    """Where AWS_SHARED_CREDENTIALS_FILE points."""
    return state / "aws" / "credentials"


def load_credentials(state: Path, random_bytes: RandomBytes) -> Principals:
    """The credentials of both principals, generated and kept on first start. Raises `CredentialsFileError`."""
    path = credentials_path(state)
    if path.exists():
        return _read(path)
    credentials = Principals(generate_access_key(random_bytes), generate_access_key(random_bytes))
    private_files.private_directory(path.parent)
    private_files.write_private(
        path, _ini({ROOT_PROFILE: _section(credentials.root), SERVICE_PROFILE: _section(credentials.service)})
    )
    return credentials


def load_profiles(state: Path, names: Sequence[str], random_bytes: RandomBytes) -> dict[str, AccessKey]:
    """The access keys of further profiles beside those of the two principals; the ones that are missing are made.

    `load_credentials` was called before. Raises `CredentialsFileError`.
    """
    path = credentials_path(state)
    parser = _parser()
    parser.read_string(path.read_text(encoding="utf-8"))
    missing = [name for name in names if not parser.has_section(name)]
    for name in missing:
        parser[name] = _section(generate_access_key(random_bytes))
    if missing:
        private_files.write_private(path, _ini({name: parser[name] for name in parser.sections()}))
    try:
        return {name: _access_key(parser, name) for name in names}
    except KeyError as error:
        raise CredentialsFileError(
            f"{path}: a profile lacks {error}; remove the profile, and the server generates it again"
        ) from None


def write_config(state: Path, region: str, endpoints: Mapping[str, str | None], profiles: Sequence[str] = ()) -> None:
    """Write STATE/aws/config: the region, and the URL of each service by its AWS name (`kms`, `route_53`).

    STATE/aws/env follows from it.

    Services that are not named keep the URL that they have there; those whose URL is `None` lose it. `profiles` are
    those beside the ones of the two principals.
    """
    parser = _read_config(state)
    present = _endpoints(parser)
    profile = {"region": region, "output": "json", "services": "signwright"}
    # A nested section of an AWS configuration file: an empty value, and indented lines below it.
    services = {name: f"\nendpoint_url = {url}" for name, url in {**present, **endpoints}.items() if url is not None}
    sections = {ROOT_PROFILE: profile}
    sections |= {name: profile for name in parser.sections() if name.startswith("profile ")}
    sections |= {f"profile {name}": profile for name in (SERVICE_PROFILE, *profiles)}
    private_files.private_directory(config_path(state).parent)
    private_files.write_private(config_path(state), _ini({**sections, _SERVICES: services}))
    write_environment(state, region, {name: text.rpartition(" = ")[2] for name, text in services.items()})


def endpoint_of(state: Path, service: str) -> str | None:
    """The URL of a service in STATE/aws/config, if it is there."""
    return _endpoints(_read_config(state)).get(service)


def _read_config(state: Path) -> configparser.RawConfigParser:
    parser = _parser()
    with suppress(OSError, configparser.Error, UnicodeDecodeError):  # what can't be read is written anew
        parser.read_string(config_path(state).read_text(encoding="utf-8"))
    return parser


def _endpoints(parser: configparser.RawConfigParser) -> dict[str, str]:
    known = parser[_SERVICES] if parser.has_section(_SERVICES) else {}
    return {service: text.rpartition(" = ")[2] for service, text in known.items()}


def _section(key: AccessKey) -> dict[str, str]:
    return {"aws_access_key_id": key.id, "aws_secret_access_key": key.secret}


def _ini(sections: Mapping[str, Mapping[str, str]]) -> bytes:
    parser = _parser()
    parser.read_dict(sections)
    text = StringIO()
    parser.write(text)
    return text.getvalue().encode()


def _read(path: Path) -> Principals:
    parser = _parser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
        return Principals(_access_key(parser, ROOT_PROFILE), _access_key(parser, SERVICE_PROFILE))
    except (configparser.Error, KeyError, UnicodeDecodeError):
        raise CredentialsFileError(
            f"{path}: not a credentials file with the profiles {ROOT_PROFILE} and {SERVICE_PROFILE}; "
            "remove it, and the server generates new credentials"
        ) from None


def _access_key(parser: configparser.RawConfigParser, profile: str) -> AccessKey:
    return AccessKey(parser[profile]["aws_access_key_id"], parser[profile]["aws_secret_access_key"])


def _parser() -> configparser.RawConfigParser:
    return configparser.RawConfigParser(default_section="")
