"""Who asks for what: counted while somebody looks, and logged. Both see responses as they leave (`seen_responses`).

It must not know who looks, how a report is shown, or which of these runs in which process.
"""
