"""Explains why dnspython rejected a record: the type, the text at fault, and what was expected.

dnspython's own message ("expecting an integer") does not name the text at fault, and says nothing about an address. So
this module reads the record once more, with the same calls, field by field. It rejects nothing that dnspython accepts,
and keeps dnspython's message for what it does not know. It runs only for records that were rejected.
"""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

import dns.exception
import dns.grange
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.ttl
import dns.zone
from dns.rdatatype import RdataType
from dns.tokenizer import Token, Tokenizer

from zones.masterfile.loc_rdata import LocationError, metres_of
from zones.masterfile.rdata_beyond_dnspython import read_beyond
from zones.masterfile.rdata_fields import (
    FIELDS,
    REST,
    WORDLESS,
    FaultError,
    after_colon,
    invalid_name,
    name_field,
    parameters_joined,
    printable,
    said,
    seconds_field,
    see_fields,
    see_rest,
    see_unknown,
    short,
    shown,
    written,
)

_DIRECTIVES = {"$TTL": (seconds_field("TTL"),), "$ORIGIN": (name_field("origin"),)}

_OTHER_DIRECTIVES = ("$INCLUDE", "$GENERATE", "$UNICODE")
_ALL_DIRECTIVES = ", ".join((*_DIRECTIVES, *_OTHER_DIRECTIVES))

_IN_OUR_WORDS = {
    "newline in quoted string": "missing closing quote: a quoted string must end on its line",
    "unbalanced parentheses": "unbalanced parentheses: a ( without its )",
}
"""Our words for dnspython's messages."""

_UNOPENED = "unbalanced parentheses: a ) without a ( before it"
"""The message for an error to which dnspython gives none."""


def fault_of(text: str, origin: dns.name.Name, codec: dns.name.IDNACodec | None, made: int, told: str) -> str:
    """What is wrong with the record or directive at the beginning of `text`; `told` is dnspython's message.

    Names are relative to `origin`. A $GENERATE had `made` so many records before it failed.
    """
    tokenizer = Tokenizer(text, idna_codec=codec)
    try:
        first = tokenizer.get(want_leading=True)
        match first.value.upper() if first.is_identifier() else "":
            case "$GENERATE":
                _see_generate(tokenizer, origin, made)
            case "$TTL" | "$ORIGIN" as directive:
                _see_directive(directive, tokenizer, origin)
            case directive if not directive.startswith("$"):
                _see_record(first, tokenizer, origin)
            case directive if directive not in _OTHER_DIRECTIVES:
                return f"unknown directive {short(first.value)}; expected one of {_ALL_DIRECTIVES}"
    except FaultError as fault:
        return str(fault)
    except MemoryError:
        raise
    except Exception:  # noqa: S110 - dnspython's, about the text around rdata; its first message is kept
        pass
    if told and told != WORDLESS:
        return _IN_OUR_WORDS.get(told) or printable(told)
    line = text.partition("\n")[0]
    return _UNOPENED if ")" in line else short(line) + " cannot be read"


def rdata_words(text: str) -> list[str]:
    """The words of the rdata of the record in `text`, one that dnspython has read; escapes resolved except in `\\#`."""
    tokenizer = Tokenizer(text)
    tokenizer.get(want_leading=True)  # the owner, or the space in its place
    _type_of_record(tokenizer)
    tokens = tokenizer.get_remaining()
    return [token.value if token.value == "\\#" else token.unescape().value for token in tokens]


class RecordBeyond(NamedTuple):
    """A record that dnspython refuses and that is right."""

    rrtype: int
    ttl: int | None
    """Seconds, where it has one of its own."""
    given: bytes
    """The rdata as it goes out."""
    canonical: bytes


def record_beyond(text: str, origin: dns.name.Name | None) -> RecordBeyond | None:
    """The record at the beginning of `text`, if it is of those kinds; `None` where it is not.

    Raises `FaultError` and what dnspython raises.
    """
    tokenizer = Tokenizer(text)
    tokenizer.get(want_leading=True)  # the owner, or the space in its place
    ttl, rdtype = _ttl_and_type(tokenizer)
    octets = read_beyond(rdtype, parameters_joined(tokenizer), origin)
    return None if octets is None else RecordBeyond(rdtype, ttl, *octets)


def _see_directive(directive: str, tokenizer: Tokenizer, origin: dns.name.Name) -> None:
    fields = _DIRECTIVES[directive]
    if (token := tokenizer.get()).is_eol_or_eof():
        raise FaultError(f"{directive}: missing {fields[0].name}")
    tokenizer.unget(token)
    try:
        see_fields(fields, tokenizer, origin)
        see_rest(None, tokenizer)
    except FaultError as fault:
        raise FaultError(f"{directive}: {fault}") from None


def _see_record(owner: Token, tokenizer: Tokenizer, origin: dns.name.Name) -> None:
    """Raise `FaultError` for the first error found."""
    if not owner.is_whitespace():
        try:
            tokenizer.as_name(owner, origin)
        except dns.exception.DNSException as error:
            raise FaultError(invalid_name(owner, error)) from None
    _see_rdata(_type_of_record(tokenizer), tokenizer, origin)


def _type_of_record(tokenizer: Tokenizer) -> RdataType:
    """The type, behind which the rdata begins."""
    return _ttl_and_type(tokenizer)[1]


