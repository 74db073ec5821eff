"""What holds a key, and when it may be used.

This package must not know what a zone contains, nor any socket a query comes from. `dnssec` and
`rules` decide and are pure; the shell (`custody`, `kms`, `emulator`) acts.
"""
