"""Signwright for other programs: what they import. `signwright.testing` runs the server in tests.

Its modules must not know `server`, `zones` or `keys`, and import none of them: a project may have folders of these
names.
"""
