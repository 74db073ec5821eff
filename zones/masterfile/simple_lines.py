"""Plain lines of master files (RFC 1035 §5.1), read fast: those that leave no doubt. dnspython judges all others.

Plain is a record of a common type on a line of its own, of printable ASCII without escapes and parentheses; `$ORIGIN`,
`$TTL`; and nothing, or a comment. `read_plain` stops at the first line that is not, or that might be wrong, and changes
nothing by it. So this module reports no errors: the reader that continues there reports them as usual.

What it costs, on a core on which dnspython takes 48 µs for a record: 1.0 µs for an A record, 1.1 for AAAA, 1.4 for TXT,
1.5 for MX. Of an A record's, splitting the line and looking for characters that aren't plain take 0.2, the owner 0.25,
the address 0.2. The C library reads addresses, and takes none that dnspython does not; in Python that took 0.4 for IPv4
and 1.1 for IPv6. That every parent of names is made once (`_Tails`) and every record is a tuple keeps it there.

Nothing else that can be had from Python reads the whole format faster (`docs/performance.md`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from socket import AF_INET, AF_INET6, inet_pton

from zones.names import MAXIMUM_LABEL, MAXIMUM_NAME, ROOT

Record = tuple[bytes, int, int, bytes, bytes, str, int]
"""Owner, TTL in seconds, type, rdata, rdata in canonical form (RFC 4034 §6.2), file, line."""

_PLAIN = bytes(octet for octet in range(0x21, 0x7F) if octet not in b'"$();\\') + b" \t"
_COMMENT, _DIRECTIVE, _QUOTE, _BLANK = b";"[0], b"$"[0], b'"'[0], b" "[0]
_QUOTED = re.compile(rb'"[ !#-\[\]-~\t]*"(?:[ \t]+"[ !#-\[\]-~\t]*")*[ \t]*')
_STRINGS = re.compile(rb'"([^"]*)"')
_CLASSES = (b"IN", b"in")
_MAXIMUM_TTL = 0xFFFFFFFF
_MAXIMUM_RDATA = 0xFFFF
_MOST_DIGITS = 10  # of any number in a record
_MOST_REMEMBERED = 10_000

_LENGTH = {length: bytes((length,)) for length in range(1, MAXIMUM_LABEL + 1)}
_STRING_LENGTH = [bytes((length,)) for length in range(256)]
_DIGEST_LENGTH = {1: 20, 2: 32, 4: 48}  # RFC 3658 §2.4, RFC 4509 §2.2, RFC 6605 §2


class _Tails(dict[bytes, bytes]):
    """What may stand behind a name's first label, by its text: few, and the same again and again."""

    def __init__(self, origin: bytes) -> None:
        super().__init__({b"": ROOT})
        self.origin = origin

    def __missing__(self, text: bytes) -> bytes:
        if len(text) > MAXIMUM_NAME:
            raise ValueError("too long")  # and deeper than calls may go, perhaps
        head, dot, tail = text.partition(b".")
        wire = _LENGTH[len(head)] + head + (self[tail] if dot else self.origin)
        if len(self) < _MOST_REMEMBERED:
            self[text] = wire
        return wire

    def name(self, text: bytes) -> bytes:
        """The wire form of a name, relative to the origin or not. Raises an error where that is in doubt."""
        if text == b"@":
            return self.origin
        if text == b".":
            return ROOT
        head, dot, tail = text.partition(b".")
        wire = _LENGTH[len(head)] + head + (self[tail] if dot else self.origin)
        if len(wire) > MAXIMUM_NAME:
            raise ValueError("too long")
        return wire


