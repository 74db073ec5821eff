r"""The octets of a master file as ASCII text, and what escapes in a string stand for (RFC 1035 §5.1).

A file has no character set: an octet above 127 is that octet, in a name as in a string, as if it were written as an
escape. So UTF-8 stays the octets that it is, and so does Latin-1. Nothing is mapped to an A-label (RFC 5891): that is
another name than the one that stands there.
"""

from __future__ import annotations

import re

import dns.tokenizer

_ABOVE_ASCII = re.compile(rb"\\(1(?:2[89]|[3-9]\d)|2(?:[0-4]\d|5[0-5]))")
_NOT_ASCII = re.compile(rb"\\[\x80-\xff]|\\.|[\x80-\xff]", re.DOTALL)


def in_ascii(octets: bytes) -> bytes:
    r"""The same file with an escape `\DDD` for each octet above 127. Lines stay lines."""
    return octets if octets.isascii() else _NOT_ASCII.sub(_escaped, octets)


def in_octets(text: str) -> bytes:
    """The octets of a word of that file, with those above 127; other escapes stay, as in the name of a file."""
    return _ABOVE_ASCII.sub(lambda found: bytes([int(found[1])]), text.encode("ascii"))


def _escaped(found: re.Match[bytes]) -> bytes:
    text = found[0]  # a backslash before the octet goes: before digits it would mean itself
    return b"\\%03d" % text[-1] if text[-1] >= 0x80 else text


class OctetText(str):
    """Text of which each character is an octet, also where dnspython encodes it."""

    __slots__ = ()

    def encode(self, *_: object, **__: object) -> bytes:
        """The octets; dnspython asks for UTF-8, which would make two of those above 127."""
        return super().encode("latin-1")


class OctetToken(dns.tokenizer.Token):
    """A word with escapes, each of which stands for an octet."""

    def unescape(self) -> dns.tokenizer.Token:
        """As dnspython's, with the value as `OctetText`."""
        token = super().unescape()
        token.value = OctetText(token.value)
        return token


def with_octets(token: dns.tokenizer.Token) -> dns.tokenizer.Token:
    """A token as dnspython made it, whose escapes stand for octets."""
    return OctetToken(token.ttype, token.value, True, token.comment) if token.has_escape else token
