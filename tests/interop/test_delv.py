"""delv, with the trust anchors that the server writes, says "fully validated"."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.programs import DENIALS, QUESTIONS, Lab

pytestmark = pytest.mark.interop


@pytest.mark.parametrize(("owner", "rrtype"), QUESTIONS)
def test_what_is_there(lab: Lab, owner: str, rrtype: str) -> None:
    assert "; fully validated" in lab.delv(owner, rrtype)


@pytest.mark.parametrize(("owner", "rrtype"), DENIALS)
def test_what_is_not_there(lab: Lab, owner: str, rrtype: str) -> None:
    # At the end of an alias, delv calls the alias validated and shows the denial behind it.
    answer = lab.delv(owner, rrtype)
    assert "negative response, fully validated" in answer or ("DNAME" in answer and "; fully validated" in answer)


@pytest.mark.parametrize(("owner", "rrtype"), [("www", "A"), ("big", "TXT"), ("no-such-name", "A"), ("@", "DNSKEY")])
def test_over_tcp(lab: Lab, owner: str, rrtype: str) -> None:
    assert "fully validated" in lab.delv(owner, rrtype, "+tcp")


def test_what_is_insecure(lab: Lab) -> None:
    answer = lab.delv("www.insecure", "A")
    assert "; unsigned answer" in answer
    assert "192.0.2.200" in answer


def test_a_wrong_anchor_validates_nothing(lab: Lab, tmp_path: Path) -> None:
    anchors = (lab.trust / "anchors.delv").read_text()
    wrong = tmp_path / "anchors.delv"
    digest = anchors.split('2 "')[1][:64]
    wrong.write_text(anchors.replace(digest, "00" * 32))
    assert "fully validated" not in lab.delv("www", "A", anchors=wrong)
