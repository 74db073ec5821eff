"""Which files a configuration consists of."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.settings.configuration import load_config
from server.settings.configured_files import configured_files

ZONE = "@ 300 SOA ns h 1 2 3 4 5\n@ 300 NS ns\n"


def found(folder: Path) -> list[str]:
    """Their paths below the folder."""
    return [str(path.relative_to(folder)) for path in configured_files(load_config(folder / "s.toml"))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "zones/parts").mkdir(parents=True)
    (tmp_path / "secret").write_text("$INCLUDE further\n")
    (tmp_path / "s.toml").write_text('[[zones]]\nfile = "zones/a.zone"\n[[zones]]\nfile = "zones/b.zone"\n')
    for name in ("a", "b"):
        (tmp_path / f"zones/{name}.zone").write_text(ZONE)
    return tmp_path


def test_the_configuration_and_each_zone_file(folder: Path) -> None:
    assert found(folder) == ["s.toml", "zones/a.zone", "zones/b.zone"]
    (folder / "zones/b.zone").unlink()
    assert found(folder) == ["s.toml", "zones/a.zone", "zones/b.zone"]


def test_what_they_include_once_also_where_it_goes_in_circles(folder: Path) -> None:
    (folder / "zones/a.zone").write_text(
        f'{ZONE}$include "parts/x y" sub ; comment\n$INCLUDE\tparts/z\n; $INCLUDE no\n'
    )
    (folder / "zones/b.zone").write_text(f"{ZONE}$INCLUDE parts/z\n")
    (folder / "zones/parts/x y").write_text("$INCLUDE parts/deep\n$INCLUDE a.zone\n")
    for name in ("z", "deep"):
        (folder / f"zones/parts/{name}").write_text("x 300 A 192.0.2.1\n")
    assert sorted(found(folder)) == [
        "s.toml", "zones/a.zone", "zones/b.zone", "zones/parts/deep", "zones/parts/x y", "zones/parts/z",
    ]  # fmt: skip


def test_nothing_that_a_zone_may_not_include(folder: Path) -> None:
    (folder / "zones/parts/link").symlink_to(folder / "secret")
    lines = "".join(f"$INCLUDE {one}\n" for one in ("../secret", folder / "secret", "parts/link", "parts", "/dev/zero"))
    (folder / "zones/a.zone").write_text(ZONE + lines)
    assert found(folder) == ["s.toml", "zones/a.zone", "zones/b.zone"]
    config = (folder / "s.toml").read_text()
    (folder / "s.toml").write_text(f'{config}[zone_files]\ninclude_folders = ["."]\n')
    assert "secret" in found(folder)


def test_the_samples_are_nobodys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert [*configured_files(load_config())] == []
