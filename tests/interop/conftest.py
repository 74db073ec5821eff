"""The sample zones, served by a real process, once with each denial."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.programs import SAMPLES, Lab
from tests.processes import serving


def _lab(folder: Path, denial: str) -> Iterator[Lab]:
    zones = "".join(
        f'[[zones]]\nfile = "{SAMPLES / name}.zone"\n{extra}\n'
        for name, extra in [
            ("lab.example", f'denial = "{denial}"'),
            ("child.lab.example", f'denial = "{denial}"'),
            ("insecure.lab.example", "signed = false"),
        ]
    )
    (folder / "quick.toml").write_text(
        f'listen = ["127.0.0.1:0"]\n[kms]\nemulator = "127.0.0.1:0"\n[route53]\nlisten = "127.0.0.1:0"\n{zones}'
    )
    with serving(folder) as server:
        yield Lab(folder / "state", server)


@pytest.fixture(scope="session", params=["compact", "nsec"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The lab under each denial."""
    yield from _lab(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="session")
def compact_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The lab with compact denial alone."""
    yield from _lab(tmp_path_factory.mktemp("lab"), "compact")
