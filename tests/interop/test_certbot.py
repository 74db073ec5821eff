"""certbot, as it comes: --dns-route53 proves a name and its wildcard to an authority that believes delv alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cryptography import x509

from tests.interop.authority import issuing
from tests.interop.operator import Operator, until
from tests.interop.tools import SERVER, documented, paste
from tests.processes import serving

pytestmark = pytest.mark.interop

OWNER = "_acme-challenge.shop.test."


def certbot(folder: Path, server: str) -> None:
    """Run the documented commands; certbot's own settings name the authority and keep its files in `folder`."""
    settings = folder / "letsencrypt" / "cli.ini"
    settings.parent.mkdir()
    answers = [f"server = {server}/directory", "agree-tos = true", "register-unsafely-without-email = true"]
    kept = [f"{name}-dir = {folder / name}" for name in ("config", "work", "logs")]
    settings.write_text("\n".join([*answers, *kept, "non-interactive = true", ""]))
    paste(documented("certbot", "sh"), folder, ".env-certbot", XDG_CONFIG_HOME=str(folder))


def strings(operator: Operator, owner: str) -> set[str]:
    """The strings of the TXT RRset there, if delv says that it is valid."""
    answer = operator.lab.delv(owner, "TXT", root="shop.test")
    return set(re.findall(r'\sTXT\s+"([^"]*)"', answer)) if "; fully validated" in answer else set()


def test_a_name_and_its_wildcard_are_proved_at_once(tmp_path: Path) -> None:
    (tmp_path / "quick.toml").write_text(SERVER + documented("Tools", "toml"))
    with serving(tmp_path) as server:
        operator = Operator(tmp_path, server)
        zone = operator.zone("shop.test.", www="192.0.2.1")
        operator.sign(zone)
        until(lambda: operator.is_valid("www.shop.test.", "A", "shop.test"))

        with issuing(lambda owner: strings(operator, owner)) as authority:
            certbot(tmp_path, authority.url)

        # Both challenges were there each time that it looked: two strings in one RRset.
        (first, second) = authority.seen
        assert first == second
        assert first[0] == OWNER
        assert len(first[1]) == 2
        certificate = tmp_path / "config" / "live" / "shop.test" / "cert.pem"
        names = x509.load_pem_x509_certificate(certificate.read_bytes()).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
        assert sorted(names.value.get_values_for_type(x509.DNSName)) == ["*.shop.test", "shop.test"]

        assert "negative response, fully validated" in operator.lab.delv(OWNER, "TXT", root="shop.test")
        listed = operator.route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
        assert {record_set["Type"] for record_set in listed} == {"NS", "SOA", "A"}
        operator.close()
