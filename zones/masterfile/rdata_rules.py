"""Rdata that dnspython takes and its RFC does not: what is wrong with it.

An earlier version served such records, so a server leaves them out with a warning (`formerly_valid`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from dns.rdatatype import RdataType

_DOHPATH = 7
_DOHPATH_VARIABLE = b"dns"
_FEWEST_DIGITS = 4
_VARIABLES = re.compile(rb"\{[+#./;?&]?([^{}]*)\}")
_REFERENCE = re.compile(rb"\\(.)", re.DOTALL)
_ERE_PART = re.compile(rb"\\.|\[\^?\]?(?:\[[:.=][^\]]*\]|[^\]])*\]|[()\[]", re.DOTALL)
"""What is escaped, a bracket expression, a parenthesis, or a bracket that is not closed."""


def broken_rule(rrtype: int, rdata: bytes) -> str | None:
    """What is wrong with rdata in wire form, of a record that dnspython has read; `None` where nothing is."""
    rule = _RULES.get(rrtype)
    wrong = rule(rdata) if rule is not None else None
    return wrong and f"{RdataType.make(rrtype).name}: {wrong}"


def _service(rdata: bytes) -> str | None:
    """A resolver drops an answer whose `dohpath` is not a template with the variable dns (RFC 9461 §5)."""
    for key, value in _parameters(rdata):
        if key == _DOHPATH and _DOHPATH_VARIABLE not in _variables(value):
            return "dohpath needs a URI template with the variable dns, as in dohpath=/dns-query{?dns} (RFC 9461 §5)"
    return None


def _parameters(rdata: bytes) -> Iterator[tuple[int, bytes]]:
    position = 2
    while rdata[position]:
        position += rdata[position] + 1
    position += 1
    while position < len(rdata):
        size = int.from_bytes(rdata[position + 2 : position + 4])
        yield int.from_bytes(rdata[position : position + 2]), rdata[position + 4 : position + 4 + size]
        position += 4 + size


def _variables(template: bytes) -> set[bytes]:
    """The names of the variables in a URI template (RFC 6570 §2)."""
    return {
        name.rstrip(b"*").partition(b":")[0]
        for expression in _VARIABLES.findall(template)
        for name in expression.split(b",")
    }


def _x25(rdata: bytes) -> str | None:
    """RFC 1183 §3.1: a PSDN address, which begins with a DNIC of four digits."""
    digits = rdata[1:]
    if digits.isdigit() and len(digits) >= _FEWEST_DIGITS:
        return None
    return "expected an address of at least 4 digits (RFC 1183 §3.1)"


def _naptr(rdata: bytes) -> str | None:
    """RFC 3402 §3.2: empty, or delimiter, expression, delimiter, replacement, delimiter, and perhaps the flag i."""
    position = 4
    for _ in range(2):  # flags and service
        position += rdata[position] + 1
    expression = rdata[position + 1 : position + 1 + rdata[position]]
    return _substitution(expression) if expression else None


def _substitution(text: bytes) -> str | None:
    delimiter = text[:1]
    parts = _between(delimiter, text[1:])
    if delimiter in b"\\i\x00" or delimiter.isdigit() or len(parts) != 3 or parts[2] not in (b"", b"i"):
        shape = 'delimiter, expression, delimiter, replacement, delimiter, as in "!^.*$!sip:info@a.test!"'
        return f"regexp: expected {shape} (RFC 3402 §3.2)"
    groups = _groups(parts[0])
    if groups is None:
        return "regexp: a parenthesis or bracket without its other one (RFC 3402 §3.2)"
    references = [int(found) for found in _REFERENCE.findall(parts[1]) if found.isdigit()]
    wrong = next((number for number in references if not 1 <= number <= groups), None)
    if wrong is None:
        return None
    return f"regexp: the replacement has \\{wrong}, but the expression has {groups} groups (RFC 3402 §3.2)"


def _between(delimiter: bytes, text: bytes) -> list[bytes]:
    """What stands between delimiters that have no backslash before them."""
    parts, begin, position = [], 0, 0
    while position < len(text):
        if text[position : position + 1] == b"\\":
            position += 1
        elif text[position : position + 1] == delimiter:
            parts.append(text[begin:position])
            begin = position + 1
        position += 1
    return [*parts, text[begin:]]


def _groups(expression: bytes) -> int | None:
    """The groups of an extended regular expression (POSIX); `None` where parentheses or brackets don't match."""
    groups, depth = 0, 0
    for found in _ERE_PART.finditer(expression):
        match found[0]:
            case b"(":
                groups, depth = groups + 1, depth + 1
            case b")":
                depth -= 1
            case b"[":
                return None
        if depth < 0:
            return None
    return groups if depth == 0 else None


_RULES: Mapping[int, Callable[[bytes], str | None]] = {
    RdataType.SVCB: _service,
    RdataType.HTTPS: _service,
    RdataType.X25: _x25,
    RdataType.NAPTR: _naptr,
}
