"""`signwright export`, from a server that runs."""

from __future__ import annotations

from pathlib import Path

from tests.processes import run, serving

ZONE = """\
@ 300 SOA ns1 hostmaster 1 7200 3600 1209600 300
@ 300 NS ns1
ns1 300 A 192.0.2.1
"""


def test_a_zone_is_exported(tmp_path: Path) -> None:
    (tmp_path / "lab.example.zone").write_text(ZONE)
    (tmp_path / "bad.example.zone").write_text("no zone\n")
    with serving(tmp_path, "lab.example.zone", "bad.example.zone"):
        plain = run("export", "lab.example", cwd=tmp_path)
        assert (plain.returncode, plain.stderr) == (0, "")
        first, *lines = plain.stdout.splitlines()
        assert first.startswith("; lab.example. serial 1, exported ")
        assert [line.split("\t")[3] for line in lines] == ["SOA", "NS", "A"]

        signed = run("export", "lab.example", "--signed", "-o", "signed", cwd=tmp_path)
        assert (signed.returncode, signed.stdout, signed.stderr) == (0, "", "")
        text = (tmp_path / "signed").read_text()
        assert text.startswith("; lab.example. serial 1, signed, valid until ")
        assert text.count("\tNSEC\t") == 2

        again = run("export", "lab.example", "-o", "signed", cwd=tmp_path)
        assert (again.returncode, again.stderr) == (1, "signwright: signed: there is such a file already\n")
        bad = run("export", "bad.example", cwd=tmp_path)
        assert bad.returncode == 1
        assert bad.stderr.startswith("signwright: bad.example. is not answered now: ")
    gone = run("export", "lab.example", cwd=tmp_path)
    assert gone.returncode == 1
    assert gone.stderr.startswith("signwright: no server runs on ")
