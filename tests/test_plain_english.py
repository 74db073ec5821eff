"""What people read is in plain English: no phrase that reads as if translated, in prose, messages or docstrings.

The patterns are small on purpose. They stand for a kind of sentence; what they find is rewritten, not excepted:
"expected X, found Y" or "is not a valid X", an actor in place of "is told", "the caller" or "a client" in place of an
indefinite one.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from server.cli import cli

ROOT = Path(__file__).parents[1]
HERE = Path(__file__).name

PATTERNS = {
    "is no": re.compile(
        r"(?<!\bthere )\b(is|are) no (?!longer\b|more than\b|later than\b|earlier than\b)", re.IGNORECASE
    ),
    "is told": re.compile(r"\b(are|is) told\b", re.IGNORECASE),
    "hardly": re.compile(r"\bhardly\b", re.IGNORECASE),
    "whoever": re.compile(r"\bwhoever\b", re.IGNORECASE),
}


def found_in(text: str) -> list[str]:
    """What is to be rewritten in a text, each with the words around it."""
    line = re.sub(r"\s+", " ", text)
    return [
        f"{name!r}: …{line[max(0, hit.start() - 40) : hit.end() + 40]}…"
        for name, pattern in PATTERNS.items()
        for hit in pattern.finditer(line)
    ]


def tracked(*patterns: str) -> list[Path]:
    """Files of the repository that match, without this one."""
    listed = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, check=True)
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.name != HERE and path.is_file()]


def might_contain(source: str) -> bool:
    """Whether a module has one of the phrases at all, comments included: parsing takes long, and most have none."""
    joined = re.sub(r"""["']\s*\n\s*[bfr]{0,2}["']""", "", source)
    return any(pattern.search(re.sub(r"\s+", " ", joined)) for pattern in PATTERNS.values())


def literals(source: str) -> Iterator[tuple[int, str]]:
    """Every string of a module with its line, docstrings among them; that of an f-string with `{}` for its values."""
    tree = ast.parse(source)
    parts: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts.update(node.values)
            yield node.lineno, "".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in parts:
            yield node.lineno, node.value


def commands(command: click.Command, name: str) -> Iterator[tuple[str, str]]:
    """The help of a command and of those below it."""
    context = click.Context(command, info_name=name)
    yield name, command.get_help(context)
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from commands(found, f"{name} {below}")


def test_documents() -> None:
    paths = tracked("*.md", "docs/*.yml", "docs/*.toml", "docs/*.service", "docs/*.json")
    assert {ROOT / "README.md", ROOT / "docs/operating.md", ROOT / "docs/alerts.yml"} <= set(paths)
    wrong = [f"{path.relative_to(ROOT)}: {hit}" for path in paths for hit in found_in(path.read_text())]
    assert not wrong, "\n".join(wrong)


def test_messages_and_docstrings() -> None:
    paths = tracked("*.py")
    assert ROOT / "server/app.py" in paths
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {hit}"
        for path in paths
        if might_contain(source := path.read_text())
        for line, text in literals(source)
        for hit in found_in(text)
    ]
    assert not wrong, "\n".join(wrong)


def test_help() -> None:
    told = dict(commands(cli, "signwright"))
    assert "signwright ksk create" in told
    wrong = [f"{name} --help: {hit}" for name, text in told.items() for hit in found_in(text)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("192.0.2.800 is no IPv4 address", ["is no"]),
        ("these 3 octets are\n    no rdata", ["is no"]),
        ("The registry is told of it. Whoever asks gets it; it hardly matters.", ["is told", "hardly", "whoever"]),
        ("there is no parent; it is no longer asked; there are no more than two, and it is no later than that", []),
        ("192.0.2.800 is not a valid IPv4 address", []),
    ],
)
def test_what_is_found(text: str, names: list[str]) -> None:
    assert [hit.partition(":")[0].strip("'") for hit in found_in(text)] == names


def test_strings_are_found_wherever_they_stand() -> None:
    source = '"""One."""\nX = f"two {1 + 1} of" " three"\ndef f():\n    """Four."""\n    return ("six"\n    "seven")\n'
    assert sorted(text for _, text in literals(source)) == ["Four.", "One.", "sixseven", "two {} of three"]
    assert might_contain(source.replace("six", "what is").replace("seven", " no six"))
