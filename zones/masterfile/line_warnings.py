"""What is probably a mistake and only the text of a master file shows, once its records are read: by line.

A record without an owner behind `$ORIGIN` or `$INCLUDE` has the owner of the record before, not the new origin
(RFC 1035 §5.1); one that comes first has none, which other servers refuse. And a `;` without quotes begins a comment,
also in a TXT record.
"""

from __future__ import annotations

from zones.masterfile.found_faults import FoundFaults

_BLANKS = b" \t"
_OWNER_CHANGES = (b"$ORIGIN", b"$INCLUDE")
_TEXT_TYPES = {b"TXT", b"SPF"}
_LONGEST_HEAD = 4096
"""Octets before a `;` that are looked at."""


class LineWarnings:
    """Looks at the files of one zone."""

    def __init__(self, zone_file: str, errors: FoundFaults, warnings: FoundFaults) -> None:
        self._zone_file = zone_file
        self._errors = errors
        self._warnings = warnings

    def look_at(self, file: str, octets: bytes) -> None:
        """Look at a file, each time that it is read. Takes linear time."""
        before: bytes | None = b""
        octets = octets.removeprefix(b"\xef\xbb\xbf")
        for number, line in enumerate(octets.splitlines(), 1):
            if b";" in line:
                self._look_at_comment(file, number, line)
            if before is not None:
                before = self._look_at_owner(file, number, line, before)
            elif line.startswith(b"$"):
                before = _change_of_owner(line)

    def _look_at_owner(self, file: str, number: int, line: bytes, before: bytes) -> bytes | None:
        """What matters for the next line, of a record's first; `before` is the directive, or empty in front of all."""
        text = line.lstrip(_BLANKS)
        if not text or text.startswith(b";"):
            return before
        if line.startswith(b"$"):
            return _change_of_owner(line) or before
        if text is not line and len(text) < len(line):
            if before:
                directive = before.decode()
                self._warnings.take(
                    file,
                    number,
                    "blank-owner",
                    f"no owner behind {directive}: the record belongs to the owner before {directive}; "
                    'write the owner, or "@" for the origin',
                )
            elif file == self._zone_file:
                self._errors.take(
                    file, number, "blank-owner", 'the first record has no owner: write one, or "@" for the origin'
                )
            else:
                self._warnings.take(
                    file,
                    number,
                    "blank-owner",
                    "the first record has no owner: it belongs to the owner before the $INCLUDE; "
                    'write the owner, or "@" for the origin',
                )
        return None

    def _look_at_comment(self, file: str, number: int, line: bytes) -> None:
        head = line[: line.index(b";")]
        if not head or head[-1:] in (b" ", b"\t", b"(", b")", b'"', b"\\") or b'"' in head or len(head) > _LONGEST_HEAD:
            return
        words = head.upper().split()
        if not _TEXT_TYPES.isdisjoint(words[:4]) and words[-1] not in _TEXT_TYPES:
            self._warnings.take(
                file,
                number,
                "unquoted-semicolon",
                'a ";" begins a comment: the text ends before it; put the text in quotes',
            )


def _change_of_owner(line: bytes) -> bytes | None:
    words = line.split(None, 1)
    word = words[0].upper()
    return word if word in _OWNER_CHANGES else None
