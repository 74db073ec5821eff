"""The commands about keys as people run them, against a real server with its emulator, hooks and metrics."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import boto3
import pytest

from tests.processes import Serving, run, serving

ZONE = """\
@ 300 SOA ns1 hostmaster 1 7200 3600 1209600 300
@ 300 NS ns1
ns1 300 A 192.0.2.1
"""
PARENT = ZONE + "lab 300 NS ns1.lab\nplain 300 NS ns1.lab\nns1.lab 300 A 192.0.2.1\n"
CONFIG = """\
listen = ["127.0.0.1:0"]
metrics = "127.0.0.1:0"
[kms]
emulator = "127.0.0.1:0"

[route53]
listen = "127.0.0.1:0"
[hooks]
command = ["./hook"]
# A rollover in seconds.
[policy]
dnskey_ttl = 1
propagation = 1
window = 3
margin = 3600
[[zones]]
file = "lab.example.zone"
parent = "none"
[[zones]]
file = "example.zone"
[[zones]]
file = "plain.example.zone"
signed = false
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lab.example.zone").write_text(ZONE.replace("300", "1"))
    (tmp_path / "plain.example.zone").write_text(ZONE)
    (tmp_path / "example.zone").write_text(PARENT)
    (tmp_path / "quick.toml").write_text(CONFIG)
    (tmp_path / "hook").write_text("#!/bin/sh\ncat >>told\necho >>told\n")
    (tmp_path / "hook").chmod(0o755)
    return tmp_path


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def keys(folder: Path) -> dict[str, Any]:
    status = json.loads(run("status", "--json", cwd=folder).stdout)
    found: dict[str, Any] = next(zone for zone in status["zones"] if zone["origin"] == "lab.example.")["keys"]
    return found


def statuses(folder: Path) -> dict[str, str]:
    return {ksk["name"]: ksk["status"] for ksk in keys(folder)["ksks"]}


def phases(folder: Path) -> dict[int, str]:
    return {zsk["sequence"]: zsk["phase"] for zsk in keys(folder)["zsks"]}


def metrics(server: Serving) -> str:
    url = next(line for line in server.banner if line.startswith("Metrics for Prometheus: ")).split()[-1]
    with urllib.request.urlopen(url, timeout=60) as response:
        return str(response.read().decode())


def failed(folder: Path, *arguments: object) -> str:
    done = run(*arguments, cwd=folder)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.removeprefix("signwright: ").strip()


def test_a_ksk_rollover_by_double_signature(folder: Path) -> None:
    with serving(folder) as server:
        made = run("ksk", "create", "lab.example", "ksk_new", cwd=folder)
        assert made.returncode == 0, made.stderr
        # The parent is served here: it takes up the DS as soon as every cache knows the KSK.
        about_ds = (
            r"(is already in example\. on this server|will be added to example\. on this server automatically from "
            r".*Z \(.*s\))"
        )
        assert re.fullmatch(rf"ksk_new of lab\.example\. is ACTIVE(; its DS {about_ds})?\n", made.stdout)
        assert failed(folder, "ksk", "create", "lab.example", "ksk_new").startswith("KeySigningKeyAlreadyExists: ")
        assert failed(folder, "ksk", "create", "lab.example", "a third").startswith("InvalidKeySigningKeyName: ")
        assert failed(folder, "ksk", "create", "lab.example", "third").startswith("TooManyKeySigningKeys: ")
        assert len(run("ds", "lab.example", cwd=folder).stdout.splitlines()) == 2

        listed = run("ksk", "list", "LAB.example.", cwd=folder).stdout.splitlines()
        words = [line.split()[0] for line in listed]
        assert words[:7] == ["ksk_1", "ARN", "DS", "the", "ksk_new", "ARN", "DS"]
        assert words[7:] in (["safe"], ["the"])  # the parent has its DS, once every cache has the KSK
        assert all(re.fullmatch(r"ksk_\w+ ACTIVE since .*Z, key tag \d+", line) for line in listed[::4])
        assert all(re.fullmatch(r"  ARN  arn:aws:kms:\S+", line) for line in listed[1::4])
        assert all(re.fullmatch(r"  DS   \d+ 13 2 [0-9A-F]{64}", line) for line in listed[2::4])
        values = json.loads(run("ksk", "list", "lab.example", "--json", cwd=folder).stdout)
        assert [(value["name"], f"  DS   {value['ds']}") for value in values] == [
            ("ksk_1", listed[2]),
            ("ksk_new", listed[6]),
        ]

        text = failed(folder, "ksk", "delete", "lab.example", "ksk_1")
        assert text.startswith("InvalidKeySigningKeyStatus: Key Signing Key with name ksk_1 cannot be deleted")
        wait_until(lambda: keys(folder)["ksks"][1]["ready"] <= time.time())
        away = run("ksk", "deactivate", "lab.example", "ksk_1", cwd=folder)
        assert away.stdout == "ksk_1 of lab.example. is INACTIVE\n"
        assert re.fullmatch(r"signwright: the parent was not checked, because none is known .*\n", away.stderr)
        assert failed(folder, "ksk", "deactivate", "lab.example", "ksk_new").startswith("KeySigningKeyInUse: ")
        back = run("ksk", "activate", "lab.example", "ksk_1", cwd=folder).stdout
        assert re.fullmatch(rf"ksk_1 of lab\.example\. is ACTIVE(; its DS {about_ds})?\n", back)
        run("ksk", "deactivate", "lab.example", "ksk_1", cwd=folder)
        gone = run("ksk", "delete", "lab.example", "ksk_1", "--force", cwd=folder)
        assert gone.returncode == 0, gone.stderr
        assert "the parent was not checked, because of --force" in gone.stderr
        wait_until(lambda: statuses(folder) == {"ksk_new": "ACTIVE"})
        assert failed(folder, "ksk", "activate", "lab.example", "ksk_1").startswith("NoSuchKeySigningKey: ")

        told = [json.loads(line) for line in (folder / "told").read_text().splitlines()]
        wanted = {("ksk_1", "ACTIVE", "INACTIVE"), ("ksk_new", "NONE", "ACTIVE")}
        assert wanted <= {(change["ksk"], change["before"], change["after"]) for change in told}
        assert "Traceback" not in server.log


