"""No class name of an action, event or command reaches people."""

from __future__ import annotations

import re

import msgspec
import pytest

from keys.rules.commands import Command
from keys.rules.events import Action, Event
from keys.rules.terms import TERMS, term, with_terms


def classes_below(base: type[msgspec.Struct]) -> list[str]:
    return [name for one in base.__subclasses__() for name in (one.__name__, *classes_below(one))]


@pytest.mark.parametrize("base", [Action, Event, Command])
def test_each_has_a_term_and_no_term_is_a_class_name(base: type[msgspec.Struct]) -> None:
    names = classes_below(base)
    assert len(names) > 9
    for name in names:
        assert not re.search(r"[a-z][A-Z]", term(name)), name


def test_no_term_stands_there_for_what_is_gone() -> None:
    known = {*classes_below(Action), *classes_below(Event), *classes_below(Command), "KskNeedsAction"}
    assert set(TERMS) == known


def test_a_reason_that_an_earlier_version_stored_is_shown_with_the_term() -> None:
    assert with_terms("asked for: DeactivateKsk: ksk_1") == "asked for: deactivate KSK: ksk_1"
    assert with_terms("asked for: StartRollover") == "asked for: start ZSK rollover"
    assert with_terms("regular refresh") == "regular refresh"
    assert with_terms("Sign for ksk_1: Disabled: no") == "Sign for ksk_1: Disabled: no"
    assert term("OfALaterVersion") == "OfALaterVersion"
