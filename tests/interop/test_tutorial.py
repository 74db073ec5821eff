"""docs/tutorial.md, pasted into a shell: aws-cli as it comes, delv, and what the pages say they show.

Meanwhile a resolver is asked again and again, as the world would: nothing that it holds ever makes an answer bogus.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import dns.rcode
import pytest

from tests.interop.programs import Resolver, is_authentic, unbound
from tests.interop.test_aws import AWS
from tests.processes import Serving, serving

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"
CONFIG = """\
listen = ["127.0.0.1:0"]
[kms]
emulator = "127.0.0.1:0"
[route53]
listen = "127.0.0.1:0"
[policy]
propagation = "1s"
dnskey_ttl = "5s"
"""
CHILD = "shop.lab.test."
WWW = f"www.{CHILD}"
_BLOCK = re.compile(r'(?:<!-- checked: "([^"]+)" -->\n)?```sh\n(.*?)```', re.DOTALL)
_END = "=== the end of a block ==="


class Shell:
    """A shell that commands are pasted into."""

    def __init__(self, process: subprocess.Popen[str], stderr: Path) -> None:
        self._process = process
        self._stderr = stderr

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    def paste(self, block: str) -> str:
        """The output of the commands, of which none may fail."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{{\n{block}\n}} < /dev/null\necho '{_END}'\n")
        self._process.stdin.flush()
        lines: list[str] = []
        for line in self._process.stdout:
            if line.rstrip() == _END:
                return "".join(lines)
            lines.append(line)
        pytest.fail(f"{block}\nended the shell:\n{self.stderr}")


@contextmanager
def shell(folder: Path, server: Serving) -> Iterator[Shell]:
    """A shell in `folder`, which ends with the first command that fails."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    ours = {
        "PATH": f"{AWS.parent}:{bare['PATH']}",
        "PORT": str(server.address.port),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    stderr = folder / "stderr"
    with (
        stderr.open("w") as errors,
        subprocess.Popen(
            ["bash", "-eu", "-o", "pipefail"],
            cwd=folder, env={**bare, **ours}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
        ) as process,
    ):  # fmt: skip
        try:
            yield Shell(process, stderr)
        finally:
            process.kill()


def paste(opened: Shell, text: str) -> None:
    """Paste all blocks of a part of the tutorial, of which at least one shows something."""
    blocks = _BLOCK.findall(text)
    assert any(expected for expected, _ in blocks)
    for expected, block in blocks:
        output = opened.paste(block)
        assert expected in output


def parents_anchor_alone(state: Path) -> str:
    """The configuration of a resolver that trusts the child by its parent only."""
    fragment = (state / "trust" / "unbound.conf").read_text()
    assert f'trust-anchor: "{CHILD} ' in fragment
    kept = [line for line in fragment.splitlines() if f'trust-anchor: "{CHILD} ' not in line]
    (state.parent / "unbound.conf").write_text("\n".join([*kept, ""]))
    whole = (state / "trust" / "resolver.conf").read_text()
    return whole.replace(str(state / "trust" / "unbound.conf"), str(state.parent / "unbound.conf"))


@contextmanager
def asked_all_the_time(resolver: Resolver) -> Iterator[list[tuple[int, bool]]]:
    """Ask for names that no cache holds; the RCODE of each response, and whether it is authentic."""
    seen: list[tuple[int, bool]] = []
    over = threading.Event()

    def ask() -> None:
        for number in count():
            response = resolver.ask(f"name-{number}.{CHILD}", "A")
            seen.append((response.rcode(), is_authentic(response)))
            if over.wait(0.1):
                return

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "quick.toml").write_text(CONFIG)
    there, back, away = re.split(
        r"^## (?:Disable signing|Delete the zone)$", TUTORIAL.read_text("utf-8"), flags=re.MULTILINE
    )
    with serving(tmp_path) as server, shell(tmp_path, server) as opened:
        paste(opened, there)
        with unbound(tmp_path / "resolver", parents_anchor_alone(tmp_path / "state")) as resolver:
            assert is_authentic(resolver.ask(WWW, "A"))
            with asked_all_the_time(resolver) as seen:
                paste(opened, back)
        paste(opened, away)
        refusals = re.findall(r"\((\w+)\) when calling the DisableHostedZoneDNSSEC operation.*: (.*)", opened.stderr)
    assert "(HostedZoneNotEmpty) when calling the DeleteHostedZone operation" in opened.stderr
    assert {code for code, _ in refusals} == {"KeySigningKeyInParentDSRecord"}
    assert "remove it there first" in refusals[0][1]
    assert "caches may hold it, or DNSKEY records" in refusals[1][1]
    # From signed to unsigned, and never to what a validator refuses.
    assert (seen[0], seen[-1]) == ((dns.rcode.NOERROR, True), (dns.rcode.NXDOMAIN, False))
    assert {rcode for rcode, _ in seen} == {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}
