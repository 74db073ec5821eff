"""What runs goes by the one clock: nobody is handed the wall clock, which may be wrong."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "readers"), [("server/app.py", ["open_kms"]), ("server/worker/__main__.py", []), ("server/net/udp.py", [])]
)
def test_only_what_is_held_against_the_clocks_of_others_is_given_the_wall_clock(name: str, readers: list[str]) -> None:
    found = []
    for node in ast.walk(ast.parse((ROOT / name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            used = [node.func, *node.args, *(keyword.value for keyword in node.keywords)]
            found += [ast.unparse(node.func) for one in used if ast.unparse(one) == "time.time"]
    assert found == readers
