"""`signwright chain`, from a server that runs: parent and child, and a zone whose parent nobody asks."""

from __future__ import annotations

import json
from pathlib import Path

from tests.processes import run, serving

ZONE = """\
@ 300 SOA ns1 hostmaster 1 7200 3600 1209600 300
@ 300 NS ns1
ns1 300 A 192.0.2.1
"""


def test_the_chain_of_an_answer(tmp_path: Path) -> None:
    (tmp_path / "lab.example.zone").write_text(ZONE)
    (tmp_path / "sub.lab.example.zone").write_text(ZONE)
    with serving(tmp_path, "lab.example.zone"):
        top = run("chain", "lab.example", cwd=tmp_path)
        assert (top.returncode, top.stderr) == (0, "")
        first, second, *_ = top.stdout.splitlines()
        assert first.startswith("ns1.lab.example. A: unknown, lab.example. DS: the parent's DS is not known here")
        assert second.startswith("  DS lab.example. DS: unknown, ")
        assert "  answer ns1.lab.example. A: valid, signed by key " in top.stdout

        value = json.loads(run("chain", "lab.example", "no.lab.example", "MX", "--json", cwd=tmp_path).stdout)
        assert (value["name"], value["type"]) == ("no.lab.example.", "MX")
        assert [(link["kind"], link["verdict"]) for link in value["links"]][1:] == [
            ("DNSKEY", "valid"),
            ("denial", "valid"),
            ("denial", "valid"),
        ]
        for arguments, message in (
            (("www.other.example",), "www.other.example A: www.other.example A is in no zone here: give a name of"),
            (("a..b",), "a..b A: A DNS label is empty."),
            (("ns1.lab.example", "AX"), "ns1.lab.example AX: DNS resource record type is unknown."),
        ):
            wrong = run("chain", "lab.example", *arguments, cwd=tmp_path)
            assert wrong.returncode == 1
            assert wrong.stderr.startswith(f"signwright: {message}"), wrong.stderr
