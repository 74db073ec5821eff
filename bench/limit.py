"""The raw limit of signing live: the call that Signwright signs with, in a bare loop on the server's core.

    python -m bench.limit SECONDS

prints signatures a second of CPU time. A server that makes one fresh signature an answer can't be faster than this.
"""

from __future__ import annotations

import subprocess
import sys
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

TO_SIGN = bytes(range(128))
"""As long as what is signed for an NSEC record of compact denial, about."""


def measure_limit(core: int, seconds: float) -> float:
    """Signatures a second, measured in a process of its own on `core`. Raises `RuntimeError` when that fails."""
    command = ["taskset", "-c", str(core), sys.executable, "-m", "bench.limit", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    if done.returncode:
        raise RuntimeError(f"bench.limit failed: {done.stderr.strip()}")
    return float(done.stdout)


def sign_for(seconds: float) -> float:
    """Sign for so many seconds of CPU time; returns signatures a second."""
    sign = ec.generate_private_key(ec.SECP256R1()).sign
    algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    begin = now = time.process_time()
    count = 0
    while now - begin < seconds:
        for _ in range(100):
            sign(TO_SIGN, algorithm)
        count += 100
        now = time.process_time()
    return count / (now - begin)


if __name__ == "__main__":
    print(sign_for(float(sys.argv[1])))
