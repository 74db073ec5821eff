"""What a start would fail on, or what runs and is hardly meant: found without starting, making or changing anything."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from botocore.session import Session

from keys.custody.zsk_encryption import StateError
from keys.dnssec.signing_policy import Policy
from keys.kms.kms_credentials import resolve
from keys.kms.kms_errors import KmsError
from server.net.listen import CannotListen, check_host
from server.privileges import CannotBecomeUser, account_of
from server.route53.serve_api import tls_context
from server.settings.configuration import Config, ConfigError, at_setting
from server.state.directory import check_usable


def problems(file: Path, config: Config) -> Iterator[Exception]:
    """Everything for which a server with the configuration of `file` would not start, or its hook never run.

    `ConfigError`, `StateError`, `CannotListen` and `KmsError`, each with the line of its setting.
    """
    for error in _of_listeners(config):
        yield type(error)(f"{at_setting(file, 'listen')}: {error}")
    if config.route53 is not None:
        try:
            tls_context(config.route53)
        except ConfigError as error:
            yield ConfigError(f"{at_setting(file, *error.key.split('.'))}: {error.reason}")
    if config.user is not None:
        try:
            account_of(config.user)
        except CannotBecomeUser as error:
            yield ConfigError(f"{at_setting(file, 'user')}: {error}")
    try:
        check_usable(config.state)
    except StateError as error:
        yield StateError(f"{at_setting(file, 'state')}: {error}")
    kms = config.kms
    if kms.endpoint is not None:
        try:
            resolve(partial(Session, profile=kms.profile), kms.endpoint, kms.region)
        except KmsError as error:
            yield ConfigError(f"{at_setting(file, 'kms', 'profile' if kms.profile else 'endpoint')}: {error}")
    if config.query_log is not None and not (folder := Path(config.query_log.file).parent).is_dir():
        yield ConfigError(f"{at_setting(file, 'query_log', 'file')}: there is no folder {folder}")
    if config.hooks.command is not None:
        reason = _why_not_run(config.hooks.command[0])
        if reason:
            yield ConfigError(f"{at_setting(file, 'hooks', 'command')}: {reason}")


def remarks(file: Path, config: Config) -> Iterator[str]:
    """What can be served with the configuration of `file` and is hardly meant, each with the line of its setting."""
    policies: list[tuple[Policy, tuple[str | int, ...]]] = [(config.policy, ("policy", "zsk_lifetime"))]
    for index, zone in enumerate(config.zones):
        if zone.policy != config.policy:
            policies.append((zone.policy, ("zones", index, "policy", "zsk_lifetime")))
    for policy, path in policies:
        least = policy.dnskey_ttl + policy.window + 2 * policy.propagation
        if policy.zsk_lifetime < least:
            yield (
                f"{at_setting(file, *path)}: warning: a rollover takes {least} s and the highest TTL of the zone, and "
                f"{policy.zsk_lifetime} s is less: one would follow the other without a pause"
            )


def _of_listeners(config: Config) -> Iterator[CannotListen]:
    for address in config.listen:
        try:
            check_host(address)
        except CannotListen as error:
            yield error


def _why_not_run(program: str) -> str | None:
    if "/" not in program:
        return None if shutil.which(program) else f"there is no program {program} on the PATH"
    if not Path(program).is_file():
        return f"there is no program {program}"
    return None if os.access(program, os.X_OK) else f"{program} may not be executed"
