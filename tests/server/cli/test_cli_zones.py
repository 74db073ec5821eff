"""Several zones as people see them, a parent and its children among them: a real server, and what commands print."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.processes import Serving, run, serving

ZONE = """\
@ 300 SOA ns1 hostmaster 1 7200 3600 1209600 300
@ 300 NS ns1
ns1 300 A 192.0.2.1
"""
CHILD = "child 300 NS ns1.child\nns1.child 300 A 192.0.2.1\n"
PARENT = ZONE + CHILD + "elsewhere 300 NS ns.other.example.\n"
CONFIG = """\
listen = ["127.0.0.1:0"]
metrics = "127.0.0.1:0"
[kms]
emulator = "127.0.0.1:0"
[route53]
listen = "127.0.0.1:0"
"""


def configure(folder: Path, *origins: str, unsigned: str | None = None) -> None:
    zones = "".join(
        f'[[zones]]\nfile = "{origin}.zone"\n' + ("signed = false\n" if origin == unsigned else "")
        for origin in origins
    )
    (folder / "quick.toml").write_text(CONFIG + zones)
    for origin in origins:
        file = folder / f"{origin}.zone"
        if not file.exists():
            file.write_text(PARENT if origin == "lab.example" else ZONE)


def zones(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("status", "--json", cwd=folder).stdout)["zones"]
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    configure(tmp_path, "zz.example", "child.lab.example", "lab.example", "b.zz.example")
    return tmp_path


def test_zones_stand_in_canonical_order_and_children_below_their_parents(folder: Path) -> None:
    with serving(folder) as server:
        order = ["lab.example.", "child.lab.example.", "zz.example.", "b.zz.example."]
        assert [zone["origin"] for zone in zones(folder)] == order
        assert ", ".join(order) in run("ds", "other.example", cwd=folder).stderr
        config = (folder / "state/trust/unbound.conf").read_text()
        assert [line.split('"')[1] for line in config.splitlines() if line.startswith("    name:")] == order
        assert "Traceback" not in server.log


def test_the_times_of_events_never_go_back(folder: Path) -> None:
    with serving(folder):
        events = json.loads(run("events", "lab.example", "--json", cwd=folder).stdout)
    times = [event["at"] for event in events]
    assert len(times) > 5
    assert times == sorted(times)


def test_a_reload_says_what_was_added(folder: Path) -> None:
    configure(folder, "lab.example", "bad.example")
    file = folder / "bad.example.zone"
    file.write_text("no zone\n")
    with serving(folder):
        configure(folder, "lab.example", "bad.example", "child.lab.example")
        said = run("reload", cwd=folder)
        assert (said.returncode, said.stdout.splitlines()[::2]) == (
            4,
            ["lab.example. unchanged serial 1", "child.lab.example. added serial 1"],
        )
        configure(folder, "bad.example", "child.lab.example")
        file.write_text(ZONE)
        assert run("reload", cwd=folder).stdout.splitlines() == [
            "lab.example. removed",
            "bad.example. added serial 1",
            "child.lab.example. unchanged serial 1",
        ]
        (folder / "child.lab.example.zone").write_text(ZONE.replace(" 1 ", " 2 "))
        assert run("reload", cwd=folder).stdout.splitlines()[-1] == "child.lab.example. replaced serial 2"


def metric(server: Serving, line: str) -> bool:
    url = next(told for told in server.banner if told.startswith("Metrics for Prometheus: ")).split()[-1]
    with urllib.request.urlopen(url, timeout=60) as response:
        return line in response.read().decode().splitlines()


def test_a_zone_that_the_signed_zone_above_does_not_delegate_is_a_warning(folder: Path) -> None:
    configure(folder, "lab.example", "child.lab.example", "x.lab.example", "x.elsewhere.lab.example", "y.x.lab.example")
    file = folder / "lab.example.zone"
    with serving(folder) as server:
        warned = run("status", cwd=folder)
        assert (warned.returncode, warned.stdout.split(":")[0]) == (1, "WARNING")
        assert [line for line in warned.stdout.splitlines() if "is bogus" in line] == [
            f"{below} is bogus to validators: its signed parent {above} on this server has no delegation to it; add "
            f"its NS records, with the addresses of name servers inside it, to {above} ({folder / above}zone)"
            for below, above in [("x.lab.example.", "lab.example."), ("y.x.lab.example.", "x.lab.example.")]
        ]
        above = {zone["origin"]: zone["above"] and zone["above"]["delegates"] for zone in zones(folder)}
        assert above == {
            "lab.example.": None,
            "child.lab.example.": True,
            "x.elsewhere.lab.example.": None,
            "x.lab.example.": False,
            "y.x.lab.example.": False,
        }
        assert metric(server, 'signwright_zone_level{zone="x.lab.example."} 1.0')
        assert metric(server, 'signwright_zone_level{zone="child.lab.example."} 0.0')

        file.write_text(PARENT + CHILD.replace("child", "x"))
        configure(folder, "lab.example", "x.lab.example", "y.x.lab.example", unsigned="x.lab.example")
        assert run("reload", cwd=folder).returncode == 0
        # Its DS is in the zone above now, so the setting alone does not have it served unsigned.
        assert run("dnssec", "disable", "x.lab.example", "--force", cwd=folder).returncode == 0
        well = run("status", cwd=folder)
        assert (well.returncode, well.stdout.split(":")[0]) == (0, "OK")

        file.write_text("no zone")
    with serving(folder):
        assert "bogus" not in run("status", cwd=folder).stdout  # nobody knows what the zone above delegates


def test_so_it_is_for_a_hosted_zone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "state/aws/config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "state/aws/credentials"))
    configure(folder, "lab.example")
    with serving(folder):
        # A session of its own: the default one remembers the files of its first user.
        route53 = boto3.Session().client("route53")
        assert run("status", cwd=folder).returncode == 0
        for name in ("api.lab.example", "child.lab.example", "other.example"):
            route53.create_hosted_zone(Name=name, CallerReference=name)
        warned = run("status", cwd=folder)
        assert (warned.returncode, warned.stdout.count("is bogus")) == (1, 1)
        assert warned.stdout.startswith("WARNING: validating resolvers find api.lab.example. bogus: its signed parent")
        assert "\napi.lab.example. is bogus to validators: its signed parent lab.example. on" in warned.stdout
        assert [zone["above"] and zone["above"]["by_itself"] for zone in zones(folder)] == [None, False, False, None]


def test_a_ds_comes_with_the_time_before_which_it_may_not_be_added(folder: Path) -> None:
    configure(folder, "lab.example", "child.lab.example")
    with serving(folder) as server:
        done = run("ds", "lab.example", cwd=folder)
        (record,) = done.stdout.splitlines()
        assert re.fullmatch(r"lab\.example\. 3600 IN DS \d+ 13 2 [0-9A-F]{64}", record)
        early = r"is safe to add only from 20\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ \((4m \d+|5m \d)s\)"
        assert re.fullmatch(f"signwright: the DS of ksk_1 {early}\n", done.stderr)
        start = server.banner.index("DS records for the parent zones:")
        assert server.banner[start + 1] == f"  {record}"
        assert re.fullmatch(f"    {early}", server.banner[start + 2])
        assert server.banner[start + 3 : start + 5] == [
            "  child.lab.example.: lab.example. on this server already has its DS",
            "",
        ]

        child = run("ds", "child.lab.example", cwd=folder)
        assert child.stdout.startswith("child.lab.example. 3600 IN DS ")
        assert child.stderr == "signwright: the DS of ksk_1 is already in lab.example. on this server\n"
        assert run("ksk", "create", "child.lab.example", "ksk_2", cwd=folder).returncode == 0
        assert run("ksk", "withdraw-ds", "child.lab.example", "ksk_1", "--force", cwd=folder).returncode == 0
        deadline = time.monotonic() + 60
        while len((both := run("ds", "child.lab.example", cwd=folder)).stdout.splitlines()) < 2:
            assert time.monotonic() < deadline
        first, second = sorted(both.stderr.splitlines())
        here = r"lab\.example\. on this server"
        assert re.fullmatch(rf"signwright: the DS of ksk_1 was withdrawn from {here} at 2.*Z", first)
        assert re.fullmatch(
            rf"signwright: the DS of ksk_2 will be added to {here} automatically from 2.*Z \(.*\)", second
        )

        (value,) = json.loads(run("ds", "lab.example", "--json", cwd=folder).stdout)["records"]
        assert (value["record"], value["ksk"], value["is_above"]) == (record, "ksk_1", False)
        assert value["ready"] > time.time()


def test_a_reload_for_programs(folder: Path) -> None:
    configure(folder, "lab.example")
    with serving(folder):
        (folder / "lab.example.zone").write_text("no zone")
        done = run("reload", "--json", cwd=folder)
        (zone,) = json.loads(done.stdout)["zones"]
        assert (done.returncode, zone["origin"], zone["outcome"]) == (4, "lab.example.", "refused")
