"""A query's octets in, a response's octets out: pure, total, and without a log.

It must not know a socket, a clock or a cache; the caches are `server.query.fast`.
"""
