"""Bytes in, bytes out, and everything that runs.

The pure modules (`wire`, `edns`, `answer`, `framing`) turn a query into a response; the rest is the
shell that runs them.
Nothing in `zones` or `keys` may import from here.
"""
