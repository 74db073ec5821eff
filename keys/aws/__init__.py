"""What all HTTP listeners share: HTTP/1.1 on a bound socket within bounds, and requests signed by SigV4.

It must not know what is asked for.
"""
