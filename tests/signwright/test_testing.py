"""`signwright.testing` in a project of somebody else's, as docs/testing.md says: real servers, and a real resolver."""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from signwright.start_program import PACKAGES
from signwright.testing import ServerFailedError, running_server
from tests.processes import runs

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "testing.md"


def environment(*path: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that has folders of its own with the names of ours, and what docs/testing.md shows."""
    for name in PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('this is the project of somebody else')\n")
    conftest, shop, *more = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "test_shop.py").write_text(shop)
    (tmp_path / "test_more.py").write_text("\n".join(more))
    return tmp_path


@pytest.mark.interop
def test_the_page_in_a_project_with_folders_of_the_same_names(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "2", "-q", "-p", "no:cacheprovider", "-p", "no:trio", str(project)],
        cwd=project,
        env=environment(project, ROOT),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_nothing_of_the_server_is_imported() -> None:
    for path in (ROOT / "signwright").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & set(PACKAGES), f"{path}: {names}"


@pytest.mark.interop
def test_all_ends_with_the_process_that_started_it_when_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "starter.py").write_text(
        "import time\n"
        "from signwright.testing import running_server\n"
        "with running_server(validator=True) as server:\n"
        "    server.resolver\n"
        "    print(server.pid, server._validator.pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    starter = subprocess.Popen(
        [sys.executable, str(tmp_path / "starter.py")],
        env=environment(ROOT),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdout is not None
    with starter:
        pids = [int(pid) for pid in starter.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(runs, pids))
        starter.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while any(map(runs, pids)):
        assert time.monotonic() < deadline, f"still there: {pids}"
        time.sleep(0.02)


def test_its_environment_is_that_of_the_file_to_source(tmp_path: Path) -> None:
    with running_server(state=tmp_path / "state") as server:
        shown = subprocess.run(
            ["/bin/sh", "-c", f'. "{server.state}/aws/env" && env'], capture_output=True, text=True, check=True
        ).stdout
        sourced = dict(line.split("=", 1) for line in shown.splitlines() if line.startswith("AWS_"))
        assert {name: value for name, value in server.env.items() if name.startswith("AWS_")} == sourced
        assert "127.0.0.1" in server.env["NO_PROXY"].split(",")
        asked = subprocess.run(
            [sys.executable, "-c", "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"],
            env={**server.env, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert asked.stdout == "arn:aws:iam::000000000000:root\n", asked.stderr
        with pytest.raises(RuntimeError, match="validator=True"):
            server.resolver  # noqa: B018
    assert (tmp_path / "state" / "signwright.db").is_file()
    assert not (tmp_path / "state" / "server.json").exists()


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    zone = tmp_path / "lab.example.zone"
    zone.write_text("@ 60 IN A 192.0.2.300\n")
    with pytest.raises(ServerFailedError, match=r"exit code 4(.|\n)*lab\.example\.zone:1"), running_server(zone):
        pass


def test_the_wheel_has_all_that_is_needed(tmp_path: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "--", "signwright", *PACKAGES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    sources = tmp_path / "sources"
    for name in [*tracked, "pyproject.toml", "README.md", "LICENSE"]:
        (sources / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, sources / name)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")],
        cwd=sources,
        capture_output=True,
        check=True,
    )
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert set(tracked) <= set(archive.namelist())
