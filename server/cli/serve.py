"""`signwright serve` and `signwright kms`, which run until a signal stops them."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import sys
import time
from functools import partial
from pathlib import Path

import click
import structlog
import trio
from msgspec.structs import replace

from keys.emulator.key_records import Site
from keys.emulator.run import Emulator, run_emulator
from server import app
from server.cli.options import (
    config_option,
    configuration_of_environment,
    level_option,
    log_option,
    state_option,
)
from server.control.running_server import RunningServer
from server.control.server_operations import RequestOutcome
from server.display.status_report import console_for_people, print_banner
from server.monitoring.logs import configure_logs, hold_log
from server.net.addresses import Address, parse_address
from server.net.listen import bind_stream
from server.net.passed_sockets import take_passed_sockets
from server.privileges import become
from server.settings.configuration import HIGHEST_OFFSET, load_config
from server.settings.schema import KmsSettings
from server.state.directory import StateDir, prepare_state

_log = structlog.get_logger("signwright")


@click.command()
@click.argument("zones", nargs=-1, metavar="[ZONE]...")
@config_option
@state_option
@click.option(
    "--listen", multiple=True, metavar="ADDR:PORT", help="UDP and TCP address, such as 127.0.0.1:5300; repeatable."
)
@click.option(
    "--base-port",
    type=click.IntRange(1, 0xFFFF - HIGHEST_OFFSET),
    metavar="N",
    help="DNS on port N, the Route 53 API on N+80, the KMS emulator on N+81 [default: 5300].",
)
@click.option("--kms-endpoint", metavar="URL", help="KMS to use instead of the embedded emulator.")
@click.option(
    "--workers",
    type=click.IntRange(0, 1024),
    metavar="N",
    help="Worker processes that answer queries, one per core [default: 0, the main process answers].",
)
@log_option
@level_option
def serve(
    zones: tuple[str, ...],
    config: Path | None,
    state: Path | None,
    listen: tuple[str, ...],
    base_port: int | None,
    kms_endpoint: str | None,
    workers: int | None,
    log: str,
    log_level: str,
) -> None:
    """Serve zones and sign each answer.

    A ZONE is a master file named after its origin (lab.example.zone), ORIGIN=FILE, or a folder of *.zone files. Without
    a ZONE and a configuration, sample zones are served on 127.0.0.1:5300 and, if the host has IPv6, on [::1]:5300.

    STATE/trust/ receives DS records, trust anchors for delv, and a configuration for unbound. SIGHUP or
    "signwright reload" reloads the configuration and the zone files. SIGTERM or SIGINT stops the server.
    """
    passed = take_passed_sockets()
    configure_logs(log, level=logging.getLevelNamesMapping()[log_level.upper()])
    if config is None and state is None:
        config = configuration_of_environment()
    read = partial(
        load_config,
        config,
        zone_arguments=zones,
        state=state,
        listen=listen,
        kms_endpoint=kms_endpoint,
        base_port=base_port,
        workers=workers,
    )
    settings = read()
    if settings.user is not None:
        become(settings.user, settings.state)
    let_go = hold_log()

    def ready(running: RunningServer) -> None:
        _print_ready(running)
        let_go()

    while trio.run(app.run, settings, read, ready, log, passed) is RequestOutcome.RESTART:
        # A restored state is ready: run on it, whichever zones its keys belong to.
        settings = replace(read(), samples=False)


def _print_ready(running: RunningServer) -> None:
    try:
        console = console_for_people()
        config = running.config
        print_banner(console, running.status(), running.state.trust, config.resolver, samples=config.samples)
        console.file.flush()
    except OSError as error:  # a pipe that nobody reads, a file on a full disk: the zones are served all the same
        _log.warning("the banner could not be printed", reason=str(error))
        # What is left of it would be tried again at the end, and be taken for a failure then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.command()
@state_option
@click.option("--listen", default=KmsSettings().emulator, show_default=True, metavar="ADDR:PORT")
@click.option("--region", default=KmsSettings().region, show_default=True)
@click.option("--account", default=KmsSettings().account, show_default=True, metavar="ID")
@log_option
def kms(state: Path | None, listen: str, region: str, account: str, log: str) -> None:
    """Run the KMS emulator by itself.

    It implements the AWS KMS protocol with real keys, signatures and key policies. It stores keys in STATE/kms, and
    writes configuration and credentials for AWS clients to STATE/aws/.
    """
    try:
        address = parse_address(listen)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--listen") from None
    configure_logs(log)
    directory = prepare_state(state or Path("state"))
    trio.run(_run_kms, directory, address, Site(account, region))


async def _run_kms(state: StateDir, address: Address, site: Site) -> None:
    sock = bind_stream(address, "--listen")
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            emulator: Emulator = await nursery.start(partial(run_emulator, state.path, sock, now=time.time, site=site))
            click.echo("To use it from a shell:\n")
            click.echo(f"  . {shlex.quote(str(state.aws / 'env'))} && aws kms list-keys\n")
            click.echo(f"Ready: KMS emulator on {emulator.endpoint}, account {site.account}, state {state.path}")
            await signals.__anext__()
            nursery.cancel_scope.cancel()
