r"""Names as Route 53 spells them: lower case, absolute, and octal escapes for all but letters, digits, `-` and `_`.

A name is taken in any spelling (`*.Example.com`, `\052.example.com.`) and kept in one (`\052.example.com.`), which
listings are sorted by.
"""

from __future__ import annotations

import re

from zones import names

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_")
_LONGEST_TEXT = 4 * names.MAXIMUM_NAME
"""Characters of a name that is written in nothing but octal escapes."""
_PIECE = re.compile(r"\\([0-3][0-7][0-7])|([\x21-\x5b\x5d-\x7e])|\\|(.)", re.DOTALL)


class NameSpellingError(ValueError):
    """A text is not a valid domain name; the message is Route 53's."""


def from_text(text: str) -> bytes:
    """The name that `text` spells, taken as absolute, in wire form and lower case. Raises `NameSpellingError`."""
    return spelled(text).lower()


def spelled(text: str) -> bytes:
    """As `from_text`, with letters in the case that they have."""
    if text == ".":
        return names.ROOT
    if not text:
        raise _problem("DomainNameEmpty", "Domain name is empty", text)
    if len(text) > _LONGEST_TEXT:
        raise _problem("DomainNameTooLong", "Domain name is too long", text)
    wire, label = bytearray(), bytearray()
    for octal, plain, other in _PIECE.findall(text if text.endswith(".") else text + "."):
        if plain == ".":
            _end_label(wire, label, text)
        elif plain:
            label += plain.encode()
        elif octal:
            label.append(int(octal, 8))
        elif other:
            raise _problem("UnsupportedCharacter", "Value contains unsupported characters", other)
        else:
            raise _problem("InvalidEscapeSequence", "Value contains an invalid escape sequence", text)
    if len(wire) + 1 > names.MAXIMUM_NAME:
        raise _problem("DomainNameTooLong", "Domain name is too long", text)
    return bytes(wire) + names.ROOT


def _end_label(wire: bytearray, label: bytearray, text: str) -> None:
    if not label:
        raise _problem("DomainLabelEmpty", "Domain label is empty", text)
    if len(label) > names.MAXIMUM_LABEL:
        raise _problem("DomainLabelTooLong", "Domain label is too long", text)
    wire.append(len(label))
    wire += label
    label.clear()


def _problem(code: str, meaning: str, text: str) -> NameSpellingError:
    return NameSpellingError(f"FATAL problem: {code} ({meaning}) encountered with '{text}'")


def to_text(owner: bytes) -> str:
    """The name as Route 53 lists it."""
    labels = names.labels(owner)
    return "".join(_escaped(label) + "." for label in labels) or "."


def _escaped(label: bytes) -> str:
    return "".join(chr(octet) if octet in _PLAIN else f"\\{octet:03o}" for octet in label)


def normalised(text: str) -> str:
    """The one spelling of a name. Raises `NameSpellingError`."""
    return to_text(from_text(text))


def order(name: str) -> str:
    """What a normalised name is sorted by in listings: its labels reversed, with the last dot (`com.example.www.`)."""
    return ".".join(reversed(name.removesuffix(".").split("."))) + "."
