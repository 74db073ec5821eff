# Shared by the scripts beside it: environments in the checkout, and Debian's packages where root may install them.
set -eu
cd "$(dirname "$0")/.."
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# packages NAME…: install Debian packages, their services kept from starting.
packages() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
        die "Please install these first (apt-get install $*), or run this as root on Debian."
    say "Installing: $*"
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } \
        </dev/null >"${TMPDIR:-/tmp}/signwright-apt.$$" 2>&1 ||
        { tail -n 5 "${TMPDIR:-/tmp}/signwright-apt.$$" >&2; die "apt-get could not install: $*"; }
    rm -f "${TMPDIR:-/tmp}/signwright-apt.$$"
    [ "$(cat $policy 2>/dev/null)" = "$(printf '#!/bin/sh\nexit 101')" ] && rm -f $policy
    trap - EXIT
}

# environment DIR LOCK: a virtual environment DIR holding what LOCK names, made or renewed only when LOCK changed.
environment() {
    dir=$1 lock=$2
    stamp=$(cksum <"$lock")
    [ "$(cat "$dir/.stamp" 2>/dev/null)" = "$stamp" ] && return
    command -v python3 >/dev/null || die "Signwright needs python3 (3.11 or newer)."
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "Signwright needs Python 3.11 or newer; python3 is $(python3 -V)."
    python3 -c 'import venv, ensurepip' 2>/dev/null || packages python3-venv
    say "Preparing $dir (once)…"
    rm -rf "$dir"
    python3 -m venv "$dir"
    "$dir/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps --require-hashes -r "$lock"
    if [ "${3:-}" = project ]; then
        "$dir/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-build-isolation -e .
    fi
    printf '%s\n' "$stamp" >"$dir/.stamp"
}

# javascript DIR FOLDER: a folder DIR with the packages that FOLDER/package-lock.json names; without npm, none.
javascript() {
    dir=$1 lock=$2/package-lock.json
    command -v npm >/dev/null || { say "Without npm, $dir is not made: tests with its packages are skipped."; return; }
    stamp=$(cksum <"$lock")
    [ "$(cat "$dir/.stamp" 2>/dev/null)" = "$stamp" ] && return
    say "Preparing $dir (once)…"
    rm -rf "$dir"
    mkdir "$dir"
    cp "$2/package.json" "$lock" "$dir"
    (cd "$dir" && npm ci --no-audit --no-fund --loglevel error)
    printf '%s\n' "$stamp" >"$dir/.stamp"
}

# source_code: what can be said of the source without running it; .env-test has been made.
source_code() {
    .env-test/bin/ruff check .
    .env-test/bin/ruff format --check .
    .env-test/bin/mypy
}

# load_generator: build build/bench/load, where something in bench/generator is newer.
load_generator() {
    load=build/bench/load
    if [ ! -x $load ] || [ -n "$(find bench/generator -newer $load)" ]; then
        mkdir -p build/bench
        gcc -std=gnu11 -O2 -Wall -Wextra -o $load.new bench/generator/*.c && mv $load.new $load
    fi
}
