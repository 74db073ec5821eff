"""What `status`, `ds` and `reload` print: `server.control.shown.Screens`."""

from __future__ import annotations

import io

import msgspec
from rich.console import Console

from server.control.server_operations import (
    DsReport,
    ReloadOutcome,
    ReloadReport,
    ServerStatus,
    server_level,
    zone_level,
)
from server.control.shown import Look, Shown
from server.control.what_to_do import to_do
from server.display.key_report import about_ds
from server.display.status_report import WIDE, print_reload, print_state, print_to_do, print_words

_ZONE_FILE = 4
"""The exit code where a zone file is refused, as `server.cli.exit_codes` has it."""

_UNKNOWN = 3
"""The exit code of `status` for a zone that is not here: monitoring's UNKNOWN, since 2 is CRITICAL."""


class ForPeople:
    """Text for people, JSON for programs."""

    def status(self, status: ServerStatus, look: Look) -> Shown:
        """As `Screens.status`."""
        steps, level = to_do(status, look.options), server_level(status)
        if look.zone is not None:
            origin = look.zone.lower().rstrip(".") + "."
            status = msgspec.structs.replace(status, zones=tuple(one for one in status.zones if one.origin == origin))
            if not status.zones:
                return Shown(
                    "", f"signwright: {origin} is not served here; signwright status lists the zones\n", _UNKNOWN
                )
            level, steps = zone_level(status.zones[0], status.now), [step for step in steps if step.zone == origin]
        if look.as_json:
            todo = msgspec.to_builtins(steps)
            encoded = msgspec.json.encode({"level": level.name.lower(), **msgspec.to_builtins(status), "todo": todo})
            return Shown(_line(encoded), exit=level)
        console, text = _console(look)
        print_to_do(console, level, steps)
        print_state(console, status, is_whole=look.zone is None)
        if look.zone is not None:
            print_words(console, text.getvalue())
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
