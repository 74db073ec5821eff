"""Zones by their files: what a file's name says of its origin, and what an argument of the command line stands for."""

from __future__ import annotations

import os
from pathlib import Path

import dns.exception
import dns.name

from server.settings.schema import ConfigError

SUFFIX = ".zone"
"""A master file with this suffix is named for its origin."""


class NoZoneFile(ConfigError):  # noqa: N818 - it names what happened
    """A zone file that was named is not there."""


def named_files(argument: str) -> list[tuple[str, Path]]:
    """The origins and absolute paths of a master file, of `ORIGIN=FILE`, or of a folder of `*.zone` files.

    Raises `ConfigError`, and `NoZoneFile` where nothing is there.
    """
    path = Path(argument).expanduser()
    origin, equals, file = argument.partition("=")
    try:
        if path.is_dir():
            found = [(origin_of_file(member), member) for member in sorted(path.glob("*" + SUFFIX))]
        elif equals and not path.exists():
            found = [(origin_of(origin), _existing(Path(file).expanduser()))]
        else:
            found = [(origin_of_file(_existing(path)), path)]
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if not found:
        raise ConfigError(f"the folder {argument} contains no *{SUFFIX} file")
    return [(origin, without_detours(Path.cwd() / path)) for origin, path in found]


def origin_of_file(path: Path) -> str:
    """The origin that a file is named for. Raises `ValueError`."""
    if not path.name.endswith(SUFFIX) or path.name == SUFFIX:
        raise ValueError(
            f"{path.name!r} does not name an origin, as lab.example{SUFFIX} does: set origin, or give ORIGIN={path}"
        )
    return origin_of(path.name.removesuffix(SUFFIX))


def origin_of(text: str) -> str:
    """A domain name in lower case, with its last dot. Raises `ValueError`."""
    try:
        name = dns.name.from_text(text)
    except (dns.exception.DNSException, ValueError) as error:
        raise ValueError(f"{text!r} is not a valid domain name: {error}") from None
    return name.canonicalize().to_text()


def without_detours(path: Path) -> Path:
    """The same without `..`, unless that would lead elsewhere, as behind a symbolic link."""
    if ".." not in path.parts:
        return path
    straight = Path(os.path.normpath(path))
    return straight if straight.resolve() == path.resolve() else path


def _existing(path: Path) -> Path:
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give a zone file")
    if not path.is_file():
        raise NoZoneFile(f"zone file {path} does not exist")
    return path
