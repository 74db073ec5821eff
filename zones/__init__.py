"""What a name holds, and how we say no.

This package must not know any socket, nor read a clock: `now` is always an argument. Only
`masterfile.load` touches files.
"""
