"""STATE/server.json: whole while a server is ready, and gone with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from server.state.paths import StateDir
from server.state.server_file import ServerFile, gone_afterwards, write


def test_it_is_there_while_the_server_is(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.server_file.write_text("of one that was killed")
    with pytest.raises(ValueError, match="bug"), gone_afterwards(state):
        assert not state.server_file.exists()
        write(state, ServerFile(pid=7, dns=["127.0.0.1:5300"], kms="http://127.0.0.1:5381"))
        assert json.loads(state.server_file.read_text()) == {
            "pid": 7,
            "dns": ["127.0.0.1:5300"],
            "route53": None,
            "kms": "http://127.0.0.1:5381",
            "cloudwatch": None,
            "page": None,
        }
        raise ValueError("bug")
    assert list(tmp_path.iterdir()) == []
