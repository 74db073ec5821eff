"""Sockets: UDP in batches, DNS over TCP, addresses and listeners.

It must not know zones: octets go to a responder and come back.
"""
