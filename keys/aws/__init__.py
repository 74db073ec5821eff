"""What the KMS emulator and the Route 53 API share: requests signed by SigV4, over HTTP on a bound socket.

It must not know what is asked for.
"""
