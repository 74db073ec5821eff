"""Where to listen: an IP address and a port, as text and as a value. No names are looked up."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

_MOST = 0xFFFF


class Address(NamedTuple):
    """An IP address and a port; port 0 lets the system choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_ipv6(self) -> bool:
        """Whether the address is of IPv6."""
        return ":" in self.host

    def overlaps(self, other: Address) -> bool:
        """Whether only one of the two can be listened on: the same port, of the same host or of all (0.0.0.0, [::])."""
        if self.port != other.port or not self.port or self.is_ipv6 != other.is_ipv6:
            return False
        return self.host == other.host or any(ipaddress.ip_address(one.host).is_unspecified for one in (self, other))


def parse_address(text: str) -> Address:
    """Read `127.0.0.1:5300` or `[::1]:5300`. Raises `ValueError`, whose message says what is wrong."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit():
        raise ValueError(f"{text!r} is not a valid address: must be ADDRESS:PORT, such as 127.0.0.1:5300 or [::1]:5300")
    if int(port) > _MOST:
        raise ValueError(f"the port {port} in the address {text!r} is greater than {_MOST}")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        parsed = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        hint = " (give the IP address, such as 127.0.0.1)" if host and ":" not in host else ""
        raise ValueError(f"{host!r} in {text!r} is not a valid IP address{hint}") from None
    if bracketed != (parsed.version == 6):
        raise ValueError(f"{text!r}: put an IPv6 address in brackets, and an IPv4 address without")
    return Address(str(parsed), int(port))
