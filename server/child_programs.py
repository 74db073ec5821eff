"""Programs of our own that this process starts: which code they run, and which environment they get."""

from __future__ import annotations

import os
import site
import sys
from pathlib import Path

import server

_INHERITED = ("PATH", "LANG", "TZ", "NO_COLOR", "TERM", "VIRTUAL_ENV")
_INHERITED_KINDS = ("PYTHON", "LC_", "LD_", "OPENSSL_", "MALLOC_")
"""What is inherited of the environment: not the credentials of a KMS."""


def command(module: str) -> list[str]:
    """The command that runs a module by the interpreter that runs this."""
    return [sys.executable, "-m", module]


def environment() -> dict[str, str]:
    """The environment in which it finds the code that runs here."""
    kept = {n: value for n, value in os.environ.items() if n in _INHERITED or n.startswith(_INHERITED_KINDS)}
    here = str(Path(server.__file__).parent.parent)
    searched = filter(None, kept.get("PYTHONPATH", "").split(os.pathsep))
    if here not in site.getsitepackages() or any((Path(path) / server.__name__).exists() for path in searched):
        # First: whoever started this may have a package of the same name there.
        kept["PYTHONPATH"] = os.pathsep.join([here, *filter(None, [kept.get("PYTHONPATH")])])
    # Without the folder that the control process was started in, whatever modules it may hold.
    return {**kept, "PYTHONSAFEPATH": "1"}
