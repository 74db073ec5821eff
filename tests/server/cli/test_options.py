"""Which state a command is about: --state, then --config, then SIGNWRIGHT_CONFIG, then ./state."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.cli.options import located
from server.settings.schema import ConfigError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SIGNWRIGHT_CONFIG", raising=False)
    return tmp_path


def configuration(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / "signwright.toml"
    file.write_text(text)
    return file


def test_the_first_that_is_given_holds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert located(None, None).path == folder / "state"
    monkeypatch.setenv("SIGNWRIGHT_CONFIG", str(configuration(folder / "environment", 'state = "there"\n')))
    assert located(None, None).path == folder / "environment/there"
    named = configuration(folder / "named", "")
    assert located(named, None).path == folder / "named/state"
    assert located(named, Path("other")).path == folder / "other"
    assert located(None, Path("other")).path == folder / "other"


def test_a_server_can_be_asked_while_its_configuration_is_wrong_elsewhere(folder: Path) -> None:
    assert located(configuration(folder, 'state = "there"\nlisten = 3\n'), None).path == folder / "there"


@pytest.mark.parametrize("text", ["state = 3\n", "state = \n"])
def test_what_is_wrong_with_the_state_is_said(folder: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"signwright.toml:1: "):
        located(configuration(folder, text), None)
