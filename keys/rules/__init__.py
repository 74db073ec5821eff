"""What decides over keys: keyring, events, transitions, the plan and its waits, as functions of values and `now`.

Pure. It must not know who performs an action, where a keyring is stored, or what time it is.
"""
