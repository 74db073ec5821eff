"""The bar that is drawn while a large file is read."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from server.cli.progress import reading


def drawn(*, on_terminal: bool, patience: float) -> str:
    """What is written while half of a file is read, and then all."""
    told = io.StringIO()
    console = Console(file=told, force_terminal=on_terminal, width=100, _environ={})
    with reading(Path("lab.zone"), console, patience) as progress:
        progress(500_000, 1_000_000)
        progress(1_000_000, 1_000_000)
    return told.getvalue()


def test_a_terminal_has_a_bar() -> None:
    assert "reading lab.zone" in drawn(on_terminal=True, patience=0)


@pytest.mark.parametrize(("on_terminal", "patience"), [(True, 3600), (False, 0)])
def test_nothing_is_drawn_for_short_loads_or_into_a_file(on_terminal: bool, patience: float) -> None:
    assert drawn(on_terminal=on_terminal, patience=patience) == ""
