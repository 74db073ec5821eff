"""`python -m tests.chaos`: hundreds of random acts against the real program, watched all along."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.chaos.run import Chaos


def main() -> None:
    """Run as the command line says; 1 where there is an objection."""
    parser = argparse.ArgumentParser("scripts/chaos", description="Random acts against a running server.")
    parser.add_argument("--acts", type=int, default=500, help="how many (500)")
    parser.add_argument("--seconds", type=float, default=3000, help="the longest time it may take (3000)")
    parser.add_argument("--seed", type=int, default=1, help="which acts (1)")
    parser.add_argument("--workers", type=int, default=2, help="programs that answer; 0: one process does it all (2)")
    parser.add_argument("--json", action="store_true", help="the summary as JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="signwright-chaos-") as folder:
        chaos = Chaos(Path(folder), arguments.seed, arguments.workers)
        summary = chaos.run(arguments.acts, arguments.seconds, sys.stderr.isatty())
    if arguments.json:
        print(json.dumps(summary))
    else:
        for name, value in summary.items():
            if name != "objections":
                print(f"{name}: {value}")
        print(f"objections: {len(summary['objections'])}")
        for objection in summary["objections"]:
            print(f"- {objection}")
    sys.exit(1 if summary["objections"] else 0)


if __name__ == "__main__":
    main()