def test_zsk_rollovers_are_planned_done_logged_drawn_and_measured(folder: Path) -> None:
    with serving(folder) as server:
        planned = json.loads(run("plan", "lab.example", "--json", "--until", "20d", cwd=folder).stdout)
        assert [entry["action"] for entry in planned].count("GenerateZsk") == 1
        assert [entry["at"] for entry in planned] == sorted(entry["at"] for entry in planned)
        assert re.search(
            r"sign DNSKEY RRset +regular refresh \(×\d+", run("plan", "lab.example", "--detail", cwd=folder).stdout
        )
        rows = run("plan", "lab.example", cwd=folder).stdout
        assert re.search(r"^ZSK 2: published \d+ \w+ [\d :]+, signs (from )?[\w :]+, ZSK 1 leaves ", rows, re.MULTILINE)
        assert rows.endswith("\nTimes are UTC; --detail lists every step.\n")

        begun = run("rollover", "lab.example", cwd=folder)
        assert begun.returncode == 0, begun.stderr
        assert begun.stdout.startswith("lab.example. is signing\nlab.example. rollover: ")
        wait_until(lambda: phases(folder) == {1: "removed", 2: "active"})
        lost = run("rollover", "lab.example", "--emergency", cwd=folder)
        assert "rollover: emergency" in lost.stdout

        events = json.loads(run("events", "lab.example", "--json", cwd=folder).stdout)
        kinds = [event["kind"] for event in events]
        for kind in ("KskCreated", "ZskGenerated", "KeysetSigned", "RolloverRequested", "ZskActivated", "ZskLost"):
            assert kind in kinds
        signed = next(event for event in events if event["kind"] == "KeysetSigned")
        assert len(signed["request_ids"]) == 15
        assert "new ZSK signs" in run("events", "lab.example", "--since", "1h", "--detail", cwd=folder).stdout
        assert re.search(
            r"^ZSK 2: published .*signs from ", run("events", "lab.example", cwd=folder).stdout, re.MULTILINE
        )

        lines = run("timeline", "lab.example", "--until", "3d", cwd=folder).stdout.splitlines()
        assert lines[0].startswith("Keys of lab.example. ")
        assert {"KSK", "ZSK"} <= {line[:3] for line in lines}
        assert all(len(line) <= 80 and "\x1b" not in line for line in lines)
        rows = json.loads(run("timeline", "lab.example", "--json", cwd=folder).stdout)["rows"]
        assert [row["name"] for row in rows][:3] == ["KSK ksk_1", "ZSK 1", "ZSK 2"]
        both = run("timeline", "lab.example", "--json", "--svg", "-", cwd=folder)
        assert (both.returncode, both.stdout) == (2, "")

        picture = run("timeline", "lab.example", "--svg", "keys.svg", "--until", "3d", cwd=folder)
        assert picture.returncode == 0, picture.stderr
        assert re.fullmatch(r"keys\.svg: \d+ keys of lab\.example\.\n", picture.stdout)
        assert ElementTree.parse(folder / "keys.svg").getroot().tag.endswith("svg")
        piped = run("timeline", "lab.example", "--svg", "-", cwd=folder)
        assert ElementTree.fromstring(piped.stdout).tag.endswith("svg")
        assert not (folder / "-").exists()

        assert server.serial("lab.example") == 1
        text = metrics(server)
        refreshes = re.search(r'signwright_refreshes_total\{hosted_zone="Z\w{20}",zone="lab.example."\} (\d+)\.0', text)
        assert refreshes is not None and int(refreshes[1]) >= 3
        assert 'signwright_kms_calls_total{operation="Sign",result="ok"}' in text
        assert 'signwright_queries_total{rcode="NOERROR",transport="udp"} 1.0' in text
        assert "Traceback" not in server.log