class State:
    """What a line means depends on the lines before."""

    def __init__(self, origin: bytes) -> None:
        """`origin` as it is spelled, in wire form."""
        self.set_origin(origin)
        self.owner = origin.lower()
        """Of the last record, lower case, in wire form."""
        self.last_ttl: int | None = None
        """The TTL that a record gave last, in seconds."""
        self.default_ttl: int | None = None
        """By `$TTL`, or of the SOA."""
        self.prefers_last_ttl = True
        """Whether the TTL that a record gave last counts before the default: where that is unknown or the SOA's."""

    def set_origin(self, origin: bytes) -> None:
        """Take names as relative to this one."""
        self.origin = origin
        self.owners, self.targets = _Tails(origin.lower()), _Tails(origin)

    def implicit_ttl(self) -> int | None:
        """The TTL of a record that gives none."""
        return self.last_ttl if self.prefers_last_ttl and self.last_ttl is not None else self.default_ttl

    def direct(self, line: bytes, odd: bytes) -> None:
        """Follow a directive; `odd` are the characters of its line that aren't plain. Raises an error when in doubt."""
        if b";" in odd:
            line, odd = _without_comment(line, odd[1:]), odd[:1]
        directive, value = line.split()
        if odd != b"$":
            raise ValueError("not plain")
        if directive == b"$ORIGIN":
            self.set_origin(self.targets.name(value))
        elif directive == b"$TTL":
            self.default_ttl, self.prefers_last_ttl = _ttl(value), False
        else:
            raise ValueError("not plain")


def read_plain(  # noqa: PLR0912 - calls would cost more than branches
    lines: Sequence[bytes], state: State, records: list[Record], file: str, first: int
) -> int:
    """Append the records of plain lines to `records`; how many lines were read, before the first that is in doubt.

    `first` is the number of the first line in its file. The lines are without their ends.
    """
    append = records.append
    owners, targets = state.owners, state.targets
    owner, last_ttl, implicit = state.owner, state.last_ttl, state.implicit_ttl()
    number = first
    try:
        for number, line in enumerate(lines, first):
            strings = None
            if odd := line.translate(None, _PLAIN):
                if odd[0] == _DIRECTIVE == line[0]:
                    state.last_ttl = last_ttl
                    state.direct(line, odd)
                    owners, targets, implicit = state.owners, state.targets, state.implicit_ttl()
                    continue
                before, strings = _quoted(line, odd) if odd[0] == _QUOTE else (_without_comment(line, odd), None)
                words = before.split()
            else:
                words = line.split()
            if not words:
                continue
            at = 1 if line[0] > _BLANK else 0  # where no owner stands, it is the last record's
            rrtype, explicit = _TYPES.get(words[at]), None
            if rrtype is None:
                explicit, at = _ttl_and_class(words, at)
                rrtype = _TYPES[words[at]]
            if strings is None:
                rdata, canonical = _RDATA[rrtype](words[at + 1 :], targets)
            else:
                rdata = canonical = _QUOTED_RDATA[rrtype](words[at + 1 :], strings)
            ttl = implicit if explicit is None else explicit
            if ttl is None:
                break  # before the line has changed anything
            if line[0] > _BLANK:
                owner = owners.name(words[0].lower())
            append((owner, ttl, rrtype, rdata, canonical, file, number))
            if explicit is not None:
                last_ttl = explicit
                implicit = explicit if state.prefers_last_ttl else implicit
        else:
            number = first + len(lines)
    except (KeyError, ValueError, IndexError, OSError):  # the last from inet_pton
        pass  # in doubt
    state.owner, state.last_ttl = owner, last_ttl
    return number - first


def _without_comment(line: bytes, odd: bytes) -> bytes:
    # A carriage return also ends a line, so what follows it is not a comment.
    if odd[0] != _COMMENT or b"\r" in odd:
        raise ValueError("not plain")
    return line[: line.index(b";")]


def _quoted(line: bytes, odd: bytes) -> tuple[bytes, list[bytes]]:
    """What stands before the quoted strings at a line's end, and these."""
    head, _, tail = line.partition(b'"')
    if head.strip() and head[-1] <= _BLANK:
        if odd == b'""' and tail.endswith(b'"'):  # as most are: 0.3 µs less
            return head, [tail[:-1]]
        if _QUOTED.fullmatch(line, len(head)):
            return head, _STRINGS.findall(line, len(head))
    raise ValueError("not plain")


def _ttl_and_class(words: list[bytes], at: int) -> tuple[int | None, int]:
    """The TTL, if the record gives one, and where its type stands; TTL and class come in any order, each or none."""
    if words[at] not in _CLASSES:
        ttl, at = _ttl(words[at]), at + 1
        return ttl, at + (words[at] in _CLASSES)
    at += 1
    return (None, at) if words[at] in _TYPES else (_ttl(words[at]), at + 1)