def _ttl_and_type(tokenizer: Tokenizer) -> tuple[int | None, RdataType]:
    """The record's own TTL and its type; TTL and class come before the type in any order, each or none."""
    missing = {"TTL", "class"}
    ttl: int | None = None
    while True:
        token = tokenizer.get()
        if token.is_eol_or_eof():
            raise FaultError("missing field: record type")
        if not token.is_identifier():
            raise FaultError(f"expected a record type, found {shown(token)}")
        if (what := _ttl_or_class(token.value)) not in missing:
            if token.value.isdigit():
                raise FaultError(f"expected a record type, found {shown(token)}")
            try:
                return ttl, dns.rdatatype.from_text(token.value)
            except (dns.exception.DNSException, ValueError):
                raise FaultError(_no_type(token, tokenizer, missing)) from None
        missing.remove(what)
        if what == "TTL":
            ttl = dns.ttl.from_text(token.value)


def _no_type(token: Token, tokenizer: Tokenizer, missing: set[str]) -> str:
    """What is wrong with a word that is not a TTL, a class or a type; `missing` are those that have not come yet."""
    if "TTL" in missing and token.value.lstrip("+-")[:1].isdigit():
        return f"expected a TTL (seconds, or a time as 1w2d3h4m5s), found {shown(token)}"
    following = tokenizer.get()
    if "class" in missing and following.is_identifier() and _is_type_or_ttl(following.value):
        return f"expected a TTL, the class IN or a type, found {shown(token)}"
    return f"unknown record type {shown(token)}; without a mnemonic, write TYPE65534 (RFC 3597)"


def _is_type_or_ttl(text: str) -> bool:
    with suppress(dns.exception.DNSException, ValueError):
        dns.rdatatype.from_text(text)
        return True
    return text.isdigit()


def _ttl_or_class(text: str) -> str:
    with suppress(dns.ttl.BadTTL):
        dns.ttl.from_text(text)
        return "TTL"
    try:
        rrclass = dns.rdataclass.from_text(text)
    except (dns.exception.DNSException, ValueError):
        return ""
    if rrclass != dns.rdataclass.IN:
        raise FaultError(f"class {text} is not supported; use IN")
    return "class"


def _see_generate(tokenizer: Tokenizer, origin: dns.name.Name, made: int) -> None:
    """$GENERATE range owner [TTL] [class] type rdata: the rdata is a single word."""
    given, owner = tokenizer.get(), tokenizer.get()
    if given.is_eol_or_eof() or owner.is_eol_or_eof():
        raise FaultError("$GENERATE: missing range or owner, as in $GENERATE 1-9 host$ A 192.0.2.$")
    try:
        start, _, step = dns.grange.from_text(given.value)
    except (dns.exception.DNSException, ValueError):
        raise FaultError(f"$GENERATE: expected a range (1-9, or 1-9/2 for steps of 2), found {shown(given)}") from None
    rdtype = _type_of_record(tokenizer)
    rdata, behind = tokenizer.get(), tokenizer.get()
    if not rdata.is_identifier() or not behind.is_eol_or_eof():
        raise FaultError(
            f"$GENERATE: {rdtype.name} rdata of more than one word is not supported; write the records out"
        )
    text = _generated(start + made * step, rdata.value)
    _see_rdata(rdtype, Tokenizer(text, idna_codec=tokenizer.idna_codec), origin)


def _generated(number: int, template: str) -> str:
    """What $GENERATE makes of a word: dnspython returns it as the string of a TXT record."""
    read = dns.zone.from_text(
        f"$GENERATE {number}-{number} @ 0 TXT {template}", dns.name.root, relativize=False, check_origin=False
    )
    (record,) = read.find_rdataset(dns.name.root, RdataType.TXT)
    return bytes(record.strings[0]).decode()


def _see_rdata(rdtype: RdataType, tokenizer: Tokenizer, origin: dns.name.Name) -> None:
    """Raise `FaultError` for invalid rdata."""
    try:
        tokens = tokenizer.get_remaining()
    except dns.exception.DNSException as error:  # quotes or parentheses
        raise FaultError(_IN_OUR_WORDS.get(said(error)) or said(error) or _UNOPENED) from None
    text = " ".join(map(written, tokens))
    codec = tokenizer.idna_codec
    try:
        again = Tokenizer(text, idna_codec=codec)
        rdata = dns.rdata.from_text(dns.rdataclass.IN, rdtype, again, origin, relativize=False)
        rdata.to_wire(), rdata.to_digestable()
    except Exception as error:  # dnspython's reader also treats any exception as a fault of the text
        name = dns.rdatatype.to_text(rdtype)
        try:
            if tokens and written(tokens[0]) == "\\#":
                see_unknown(tokens[1:])
            elif rdtype == RdataType.LOC:
                _see_location(tokens)
            elif rdtype in FIELDS:
                again = Tokenizer(text, idna_codec=codec)
                see_fields(FIELDS[rdtype], again, origin)
                see_rest(REST.get(rdtype), again)
        except FaultError as fault:
            raise FaultError(f"{name}: {fault}") from None
        raise FaultError(f"{name}: {_refused_rdata(text, error)}") from None


def _see_location(tokens: list[Token]) -> None:
    """Raise `FaultError` for invalid metres of a LOC record; dnspython reports its latitude and longitude."""
    try:
        metres_of([token.unescape().value for token in tokens])
    except LocationError as error:
        raise FaultError(str(error)) from None


def _refused_rdata(text: str, error: Exception) -> str:
    """The message for invalid rdata where no single field is known to be at fault."""
    if not text:
        return "missing rdata"
    if str(error).startswith("generic rdata does not start"):
        return f"expected rdata such as \\# 2 ABCD (RFC 3597 §5), found {short(text)}"
    return f"invalid rdata {short(text)}{after_colon(error)}"
