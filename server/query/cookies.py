"""DNS cookies: who holds a server cookie of ours can be reached at its address (RFC 7873, RFC 9018).

A server cookie is a function of the client's address, its client cookie, a timestamp and a secret. So nothing is kept
of clients, and all who hold the same key make and accept the same cookies. Nobody is required to have one: a query with
a bad cookie is answered as one without.

The secret follows from the key and from the day of the cookie's own timestamp. So secrets roll over without a word
between processes: a cookie of yesterday is checked with yesterday's secret, and one from a clock that is ahead with
tomorrow's. None is accepted later than an hour after its timestamp.
"""

from __future__ import annotations

import enum
import struct
from hashlib import blake2b
from hmac import compare_digest
from typing import NamedTuple

from siphash24 import siphash24

OPTION_COOKIE = 10
KEY_SIZE = 32  # octets
CLIENT_COOKIE = 8  # octets
_SERVER_COOKIE = 16
_SHORTEST, _LONGEST = 8, 32
"""Octets that a server cookie of any server may have (RFC 7873 §4)."""
_VERSION = b"\x01"
_RESERVED = bytes(3)

OLDEST, NEWEST = 3600, 300
"""Seconds before and after now that the timestamp of a valid cookie lies at most (RFC 9018 §4.3)."""
RENEWED = 1800
"""Seconds after which a valid cookie is replaced by a new one (RFC 9018 §4.3)."""
STEP = 300
"""Seconds of which all new cookies have the same timestamp, their first: what is made for a client is then the same for
a while, and can be remembered. It is at most `NEWEST`, so that a cookie is valid as long as those of others."""
SECRET_LIFE = 86_400
"""Seconds of which all timestamps are hashed with the same secret."""

_TIMESTAMP = struct.Struct("!I")
_OPTION = struct.Struct("!HH")
_SECRETS_KEPT = 4


class Standing(enum.IntEnum):
    """What a query's COOKIE option says of its sender."""

    NONE = 0
    """It has no such option."""
    CLIENT_ONLY = 1
    """It asks for a server cookie."""
    BAD = 2
    """Its server cookie is not ours, not for this client, or out of date."""
    VALID = 3
    """Its sender has received a server cookie of ours at this address."""


class CookieAnswer(NamedTuple):
    """What becomes of a COOKIE option."""

    standing: Standing
    option: bytes
    """The whole COOKIE option of the response."""
    until: int
    """The second from which this must be worked out anew, in seconds since the epoch."""


class CookieKey:
    """Makes and checks server cookies. Its repr shows nothing of the key."""

    __slots__ = ("_key", "_secrets")

    def __init__(self, key: bytes) -> None:
        """`key` is of `KEY_SIZE` octets."""
        if len(key) != KEY_SIZE:
            raise ValueError(f"a cookie key must have {KEY_SIZE} octets, not {len(key)}")
        self._key = key
        self._secrets: dict[int, bytes] = {}

    def __repr__(self) -> str:
        return "<CookieKey>"

    def answer(self, cookie: bytes, client: bytes, now: int) -> CookieAnswer:
        """What a well-formed COOKIE option with the data `cookie` gets at `now` (seconds since the epoch).

        `client` is the address of the query's sender: 4 or 16 octets.
        """
        client_cookie, server_cookie = cookie[:CLIENT_COOKIE], cookie[CLIENT_COOKIE:]
        made = now - now % STEP
        standing, until = Standing.CLIENT_ONLY, made + STEP
        if server_cookie:
            stamped = _timestamp(server_cookie, now)
            if stamped is not None and compare_digest(
                server_cookie, hashed(self._secret(stamped), client_cookie, client, server_cookie[:8])
            ):
                standing = Standing.VALID
                if now < stamped + RENEWED:
                    return CookieAnswer(standing, _option(cookie), stamped + RENEWED)
                until = min(until, stamped + OLDEST + 1)
            else:
                standing = Standing.BAD
                if stamped is None:
                    until = now + 1  # the clock alone may make it valid
        fresh = b"".join((_VERSION, _RESERVED, _TIMESTAMP.pack(made & 0xFFFFFFFF)))
        new = hashed(self._secret(made), client_cookie, client, fresh)
        return CookieAnswer(standing, _option(client_cookie + new), until)

    def _secret(self, stamped: int) -> bytes:
        day = stamped // SECRET_LIFE
        secret = self._secrets.get(day)
        if secret is None:
            if len(self._secrets) >= _SECRETS_KEPT:
                self._secrets.clear()
            secret = blake2b(
                day.to_bytes(8, signed=True), digest_size=16, key=self._key, person=b"dns cookies"
            ).digest()
            self._secrets[day] = secret
        return secret


def is_well_formed(size: int) -> bool:
    """Whether a query's COOKIE option may have `size` octets of data; FORMERR if not (RFC 7873 §5.2.2)."""
    return size == CLIENT_COOKIE or _SHORTEST <= size - CLIENT_COOKIE <= _LONGEST


def hashed(secret: bytes, client_cookie: bytes, client: bytes, begin: bytes) -> bytes:
    """The server cookie that begins with the octets `begin`: version, reserved and timestamp (RFC 9018 §4.4)."""
    digest: bytes = siphash24(b"".join((client_cookie, begin, client)), key=secret).digest()
    return begin + digest


def _timestamp(server_cookie: bytes, now: int) -> int | None:
    """When a server cookie was made, in seconds since the epoch; None where it is none of ours, or out of date."""
    if len(server_cookie) != _SERVER_COOKIE or not server_cookie.startswith(_VERSION):
        return None
    # Serial number arithmetic (RFC 9018 §4.3): what is nearest to now.
    age = (now - int.from_bytes(server_cookie[4:8]) + 0x80000000 & 0xFFFFFFFF) - 0x80000000
    return now - age if -NEWEST <= age <= OLDEST else None


def _option(data: bytes) -> bytes:
    return _OPTION.pack(OPTION_COOKIE, len(data)) + data
