"""One clock for answers, keys and waits: what time it is, out of three clocks of which one can be set wrong.

It must not know what the time is for: no zone, no key.
"""
