"""SIGKILL at any point of a first start: the next start ends with one KSK, one ZSK and a valid zone."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keys.custody.state_database import Store
from keys.dnssec import p256, zone_signer
from keys.dnssec.dnskey_rrset import dnskey_signing
from keys.dnssec.ds import ds_rdata, ds_text
from keys.dnssec.rrsig import key_tag
from keys.dnssec.signature_validity import Window
from keys.dnssec.signing_policy import Policy
from tests.processes import QUICK
from zones import names

MORTAL = Path(__file__).with_name("mortal.py")
ZONE = "@ 300 SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ 300 NS ns1\nns1 300 A 192.0.2.1\n"
LAB = names.from_text("lab.example")


class Mortal:
    """Servers on folders, one life after the other."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def live(self, folder: Path, kill_at: int = -1) -> tuple[int, list[str]]:
        """How a life ended, and the points it passed."""
        assert self._process.stdin is not None and self._process.stdout is not None
        folder.mkdir(exist_ok=True)
        (folder / "lab.example.zone").write_text(ZONE)
        (folder / "points").write_text("")
        print(folder, kill_at, file=self._process.stdin, flush=True)
        code = int(self._process.stdout.readline())
        assert code in (0, -signal.SIGKILL), (folder / "output").read_text()
        return code, (folder / "points").read_text().splitlines()


@pytest.fixture
def mortal() -> Iterator[Mortal]:
    env = {**QUICK, "PYTHONPATH": str(MORTAL.parents[2])}
    with subprocess.Popen(
        [sys.executable, str(MORTAL)], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Mortal(process)
        finally:
            process.kill()


def check_one_of_each(folder: Path) -> None:
    assert len(list((folder / "state" / "kms").glob("*.key"))) == 1
    with Store.open(folder / "state", bytes) as store:
        (keyring,) = store.load_keyrings().good
        (ksk,), (zone_key,) = keyring.ksks, keyring.zsks
        assert zone_signer.load_signer(store.load_zsk(LAB, zone_key.sequence)).public_key == zone_key.public_key
    keyset = keyring.keyset
    assert keyset is not None
    served = keyset.served(int(time.time()))
    assert served is not None
    assert set(served.rdatas) == {ksk.rdata, zone_key.rdata}
    assert len(keyset.signatures) == Policy().slots
    for made in keyset.signatures:
        window = Window(made.start, made.end, made.inception, made.expiration)
        prefix, data = dnskey_signing(LAB, keyset.ttl, keyset.rdatas, key_tag(ksk.rdata), window)
        assert made.rrsig.startswith(prefix)
        assert ksk.public_key is not None
        assert p256.verify(ksk.public_key, made.rrsig[len(prefix) :], data)
    told = (folder / "state" / "trust" / "lab.example.ds").read_text()
    assert ds_text(ds_rdata(LAB, ksk.rdata)) in told


def test_sigkill_at_every_commit_and_around_every_kind_of_kms_call(tmp_path: Path, mortal: Mortal) -> None:
    code, points = mortal.live(tmp_path / "whole")
    assert code == 0
    check_one_of_each(tmp_path / "whole")
    assert {"before create_key", "after create_key", "before save", "after save", "after sign"} <= set(points)
    # The fifteen Sign calls run side by side: the first and the last of them stand for all.
    signs = [number for number, name in enumerate(points) if name.endswith(" sign")]
    for kill_at in [number for number in range(len(points)) if number not in signs[1:-1]]:
        folder = tmp_path / str(kill_at)
        code, passed = mortal.live(folder, kill_at)
        assert code == -signal.SIGKILL
        assert len(passed) == kill_at + 1
        assert mortal.live(folder)[0] == 0, points[kill_at]
        check_one_of_each(folder)
        # And a start on what is fresh asks the KMS for nothing.
        code, passed = mortal.live(folder)
        assert code == 0
        assert not [name for name in passed if not name.endswith("save")]
