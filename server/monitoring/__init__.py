"""What watches a running server: metrics, hooks, logs, counts of queries, and Python's collector of cycles.

It must not know how anything is shown to a person (`server.display`).
"""