def _ttl(text: bytes) -> int:
    return _integer(text, _MAXIMUM_TTL)


def _integer(text: bytes, most: int) -> int:
    if len(text) > _MOST_DIGITS or not text.isdigit() or (number := int(text)) > most:
        raise ValueError("not plain")
    return number


# Rdata, as it is answered and in canonical form


def _a(words: list[bytes], _: _Tails) -> tuple[bytes, bytes]:
    (text,) = words
    rdata = inet_pton(AF_INET, text.decode())
    return rdata, rdata


def _aaaa(words: list[bytes], _: _Tails) -> tuple[bytes, bytes]:
    (text,) = words
    rdata = inet_pton(AF_INET6, text.decode())
    return rdata, rdata


def _name(words: list[bytes], targets: _Tails) -> tuple[bytes, bytes]:
    (text,) = words
    rdata = targets.name(text)
    return rdata, rdata.lower()  # the lengths of labels are not letters


def _mx(words: list[bytes], targets: _Tails) -> tuple[bytes, bytes]:
    preference, text = words
    head = _integer(preference, 0xFFFF).to_bytes(2)
    exchange = targets.name(text)
    return head + exchange, head + exchange.lower()


def _srv(words: list[bytes], targets: _Tails) -> tuple[bytes, bytes]:
    *numbers, text = words
    priority, weight, port = [_integer(number, 0xFFFF).to_bytes(2) for number in numbers]
    target, head = targets.name(text), priority + weight + port
    return head + target, head + target.lower()


def _ds(words: list[bytes], _: _Tails) -> tuple[bytes, bytes]:
    tag, algorithm, digest_type, *digest = words
    octets = bytes.fromhex(b"".join(digest).decode())
    digest_number = _integer(digest_type, 0xFF)
    if len(octets) != _DIGEST_LENGTH[digest_number]:
        raise ValueError("not plain")
    rdata = _integer(tag, 0xFFFF).to_bytes(2) + bytes((_integer(algorithm, 0xFF), digest_number)) + octets
    return rdata, rdata


def _txt(words: list[bytes], _: _Tails) -> tuple[bytes, bytes]:
    rdata = _quoted_txt([], words)
    return rdata, rdata


def _quoted_txt(words: list[bytes], strings: list[bytes]) -> bytes:
    rdata = b"".join([_STRING_LENGTH[len(string)] + string for string in strings])
    if words or not 0 < len(rdata) <= _MAXIMUM_RDATA:
        raise ValueError("not plain")
    return rdata


def _caa(words: list[bytes], _: _Tails) -> tuple[bytes, bytes]:
    flags, tag, value = words
    rdata = _quoted_caa([flags, tag], [value])
    return rdata, rdata


def _quoted_caa(words: list[bytes], strings: list[bytes]) -> bytes:
    (flags, tag), (value,) = words, strings
    rdata = bytes((_integer(flags, 0xFF), len(tag))) + tag + value
    if not tag.isalnum() or len(rdata) > _MAXIMUM_RDATA:
        raise ValueError("not plain")
    return rdata


_RDATA: dict[int, Callable[[list[bytes], _Tails], tuple[bytes, bytes]]] = {
    1: _a,
    2: _name,
    5: _name,
    12: _name,
    15: _mx,
    16: _txt,
    28: _aaaa,
    33: _srv,
    43: _ds,
    257: _caa,
}
_QUOTED_RDATA: dict[int, Callable[[list[bytes], list[bytes]], bytes]] = {16: _quoted_txt, 257: _quoted_caa}
_TYPES = {
    spelled: rrtype
    for mnemonic, rrtype in (
        (b"A", 1),
        (b"NS", 2),
        (b"CNAME", 5),
        (b"PTR", 12),
        (b"MX", 15),
        (b"TXT", 16),
        (b"AAAA", 28),
        (b"SRV", 33),
        (b"DS", 43),
        (b"CAA", 257),
    )
    for spelled in (mnemonic, mnemonic.lower())
}
