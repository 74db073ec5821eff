"""How reading goes on after a record that is wrong: where it ends, and what is not known any more (RFC 1035 §5.1).

A record ends with its line, or where its parentheses are closed. Where that never happens, or a quoted string ends with
its line within them, the next record is taken to begin on the next line that does not begin with a blank.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import NamedTuple

import dns.exception
import dns.name
import dns.rdatatype
from dns.tokenizer import Tokenizer

_MARK = re.compile(rb'\\.|["();\n]', re.DOTALL)
_IN_QUOTES = re.compile(rb'\\.|["\n]', re.DOTALL)
_NEXT_OWNER = re.compile(rb"\n(?=[^ \t\n;)])")
_MOST_WORDS = 4
"""Owner, TTL, class, type."""


class Lost(NamedTuple):
    """What is known of a record or directive that could not be read."""

    owner: dns.name.Name | None
    """None where it can't be read, or none stands there."""
    is_blank: bool
    """Whether the record has the owner of the one before."""
    word: str
    """The directive or the mnemonic of the type, upper case; empty where there is none."""

    @property
    def is_directive(self) -> bool:
        """Whether it is one."""
        return self.word.startswith("$")


def end_of_record(octets: bytes, start: int) -> tuple[int, int]:
    """The position behind the record that begins at `start`; and how many octets were looked at beyond it."""
    depth, at = 0, start
    while (mark := _MARK.search(octets, at)) is not None:
        at = mark.end()
        match mark[0]:
            case b"(":
                depth += 1
            case b")":
                depth = max(0, depth - 1)
            case b";":
                at = octets.find(b"\n", at)
                if at < 0:
                    break
            case b'"':
                end = _end_of_string(octets, at)
                if end is None:
                    break
                at = end
            case b"\n" if depth == 0:
                return at, 0
    is_cut_short = mark is not None and at >= 0
    if depth == 0:
        end = octets.find(b"\n", at) + 1 if is_cut_short else 0
        return end or len(octets), 0
    following = _NEXT_OWNER.search(octets, start)
    end = following.end() if following is not None else len(octets)
    return end, max(0, (at if is_cut_short else len(octets)) - end)


def _end_of_string(octets: bytes, at: int) -> int | None:
    """The position behind the quoted string whose text begins at `at`; None where its line ends first."""
    while (mark := _IN_QUOTES.search(octets, at)) is not None:
        if mark[0] == b'"':
            return mark.end()
        if mark[0] == b"\n":
            return None
        at = mark.end()
    return None


def lost_by(text: str, origin: dns.name.Name | None, codec: dns.name.IDNACodec | None) -> Lost:
    """What is known of the record or directive at the beginning of `text`. Names are relative to `origin`."""
    tokenizer = Tokenizer(text, idna_codec=codec)
    owner: dns.name.Name | None = None
    is_blank, word = False, ""
    with suppress(dns.exception.DNSException, ValueError):
        first = tokenizer.get(want_leading=True)
        is_blank = first.is_whitespace()
        if not is_blank and first.value.startswith("$"):
            return Lost(None, is_blank=False, word=first.value.upper())
        if not is_blank:
            owner = tokenizer.as_name(first, origin)
        word = _type_in(tokenizer)
    return Lost(owner, is_blank, word)


def _type_in(tokenizer: Tokenizer) -> str:
    """The mnemonic of the type that the next few words have."""
    for _ in range(_MOST_WORDS):
        token = tokenizer.get()
        if token.is_eol_or_eof():
            break
        with suppress(dns.exception.DNSException, ValueError):
            return dns.rdatatype.to_text(dns.rdatatype.from_text(token.value))
    return ""
