"""Mutated master files: each makes a zone or an error that names its line, within bounds of time and memory.

Most are read in this process, each three-hundredth by the program that compiles zones beside a server.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random

import msgspec

from server.hosting.compile_zone import CompileOutcome, CompileProgress, Order, Refused, Report
from tests.fuzz.findings import HANGS_AFTER, Broken, Finding, dice_of, ending
from tests.fuzz.mutations import mutated
from zones.denial import DenialMode
from zones.masterfile.load import ZoneFileError, load_zone
from zones.masterfile.warnings import ZoneWarning

KIND = "files"
BY_PROGRAM = 300
ORIGIN = "fuzz.test."
MEMORY = 3 << 30
"""Octets of address space that a process that reads them may have."""
_LINES = rb"""$TTL 3600
@ IN SOA ns1 host.master 2024010101 7200 ( 3600 ; refresh
  1209600 300 )
@ IN NS ns1
@ 1d IN NS ns2.elsewhere.test.
@ MX 10 mail
@ TXT "v=spf1 -all" "a \"quoted\" string" unquoted\032space
ns1 A 192.0.2.1
mail AAAA 2001:db8::1
*.wild TXT "any"
alias CNAME mail
old DNAME wild
sub NS ns.sub
ns.sub A 192.0.2.9
sub DS 12345 13 2 00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF
_sip._tcp SRV 0 5 5060 mail
@ CAA 0 issue "ca.invalid"
svc HTTPS 1 . alpn="h2,h3" port=443 ipv4hint=192.0.2.1
loc LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m
raw TYPE65280 \# 4 01020304
host\.with\.dots A 192.0.2.4
\000\255 TXT "\000\255"
$ORIGIN deeper
x A 192.0.2.5
$GENERATE 1-3 h$ A 192.0.2.$
ssh SSHFP 1 2 00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF
n NAPTR 10 100 "S" "SIP+D2U" "" _sip._udp
""".splitlines(keepends=True)
_TOKENS = [
    b"(",
    b")",
    b'"',
    b";",
    b"\\",
    b"\\000",
    b"\\999",
    b"@",
    b"*",
    b".",
    b"..",
    b"\0",
    b"\r",
    b"\xff",
    b"\xe2\x98\x83",
    b"\t",
    b"$TTL -1\n",
    b"$TTL 99999999999\n",
    b"$ORIGIN .\n",
    b"$ORIGIN\n",
    b"$INCLUDE other.zone\n",
    b"$INCLUDE fuzz.zone\n",
    b"$GENERATE 1-5/0 a$ A 192.0.2.$\n",
    b"$GENERATE 0-9 ${0,20,x} A 192.0.2.$\n",
    b"$GENERATE 5-1 a A 192.0.2.1\n",
    b"\\# 0",
    b"\\# 65535 00",
    b"4294967296",
    b"-1",
    b"18446744073709551616",
    b"a" * 64,
    b"a." * 130,
    b"x" * 300,
    b"CNAME",
    b"NS",
    b"SOA",
    b"RRSIG",
    b"NSEC",
    b"DNSKEY",
    b"TYPE0",
    b"TYPE65535",
    b"CLASS3",
    b"CH",
    b"1w2d3h4m5s",
    b"(" * 1000,
    b'"' * 999,
    b"\n" * 500,
]
_BOMBS = [
    b"$INCLUDE /dev/zero\n",
    b"$INCLUDE /dev/stdin\n",
    b"$INCLUDE ../../etc/passwd\n",
    b"$INCLUDE pipe\n",
    b"$GENERATE 1-2000000000 a$ A 192.0.2.1\n",
    b"$GENERATE 0-4294967295 a$ TXT " + b"x" * 200 + b"\n",
]
"""Lines that ask for more than there is."""


def text(seed: int, number: int, *, bombs: bool = True) -> bytes:
    """The octets of a case."""
    dice = dice_of(KIND, seed, number)
    lines = list(_LINES)
    for _ in range(dice.randrange(4)):
        _disarrange(lines, dice)
    if bombs and dice.random() < 0.01:
        lines.insert(dice.randrange(1, len(lines) + 1), dice.choice(_BOMBS))
    return mutated(b"".join(lines), dice, _TOKENS) if dice.random() < 0.9 else b"".join(lines)


def _disarrange(lines: list[bytes], dice: Random) -> None:
    at, other = dice.randrange(len(lines)), dice.randrange(len(lines))
    match dice.randrange(5):
        case 0:
            lines.insert(at, lines[other])
        case 1:
            del lines[at]
        case 2:
            lines[at], lines[other] = lines[other], lines[at]
        case 3:
            one, two = lines[at].split(b" "), lines[other].split(b" ")
            lines[at] = b" ".join(one[: dice.randrange(len(one) + 1)] + two[dice.randrange(len(two)) :])
        case 4:
            lines[at] = lines[at].rstrip(b"\n") + dice.choice(_TOKENS) + b"\n"


def run(seed: int, numbers: range, *, bombs: bool = True) -> list[Finding]:
    """Read all of these, and check what comes of each."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "other.zone").write_text("included A 192.0.2.77\n")
        for number in numbers:
            octets = text(seed, number, bombs=bombs)
            path = folder / "fuzz.zone"
            path.write_bytes(octets)
            try:
                with ending():
                    _by_program(path, folder) if number % BY_PROGRAM == BY_PROGRAM - 1 else _in_process(path)
            except Exception as error:
                found.append(Finding(KIND, seed, number, f"{type(error).__name__}: {error}", octets.hex()))
    return found


def within_memory() -> None:
    """Bound this process's memory, so that a file that takes all there is fails here and not on the whole machine."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _in_process(path: Path) -> None:
    warnings: list[ZoneWarning] = []
    try:
        zone = load_zone(path, ORIGIN, denial=DenialMode.NSEC, warned=warnings.extend, lenient=True)
    except ZoneFileError as error:
        _check_error(error.file, error.line, error.reason)
        return
    if not zone.nodes:
        raise Broken("a zone without names")


def _check_error(file: str, line: int, reason: str) -> None:
    if not file or line < 0 or not reason.strip():
        raise Broken(f"an error without its place or its cause: {file!r}, {line}, {reason!r}")
    if "root:" in reason:
        raise Broken("a word of another file in an error")


def _by_program(path: Path, folder: Path) -> None:
    order = Order(str(path), ORIGIN, True, DenialMode.NSEC.value, str(folder / "images"))
    (folder / "images").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "server.hosting.compile_zone"]
    done = subprocess.run(
        command, input=msgspec.json.encode(order), capture_output=True, timeout=HANGS_AFTER, check=False
    )
    outcome = _outcome(done.stdout.splitlines())
    if done.returncode or outcome is None:
        raise Broken(f"the program ended with {done.returncode}: {done.stderr[-300:].decode(errors='replace')}")
    if isinstance(outcome, Refused):
        _check_error(outcome.file, outcome.line, outcome.reason)


def _outcome(lines: Sequence[bytes]) -> CompileOutcome | None:
    reports = [msgspec.json.decode(line, type=Report) for line in lines]
    last = reports[-1] if reports else None
    return None if isinstance(last, CompileProgress) else last
