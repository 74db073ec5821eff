"""Bytes in, bytes out, and everything that runs.

`query` turns a query into a response and is pure; the rest is the shell that runs it.
Nothing in `zones` or `keys` may import from here.
"""
