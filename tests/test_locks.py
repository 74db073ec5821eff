"""The locks in `requirements/`: each names all that its packages require, and installs whatever is released later."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
ENVIRONMENTS = {
    "test": ".env-test",
    "moto": ".env-moto",
    "aws": ".env-aws",
    "octodns": ".env-octodns",
    "certbot": ".env-certbot",
    "clients": ".env-clients",
}
"""By lock, the environment that `scripts/test` made of it, where its packages' own requirements stand."""
_PINNED = re.compile(r"([A-Za-z0-9_.-]+)==([^\s;\\]+)")


def locked(lock: Path) -> dict[NormalizedName, Version]:
    """The version of each package that a lock names."""
    found = (_PINNED.match(line) for line in lock.read_text().splitlines())
    return {canonicalize_name(match[1]): Version(match[2]) for match in found if match is not None}


def wanted(requirement: Requirement, extras: set[str]) -> bool:
    """Whether a requirement counts here, where its package was asked for with these extras."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in {"", *extras})


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_lock_is_closed_under_what_its_packages_require(name: str) -> None:
    lock = locked(ROOT / "requirements" / f"{name}.txt")
    site_packages = next((ROOT / ENVIRONMENTS[name]).glob("lib/python*/site-packages"))
    installed = {canonicalize_name(d.metadata["Name"]): d for d in distributions(path=[str(site_packages)])}
    assert lock.keys() & installed.keys()
    extras: dict[NormalizedName, set[str]] = {}
    unread = [package for package in lock if package in installed]
    while unread:
        package = unread.pop()
        for text in installed[package].requires or ():
            requirement = Requirement(text)
            if not wanted(requirement, extras.get(package, set())):
                continue
            required = canonicalize_name(requirement.name)
            assert required in lock, f"{package} requires {text}, which the lock does not name"
            assert requirement.specifier.contains(lock[required], prereleases=True), f"{package} requires {text}"
            new = requirement.extras - extras.get(required, set())
            if new:  # what an extra brings is required as well
                extras.setdefault(required, set()).update(new)
                unread.append(required)


def wheel(folder: Path, name: str, version: str, *requires: str) -> Path:
    """A package of nothing but its metadata."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *(f"Requires-Dist: {r}" for r in requires)]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", "\n".join([*metadata, "Provides-Extra: toml", ""]))
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def test_a_release_that_is_newer_than_the_lock_changes_nothing(tmp_path: Path) -> None:
    """`coverage[toml]` with a release of coverage that came after the lock: pip's resolver looks at the newest."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "lib.sh", tmp_path / "scripts")
    index = tmp_path / "index"
    index.mkdir()
    pinned = [wheel(index, "measure", "1.0"), wheel(index, "tool", "1.0", "measure[toml]>=1.0")]
    wheel(index, "measure", "2.0")
    lines = [f"{p.name.split('-')[0]}==1.0 --hash=sha256:{hashlib.sha256(p.read_bytes()).hexdigest()}" for p in pinned]
    (tmp_path / "lock.txt").write_text("\n".join(lines) + "\n")
    script = tmp_path / "scripts" / "install"
    script.write_text('. "$(dirname "$0")/lib.sh"\nenvironment made lock.txt\n')
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)}
    done = subprocess.run(
        ["sh", str(script)], env={**os.environ, **offline}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    site_packages = next((tmp_path / "made").glob("lib/python*/site-packages"))
    versions = {d.metadata["Name"]: d.version for d in distributions(path=[str(site_packages)])}
    assert (versions["measure"], versions["tool"]) == ("1.0", "1.0")


def test_wherever_a_lock_is_installed_nothing_is_left_to_resolve() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    found = 0
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.suffix in (".md", ".sh", ".service", "") and path.is_file():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                if "install" in line and "--require-hashes" in line:
                    found += 1
                    assert "--no-deps" in line, f"{name}: {line}"
    assert found >= 3
