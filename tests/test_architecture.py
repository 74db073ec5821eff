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
ROOMS = [
    "keys.blocking_calls",
    "keys.timekeeping",
    "keys.dnssec",
    "keys.aws",
    "keys.rules",
    "keys.kms",
    "keys.custody",
    "keys.emulator",
    "zones",
    "zones.storage",
    "zones.masterfile",
    "zones.recordsets",
    "server.query",
    "server.query.fast",
    "server.child_programs",
    "server.supervised",
    "server.early_signals",
    "server.service_manager",
    "server.signals",
    "server.privileges",
    "server.net",
    "server.watching",
    "server.state",
    "server.settings",
    "server.hosting",
    "server.kms_connection",
    "server.route53",
    "server.control",
    "server.display",
    "server.monitoring",
    "server.worker",
    "server.start",
    "server.app",
    "server.cli",
]
"""From the ground up: a module imports its own room and rooms that stand before it, never one above."""
PURE_ROOMS = [
    "keys.dnssec",
    "keys.rules",
    "zones",
    "zones.storage",
    "zones.masterfile",
    "zones.recordsets",
    "server.query",
    "server.query.fast",
]
NOT_PURE = [
    "zones.masterfile.check_zone",
    "zones.masterfile.load",
    "zones.masterfile.master_file_reader",
    "zones.masterfile.regular_files",
    "zones.recordsets.record_store",
    "zones.recordsets.record_protocol",
]
PURE_BESIDES = [
    "keys.custody.change_log",
    "keys.custody.members",
    "keys.timekeeping.clock_rules",
    "server.control.trust_chain",
    "server.net.addresses",
    "server.net.tcp_framing",
    "server.net.tcp_load",
    "server.net.tcp_places",
    "server.net.response_rate_limit",
    "server.hosting.followed_log",
    "server.monitoring.query_stats",
    "server.monitoring.waiting_changes",
    "server.watching.heavy_hitters",
    "server.watching.log_lines",
    "server.watching.query_counts",
    "server.watching.query_facts",
    "server.watching.query_watch",
    "server.watching.recent_queries",
    "server.watching.sampling",
    "server.worker.answering_settings",
    "server.worker.messages",
    "server.worker.zone_key_values",
    "server.worker.updates",
    "server.route53.api_errors",
    "server.route53.service_model",
    "server.route53.strict_xml",
    "server.route53.requests",
    "server.route53.constraints",
    "server.route53.throttle",
]
IMPURE = {
    *("time", "random", "secrets", "uuid", "socket", "select", "ssl", "trio", "asyncio", "threading"),
    *("os", "pathlib", "io", "mmap", "tempfile", "shutil", "subprocess", "importlib", "ctypes", "signal"),
}
LOGS = {"logging", "structlog"}
CLOCK = {"now", "today", "utcnow", "time", "monotonic"}
"""What asks a clock: `datetime` may convert times, and no more."""
CONVERSIONS = {"AF_INET", "AF_INET6", "inet_ntop", "inet_pton"}
"""Of `socket`: from text to octets, and no more of the world than that."""
LONGEST_FUNCTION = 60
"""Lines: what fits a screen."""


def modules() -> list[Path]:
    return [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))]


def room_of(module: str) -> str:
    """The room that a module stands in: the longest name of one that the module's begins with."""
    return max((room for room in ROOMS if f"{module}.".startswith(f"{room}.")), key=len, default="")


def is_pure(path: Path) -> bool:
    module = dotted(path)
    return module in PURE_BESIDES or (module not in NOT_PURE and room_of(module) in PURE_ROOMS)


def pure_modules() -> list[Path]:
    return [path for path in modules() if is_pure(path)]


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


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_no_room_imports_from_a_room_above(path: Path) -> None:
    module = dotted(path)
    if module in LAYERS:
        return
    room = room_of(module)
    assert room, f"{module} stands in no room"
    ours = {dotted(other) for other in modules()} - set(LAYERS)
    reached = {imported: room_of(imported) for imported in imports(path) & ours}
    above = {imported for imported, other in reached.items() if ROOMS.index(other) > ROOMS.index(room)}
    assert not above, f"{module} reaches up to {sorted(above)}"


