"""The command line. Each command is a thin layer; `exit_codes` maps each failure to an exit code.

It must not know how the server works: a command asks a running server, or the state at rest, and shows the result.
"""

from __future__ import annotations

import atexit
import os
import sys

import click

from server.cli.command_group import DeclaredGroup
from server.early_signals import remember_hangups

COMMANDS = {
    "serve": ("server.cli.serve", "Serve zones and sign each answer."),
    "check": ("server.cli.check", "Check zone files and configurations for errors."),
    "doctor": ("server.cli.doctor", "Check this host: ports, clock, limits, permissions, disk."),
    "status": ("server.cli.server_commands", "Show what to do, and the state of the server and its zones."),
    "top": ("server.cli.top", "Show the top queries and clients, live."),
    "ds": ("server.cli.server_commands", "Print the DS records of ZONE, for its parent zone."),
    "export": ("server.cli.export", "Print ZONE as a master file, signed or not."),
    "chain": ("server.cli.chain", "Show the chain of trust from the parent's DS to an answer of ZONE."),
    "plan": ("server.cli.key_commands", "Show the planned rollovers of a zone's keys."),
    "timeline": ("server.cli.key_commands", "Show the keys of a zone over time."),
    "events": ("server.cli.key_commands", "Show past rollovers and KMS outages of a zone."),
    "rollover": ("server.cli.key_commands", "Start a rollover of the zone-signing key of a zone."),
    "ksk": ("server.cli.key_commands", "Create, activate, deactivate and delete key-signing keys."),
    "dnssec": ("server.cli.key_commands", "Enable or disable signing of a zone."),
    "trust-clock": ("server.cli.key_commands", "Accept the current clock and unfreeze the keys."),
    "reload": ("server.cli.server_commands", "Reload the configuration and all zone files."),
    "backup": ("server.cli.backup_commands", "Write a backup of the state, with its private keys."),
    "restore": ("server.cli.backup_commands", "Restore the state from a backup."),
    "kms": ("server.cli.serve", "Run the KMS emulator by itself."),
}
"""Where each command is and what it does, the important ones first."""

_EPILOG = """\b
Examples:
  signwright serve                            the sample zones, 127.0.0.1:5300
  signwright serve lab.example.zone           one zone, named by its file
  signwright serve lab.example=db.lab zones/  by name; a folder's *.zone files
  signwright serve --config signwright.toml   see docs/signwright.toml
  signwright check zones/ signwright.toml     list errors as file:line
  signwright doctor                           check this host
  signwright ds lab.example                   the DS records for the parent
  signwright status || page-somebody          0 OK, 1 warning, 2 critical
  signwright top                              top queries and clients, live
  signwright export lab.example --signed      the zone as a master file
  signwright plan lab.example --until 90d     planned actions on the keys
  signwright timeline lab.example --svg k.svg the same as a picture
  signwright rollover lab.example             start a ZSK rollover now
  signwright ksk --help                       how to roll over a KSK
  signwright backup state-$(date +%F).tar.gz

\b
Exit codes:
  0  done                      5  wrong configuration
  1  failed                    6  the state directory cannot be used
  2  wrong usage               7  no zone to serve
  3  address or port in use    8  the KMS cannot be used
  4  invalid zone file
"""


@click.group(
    cls=DeclaredGroup, commands_of=COMMANDS, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="signwright", prog_name="signwright")
def cli() -> None:
    """An authoritative DNS server that signs as it answers, with its key-signing keys in a KMS.

    "serve" runs the server. The other commands check zone files, or control the running server of a state directory:
    that of --state or --config, else of the configuration in SIGNWRIGHT_CONFIG, else ./state.
    """


def main() -> None:
    """The console script."""
    serving = sys.argv[1:2] == ["serve"]
    if serving:  # which takes a second to import
        remember_hangups()
    try:
        cli(prog_name="signwright")
    except SystemExit as ended:
        if serving and isinstance(ended.code, int | None):
            _end(ended.code or 0)
        raise


def _end(status: int) -> None:
    """End the process without taking its objects apart, which takes seconds for thousands of zones, and longer than a
    server has from its signal to its end. Everything that lasts is closed by now. Returns where output is refused.
    """
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return  # the interpreter has an exit code for that
    os._exit(status)
