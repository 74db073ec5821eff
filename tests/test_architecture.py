"""The rules of the design that a program can check: layers, purity, size, and no trace of one machine."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ["keys", "zones", "server"]
"""From the bottom up: each may import itself and what stands before it."""
PURE = {
    "keys": "dnssec/model dnssec/windows dnssec/rrsig dnssec/keyset dnssec/ds dnssec/zsk dnssec/names"
    " rules/ring rules/events rules/transitions rules/lifecycle rules/refresh rules/rollover rules/safety"
    " rules/forecast rules/commands rules/spread",
    "zones": "names bitmap zone choice build lookup denial signing zoneset persistent"
    " masterfile/advice masterfile/validate masterfile/plain"
    " storage/contents storage/values storage/image storage/mapped"
    " recordsets/model recordsets/naming recordsets/values recordsets/check recordsets/batch"
    " recordsets/compiled",
    "server": "query/wire query/edns query/answer query/compose query/framing"
    " query/fast/memo query/fast/hot query/fast/fresh_answer query/fast/fresh_denial query/fast/below_apex"
    " net/addresses monitoring/traffic worker/messages worker/values worker/updates"
    " route53/errors route53/model route53/xml route53/requests route53/constraints route53/throttle",
}
IMPURE = {"time", "random", "secrets", "socket", "trio", "os", "datetime", "pathlib", "io", "threading", "subprocess"}
CONVERSIONS = {"AF_INET", "AF_INET6", "inet_pton"}
"""Of `socket`: from text to octets, and no more of the world than that."""
LONGEST = 400


def modules() -> list[Path]:
    return [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))]


def pure_modules() -> list[Path]:
    return [ROOT / layer / f"{name}.py" for layer, listed in PURE.items() for name in listed.split()]


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path: Path) -> set[str]:
    """What a module imports, wherever in it; of `from a import b` both `a` and `a.b`."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            assert node.module is not None
            if node.module == "socket" and {alias.name for alias in node.names} <= CONVERSIONS:
                continue
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_never_point_back_up(path: Path) -> None:
    layer = path.relative_to(ROOT).parts[0]
    above = set(LAYERS[LAYERS.index(layer) + 1 :]) | {"tests", "bench"}
    assert not {imported for imported in imports(path) if imported.split(".")[0] in above}


def test_no_import_goes_in_a_circle() -> None:
    paths = {dotted(path): path for path in modules()}
    graph = {name: (imports(path) & paths.keys()) - {name} for name, path in paths.items()}
    # A package and its own modules are one: the package's imports run before any of theirs.
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " → ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for imported in sorted(graph[name]):
                visit(imported, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("path", pure_modules(), ids=name_of)
def test_a_pure_module_has_no_clock_no_chance_and_no_world(path: Path) -> None:
    assert not {imported.split(".")[0] for imported in imports(path)} & IMPURE
    for node in ast.walk(tree(path)):
        called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id
        assert called not in ("open", "print", "input", "__import__"), f"{path}:{node}"
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), f"{path}: what decides does not wait"


def test_a_pure_module_leans_on_pure_modules_only() -> None:
    pure = {dotted(path) for path in pure_modules()}
    ours = {dotted(path) for path in modules() if path.name != "__init__.py"}
    for path in pure_modules():
        leaned_on = {name for name in imports(path) & ours if name not in LAYERS}
        assert leaned_on <= pure, f"{name_of(path)} imports {leaned_on - pure}"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_module_is_short_and_says_its_idea(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST
    assert ast.get_docstring(tree(path))


@pytest.mark.parametrize("layer", LAYERS)
def test_a_package_says_what_it_must_not_know(layer: str) -> None:
    docstring = ast.get_docstring(tree(ROOT / layer / "__init__.py")) or ""
    # The topmost may know all; nobody may know it.
    assert ("must not know" if layer != LAYERS[-1] else "may import from here") in docstring


def test_no_file_names_one_machine() -> None:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    # A home or a checkout, written so that this file does not match itself.
    machine = re.compile(r"/(?:home|root|work|Users)/[A-Za-z.]")
    for name in filter(None, listed.stdout.decode().split("\0")):
        path = ROOT / name
        if path.is_file() and path.suffix not in (".png", ".svg", ".lock"):
            found = machine.search(path.read_text(encoding="utf-8", errors="replace"))
            assert found is None, f"{name} names {found.group() if found else ''}…"