def test_signing_is_disabled_and_enabled(folder: Path) -> None:
    with serving(folder) as server:
        off = run("dnssec", "disable", "lab.example", cwd=folder)
        assert (off.returncode, off.stdout) == (0, "lab.example. is unsigned\n")
        assert "the parent was not checked" in off.stderr
        assert failed(folder, "ds", "lab.example") == "signing of lab.example. is disabled, so it has no DS record"
        assert failed(folder, "dnssec", "disable", "lab.example").startswith("DNSSECNotFound: ")
        assert run("status", cwd=folder).returncode == 0
        on = run("dnssec", "enable", "lab.example", cwd=folder)
        assert (on.returncode, on.stdout) == (0, "lab.example. is signing\n"), on.stderr
        assert failed(folder, "trust-clock", "lab.example") == "InvalidSigningStatus: Nothing is wrong with the clock."
        trusted = run("trust-clock", cwd=folder)
        assert (trusted.returncode, trusted.stdout) == (0, "The clock was accepted already; no keys are frozen\n"), (
            trusted.stderr
        )
        text = failed(folder, "dnssec", "enable", "plain.example")
        assert text == "NotSigned: plain.example. has no keys: the setting signed is false"
        assert "other.example. is not served here" in failed(folder, "plan", "other.example")
        assert "Traceback" not in server.log


def test_the_parent_is_asked_and_another_one_after_a_reload(folder: Path) -> None:
    config = folder / "quick.toml"
    with serving(folder) as server:
        assert run("ksk", "create", "lab.example", "ksk_new", cwd=folder).returncode == 0
        # The parent is served here, so it has the DS records of the KSKs by itself.
        wait_until(lambda: len(run("ds", "lab.example", cwd=folder).stdout.splitlines()) == 2)
        config.write_text(CONFIG.replace('"none"', '"local"'))
        assert "lab.example. replaced serial 1" in run("reload", cwd=folder).stdout.splitlines()
        text = failed(folder, "ksk", "deactivate", "lab.example", "ksk_1")
        assert text.startswith("KeySigningKeyInParentDSRecord: The parent's DS record names Key Signing Key")
        config.write_text(CONFIG.replace('"none"', f'"{server.address}"'))
        run("reload", cwd=folder)
        assert failed(folder, "dnssec", "disable", "lab.example").startswith("KeySigningKeyInParentDSRecord: The par")
        config.write_text(CONFIG.replace('"none"', '"127.0.0.1:1"'))
        run("reload", cwd=folder)
        text = failed(folder, "ksk", "deactivate", "lab.example", "ksk_1")
        assert text.startswith("ServiceUnavailable: The DS record can't be looked up at the parent: query to 127.0")
        assert server.serial("lab.example") == 1
        assert run("ksk", "deactivate", "lab.example", "ksk_1", "--force", cwd=folder).returncode == 0
        assert "Traceback" not in server.log


def test_without_the_setting_a_parent_that_is_served_here_is_asked(folder: Path) -> None:
    # No DS names the new KSK before every cache knows it, in an hour.
    config = CONFIG.replace('parent = "none"\n', "").replace("dnskey_ttl = 1\n", "dnskey_ttl = 3600\n")
    (folder / "quick.toml").write_text(config)
    with serving(folder) as server:
        run("ksk", "create", "lab.example", "ksk_new", cwd=folder)
        for command in ("dnssec disable lab.example", "ksk deactivate lab.example ksk_1"):
            text = failed(folder, *command.split())
            assert text.startswith("KeySigningKeyInParentDSRecord: The parent's DS record names Key Signing Key"), text
        assert failed(folder, "ksk", "withdraw-ds", "lab.example", "ksk_1").endswith(
            "withdraw-ds lab.example. ksk_1 --force"
        )
        told = run("ksk", "withdraw-ds", "lab.example", "ksk_1", "--force", cwd=folder).stdout
        assert re.fullmatch(
            r"The DS of ksk_1 of lab\.example\. has been removed from example\.; the KSK may be removed "
            r"from 20.*Z \(5m .*\)\n",
            told,
        )
        text = failed(folder, "ksk", "deactivate", "lab.example", "ksk_1")
        assert "caches may hold it until" in text
        # The parent itself has none here.
        told = run("ksk", "withdraw-ds", "example", "ksk_1", cwd=folder).stdout
        assert told.startswith(
            "The DS of ksk_1 of example. is not managed here, because this server has no signed parent"
        )
        off = run("dnssec", "disable", "example", cwd=folder)
        assert off.stdout == "example. is unsigned\n"
        assert off.stderr.startswith("signwright: the parent was not checked, because none is known")
        assert "Traceback" not in server.log


