"""The caches of an answering process, and the shortest ways to an answer that is in none of them.

Each is a memo of what `server.query` says: without them the same octets leave, later. It must not know a socket or a
clock.
"""
