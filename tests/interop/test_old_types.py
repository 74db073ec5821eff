"""The types of RFC 4034 §6.2 that dnspython does not know: delv and unbound compute what was signed."""

from __future__ import annotations

from collections.abc import Iterator

import dns.rcode
import dns.rdatatype
import pytest
from dns.rdatatype import RdataType

from tests.interop.programs import Lab, Resolver, is_authentic, unbound
from tests.processes import serving

pytestmark = pytest.mark.interop

_NAME = "044d61696c074578616d706c65045445535400"  # Mail.Example.TEST.
OLD = {
    "MD": rf"\# 19 {_NAME}",
    "MF": rf"\# 19 {_NAME}",
    "MB": rf"\# 19 {_NAME}",
    "MG": rf"\# 19 {_NAME}",
    "MR": rf"\# 19 {_NAME}",
    "MINFO": rf"\# 38 {_NAME}{_NAME.replace('4d61696c', '52657370')}",
    "NXT": rf"\# 20 {_NAME}40",
    "A6": rf"\# 20 80{_NAME}",
    "MX": rf"\# 21 000a{_NAME}",
    "TYPE65280": rf"\# 19 {_NAME}",
}


@pytest.fixture(scope="module")
def old_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A server with a record of each."""
    folder = tmp_path_factory.mktemp("old")
    apex = "$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\n"
    records = "".join(f"x TYPE{_number(mnemonic)} {rdata}\n" for mnemonic, rdata in OLD.items())
    (folder / "upper.test.zone").write_text(apex + records)
    with serving(folder, "upper.test.zone") as server:
        yield Lab(folder / "state", server)


def _number(mnemonic: str) -> int:
    return int(dns.rdatatype.from_text(mnemonic))


@pytest.fixture(scope="module")
def resolver(old_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Resolver]:
    """An unbound that validates them."""
    conf = (old_lab.trust / "resolver.conf").read_text()
    with unbound(tmp_path_factory.mktemp("unbound"), conf) as resolver:
        yield resolver


@pytest.mark.parametrize("mnemonic", sorted(OLD))
def test_delv_validates_them(old_lab: Lab, mnemonic: str) -> None:
    assert "; fully validated" in old_lab.delv("x.upper.test.", f"TYPE{_number(mnemonic)}", root="upper.test")


@pytest.mark.parametrize("mnemonic", sorted(OLD))
def test_unbound_validates_them(resolver: Resolver, mnemonic: str) -> None:
    response = resolver.ask(
        "x.upper.test.", RdataType.make(_number(mnemonic)).name if mnemonic[:4] != "TYPE" else mnemonic
    )
    assert response.rcode() == dns.rcode.NOERROR
    assert is_authentic(response)