def test_what_the_kms_does_not_do_is_said_to_be_still_to_come(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "state/aws/config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "state/aws/credentials"))
    (folder / "quick.toml").write_text(CONFIG.replace("dnskey_ttl = 1\n", "dnskey_ttl = 3600\n"))
    with serving(folder) as server:
        kms = boto3.Session().client("kms")
        arn = keys(folder)["ksks"][0]["arn"]
        kms.disable_key(KeyId=arn)
        made = run("ksk", "create", "lab.example", "ksk_new", cwd=folder)
        assert made.returncode == 0, made.stderr
        assert re.fullmatch(
            r"Accepted, not finished: ksk_new of lab\.example\. is not in the DNSKEY RRset yet: "
            r"(the DNSKEY RRset cannot change while ksk_1 can't sign|Sign: DisabledException: .*)\n",
            made.stdout,
        )
        kms.enable_key(KeyId=arn)
        mended = run("ksk", "activate", "lab.example", "ksk_1", cwd=folder).stdout
        assert re.fullmatch(
            r"ksk_1 of lab\.example\. is ACTIVE(; its DS is already in example\. on this server)?\n", mended
        )
        wait_until(lambda: keys(folder)["ksks"][1]["ready"] is not None)
        # No cache knows it yet.
        text = failed(folder, "ksk", "deactivate", "lab.example", "ksk_1")
        assert text.startswith(
            "KeySigningKeyInUse: Key Signing Key with name ksk_1 cannot be deactivated: no other one"
        )
        assert text.endswith(": signwright ksk deactivate lab.example. ksk_1 --force")
        assert run("ksk", "deactivate", "lab.example", "ksk_new", cwd=folder).stdout.endswith(" is INACTIVE\n")
        assert "Traceback" not in server.log


def test_a_lost_ksk_is_replaced_as_the_manual_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "state/aws/config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "state/aws/credentials"))
    with serving(folder) as server:
        old = run("ds", "lab.example", cwd=folder).stdout
        # A session of its own: the default one remembers the files of its first user.
        boto3.Session().client("kms").disable_key(KeyId=keys(folder)["ksks"][0]["arn"])
        assert run("ksk", "create", "lab.example", "ksk_new", cwd=folder).returncode == 0
        wait_until(lambda: statuses(folder) == {"ksk_1": "ACTION_NEEDED", "ksk_new": "ACTIVE"})
        warned = run("status", cwd=folder)
        assert (warned.returncode, warned.stdout.split(":")[0]) == (1, "WARNING")
        assert re.search(
            r"ksk_1 ACTION_NEEDED: Sign: DisabledException: .* then run: signwright ksk activate", warned.stdout
        )
        ahead = run("plan", "lab.example", cwd=folder).stdout
        assert re.search(r"rotation has been suspended since .* because of ksk_1; safe until 20", ahead)
        assert "dnssec_key_signing_keys_needing_action" in metrics(server)
        wait_until(lambda: keys(folder)["ksks"][1]["ds"] is not None)
        assert run("ds", "lab.example", cwd=folder).stdout == old  # the DNSKEY RRset can't change
        replaced = run("ksk", "deactivate", "lab.example", "ksk_1", "--force", cwd=folder)
        assert replaced.returncode == 0, replaced.stderr
        wait_until(lambda: keys(folder)["ksks"][1]["ds"] in run("ds", "lab.example", cwd=folder).stdout)
        assert run("ksk", "delete", "lab.example", "ksk_1", cwd=folder).returncode == 0
        wait_until(lambda: statuses(folder) == {"ksk_new": "ACTIVE"})
        assert run("status", cwd=folder).returncode == 0
        assert server.serial("lab.example") == 1
        told = [json.loads(line) for line in (folder / "told").read_text().splitlines()]
        (needed,) = [change for change in told if change["after"] == "ACTION_NEEDED"]
        assert needed["text"].startswith("lab.example. ksk_1 is ACTION_NEEDED (was ACTIVE): Sign: DisabledException: ")
        assert "Traceback" not in server.log


@pytest.mark.parametrize("text", ["", "soon", "-1d"])
def test_what_is_no_duration(folder: Path, text: str) -> None:
    done = run("plan", "lab.example", f"--until={text}", cwd=folder)
    assert done.returncode == 2
    assert "is not a valid duration" in done.stderr
