"""`signwright backup` and `restore`: through the server where one runs, and without one where none does."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import click

from keys.custody.state_database import Store
from keys.custody.zsk_encryption import StateError
from server.cli.options import EXISTING_FILE, located, of_running_server
from server.control.control_client import ControlClient, ControlError, NoServerError, new_private_file
from server.state import restore_swap
from server.state.backup_archive import stage_archive, write_archive
from server.state.directory import StateDir, finish_restore, open_state

_BACK = 60
"""Seconds that a server may take to start again on a restored state."""


@click.command(short_help="Write a backup of the state, with its private keys.")
@click.argument("file", type=click.Path(path_type=Path))
@of_running_server
def backup(file: Path, config: Path | None, state: Path | None) -> None:
    """Write a backup of the state to FILE (tar.gz, mode 0600), whether a server runs or not.

    It holds private keys: the state key with the zone-signing keys, the emulator's keys and credentials.
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
            write_archive(directory, store.backup, out)
    click.echo(f"{file}: {file.stat().st_size} octets; it holds private keys, so keep it as safe as they are")


@click.command()
@click.argument("file", type=EXISTING_FILE)
@of_running_server
def restore(file: Path, config: Path | None, state: Path | None) -> None:
    """Put the backup FILE in the place of the state.

    A running server starts again on it by itself. What was there before is kept in the state directory, as
    before-restore-TIME.
    """
    directory = located(config, state)
    with file.open("rb") as archive:
        try:
            kept = ControlClient(directory).restore(archive)
        except NoServerError:
            with open_state(directory.path):
                kept = stage_archive(directory, archive, time.time())
                finish_restore(directory)
        else:
            _wait_for(directory)
    click.echo(f"Restored from {file}. What was there before is kept in {directory.path / kept}.")


def _wait_for(directory: StateDir) -> None:
    """Wait until the server answers again. Raises `ControlError`."""
    deadline = time.monotonic() + _BACK
    while time.monotonic() < deadline:
        if not restore_swap.pending(directory.path):
            with contextlib.suppress(NoServerError):
                ControlClient(directory).status()
                return
        time.sleep(0.1)
    raise ControlError(f"the server did not come back on the restored state within {_BACK} s: see its log")
