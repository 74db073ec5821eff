"""The cases of `tests/zones/masterfile/cases.txt`, as BIND, NSD, Knot and ldns have them.

Ours is the verdict and the rdata of most of them, or docs/answers.md says otherwise. Where as many say one as the
other, both are right. What a program prints of a record is read by dnspython.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.zonefile
import pytest

from tests.zones.masterfile.zone_cases import ORIGIN, Records, ZoneCase, ours, zone_cases

pytestmark = pytest.mark.interop

PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
NAME = ORIGIN.rstrip(".")
PROGRAMS: dict[str, Callable[[Path], list[str]]] = {
    "named-compilezone": lambda path: ["-q", "-i", "none", "-k", "ignore", "-s", "full", "-o", "-", NAME, str(path)],
    "nsd-checkzone": lambda path: ["-p", NAME, str(path)],
    "kzonecheck": lambda path: ["-o", NAME, str(path)],
    "ldns-read-zone": lambda path: ["-o", ORIGIN, str(path)],
}
FEWEST = 3
"""Programs that must be here for a majority."""


def asked(program: str, path: Path) -> tuple[bool, Records | None]:
    """Whether it takes the file, and the records that it prints, where these can be read."""
    found = shutil.which(program, path=PATH)
    assert found is not None
    done = subprocess.run([found, *PROGRAMS[program](path)], capture_output=True, timeout=20, check=False)
    if done.returncode != 0:
        return False, None
    return True, printed(done.stdout.decode("latin-1"))


def printed(text: str) -> Records | None:
    """The records of a zone file as a program prints it, but for SOA and NS; `None` where dnspython reads another."""
    text = "\n".join(line for line in text.splitlines() if not line.startswith(";"))
    if not text.strip():
        return None
    try:
        rrsets = dns.zonefile.read_rrsets(text, origin=ORIGIN, rdclass=None, relativize=False, default_ttl=60)
    except (dns.exception.DNSException, ValueError):
        return None
    return frozenset(
        (rrset.name.to_text().lower(), int(rrset.rdtype), rdata.to_digestable() or b"")
        for rrset in rrsets
        for rdata in rrset
        if (rrset.name.to_text(), int(rrset.rdtype)) not in {(ORIGIN, 6), (ORIGIN, 2)}
    )


@pytest.fixture(scope="module")
def programs() -> list[str]:
    found = [name for name in PROGRAMS if shutil.which(name, path=PATH)]
    if len(found) < FEWEST:
        pytest.skip(f"needs three of {', '.join(PROGRAMS)}")
    return found


def disagreement(case: ZoneCase, programs: list[str], path: Path) -> str:
    """What most of the programs say and we don't; empty where that is nothing, or in the docs."""
    path.write_bytes(case.source)
    verdict, records, _ = ours(path)
    is_taken = verdict != "refused"
    answers = {name: asked(name, path) for name in programs}
    for_it = sum(taken for taken, _ in answers.values())
    others = len(answers) - for_it
    wrong = ""
    if (for_it > others and not is_taken) or (others > for_it and is_taken):
        wrong = f"ours: {verdict}; " + ", ".join(f"{name}: {taken}" for name, (taken, _) in answers.items())
    elif is_taken:
        theirs = Counter(found for taken, found in answers.values() if taken and found is not None)
        if theirs and theirs[records] < max(theirs.values()):
            wrong = f"ours: {sorted(records)}; theirs: {[sorted(found) for found in theirs]}"
    if bool(wrong) == bool(case.differs):
        return ""
    return f"cases.txt:{case.line}: {case.text!r}: {wrong or 'no difference any more'}"


def test_most_other_programs_say_what_we_say(programs: list[str], tmp_path: Path) -> None:
    found = [disagreement(case, programs, tmp_path / "t.test.zone") for case in zone_cases()]
    assert not any(found), "\n".join(filter(None, found))
