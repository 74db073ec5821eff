r"""The values of records as Route 53 takes them: read into rdata, or refused in its words.

Names are absolute with or without a last dot and have octal escapes (`\052`), as have the quoted strings of TXT, SPF,
CAA and NAPTR, in which `\"` is a quotation mark. What remains is written as master files have it (RFC 1035 §5.1), and
dnspython reads it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import NamedTuple

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from zones.dnspython_errors import interruption
from zones.recordsets.record_sets import TYPES
from zones.recordsets.route53_names import NameSpellingError, spelled

LONGEST_TEXT = 4000
"""Characters in one value of TXT or SPF."""
_LONGEST_STRING = 255

_FIELD = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s"]+)|"(?:[^"\\]|\\.)*\\?\Z', re.DOTALL)
"""A string, a word, or a string that never ends: matched as well, so that no text is gone over more than once."""
_ESCAPE = re.compile(r"\\([0-3][0-7]{2}|.)", re.DOTALL)
_NOT_PLAIN = re.compile(r"[();\\\x00-\x20\x7f-\U0010ffff]")
_QUOTED = re.compile(r'"[^"]*"')


class Rdata(NamedTuple):
    """One record's data."""

    wire: bytes
    """As it is answered."""
    canonical: bytes
    """As it is signed (RFC 4034 §6.2)."""


class ValueRefusedError(ValueError):
    """A value that is none of its type; its text is Route 53's."""


class _Shape(NamedTuple):
    """What the fields of a value are: `n`ame, `s`tring in quotation marks, anything else as a `w`ord."""

    fields: str
    """A last `+` stands for one or more of the kind before it, a last `*` for any number of words."""
    code: str
    meaning: str


_NAME = _Shape("n", "RRDATANotSingleField", "Value contains spaces")
_TEXT = _Shape("s+", "InvalidCharacterString", "Value should be enclosed in quotation marks")
_SHAPES = {
    "A": _Shape("w", "ARRDATAIllegalIPv4Address", "Value is not a valid IPv4 address"),
    "AAAA": _Shape("w", "AAAARRDATAIllegalIPv6Address", "Value is not a valid IPv6 address"),
    "CAA": _Shape(
        "wws", "CAARRDATAInvalid", 'Value should be flags, a tag and a quoted string, as in 0 issue "ca.test"'
    ),
    "CNAME": _NAME,
    "DS": _Shape("www+", "DSRRDATAInvalid", "Value should be a key tag, an algorithm, a digest type and a digest"),
    "HTTPS": _Shape("wn*", "HTTPSRRDATAInvalid", "Value should be a priority, a target name and parameters"),
    "MX": _Shape("wn", "MXRRDATANotTwoFields", "Value should be a preference and a domain name"),
    "NAPTR": _Shape("wwsssn", "NAPTRRRDATAInvalid", "Value should be an order, a preference, three strings and a name"),
    "NS": _NAME,
    "PTR": _NAME,
    "SOA": _Shape("nnwwwww", "SOARRDATANotSevenFields", "Value should be two domain names and five numbers"),
    "SPF": _TEXT,
    "SRV": _Shape("wwwn", "SRVRRDATANotFourFields", "Value should be a priority, a weight, a port and a domain name"),
    "SSHFP": _Shape("ww+", "SSHFPRRDATAInvalid", "Value should be an algorithm, a type and a fingerprint"),
    "SVCB": _Shape("wn*", "SVCBRRDATAInvalid", "Value should be a priority, a target name and parameters"),
    "TLSA": _Shape("www+", "TLSARRDATAInvalid", "Value should be a usage, a selector, a matching type and data"),
    "TXT": _TEXT,
}
assert set(_SHAPES) == set(TYPES)


