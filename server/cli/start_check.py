"""Finds what a start would fail on, and probable mistakes. It starts, creates and changes nothing."""

from __future__ import annotations

import json
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
from server.cli.socket_units import held_by_systemd
from server.net.addresses import Address, parse_address
from server.net.listen import CannotListen, PortInUse, check_free, check_host
from server.privileges import CannotBecomeUser, account_of
from server.route53.serve_api import tls_context
from server.settings.configuration import Config, ConfigError, at_setting
from server.state.directory import StateDir, check_usable
from zones.masterfile.found_faults import Finding

_DAY = 86400
_URLS = ("route53", "kms", "cloudwatch", "page")
"""The listeners in `server.json` beside those for DNS."""
_CODES: tuple[tuple[type[Exception], str], ...] = (
    (PortInUse, "port-in-use"),
    (CannotListen, "listen"),
    (StateError, "state"),
)


def findings(file: Path, config: Config) -> Iterator[Finding]:
    """All `problems` and `remarks`, by line."""
    found = [finding for error in problems(file, config) for finding in of_error(str(file), error)]
    found += [_finding(str(file), remark, "warning", "setting") for remark in remarks(file, config)]
    yield from sorted(found, key=lambda finding: (finding.severity, finding.line))


def of_error(file: str, error: Exception) -> list[Finding]:
    """What `check` tells of an error about `file`."""
    code = next((code for kind, code in _CODES if isinstance(error, kind)), "configuration")
    return [_finding(file, str(error), "error", code)]


def _finding(file: str, text: str, severity: str, code: str) -> Finding:
    """A finding out of a text that begins with its place, perhaps."""
    text = text.removeprefix(f"{file}:").strip().replace(": warning: ", ": ", 1)
    line, colon, reason = text.partition(": ")
    if colon and line.isdigit():
        return Finding(file, int(line), severity, code, reason)
    return Finding(file, 0, severity, code, text)


def problems(file: Path, config: Config) -> Iterator[Exception]:
    """Everything for which a server with the configuration of `file` would not start, or its hook never run.

    `ConfigError`, `StateError`, `CannotListen`, `PortInUse` and `KmsError`, each with the line of its setting.
    """
    for error, setting in _of_listeners(config):
        if isinstance(error, PortInUse) or not _is_privileged(error):
            yield type(error)(f"{at_setting(file, *setting)}: {error}")
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
    yield from _of_state(file, config)
    yield from _of_kms(file, config)
    if config.query_log is not None:
        yield from _of_query_log(file, Path(config.query_log.file))
    if config.hooks.command is not None:
        reason = _why_not_run(config.hooks.command[0])
        if reason:
            yield ConfigError(f"{at_setting(file, 'hooks', 'command')}: {reason}")


def _of_state(file: Path, config: Config) -> Iterator[Exception]:
    try:
        check_usable(config.state)
    except StateError as error:
        yield StateError(f"{at_setting(file, 'state')}: {error}")
        return
    folder = next(path for path in (config.state, *config.state.absolute().parents) if path.exists())
    if config.user is None and not os.access(folder, os.W_OK | os.X_OK):
        verb = "written" if folder == config.state else "made"
        reason = f"{config.state} can't be {verb}: no write permission on {folder}; grant it, or choose another state"
        yield StateError(f"{at_setting(file, 'state')}: {reason}")


def _of_kms(file: Path, config: Config) -> Iterator[Exception]:
    kms = config.kms
    if kms.endpoint is not None:
        try:
            resolve(partial(Session, profile=kms.profile), kms.endpoint, kms.region)
        except KmsError as error:
            yield ConfigError(f"{at_setting(file, 'kms', 'profile' if kms.profile else 'endpoint')}: {error}")
    for index, zone in enumerate(config.zones):
        if zone.ksk_arn is not None and (region := zone.ksk_arn.split(":")[3]) != kms.region:
            yield ConfigError(
                f"{at_setting(file, 'zones', index, 'ksk_arn')}: the key is in region {region}, and kms.region is "
                f'{kms.region}: name a key of that region, or set kms.region = "{region}"'
            )


