"""The tools of docs/hosted-zones.md, run by what it says there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
SERVER = """\
listen = ["127.0.0.1:0"]
[kms]
emulator = "127.0.0.1:0"
[route53]
listen = "127.0.0.1:0"
"""
"""A server on free ports, to which the documented users are added."""


def documented(section: str, language: str) -> str:
    """The first block in a language of a section of docs/hosted-zones.md."""
    text = (ROOT / "docs" / "hosted-zones.md").read_text(encoding="utf-8")
    found = re.search(rf"^#+ {section}$.*?^```{language}$\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found, section
    return found[1]


def paste(commands: str, folder: Path, environment: str, **variables: str) -> str:
    """What commands say that are pasted into a shell in `folder`, where an environment of scripts/test comes first."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    ours = {
        "PATH": f"{ROOT / environment / 'bin'}:{os.environ['PATH']}",
        "HOME": str(folder),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    done = subprocess.run(
        ["bash", "-c", f"set -eu\n{commands}"],
        cwd=folder, env={**bare, **ours, **variables}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout
