"""What holds a key, and when it may be used.

This package must not know what a zone contains, nor any socket a query comes from. The pure modules
(`model`, `windows`, `rrsig`, `keyset`, `lifecycle`) decide; the shell (`custodian`, `store`, `kms`, `emulator`) acts.
"""
