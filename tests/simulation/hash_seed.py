"""The same seed, the same year, in every process: Python's own hashes are seeded anew in each, and sets follow them.

An order that sets give, as that of two tasks that wake at the same time, moves by how many steps a fault comes later.
"""

from __future__ import annotations

import os
import sys

_VARIABLE, _SEED = "PYTHONHASHSEED", "0"


def fix_hash_seed(module: str) -> None:
    """Start this program, which is `python -m MODULE`, anew with the seed that all runs have, unless it has it."""
    if os.environ.get(_VARIABLE) != _SEED:
        os.environ[_VARIABLE] = _SEED
        os.execv(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]])


if __name__ == "__main__":
    fix_hash_seed("tests.simulation.hash_seed")
    print(os.environ[_VARIABLE])