def _of_query_log(file: Path, log: Path) -> Iterator[Exception]:
    place = at_setting(file, "query_log", "file")
    if not log.parent.is_dir():
        yield ConfigError(f"{place}: folder {log.parent} does not exist; create it")
    elif log.is_dir():
        yield ConfigError(f"{place}: {log} is a folder; name a file")
    elif not os.access(log if log.exists() else log.parent, os.W_OK):
        yield ConfigError(f"{place}: no write permission on {log if log.exists() else log.parent}")


def remarks(file: Path, config: Config) -> Iterator[str]:
    """Probable mistakes in a valid configuration `file`, each with the line of its setting."""
    for error, setting in _of_listeners(config):
        if _is_privileged(error):
            yield f"{at_setting(file, *setting)}: warning: {error}"
    yield from _slots(file, config)
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


def _slots(file: Path, config: Config) -> Iterator[str]:
    policies: list[tuple[Policy, tuple[str | int, ...]]] = [(config.policy, ("policy", "slot"))]
    policies += [
        (zone.policy, ("zones", index, "policy", "slot"))
        for index, zone in enumerate(config.zones)
        if zone.policy.slot != config.policy.slot
    ]
    for policy, path in policies:
        if _DAY % policy.slot:
            yield (
                f"{at_setting(file, *path)}: warning: a slot of {policy.slot} s does not divide the day, so slots "
                "begin at another time each day; choose 1h, 2h, 3h, 4h, 6h, 8h, 12h or 24h"
            )


def _of_listeners(config: Config) -> Iterator[tuple[CannotListen | PortInUse, tuple[str, ...]]]:
    """The addresses that can't be bound, each with its setting; those of this state's own server are left out."""
    own = _own_addresses(config.state)
    listened: list[tuple[Address, tuple[str, ...], bool]] = [(one, ("listen",), True) for one in config.listen]
    if config.metrics is not None:
        listened.append((config.metrics, ("metrics",), False))
    if config.route53 is not None:
        listened.append((config.route53.listen, ("route53", "listen"), False))
    if config.kms.endpoint is None:
        listened.append((config.kms.emulator, ("kms", "emulator"), False))
    for address, setting, is_dns in listened:
        try:
            if own is None or any(address == one or address.overlaps(one) for one in own):
                check_host(address)
            else:
                check_free(address, udp=is_dns, where="the setting " + ".".join(setting))
        except (CannotListen, PortInUse) as error:
            if not (isinstance(error, PortInUse) and address in held_by_systemd()):  # which passes it to the server
                yield error, setting


def _own_addresses(state: Path) -> set[Address] | None:
    """Where the server that runs on this state listens: empty without one, None where that can't be told."""
    pid = _pid_in(StateDir(state).lock)
    if pid is None:
        return set()
    try:
        told = json.loads((state / "server.json").read_bytes())
        texts = [*told["dns"], *(told.get(name) for name in _URLS)]
        return (
            {parse_address(text.rpartition("//")[2].rstrip("/")) for text in texts if text}
            if told["pid"] == pid
            else None
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _pid_in(lock: Path) -> int | None:
    """The process that holds a state, where it is still there; to lock it would keep a server from starting."""
    try:
        pid = int(lock.read_text().strip() or 0)
        os.kill(pid, 0)
    except PermissionError:
        return pid if lock.exists() and os.access(lock, os.R_OK) else None
    except (OSError, ValueError, OverflowError):
        return None
    return pid or None


def _is_privileged(error: Exception) -> bool:
    return isinstance(error, CannotListen) and "CAP_NET_BIND_SERVICE" in str(error)


def _why_not_run(program: str) -> str | None:
    if "/" not in program:
        return None if shutil.which(program) else f"there is no program {program} on the PATH"
    if not Path(program).is_file():
        return f"there is no program {program}"
    return None if os.access(program, os.X_OK) else f"{program} may not be executed"
