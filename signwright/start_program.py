"""Starts the program `signwright` for another one, and ends it with that: `python -P THIS_FILE serve …`.

Standard input is a pipe from who started it, which nothing is ever written to. It ends with that process, however that
ends, and this one then stops as by SIGTERM.

The packages of Signwright are taken from the folder beside this one, whatever PYTHONPATH may have of the same names.
"""

import os
import signal
import sys
import threading
from importlib import import_module
from pathlib import Path

PACKAGES = ("server", "zones", "keys")


def main() -> None:
    """Run it, with the arguments of this process."""
    threading.Thread(target=_end_with_starter, daemon=True).start()
    root = str(Path(__file__).resolve().parent.parent)
    sys.path.insert(0, root)
    for package in PACKAGES:
        import_module(package)
    sys.path.remove(root)  # what is beside them comes where it came before
    if root not in sys.path:
        sys.path.append(root)
    import_module("server.cli").main()


def _end_with_starter() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
