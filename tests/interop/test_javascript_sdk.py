"""AWS's SDK for JavaScript, as it comes from npm, by the environment that `signwright.testing` gives."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import dns.flags
import dns.message
import dns.query
import pytest

from signwright.testing import running_server
from tests.interop.test_terraform_calls import POLICY

ROOT = Path(__file__).parents[2]
PACKAGES = ROOT / ".env-js"
SCRIPT = Path(__file__).with_name("sdk.mjs")

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(not (shutil.which("node") and PACKAGES.is_dir()), reason="needs node and npm"),
]


def test_a_zone_is_signed_filled_and_listed() -> None:
    with running_server(validator=True) as server:
        done = subprocess.run(
            ["node", str(SCRIPT), str(PACKAGES), json.dumps(POLICY)],
            env=server.env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["values"] == sorted(f'"<{number}> & \\"more\\""' for number in range(150))
        assert told["pages"] == 2
        assert (told["status"], told["ksk"], told["missing"]) == ("SIGNING", "ACTIVE", "NoSuchHostedZone")
        assert told["arn"] == "arn:aws:iam::000000000000:root"
        host, port = server.resolver
        query = dns.message.make_query("h7.js.test", "TXT", flags=dns.flags.RD | dns.flags.AD)
        answer = dns.query.udp(query, host, port=port, timeout=10)
        assert answer.flags & dns.flags.AD
        assert answer.answer[0][0].strings == (b'<7> & "more"',)
