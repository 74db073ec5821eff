"""What the words of a zone's status mean is said once, below it, and of those words alone."""

from __future__ import annotations

from keys.dnssec.signing_policy import Policy
from keys.rules.key_status import Condition, describe
from keys.rules.keyring import KskStatus, ZskPhase
from server.control.server_operations import ServerStatus, ZoneReport
from server.control.shown import Look
from server.display.screens import ForPeople
from server.display.words import WORDS, explained
from tests.keys.rules.key_history import DAY, START, history
from zones.denial import DenialMode


def shown(zone: str | None, *, is_troubled: bool = False) -> list[str]:
    now = START + DAY
    keyring, _ = history(now)
    report = ZoneReport(
        origin="lab.example.",
        file="f",
        serial=7,
        signed=True,
        denial="compact",
        example="x A",
        keys=describe(keyring, Policy(), now, None, "Sign: X: no" if is_troubled else None, False),
    )
    status = ServerStatus(
        version="1.2", pid=1, now=now, started=now, state="/s", listeners=(), kms="http://k", zones=(report,)
    )
    return ForPeople().status(status, Look(zone=zone)).out.splitlines()


def words(lines: list[str]) -> dict[str, str]:
    below = lines[lines.index("Words:") + 1 :]
    return dict(line[2:].split("  ", 1) for line in below)


def test_the_words_that_are_used_are_explained_once_below() -> None:
    lines = shown("lab.example")
    told = words(lines)
    assert {"DS", "KSK", "ZSK", "VALID UNTIL", "compact", "ACTIVE", "active", "refresh"} <= told.keys()
    assert not {"troubled", "nsec", "ACTION_NEEDED", "retired", "frozen"} & told.keys()
    above = "\n".join(lines[: lines.index("Words:")])
    assert [word for word, _ in explained(above)] == list(told)
    assert "troubled" in words(shown("lab.example", is_troubled=True))


def test_the_whole_status_explains_nothing() -> None:
    assert "Words:" not in shown(None)


def test_every_state_has_its_words() -> None:
    known = {word for word, *_ in WORDS}
    states = {status.value for status in KskStatus} | {phase.value for phase in ZskPhase} - {ZskPhase.REMOVED.value}
    plain = {Condition.SIGNING.value, Condition.UNSIGNED.value}
    assert known >= states | ({condition.value for condition in Condition} - plain)
    assert known >= {mode.value for mode in DenialMode}
    assert len(known) == len(WORDS)
