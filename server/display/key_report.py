"""What people read about keys: how they are, why, since when and until when; what will be done, and what was done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Console
from rich.text import Text

from keys.rules.events import Entry
from keys.rules.key_status import KskReport, ZskReport
from keys.rules.keyring import KskStatus, Trouble, ZskPhase
from keys.rules.moments import duration as span
from keys.rules.moments import told
from keys.rules.terms import term, with_terms
from server.control.server_operations import Above, DsRecord, Level, Planned, ZoneReport
from server.display.columns import Cell, Columns, print_columns, print_prose

COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.CRITICAL: "bold red"}
_STATUSES = {
    KskStatus.ACTIVE: "green",
    KskStatus.INACTIVE: "dim",
    KskStatus.DELETING: "dim",
    KskStatus.ACTION_NEEDED: "bold red",
    KskStatus.INTERNAL_FAILURE: "bold red",
}


def print_keys(console: Console, zones: Sequence[ZoneReport], now: int) -> None:
    """Every key that is not gone, zone by zone: its runway, what the parent and caches have to do with it, and why one
    is not well; then what a rollover waits for, and what comes next.
    """
    of_zones = [(zone, list(_rows(zone, now))) for zone in zones]
    header = ("KEY", "TAG", "STATE", "SINCE", "VALID WITHOUT KMS UNTIL")
    columns = Columns(console, header, [cells for _, rows in of_zones for cells, _ in rows])
    columns.print_header()
    for zone, rows in of_zones:
        print_line(console, zone.origin, "bold")
        for cells, remark in rows:
            columns.print_row(cells)
            if remark:
                print_prose(console, remark, 4)
        print_key_lines(console, zone, now, "  ")


def _rows(zone: ZoneReport, now: int) -> Iterator[tuple[Sequence[Cell], str]]:
    """What is in the columns for each key, and what is to be said besides."""
    assert zone.keys is not None
    for ksk in zone.keys.ksks:
        cells = (
            f"  {ksk.name}",
            str(ksk.key_tag) if ksk.key_tag is not None else "?",
            Text(ksk.status.value, style=_STATUSES[ksk.status]),
            utc(ksk.changed) if ksk.changed is not None else "-",
            moment(ksk.valid_until, now) if ksk.valid_until is not None else "-",
        )
        yield cells, "; ".join(_about_ksk(ksk, zone, now))
    for zsk in zone.keys.zsks:
        if zsk.phase is not ZskPhase.REMOVED:
            since = utc(at) if (at := _phase_since(zsk)) is not None else "-"
            cells = (f"  ZSK {zsk.sequence}", str(zsk.key_tag), zsk.phase.value, since, "-")
            yield cells, "; ".join(_about_zsk(zsk, now))


def _about_ksk(ksk: KskReport, zone: ZoneReport, now: int) -> Iterator[str]:
    if zone.above is not None and any(line.endswith(f" DS {ksk.ds}") for line in zone.above.ds):
        yield f"the DS is in {zone.above.origin} on this server"
    elif ksk.published is None:
        yield "not in the DNSKEY RRset"
    elif ksk.ready is None:
        yield "not safe to add the DS yet"
    elif ksk.ready > now:
        yield f"safe to add the DS from {earliest(ksk.ready, now)}"
    elif not ksk.ds_named:
        yield f"safe to add the DS (since {utc(ksk.ready)})"
    if zone.parent == "none":
        yield "the parent's DS is not monitored"
    elif ksk.ds_named:
        if ksk.name in zone.parent_ds.going:
            yield "the parent's DS no longer names it; this counts once all servers of the parent agree for a minute"
        else:
            yield "the parent's DS names it: KSK may not be removed"
    elif ksk.removable is not None:
        yield f"KSK may be removed {'from' if ksk.removable > now else 'since'} {earliest(ksk.removable, now)}"
    elif zone.keys is not None and zone.keys.parent_checked is not None:
        yield "no DS has named it"


def about_ds(record: DsRecord, above: Above | None, now: int) -> str | None:
    """A note on adding a DS record to the zone above, to be read after "the DS of KSK"; `None` if there is none."""
    if record.ksk is None:
        return None
    waits = record.ready is None or record.ready > now
    when = "once every cache has the KSK"
    if record.ready is not None:
        when = f"from {utc(record.ready, seconds=True)} ({span(record.ready - now)})"
    if above is not None and record.is_above:
        return f"is already in {above.origin} on this server"
    if above is not None and above.delegates and above.by_itself:
        here = f"{above.origin} on this server"
        if record.withdrawn is not None:
            return f"was withdrawn from {here} at {utc(record.withdrawn)}"
        return f"will be added to {here} automatically {when}" if waits else f"is not in {here}"
    return f"is safe to add only {when}" if waits else None


def _about_zsk(zsk: ZskReport, now: int) -> Iterator[str]:
    if zsk.lost is not None:
        yield f"lost at {utc(zsk.lost)}"
    if zsk.activated is None and zsk.ready is not None:
        yield f"may sign from {earliest(zsk.ready, now)}"
    if zsk.removable is not None:
        yield f"its signatures are gone from all caches from {earliest(zsk.removable, now)}"


def _phase_since(zsk: ZskReport) -> int | None:
    return {
        ZskPhase.GENERATED: zsk.generated,
        ZskPhase.PUBLISHED: zsk.published,
        ZskPhase.READY: zsk.ready,
        ZskPhase.ACTIVE: zsk.activated,
        ZskPhase.RETIRED: zsk.retired,
    }.get(zsk.phase)


def print_key_lines(console: Console, zone: ZoneReport, now: int, lead: str | None = None) -> None:
    """Why a key is not well, what a rollover waits for, and what comes next; each line begins with `lead`, which is the
    zone's name if none is given.
    """
    keys = zone.keys
    if keys is None:
        return
    lead = f"{zone.origin} " if lead is None else lead
    for ksk in keys.ksks:
        if ksk.status in (KskStatus.ACTION_NEEDED, KskStatus.INTERNAL_FAILURE):
            print_line(console, f"{lead}{ksk.name} {ksk.status.value}: {trouble_text(zone, ksk)}", "bold red")
        elif ksk.trouble is not None:
            print_line(console, f"{lead}{ksk.name}: {trouble_text(zone, ksk)}", "yellow")
        elif ksk.probe_trouble is not None:
            said = f"the next refresh would fail: {trouble_text(zone, ksk, ksk.probe_trouble)}"
            print_line(console, f"{lead}{ksk.name}: {said}", "yellow")
    print_suspension(console, zone, now, lead)
    if keys.rollover is not None:
        when = f", {moment(keys.rollover_at, now)}" if keys.rollover_at is not None else ""
        print_line(console, f"{lead}rollover: {keys.rollover}{when}", "dim")
    if keys.next_action is not None:
        when = f"in {span(keys.next_at - now)}" if keys.next_at is not None and keys.next_at > now else "now"
        print_line(console, f"{lead}next: {term(keys.next_action)} {when} ({keys.next_why})", "dim")


def trouble_text(zone: ZoneReport, ksk: KskReport, trouble: Trouble | None = None) -> str:
    """Why a KSK of the zone is not well, since when, and what is to be done. `trouble` is its own if none is given."""
    trouble = trouble or ksk.trouble
    if trouble is None:
        return ksk.message or "unknown"
    mended = f"fix this, then run: signwright ksk activate {zone.origin} {ksk.name}"
    way_out = mended if trouble.refused else "retried automatically"
    return f"{trouble.doing}: {trouble.code}: {trouble.message} (since {utc(trouble.since)}; {way_out})"


def print_suspension(console: Console, zone: ZoneReport, now: int, lead: str | None = None) -> None:
    """Print which KSKs suspend ZSK rotation, and until when the zone is safe; nothing if none does. `lead` is
    as for `print_key_lines`.
    """
    keys = zone.keys
    if keys is None or keys.suspended_since is None:
        return
    names = ", ".join(ksk.name for ksk in keys.ksks if ksk.status is KskStatus.ACTION_NEEDED)
    safe = f"; safe until {moment(keys.safe_until, now)}" if keys.safe_until is not None else ""
    since = utc(keys.suspended_since)
    lead = f"{zone.origin} " if lead is None else lead
    print_line(console, f"{lead}ZSK rotation has been suspended since {since} because of {names}{safe}", "yellow")


def print_ksks(console: Console, zone: ZoneReport, now: int) -> None:
    """The KSKs of one zone, each with its ARN and its DS on a line of their own."""
    for ksk in zone.keys.ksks if zone.keys is not None else ():
        since = f" since {utc(ksk.changed)}" if ksk.changed is not None else ""
        tag = f", key tag {ksk.key_tag}" if ksk.key_tag is not None else ""
        line = Text.assemble((ksk.name, "bold"), " ", (ksk.status.value, _STATUSES[ksk.status]), since, tag)
        console.print(line, soft_wrap=True)
        print_line(console, f"  ARN  {ksk.arn or 'not created yet'}")
        print_line(console, f"  DS   {ksk.ds or 'not known yet'}")
        print_prose(console, "; ".join(_about_ksk(ksk, zone, now)), 2)


def print_plan(console: Console, plan: Sequence[Planned], now: int) -> None:
    """Every action to come. The same one several times in a row is one line, with how often and until when."""
    rows = []
    for (action, reason), same in groupby(plan, key=lambda planned: (planned.action, planned.reason)):
        times = [planned.at for planned in same]
        often = f" (×{len(times)}, last {utc(times[-1])})" if len(times) > 1 else ""
        when = span(times[0] - now) if times[0] > now else "now"
        rows.append((utc(times[0]), when, term(action), reason + often))
    print_columns(console, ("TIME", "IN", "ACTION", "WHY"), rows, prose=True)


def print_events(console: Console, entries: Sequence[Entry]) -> None:
    """The event log. A KMS request stands below its event where the terminal is too narrow."""
    rows, requests = [], []
    for entry in entries:
        ids = entry.request_ids
        more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
        style = "bold red" if entry.kind in ("KmsFailed", "KmsProbeFailed", "KskNeedsAction") else ""
        rows.append((utc(entry.at, seconds=True), Text(term(entry.kind), style), with_terms(entry.reason)))
        requests.append((ids[0] if ids else "") + more)
    whole = [(*row, request) for row, request in zip(rows, requests, strict=True)]
    columns = Columns(console, ("TIME", "EVENT", "WHY", "KMS REQUEST"), whole)
    beside = columns.width <= console.width
    if not beside:
        columns = Columns(console, ("TIME", "EVENT", "WHY"), rows, prose=True)
    columns.print_header()
    for row, request in zip(rows, requests, strict=True):
        columns.print_row((*row, request) if beside else row)
        if request and not beside:
            print_line(console, f"    KMS request {request}", "dim")


def utc(at: int, *, seconds: bool = False) -> str:
    """A time in UTC: `2026-01-06 00:00Z`."""
    return told(at, "%Y-%m-%d %H:%M:%SZ" if seconds else "%Y-%m-%d %H:%MZ")


def moment(at: int, now: int) -> str:
    """A time, and how far it is: `2026-01-06 00:00Z (5d 0h)`."""
    return f"{utc(at)} ({span(at - now)})" if at >= now else f"{utc(at)} ({span(now - at)} ago)"


def earliest(at: int, now: int) -> str:
    """As `moment`, for what must not be done before: to the second, since a whole minute would begin too early."""
    said = utc(at, seconds=bool(at % 60))
    return f"{said} ({span(at - now)})" if at >= now else f"{said} ({span(now - at)} ago)"


def print_line(console: Console, text: str, style: str = "") -> None:
    """Whole, however narrow the terminal: it is there to be copied."""
    console.print(Text(text, style=style), soft_wrap=True)
