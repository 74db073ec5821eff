"""A run of the simulation with one mutant, in a process of its own:

    python -m tests.simulation.mutation NAME SEED DAYS

prints what the judge objects to, as JSON.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import sys
from collections.abc import Sequence
from types import CodeType, ModuleType
from typing import Any

from tests.simulation.hash_seed import fix_hash_seed
from tests.simulation.mutants import MUTANTS, SILENCED, Mutant


class _Mutating(importlib.machinery.SourceFileLoader):
    mutants: Sequence[Mutant] = ()

    def source_to_code(  # type: ignore[override]
        self, data: Any, path: str, *, _optimize: int = -1
    ) -> CodeType:
        source = bytes(data).decode()
        for mutant in self.mutants:
            if source.count(mutant.old) < 1:
                raise ValueError(f"{mutant.name}: {path} has no {mutant.old!r}")
            source = source.replace(mutant.old, mutant.new)
        return super().source_to_code(source.encode(), path)

    def get_code(self, fullname: str) -> CodeType | None:
        # Never from bytecode of what was not changed.
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutants: Sequence[Mutant]) -> None:
        self._mutants = mutants

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        ours = [mutant for mutant in self._mutants if mutant.module == fullname]
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target) if ours else None
        if spec is not None and spec.origin is not None:
            loader = _Mutating(fullname, spec.origin)
            loader.mutants = ours
            spec.loader = loader
        return spec


def install(mutants: Sequence[Mutant]) -> None:
    """Have the modules of `mutants`, none of which may have been imported yet, come changed."""
    imported = {mutant.module for mutant in mutants} & set(sys.modules)
    if imported:
        raise RuntimeError(f"imported already: {sorted(imported)}")
    sys.meta_path.insert(0, _Finder(mutants))


def named(name: str) -> Mutant:
    """The mutant with this name. Raises `KeyError`."""
    return {mutant.name: mutant for mutant in MUTANTS}[name]


def main(name: str, seed: int, days: int) -> None:
    """Print what is objected to in one run of a mutant."""
    install([named(name), SILENCED])
    from tests.simulation.run import objections
    from tests.simulation.schedule import draw

    print(json.dumps(objections(draw(seed, days))))


if __name__ == "__main__":
    fix_hash_seed("tests.simulation.mutation")
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
