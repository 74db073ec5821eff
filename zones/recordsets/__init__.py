"""What the record sets of a Route 53 hosted zone mean, and how a change batch becomes new ones.

This package must not know any socket, nor read a clock. Only `record_store` touches the state database.
"""
