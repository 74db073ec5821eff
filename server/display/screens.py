"""What `status`, `ds` and `reload` print: `server.control.shown.Screens`."""

from __future__ import annotations

import io

import msgspec
from rich.console import Console

from server.control.server_operations import DsReport, ReloadOutcome, ReloadReport, ServerStatus, server_level
from server.control.shown import Look, Shown
from server.display.key_report import about_ds
from server.display.status_report import WIDE, print_reload, print_status

_ZONE_FILE = 4
"""The exit code where a zone file is refused, as `server.cli.exit_codes` has it."""


class ForPeople:
    """Text for people, JSON for programs."""

    def status(self, status: ServerStatus, look: Look) -> Shown:
        """As `Screens.status`."""
        level = server_level(status)
        if look.as_json:
            encoded = msgspec.json.encode({"level": level.name.lower(), **msgspec.to_builtins(status)})
            return Shown(_line(encoded), exit=level)
        console, text = _console(look)
        print_status(console, status)
        return Shown(text.getvalue(), exit=level)

    def ds(self, report: DsReport, look: Look, now: int) -> Shown:
        """As `Screens.ds`."""
        if look.as_json:
            return Shown(_line(msgspec.json.encode(report)))
        remarks = []
        for record in report.records:
            if (remark := about_ds(record, report.above, now)) is not None:
                remarks.append(f"signwright: the DS of {record.ksk} {remark}\n")
        return Shown("".join(f"{record.record}\n" for record in report.records), "".join(remarks))

    def reload(self, report: ReloadReport, look: Look) -> Shown:
        """As `Screens.reload`."""
        refused = any(zone.outcome is ReloadOutcome.REFUSED for zone in report.zones)
        code = _ZONE_FILE if refused else 0
        if look.as_json:
            return Shown(_line(msgspec.json.encode(report)), exit=code)
        console, text = _console(look)
        print_reload(console, report)
        return Shown(text.getvalue(), exit=code)


def _line(encoded: bytes) -> str:
    return encoded.decode() + "\n"


def _console(look: Look) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    console = Console(
        file=text,
        width=WIDE if look.columns is None else look.columns,
        force_terminal=look.colour,
        color_system="standard" if look.colour else None,
        no_color=not look.colour,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
        force_jupyter=False,
        _environ={},  # of the command that asks, and not of the server
    )
    return console, text
