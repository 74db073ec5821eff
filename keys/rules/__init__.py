"""What decides over keys: the ring, its events and transitions, the plan and the waits, as functions of values and `now`.

Pure. It must not know who performs an action, where a ring is stored, or what time it is.
"""
