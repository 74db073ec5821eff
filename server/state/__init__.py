"""The state directory: who uses it, what is in it, backups of it, and the trust files that others read.

It must not know who serves what; it holds what they keep.
"""
