"""The command line as people run it: real processes, what they print, how they end."""

from __future__ import annotations

import json
import re
import signal
import stat
import time
from pathlib import Path

import msgspec
import pytest
import trio

from keys.timekeeping.system_clocks import synchronised
from server import app
from server.cli import COMMANDS
from server.control.running_server import RunningServer
from server.control.server_operations import RequestOutcome
from server.net.addresses import Address
from server.net.listen import bind
from server.settings.configuration import ConfigError, load_config, samples
from tests.processes import QUICK, ready, run, runs, serving
from tests.warm import Process

ZONE = """\
@ 300 SOA ns1 hostmaster 1 7200 3600 1209600 300
@ 300 NS ns1
ns1 300 A 192.0.2.1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lab.example.zone").write_text(ZONE)
    return tmp_path


def test_the_life_of_a_server(folder: Path) -> None:
    with serving(folder, "lab.example.zone") as server:
        assert server.banner[0].startswith("Signwright ")
        assert server.banner[-1].startswith("Ready: 1 zone on 127.0.0.1:")
        assert server.serial("lab.example") == 1

        where = json.loads((folder / "state/server.json").read_text())
        assert where["dns"] == [str(server.address)]
        assert where["pid"] == server.process.pid
        assert where["kms"].startswith("http://127.0.0.1:")
        assert where["route53"].startswith("http://127.0.0.1:")
        assert (where["cloudwatch"], where["page"]) == (None, None)

        told = run("status", cwd=folder)
        assert (told.returncode, told.stdout.split(":")[0], told.stderr) == (0, "OK", "")
        assert told.stdout.startswith("OK: nothing to do\n1 zone on 127.0.0.1:")
        of_zone = run("status", "lab.example", cwd=folder)
        assert (of_zone.returncode, of_zone.stdout.splitlines()[0]) == (0, "OK: nothing to do")
        # Monitoring takes 2 for CRITICAL, so wrong usage is 3.
        for wrong in (("other.example",), ("--nonsense",)):
            assert run("status", *wrong, cwd=folder).returncode == 3
        value = json.loads(run("status", "--json", cwd=folder).stdout)
        assert value["todo"] == []
        assert value["clock_synchronised"] == synchronised()
        assert value["zones"][0]["parent_ds"]["state"] == "unwatched"
        assert (value["level"], value["zones"][0]["origin"]) == ("ok", "lab.example.")
        assert value["zones"][0]["keys"]["ksks"][0]["arn"].startswith("arn:aws:kms:")

        ds = run("ds", "lab.example", cwd=folder)
        assert ds.returncode == 0
        assert ds.stdout == (folder / "state/trust/lab.example.ds").read_text()
        assert ds.stdout.strip() in [line.strip() for line in server.banner]
        for elsewhere in ("other.example", "no..name"):
            other = run("ds", elsewhere, cwd=folder)
            assert (other.returncode, other.stderr) == (
                1,
                f"signwright: {elsewhere}. is not served here; served: lab.example.\n",
            )

        # A second one learns who holds the state, and who the address.
        second = run("serve", "--config", "quick.toml", "lab.example.zone", cwd=folder)
        assert second.returncode == 6
        assert f"is in use by process {server.process.pid}: " in second.stderr
        third = run("serve", "lab.example.zone", "--state", "other", "--listen", server.address, cwd=folder)
        assert third.returncode == 3
        assert third.stderr.startswith(f"signwright: UDP {server.address} is in use by another process: ")

        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0

    gone = run("status", cwd=folder)
    assert gone.returncode == 2
    assert gone.stdout.startswith("CRITICAL: no server runs on ")
    assert gone.stdout.endswith("; start it again as it was started, with its zones (lab.example)\n")
    fresh = run("status", "--state", "fresh", cwd=folder)
    assert fresh.stdout.endswith(f"; start one with: signwright serve --state {folder}/fresh\n")
    assert json.loads(run("status", "--json", cwd=folder).stdout)["level"] == "critical"
    assert "Traceback" not in server.log


def test_reload_by_command_and_by_signal(folder: Path) -> None:
    file = folder / "lab.example.zone"
    with serving(folder, "lab.example.zone") as server:
        assert run("reload", cwd=folder).stdout == "lab.example. unchanged serial 1\n"

        file.write_text(ZONE.replace("hostmaster 1 ", "hostmaster 2 "))
        assert run("reload", cwd=folder).stdout == "lab.example. replaced serial 2\n"
        assert server.serial("lab.example") == 2

        file.write_text(ZONE + "www 300 A 192.0.2.300\n")
        refused = run("reload", cwd=folder)
        assert refused.returncode == 4
        assert refused.stdout.startswith(f"lab.example. refused serial 2: {file}:4: ")
        assert server.serial("lab.example") == 2
        warned = run("status", cwd=folder)
        assert (warned.returncode, warned.stdout.split(":")[0]) == (1, "WARNING")
        assert f"file refused: {file}:4: " in warned.stdout
        options = ("--state", str(folder / "state"))
        assert run("status", *options, cwd=folder).stdout.splitlines()[1] == f"  signwright reload {' '.join(options)}"

        file.write_text(ZONE.replace("hostmaster 1 ", "hostmaster 3 "))
        server.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 60
        while server.serial("lab.example") != 3:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        file.write_text(ZONE.replace("hostmaster 1 ", "hostmaster 4 "))
        quick = folder / "quick.toml"
        quick.write_text(quick.read_text().replace("127.0.0.1:0", "127.0.0.2:0", 1) + "[tcp]\nidle = 3\n")
        changed = run("reload", cwd=folder)
        assert (changed.returncode, changed.stdout) == (
            0,
            "lab.example. replaced serial 4\nlisten: changed, needs a restart\ntcp.idle: changed, needs a restart\n",
        )
        file.write_text(ZONE.replace("hostmaster 1 ", "hostmaster 4 ") + "@ 300 CDS 0 0 0 00\n")
        for _ in range(2):  # the log has it once
            lines = run("reload", cwd=folder).stdout.splitlines()
            assert lines[0] == "lab.example. unchanged serial 4"
            assert lines[1].startswith(f"  warning: {file}:4: lab.example. CDS: left out")
        assert server.log.count("zone warning") == 1
        assert "settings have changed that take a restart" in server.log
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(60) == 0


def test_an_address_that_the_host_does_not_have_yet_keeps_no_server_from_starting(folder: Path) -> None:
    (folder / "quick.toml").write_text(
        'listen = ["127.0.0.1:0", "192.0.2.1:0"]\n[kms]\nemulator = "127.0.0.1:0"\n[route53]\nlisten = false\n'
    )
    with serving(folder, "lab.example.zone") as server:
        assert server.serial("lab.example") == 1
        server.wait_for("no interface of this host has it")
        warned = run("status", cwd=folder)
        assert warned.returncode == 1
        assert "address 192.0.2.1:" in warned.stdout


def test_backup_and_restore_with_and_without_a_server(folder: Path) -> None:
    (folder / "parts").mkdir()
    (folder / "parts/www").write_text("www 300 A 192.0.2.80\n")
    (folder / "lab.example.zone").write_text(f"{ZONE}$INCLUDE parts/www\n")
    trust = folder / "state/trust/lab.example.ds"
    with serving(folder, "lab.example.zone") as server:
        first = trust.read_text()
        done = run("backup", "b.tar.gz", cwd=folder)
        assert done.returncode == 0, done.stderr
        assert stat.S_IMODE((folder / "b.tar.gz").stat().st_mode) == 0o600
        nowhere = run("backup", "none/b.tar.gz", cwd=folder)
        assert nowhere.stderr == "signwright: none/b.tar.gz: folder none does not exist; create it\n"
        again = run("backup", "b.tar.gz", cwd=folder)
        assert (again.returncode, again.stderr) == (1, "signwright: b.tar.gz: there is such a file already\n")
        server.process.terminate()
        server.process.wait(60)

    fresh = folder / "fresh"
    (folder / "lab.example.zone").write_text(ZONE)
    (folder / "parts/www").unlink()
    (folder / "parts").rmdir()
    with serving(folder, "lab.example.zone", "--state", fresh) as server:
        pid = server.process.pid
        assert (fresh / "trust/lab.example.ds").read_text() != first
        restored = run("restore", "b.tar.gz", "--state", fresh, cwd=folder)
        assert restored.returncode == 0, restored.stderr
        assert f"was saved in {fresh}/before-restore-" in restored.stdout
        beside = f"{fresh}/restored{folder}"
        assert restored.stdout.splitlines()[1:] == [  # quick.toml is as it was
            f"The configuration and zone files of the backup are in {fresh}/restored. To put back those that differ:",
            f"  cp {beside}/lab.example.zone {folder}/lab.example.zone",
            f"  mkdir -p {folder}/parts",
            f"  cp {beside}/parts/www {folder}/parts/www",
        ]
        assert Path(beside, "lab.example.zone").read_text() == f"{ZONE}$INCLUDE parts/www\n"
        assert ready(server.process)[-1].startswith("Ready: 1 zone")
        assert (fresh / "trust/lab.example.ds").read_text() == first
        assert json.loads(run("status", "--json", "--state", fresh, cwd=folder).stdout)["pid"] == pid
        assert server.log.count("KskCreated") == 1  # the restored state has its key

    offline = run("restore", "b.tar.gz", "--state", "other", cwd=folder)
    assert offline.returncode == 0, offline.stderr
    assert offline.stdout.splitlines()[0] == "Restored from b.tar.gz."  # nothing was there before
    with serving(folder, "lab.example.zone", "--state", "other") as server:
        assert (folder / "other/trust/lab.example.ds").read_text() == first
        assert "KskCreated" not in server.log
    bare = run("backup", "c.tar.gz", "--state", "other", cwd=folder)  # without a server
    assert (bare.returncode, "without --config, the backup has no configuration" in bare.stderr) == (0, True)
    whole = run("backup", "f.tar.gz", "--config", "quick.toml", "--state", "other", cwd=folder)
    assert (whole.returncode, whole.stderr) == (0, "")

    (folder / "d.tar.gz").write_bytes((folder / "b.tar.gz").read_bytes()[:2000])
    torn = run("restore", "d.tar.gz", "--state", "other", cwd=folder)
    assert torn.returncode == 6
    assert torn.stderr.startswith("signwright: d.tar.gz: not a complete Signwright backup: ")
    none = run("backup", "e.tar.gz", "--state", "nowhere", cwd=folder)
    assert (none.returncode, (folder / "nowhere").exists()) == (6, False)


def test_a_killed_server_is_followed_by_the_next(folder: Path) -> None:
    with serving(folder, "lab.example.zone") as server:
        server.process.kill()
        server.process.wait(60)
    with serving(folder, "lab.example.zone") as server:
        assert server.serial("lab.example") == 1
        assert "KskCreated" not in server.log


def test_the_samples_do_not_take_the_place_of_zones_that_were_named(folder: Path) -> None:
    """`signwright serve` without a zone, on the state of a server that has some."""
    (folder / "own.example.zone").write_text(ZONE)
    with serving(folder, "own.example.zone"):
        pass
    named = load_config(folder / "quick.toml", zone_arguments=[str(folder / "own.example.zone")])
    unnamed = msgspec.structs.replace(named, zones=tuple(samples()), samples=True)
    seen: list[str] = []

    def stop(running: RunningServer) -> None:
        seen.extend(running.origins())
        running.end(RequestOutcome.STOPPED)

    with pytest.raises(ConfigError, match=r"no zone is given, but \S+/state has the keys of own\.example\.: give the"):
        trio.run(app.run, unnamed, lambda: unnamed, stop)
    assert seen == []
    fresh = msgspec.structs.replace(unnamed, state=folder / "fresh")
    for _ in "once", "again":
        trio.run(app.run, fresh, lambda: fresh, stop)
    assert seen == ["lab.example.", "child.lab.example.", "insecure.lab.example."] * 2


def test_how_a_start_fails(folder: Path) -> None:
    (folder / "bad.zone").write_text("@ 300 SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ 300 NS\n")
    (folder / "unknown.toml").write_text('[[zones]]\nfile = "lab.example.zone"\ndenail = "nsec"\n')
    (folder / "empty.toml").write_text("[route53]\nlisten = false\n")
    (folder / "newer").mkdir()
    (folder / "newer" / "version").write_text("signwright state 9\n")
    (folder / "quick.toml").write_text(
        'listen = ["127.0.0.1:0"]\n[kms]\nemulator = "127.0.0.1:0"\n[route53]\nlisten = "127.0.0.1:0"\n'
    )
    quick = ["serve", "--config", "quick.toml"]
    address, over_udp, taken = bind(Address("127.0.0.1", 0))
    over_udp.close()  # free, so that TCP is reported as in use
    with taken:
        port = address.port
        (folder / "taken.toml").write_text(
            f'listen = ["127.0.0.1:0"]\n[route53]\nlisten = "127.0.0.1:{port}"\n[[zones]]\nfile = "lab.example.zone"\n'
        )
        (folder / "tls.toml").write_text(
            (folder / "quick.toml").read_text() + 'tls_certificate = "quick.toml"\ntls_key = "quick.toml"\n'
        )
        cases: list[tuple[list[object], int, str]] = [
            ([*quick, "bad.zone"], 4, f"signwright: {folder}/bad.zone:2: "),
            ([*quick, "none.zone"], 4, "signwright: zone file none.zone does not exist"),
            (["serve", "--config", "unknown.toml"], 5, "signwright: unknown.toml:3: zones[0].denail: unknown setting"),
            (["serve", "--config", "empty.toml"], 7, "signwright: no zone is configured: "),
            (
                ["serve", "--config", "taken.toml"],
                3,
                f"{port} is in use by another process: end it, or listen elsewhere",
            ),
            (["serve", "--config", "tls.toml", "--state", "other"], 5, "signwright: route53.tls_certificate: "),
            ([*quick, "lab.example.zone", "--state", "newer"], 6, "has state version 9"),
            ([*quick, "lab.example.zone", "--state", "."], 6, "is not a state directory: it contains other files"),
            ([*quick, "lab.example.zone", "--listen", f"127.0.0.1:{port}"], 3, f"TCP 127.0.0.1:{port} is in use"),
            ([*quick, "--no-such"], 2, "No such option"),
            (["ds", "lab.example"], 1, "nothing listens on"),
            (["reload", "--state", "x" * 120], 6, "the path of a Unix socket is limited to 107"),
        ]
        for arguments, code, message in cases:
            done = run(*arguments, cwd=folder)
            assert (done.returncode, done.stdout) == (code, ""), (arguments, done.stderr)
            assert message in done.stderr, (arguments, done.stderr)
            assert "Traceback" not in done.stderr


def test_a_zone_that_is_wrong_does_not_keep_others_from_being_served(folder: Path) -> None:
    (folder / "bad.example.zone").write_text("nonsense")
    with serving(folder, "lab.example.zone", "bad.example.zone") as server:
        assert server.banner[-1].startswith("Ready: 1 of 2 zones")
        assert server.serial("lab.example") == 1
        assert run("status", cwd=folder).returncode == 2


def test_check(folder: Path) -> None:
    (folder / "bad.zone").write_text(ZONE + "ns1 300 CNAME www\n")
    ports = 'listen = ["127.0.0.1:0"]\n[kms]\nemulator = "127.0.0.1:0"\n[route53]\nlisten = "127.0.0.1:0"\n'
    (folder / "s.toml").write_text(ports + '[[zones]]\nfile = "lab.example.zone"\n[[zones]]\nfile = "bad.zone"\n')
    (folder / "wrong.toml").write_text("[tcp]\nidel = 3\n")
    good = run("check", "lab.example.zone", cwd=folder)
    assert (good.returncode, good.stdout) == (
        0,
        f"{folder}/lab.example.zone: lab.example. serial 1, 2 names, 3 RRsets\n",
    )
    bad = run("check", "lab.example.zone", "s.toml", cwd=folder)
    assert bad.returncode == 4
    assert bad.stdout.splitlines()[1:3] == [
        "s.toml: a configuration with 2 zones",
        f"{folder}/lab.example.zone: lab.example. serial 1, 2 names, 3 RRsets",
    ]
    assert bad.stdout.splitlines()[3].startswith(f"{folder}/bad.zone:4: ns1.bad. has a CNAME and other data")
    wrong = run("check", "wrong.toml", "none.zone", cwd=folder)
    assert (wrong.returncode, wrong.stdout) == (
        5,
        "wrong.toml:2: tcp.idel: unknown setting; did you mean idle?\nnone.zone: zone file none.zone does not exist\n",
    )


def test_check_warns_of_what_is_hardly_meant(folder: Path) -> None:
    (folder / "odd.zone").write_text(ZONE + "@ 300 MX 10 gone\n")
    odd = run("check", "odd.zone", cwd=folder)
    assert (odd.returncode, odd.stdout) == (0, f"{folder}/odd.zone: odd. serial 1, 2 names, 4 RRsets\n")
    assert odd.stderr == f"{folder}/odd.zone:4: warning: odd. MX: gone.odd. has no records here\n"


def test_check_refuses_what_a_server_leaves_out(folder: Path) -> None:
    (folder / "odd.zone").write_text(ZONE + "@ 300 CDS 0 0 0 00\nx 300 LOC 10 N 20 E 1e3m\n")
    odd = run("check", "odd.zone", cwd=folder)
    assert odd.returncode == 4
    assert odd.stdout.startswith(f"{folder}/odd.zone:5: LOC: expected an altitude of ")
    (folder / "odd.zone").write_text(ZONE + "@ 300 CDS 0 0 0 00\n")
    warned = run("check", "odd.zone", cwd=folder)
    assert warned.returncode == 0
    assert warned.stderr.startswith(f"{folder}/odd.zone:4: warning: odd. CDS: left out: a parent accepts it only ")
    assert warned.stderr.endswith("`signwright ds odd.` prints the DS for the parent\n")
    (folder / "odd.zone").write_text(ZONE + "tower 300 LOC 10 0 0 N 20 0 0 E 50000000m\n")
    bad = run("check", "odd.zone", cwd=folder)
    assert (bad.returncode, bad.stderr) == (4, "")
    assert bad.stdout.startswith(f"{folder}/odd.zone:4: LOC: expected an altitude of ")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_record_that_a_library_fails_on_ends_no_server(folder: Path, workers: int) -> None:
    (folder / "tower.example.zone").write_text(ZONE + "tower 300 LOC 10 0 0 N 20 0 0 E 50000000m\n")
    options = ["--workers", workers] if workers else []
    with serving(folder, "lab.example.zone", "tower.example.zone", *options) as server:
        assert server.serial("lab.example") == 1
        assert "LOC: expected an altitude of " in server.log
        (folder / "lab.example.zone").write_text(ZONE.replace("hostmaster 1 ", "hostmaster 2 "))
        server.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 20
        while server.serial("lab.example") != 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        (folder / "lab.example.zone").write_text(ZONE + "x 300 LOC 10 N 20 E 1e400\n")
        refused = run("reload", cwd=folder)
        assert refused.returncode == 4
        assert f"lab.example. refused serial 2: {folder}/lab.example.zone:4: LOC: " in refused.stdout
        assert runs(server.process.pid)
        assert "Traceback" not in server.log


def test_the_emulator_by_itself(folder: Path) -> None:
    with (
        (folder / "kms.log").open("w") as stderr,
        Process(["kms", "--listen", "127.0.0.1:0"], folder, QUICK, stderr) as process,
    ):
        try:
            lines = ready(process)
            assert f"  . {folder}/state/aws/env && aws kms list-keys" in lines
            endpoint = re.search(r"on (http://\S+),", lines[-1])
            assert endpoint
            config = (folder / "state/aws/config").read_text()
            assert endpoint[1] in config
            # A server that uses it: one beside it leaves its address where it is, another one has no key to it.
            for state, known in (("state", True), ("other", False)):
                with serving(folder, "lab.example.zone", "--kms-endpoint", endpoint[1], "--state", state):
                    config = (folder / state / "aws/config").read_text()
                    assert (endpoint[1] in config, "route_53" in config) == (known, True)
            second = run("kms", "--listen", "127.0.0.1:0", cwd=folder)
            assert second.returncode == 6
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
    assert (folder / "kms.log").read_text() == ""


def test_help_teaches(tmp_path: Path) -> None:
    told = run("--help", cwd=tmp_path).stdout
    for command in COMMANDS:
        assert f"\n  {command} " in told
        of_command = run(command, "--help", cwd=tmp_path)
        assert of_command.returncode == 0
        for line in (told + of_command.stdout).splitlines():
            assert len(line) <= 80
            assert not line.endswith("...") or line.startswith("Usage: ")
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    table = readme.partition("| command | |")[2].partition("The commands are in")[0] + "serve ds"
    assert {command for command in COMMANDS if not re.search(rf"\b{command}\b", table)} == set()
    for code in range(9):
        assert re.search(rf"\b{code}  [a-z]", told)
