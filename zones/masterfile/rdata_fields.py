"""The fields of the common types' rdata as text: what each is called, and how dnspython reads it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import dns.dnssectypes
import dns.exception
import dns.ipv4
import dns.ipv6
import dns.name
import dns.rdata
import dns.rdataclass
from dns.rdatatype import RdataType
from dns.tokenizer import Token, Tokenizer

_MOST_SHOWN = 60  # characters of the text at fault
WORDLESS = str(dns.exception.SyntaxError.__doc__)
"""What dnspython says where it has nothing to say."""
_LONGEST_STRING = 255  # octets, RFC 1035 §3.3


class FaultError(Exception):
    """What is wrong with the text; the message is shown to users."""


class Field(NamedTuple):
    """One of the fields of an rdata."""

    name: str
    expected: str
    """What its text must be, for the error message."""
    read: Callable[[Tokenizer, dns.name.Name], object]
    """As dnspython reads it."""


def see_fields(fields: Sequence[Field], tokenizer: Tokenizer, origin: dns.name.Name) -> None:
    """Read these fields. Raises `FaultError` for the first one that is missing or invalid."""
    for field in fields:
        token = tokenizer.get()
        if token.is_eol_or_eof():
            raise FaultError(f"missing field: {field.name}")
        tokenizer.unget(token)
        try:
            field.read(tokenizer, origin)
        except FaultError:
            raise
        except Exception as error:
            if field.expected == _NAME:
                raise FaultError(invalid_name(token, error)) from None
            raise FaultError(f"expected {_with_article(field.expected)}, found {shown(token)}") from None


def see_rest(read: Callable[[Tokenizer], None] | None, tokenizer: Tokenizer) -> None:
    """Read what follows the fields. Raises `FaultError` if it is invalid, or more than the type has."""
    if read is not None:
        read(tokenizer)
    elif not (token := tokenizer.get()).is_eol_or_eof():
        raise FaultError(f"unexpected {shown(token)} after the end of the record")


def see_unknown(tokens: list[Token]) -> None:
    r"""Raise `FaultError` for invalid rdata after `\#`: a length and as many octets (RFC 3597 §5)."""
    if not tokens:
        raise FaultError(r"missing field: length in octets, as in \# 2 ABCD")
    text = tokens[0].value
    if not (text.isascii() and text.isdigit()):
        raise FaultError(f"expected a length in octets, found {shown(tokens[0])}")
    octets = _hexadecimal("".join(token.value for token in tokens[1:]))
    if len(octets) != int(text):
        raise FaultError(f"\\# announces {text} octets, but {len(octets)} follow")
    raise FaultError(f"invalid rdata of {text} octets")


def _hexadecimal(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise FaultError(f"expected octets of two hexadecimal digits each, found {short(text)}") from None


# What follows the fields of some types


def _digest(tokenizer: Tokenizer) -> None:
    """The digest of a DS, whose length follows from the digest type: RFC 4034 §5.1.4."""
    words = [token.value for token in tokenizer.get_remaining()]
    if not words:
        raise FaultError("missing field: digest")
    digest = _hexadecimal("".join(words))
    if len(digest) not in (20, 32, 48):
        raise FaultError(f"expected 20, 32 or 48 octets (digest type 1, 2 or 4), found {len(digest)}")


def _strings(tokenizer: Tokenizer) -> None:
    for token in tokenizer.get_remaining():
        _string(token)


def _string(token: Token) -> None:
    octets = len(token.unescape_to_bytes().value)
    if octets > _LONGEST_STRING:
        raise FaultError(
            f"{shown(token)} has {octets} octets; a string holds at most 255: split it into several strings"
        )


def parameters_joined(tokenizer: Tokenizer) -> list[str]:
    """The words that are left, as they stand; a quoted value is one with the name of its parameter."""
    words: list[str] = []
    for token in tokenizer.get_remaining():
        if words and words[-1].endswith("=") and token.is_quoted_string():
            words[-1] += written(token)
        else:
            words.append(written(token))
    return words


def _parameters(tokenizer: Tokenizer) -> None:
    """Of HTTPS and SVCB, each by itself: RFC 9460 §2.1."""
    for parameter in parameters_joined(tokenizer):
        if parameter.startswith(("mandatory", "no-default-alpn")):
            continue  # right or wrong by what others there are
        try:
            dns.rdata.from_text(dns.rdataclass.IN, RdataType.SVCB, f"1 . {parameter}").to_wire()
        except Exception as error:
            raise FaultError(f"invalid parameter {short(parameter)}{after_colon(error)}") from None


# The types whose fields are known


def number_field(name: str, bits: int) -> Field:
    """An integer of so many bits, 8, 16 or 32."""
    read: dict[int, Callable[[Tokenizer, Any], object]] = {
        8: lambda tokenizer, _: tokenizer.get_uint8(),
        16: lambda tokenizer, _: tokenizer.get_uint16(),
        32: lambda tokenizer, _: tokenizer.get_uint32(),
    }
    return Field(name, f"{name} (0 to {(1 << bits) - 1})", read[bits])


_NAME = "domain name"


def name_field(name: str) -> Field:
    """A domain name, relative to the origin or not."""
    return Field(name, _NAME, lambda tokenizer, origin: tokenizer.get_name(origin))


def seconds_field(name: str, what: str = "") -> Field:
    """A time as it is written for TTLs."""
    return Field(name, f"{what or name} (seconds, or as 1h30m)", lambda tokenizer, _: tokenizer.get_ttl())


def _read_tag(tokenizer: Tokenizer, _: dns.name.Name) -> None:
    """RFC 8659 §4.1."""
    tag = tokenizer.get_string(max_length=_LONGEST_STRING)
    if not tag.isascii() or not tag.isalnum():
        raise ValueError(tag)


def _read_algorithm(tokenizer: Tokenizer, _: dns.name.Name) -> None:
    dns.dnssectypes.Algorithm.make(tokenizer.get_string())


def _read_ipv4(tokenizer: Tokenizer, _: dns.name.Name) -> None:
    dns.ipv4.inet_aton(tokenizer.get_identifier())


def _read_ipv6(tokenizer: Tokenizer, _: dns.name.Name) -> None:
    dns.ipv6.inet_aton(tokenizer.get_identifier())


def _read_string(tokenizer: Tokenizer, _: dns.name.Name) -> None:
    _string(tokenizer.get())


_SERVICE = (number_field("priority", 16), name_field("target"))
_DELEGATION_SIGNER = (
    number_field("key tag", 16),
    Field("algorithm", "algorithm (0 to 255, or a name such as ECDSAP256SHA256)", _read_algorithm),
    number_field("digest type", 8),
)
FIELDS: dict[RdataType, tuple[Field, ...]] = {
    RdataType.A: (Field("address", "IPv4 address", _read_ipv4),),
    RdataType.AAAA: (Field("address", "IPv6 address", _read_ipv6),),
    RdataType.NS: (name_field("name server"),),
    RdataType.CNAME: (name_field("target"),),
    RdataType.DNAME: (name_field("target"),),
    RdataType.PTR: (name_field("target"),),
    RdataType.MX: (number_field("preference", 16), name_field("exchange")),
    RdataType.SRV: (
        number_field("priority", 16),
        number_field("weight", 16),
        number_field("port", 16),
        name_field("target"),
    ),
    RdataType.TXT: (Field("string", "string", _read_string),),
    RdataType.SPF: (Field("string", "string", _read_string),),
    RdataType.CAA: (
        number_field("flags octet", 8),
        Field("tag", "tag of letters and digits (such as issue)", _read_tag),
        Field("value", "value", lambda tokenizer, _: tokenizer.get_string()),
    ),
    RdataType.DS: _DELEGATION_SIGNER,
    RdataType.CDS: _DELEGATION_SIGNER,
    RdataType.SOA: (
        name_field("first name server"),
        name_field("mailbox"),
        number_field("serial", 32),
        seconds_field("refresh", "refresh time"),
        seconds_field("retry", "retry time"),
        seconds_field("expire", "expire time"),
        seconds_field("minimum", "minimum TTL"),
    ),
    RdataType.HTTPS: _SERVICE,
    RdataType.SVCB: _SERVICE,
}
REST: dict[RdataType, Callable[[Tokenizer], None]] = {
    RdataType.DS: _digest,
    RdataType.CDS: _digest,
    RdataType.TXT: _strings,
    RdataType.SPF: _strings,
    RdataType.HTTPS: _parameters,
    RdataType.SVCB: _parameters,
}


# How messages show text


def invalid_name(token: Token, error: Exception) -> str:
    """The message for a word that is not a valid domain name."""
    why = str(error).removesuffix(".") if token.is_identifier() else "remove the quotes"
    return f"invalid {_NAME} {shown(token)}: {why}"


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeioI' else 'a'} {noun}"


def written(token: Token) -> str:
    """A word as it stands in the file."""
    return f'"{token.value}"' if token.is_quoted_string() else token.value


def shown(token: Token) -> str:
    """A word as people are shown it."""
    return short(written(token))


def after_colon(error: Exception) -> str:
    """dnspython's words behind our own, if it has any."""
    words = said(error)
    return words and f": {words}"


def short(text: str) -> str:
    """The text, or where it is too long for a line, its beginning."""
    text = printable(text[: _MOST_SHOWN + 1])
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "…"


def printable(text: str) -> str:
    """The text with escapes for what a terminal would obey."""
    return "".join(c if c.isprintable() else f"\\{ord(c):03}" for c in text)


def said(error: Exception) -> str:
    """dnspython's words, if it has any."""
    text = str(error)
    return "" if text == WORDLESS else text
