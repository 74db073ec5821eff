"""`signwright backup` and `restore`: through the server where one runs, and without one where none does."""

from __future__ import annotations

import contextlib
import filecmp
import os
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click

from keys.custody.state_database import Store
from keys.custody.zsk_encryption import StateError
from server.cli.options import EXISTING_FILE, configuration_of_environment, located, of_running_server
from server.control.control_client import ControlClient, ControlError, NoServerError, new_private_file
from server.settings.configuration import load_config
from server.settings.configured_files import configured_files
from server.settings.schema import ConfigError
from server.state import restore_swap
from server.state.backup_archive import ArchiveError, stage_archive, write_archive
from server.state.directory import StateDir, finish_restore, open_state

_BACK = 60
"""Seconds that a server may take to start again on a restored state."""


@click.command(short_help="Write a backup of the state, with its private keys.")
@click.argument("file", type=click.Path(path_type=Path))
@of_running_server
def backup(file: Path, config: Path | None, state: Path | None) -> None:
    """Write a backup of the state to FILE (tar.gz, mode 0600), with or without a running server.

    The backup contains private keys: the state key, the zone-signing keys, and the emulator's keys and credentials. It
    also contains the configuration and the zone files, with the files that they include.
    """
    directory = located(config, state)
    try:
        ControlClient(directory).backup(file)
    except NoServerError:
        if not directory.database.exists():
            raise StateError(f"{directory.path} contains no state to back up") from None
        with (
            open_state(directory.path),
            Store.open(directory.path, os.urandom) as store,
            new_private_file(file) as out,
        ):
            write_archive(directory, store.backup, out, _configured(config, state))
    click.echo(
        f"{file}: {file.stat().st_size} octets; it contains private keys: store it as safely as the keys themselves"
    )


@click.command()
@click.argument("file", type=EXISTING_FILE)
@of_running_server
def restore(file: Path, config: Path | None, state: Path | None) -> None:
    """Restore the state from a backup.

    A running server restarts on the restored state by itself. The previous state is saved in the state directory as
    before-restore-TIME. The configuration and zone files of the backup are put into STATE/restored/, and the commands
    that copy them to their places are printed.
    """
    directory = located(config, state)
    was_there = directory.version.exists()
    with file.open("rb") as archive:
        try:
            kept = ControlClient(directory).restore(archive)
        except NoServerError:
            with open_state(directory.path):
                kept = _staged(directory, file, archive)
                finish_restore(directory)
        else:
            _wait_for(directory)
    saved = f" The previous state was saved in {directory.path / kept}." if was_there else ""
    click.echo(f"Restored from {file}.{saved}")
    for line in copies(directory.path / restore_swap.RESTORED):
        click.echo(line)


def _staged(directory: StateDir, file: Path, archive: BinaryIO) -> str:
    """As `stage_archive`, with the file in its errors."""
    try:
        return stage_archive(directory, archive, time.time())
    except ArchiveError as error:
        raise ArchiveError(f"{file}: {error}") from None


def copies(restored: Path, root: Path = Path("/")) -> Iterator[str]:
    """What to print of the files that a backup had beside the state: how to copy those that differ below `root`."""
    files = sorted(path for path in restored.rglob("*") if path.is_file())
    differing = [path for path in files if not _is_same(path, root / path.relative_to(restored))]
    if files and not differing:
        yield f"The configuration and zone files of the backup, in {restored}, are those that are in place."
    if not differing:
        return
    yield f"The configuration and zone files of the backup are in {restored}. To put back those that differ:"
    made: set[Path] = set()
    for path in differing:
        place = root / path.relative_to(restored)
        if not place.parent.is_dir() and place.parent not in made:
            made.add(place.parent)
            yield f"  mkdir -p {shlex.quote(str(place.parent))}"
        yield f"  cp {shlex.quote(str(path))} {shlex.quote(str(place))}"


def _is_same(path: Path, place: Path) -> bool:
    try:
        return place.is_file() and filecmp.cmp(path, place, shallow=False)
    except OSError:
        return False


def _configured(config: Path | None, state: Path | None) -> Iterator[Path]:
    """The files of the configuration that was named, if any; one that is wrong in itself all the same."""
    if config is None and state is None:
        config = configuration_of_environment()
    if config is None:
        click.echo("without --config, the backup has no configuration and no zone files", err=True)
        return
    try:
        yield from configured_files(load_config(config))
    except ConfigError as error:
        click.echo(f"signwright: the backup has no zone files, since {error}", err=True)
        yield config.absolute()


def _wait_for(directory: StateDir) -> None:
    """Wait until the server answers again. Raises `ControlError`."""
    deadline = time.monotonic() + _BACK
    while time.monotonic() < deadline:
        if not restore_swap.pending(directory.path):
            with contextlib.suppress(NoServerError):
                ControlClient(directory).status()
                return
        time.sleep(0.1)
    raise ControlError(f"the server did not restart on the restored state within {_BACK} s: see its log")