@pytest.mark.parametrize("path", pure_modules(), ids=name_of)
def test_a_pure_module_has_no_clock_no_chance_and_no_world(path: Path) -> None:
    assert not {imported.split(".")[0] for imported in imports(path)} & (IMPURE | LOGS)
    for node in ast.walk(tree(path)):
        called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id
        assert called not in ("open", "print", "input", "__import__"), f"{path}:{node}"
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), f"{path}: what decides does not wait"
        asked = (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and ast.unparse(node.func).split(".")
        )
        assert not asked or asked[-1] not in CLOCK or not {"datetime", "date"} & set(asked[:-1]), f"{path}: {asked}"


def test_a_pure_module_leans_on_pure_modules_only() -> None:
    pure = {dotted(path) for path in pure_modules()}
    ours = {dotted(path) for path in modules() if path.name != "__init__.py"}
    for path in pure_modules():
        leaned_on = {name for name in imports(path) & ours if name not in LAYERS}
        assert leaned_on <= pure, f"{name_of(path)} imports {leaned_on - pure}"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_module_says_its_idea_and_its_functions_fit_a_screen(path: Path) -> None:
    assert ast.get_docstring(tree(path))
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= LONGEST_FUNCTION, f"{path}:{node.lineno}: {node.name} has {lines} lines"


@pytest.mark.parametrize("room", [room for room in ROOMS if (ROOT / room.replace(".", "/")).is_dir()])
def test_a_room_says_what_it_must_not_know(room: str) -> None:
    docstring = ast.get_docstring(tree(ROOT / room.replace(".", "/") / "__init__.py")) or ""
    assert "must not know" in docstring.replace("\n", " "), room


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


def test_the_picture_of_the_rooms_is_whole() -> None:
    picture = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split("```")[1]
    # A row of the picture is one room or two, each a name, perhaps a mark, and what it is.
    names = re.findall(r"(?:^ │ |  )([a-z_0-9]+(?:/fast)?)(?= )", picture, re.MULTILINE)
    for room in ROOMS:
        name = room.partition(".")[2].replace(".", "/")
        if name and (ROOT / room.replace(".", "/")).is_dir():
            assert name in names, f"{room} is not in the picture"


def test_what_architecture_names_is_there() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    stems = {path.stem for path in modules()} | {path.stem for path in (ROOT / "tests").rglob("*.py")}
    ours = {dotted(path) for path in modules()}
    for name in re.findall(r"`([a-z_0-9./]+\.py)`", text):
        assert Path(name).stem in stems, name
    for name in re.findall(r"`((?:keys|zones|server)\.[a-z_0-9.]+)`", text):
        assert name in ours or name.rpartition(".")[0] in ours, name


def test_each_symptom_leads_to_a_file_that_is_there() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [^|]+ \| (`[^|]+) \|$", text, re.MULTILINE)
    assert len(rows) > 20
    for row in rows:
        folder = None
        for name in re.findall(r"`([^`]+\.py)`", row):
            path = ROOT / name if "/" in name or folder is None else folder / name
            assert path.is_file(), f"{row}: {name}"
            folder = path.parent


def test_the_table_of_ways_names_what_is_there() -> None:
    responder = ROOT / "server" / "query" / "fast" / "responder.py"
    rows = [line for line in (ast.get_docstring(tree(responder)) or "").splitlines() if line.endswith(".py")]
    assert len(rows) >= 9
    tests = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    source = "".join(path.read_text(encoding="utf-8") for path in responder.parent.glob("*.py"))
    for row in rows:
        *_, way, _, test = re.split(r"  +", row.strip())
        assert test in tests, row
        for name in way.split(", "):
            assert name.split(".")[-1] in source, row


@pytest.mark.parametrize("room", ["keys/custody", "zones/recordsets", "zones/storage"])
def test_what_threads_decode_has_its_decoder_from_the_start(room: str) -> None:
    """Several threads that decode a type for the first time at once have ended the process (msgspec 0.22, SIGSEGV)."""
    made_when_used = [
        f"{path.name}:{node.lineno}"
        for path in sorted((ROOT / room).glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("msgspec.json.decode", "msgspec.msgpack.decode")
    ]
    assert not made_when_used
