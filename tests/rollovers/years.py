"""Years of keys as transcripts that people can read: what happened when, what the DNSKEY RRset held, and who signed.

The pure planner and transitions run under a virtual now; the KMS is a table of when which key can't sign. Keys are made
up from their names, so a transcript is the same in every run. K1 and K2 are KSKs, Z1, Z2 … are ZSKs.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from keys.dnssec.signing_policy import DAY, HOUR, Policy
from keys.rules.commands import Command, CreateKsk, decide
from keys.rules.events import (
    Action,
    ConfirmPublished,
    Event,
    KmsFailed,
    LearnKsk,
    MakeKsk,
    Observed,
    ObservePolicy,
    ProbeKsk,
    SignKeyset,
)
from keys.rules.forecast import succeeded
from keys.rules.key_status import describe
from keys.rules.keyring import Keyring, KskStatus
from keys.rules.next_action import evolve, plan
from keys.rules.safety import assert_safe
from keys.rules.zsk_rollover_times import rollover_at
from tests.keys.world import EPOCH, LAB

POLICY = Policy()
TTL = 2 * HOUR
_QUIET = (ConfirmPublished, ObservePolicy)


class Outage(NamedTuple):
    """A KSK can't sign."""

    start: int
    end: int
    ksk: str
    refused: bool = True


class Plot(NamedTuple):
    """What a year is about."""

    title: str
    days: int
    outages: tuple[Outage, ...] = ()
    commands: tuple[tuple[int, Command], ...] = ()


class Year:
    """A run of one plot; `lines` is the transcript."""

    def __init__(self, plot: Plot) -> None:
        self.plot = plot
        self.now = EPOCH
        self.keyring = Keyring(LAB, "Z1")
        self.lines = [plot.title, ""]
        self.bogus: list[int] = []
        self._refreshes = 0
        self._shown = ""
        self._apply((Observed(EPOCH, TTL, POLICY.window, POLICY.propagation, False),))

    def run(self) -> Year:
        end = EPOCH + self.plot.days * DAY
        commands = sorted(self.plot.commands)
        while self.now < end:
            step = plan(self.keyring, POLICY, self.now)
            if step.action is not None:
                self._do(step.action)
                continue
            until = min([end, *[at for at, _ in commands[:1]], *([step.wake_at] if step.wake_at is not None else [])])
            self._serve(until)
            self.now = until
            if commands and commands[0][0] <= self.now:
                _, command = commands.pop(0)
                self._apply(decide(self.keyring, command, self.now, f"token/{command}"))
                self._say(f"asked for {type(command).__name__} {getattr(command, 'name', '')}".rstrip())
        self._flush()
        return self

    def _do(self, action: Action) -> None:
        failures = tuple(self._failures(action))
        statuses = self._statuses()
        if failures:
            self._apply(failures)
        else:
            self._apply((succeeded(action, self.keyring, POLICY, self.now),))
        if isinstance(action, SignKeyset) and not failures and action.why == "regular refresh":
            self._refreshes += 1
        elif not failures and not isinstance(action, _QUIET):
            self._say(f"{type(action).__name__}: {action.why}")
        for name, status in self._statuses().items():
            if statuses.get(name, status) is not status:
                self._say(f"{name} is {status.value}{self._why()}")

    def _why(self) -> str:
        status = describe(self.keyring, POLICY, self.now, None, None, False)
        if status.suspended_since is None:
            return ""
        return f"; rotation: {status.rollover}; safe until {_text(status.safe_until or 0)}"

    def _failures(self, action: Action) -> Iterable[KmsFailed]:
        names: Iterable[str] = ()
        if isinstance(action, SignKeyset):
            names = [ksk.name for ksk in self.keyring.signing_ksks]
        elif isinstance(action, MakeKsk | LearnKsk | ProbeKsk):
            names = [action.name]
        for outage in self.plot.outages:
            if outage.ksk in names and outage.start <= self.now < outage.end:
                code = "AccessDeniedException" if outage.refused else "ThrottlingException"
                yield KmsFailed(self.now, outage.ksk, "Sign", code, "", "", outage.refused, POLICY.patience)

    def _apply(self, events: Iterable[Event]) -> None:
        for event in events:
            before, self.keyring = self.keyring, evolve(self.keyring, event)
            assert_safe(before, self.keyring)

    def _serve(self, until: int) -> None:
        keyset = self.keyring.keyset
        if keyset is not None and keyset.expiration < until and not self.bogus:
            self.bogus.append(max(self.now, keyset.expiration))
            self._say("no RRSIG is valid any more: SERVFAIL", self.bogus[0])

    def _statuses(self) -> dict[str, KskStatus]:
        return {ksk.name: ksk.status for ksk in self.keyring.ksks}

    def _say(self, what: str, at: int | None = None) -> None:
        self._flush()
        shown = f"[{self._set()}] {self._signer()}"
        self.lines.append(f"{_text(self.now if at is None else at)}  {shown:<24}  {what}")

    def _flush(self) -> None:
        if self._refreshes:
            self.lines.append(f"{'':16}  {'':24}  … regular refresh × {self._refreshes}")
        self._refreshes = 0

    def _set(self) -> str:
        keyset = self.keyring.keyset
        rdatas = keyset.rdatas if keyset is not None else ()
        ksks = [f"K{k.name[-1]}" for k in self.keyring.ksks if k.public_key is not None and k.rdata in rdatas]
        return " ".join(ksks + [f"Z{zsk.sequence}" for zsk in self.keyring.zsks if zsk.rdata in rdatas])

    def _signer(self) -> str:
        active = self.keyring.active_zsk
        return f"signs Z{active.sequence}" if active is not None else ""


def _text(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%m-%d %H:%M:%S")


def rollover_start() -> int:
    """When the first rollover of a quiet year begins."""
    start = rollover_at(Year(Plot("", 1)).run().keyring, POLICY)
    assert start is not None
    return start[0]


def _plots() -> dict[str, Plot]:
    start, day = rollover_start(), EPOCH
    plots = {
        "quiet": Plot("A quiet year.", 365),
        "runway": Plot(
            "The KMS is throttled for longer than the runway.",
            20,
            (Outage(day + 3 * DAY, day + 12 * DAY, "ksk_1", refused=False),),
        ),
        "both_ksks": Plot(
            "Two KSKs that fail in turn.",
            40,
            (
                Outage(day + 8 * DAY, day + 11 * DAY, "ksk_1"),
                Outage(start + 1800, start + 3 * DAY, "ksk_2"),
                Outage(day + 25 * DAY, day + 33 * DAY, "ksk_1"),
            ),
            ((day + 2 * DAY, CreateKsk("ksk_2")),),
        ),
    }
    # A refresh within the phase, asked for by a key operation, finds the outage.
    phases = {
        "generated": (-60, None, "from before the successor is published on"),
        "published": (600, 1200, "while the successor is published and does not sign yet"),
        "active": (2 * HOUR, 3 * HOUR, "while the predecessor's signatures are used up"),
    }
    for phase, (later, operation, words) in phases.items():
        commands = ((start + operation, CreateKsk("ksk_2", active=False)),) if operation is not None else ()
        outages = (Outage(start + later, start + later + 3 * DAY, "ksk_1"),)
        plots[f"outage_{phase}"] = Plot(f"An outage of three days, {words}.", 40, outages, commands)
    return plots


PLOTS = _plots()
