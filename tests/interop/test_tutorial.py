"""docs/tutorial.md, pasted into a shell: aws-cli as it comes, delv, and what the pages say they show."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.interop.test_aws import AWS
from tests.processes import serving

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
"""
_BLOCK = re.compile(r'(?:<!-- checked: "([^"]+)" -->\n)?```sh\n(.*?)```', re.DOTALL)


def script() -> tuple[str, list[str]]:
    """The commands of the tutorial as one script, which marks the output that is said to show something."""
    lines: list[str] = ["set -eu -o pipefail"]
    shown: list[str] = []
    for expected, block in _BLOCK.findall(TUTORIAL.read_text(encoding="utf-8")):
        lines += [f"echo '=== {len(shown)}'", block] if expected else [block]
        shown += [expected] if expected else []
    return "\n".join(lines), shown


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "quick.toml").write_text(CONFIG)
    text, shown = script()
    assert len(shown) == 2
    with serving(tmp_path) as server:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment |= {
            "PATH": f"{AWS.parent}:{environment['PATH']}",
            "PORT": str(server.address.port),
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        done = subprocess.run(
            ["bash", "-c", text],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    parts = re.split(r"=== \d+\n", done.stdout)[1:]
    for expected, part in zip(shown, parts, strict=True):
        assert expected in part
        assert "192.0.2.80" in part
    assert "(KeySigningKeyInParentDSRecord)" in done.stderr
