"""Where to listen: an IP address and a port, as text and as a value. No names are looked up."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple


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


def parse_address(text: str) -> Address:
    """Read `127.0.0.1:5300` or `[::1]:5300`. Raises `ValueError`, whose message says what is wrong."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 0xFFFF:
        raise ValueError(f"{text!r} is no address with a port, such as 127.0.0.1:5300 or [::1]:5300")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        parsed = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        hint = " (give the IP address, such as 127.0.0.1)" if host and ":" not in host else ""
        raise ValueError(f"{host!r} in {text!r} is no IP address{hint}") from None
    if bracketed != (parsed.version == 6):
        raise ValueError(f"{text!r}: an IPv6 address stands in brackets, an IPv4 address does not")
    return Address(str(parsed), int(port))