def rdata_of(rrtype: str, value: str) -> Rdata:
    """The rdata that `value` spells, for a type of `model.TYPES`. Raises `ValueRefusedError`."""
    shape = _SHAPES[rrtype]
    if shape is _TEXT and len(value) > LONGEST_TEXT:
        raise ValueRefusedError(_problem("TXTRDATATooLong", "Value is too long", value))
    if shape.fields.endswith("*"):
        text = _with_parameters(value, shape)
    else:
        text = " ".join(_read_field(kind, field, shape, value) for kind, field in _fields(value, shape))
    outer = sys.exc_info()[1]
    try:
        rdata = dns.rdata.from_text(
            dns.rdataclass.IN, dns.rdatatype.from_text(rrtype), text, origin=dns.name.root, relativize=False
        )
        wire, canonical = rdata.to_wire(), rdata.to_digestable()
    except Exception as error:  # whatever dnspython raises is the fault of the value
        if (interrupted := interruption(error, outer)) is not None:
            raise interrupted from None
        raise ValueRefusedError(_problem(shape.code, shape.meaning, value)) from None
    assert wire is not None  # only with a file to write to is there none
    assert canonical is not None
    return Rdata(wire, canonical)


def _fields(value: str, shape: _Shape) -> Sequence[tuple[str, re.Match[str]]]:
    """The fields of `value`, each with its kind."""
    found = list(_FIELD.finditer(value))
    kinds = shape.fields
    if kinds.endswith("+"):
        kinds = kinds[:-1]
        kinds += kinds[-1] * (len(found) - len(kinds))
    if not found or len(kinds) != len(found) or found[-1].lastindex is None or _FIELD.sub("", value).strip():
        raise ValueRefusedError(_problem(shape.code, shape.meaning, value))
    return list(zip(kinds, found, strict=True))


def _read_field(kind: str, field: re.Match[str], shape: _Shape, value: str) -> str:
    """One field as a master file has it."""
    quoted, word = field.group(1), field.group(2)
    if (kind == "s") != (word is None):
        raise ValueRefusedError(_problem(shape.code, shape.meaning, value))
    if kind == "s":
        return _master_string(quoted, value)
    if kind == "n":
        return _master_name(word)
    if _NOT_PLAIN.search(word):
        raise ValueRefusedError(_problem(shape.code, shape.meaning, value))
    return word


def _with_parameters(value: str, shape: _Shape) -> str:
    """A value of SVCB or HTTPS: parameters are written as master files have them (RFC 9460 §2.1)."""
    parts = value.split(None, 2)
    if len(parts) < 2 or _NOT_PLAIN.search(parts[0]) or re.search(r"[();]|[^\x09\x20-\x7e]", _QUOTED.sub("", value)):
        raise ValueRefusedError(_problem(shape.code, shape.meaning, value))
    return " ".join((parts[0], _master_name(parts[1]), *parts[2:]))


def _master_name(text: str) -> str:
    try:
        return dns.name.from_wire(spelled(text), 0)[0].to_text()
    except NameSpellingError as error:
        raise ValueRefusedError(str(error)) from None


def _master_string(quoted: str, value: str) -> str:
    if not quoted.isascii():
        raise unsupported(next(character for character in quoted if not character.isascii()))
    text = _ESCAPE.sub(lambda found: _unescaped(found.group(1)), quoted).encode("latin-1")
    if len(text) > _LONGEST_STRING:
        raise ValueRefusedError(_problem("CharacterStringTooLong", "Value is too long", value))
    return '"' + "".join(f"\\{octet:03}" for octet in text) + '"'


def _unescaped(escape: str) -> str:
    return chr(int(escape, 8)) if len(escape) == 3 else escape


def unsupported(character: str) -> ValueRefusedError:
    """Why a value with this character is refused."""
    return ValueRefusedError(_problem("UnsupportedCharacter", "Value contains unsupported characters", character))


def _problem(code: str, meaning: str, value: str) -> str:
    return f"FATAL problem: {code} ({meaning}) encountered with '{value}'"
