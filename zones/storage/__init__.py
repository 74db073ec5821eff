"""Zones in other forms than one snapshot in memory: mapped images, changing contents, values to send.

It must not know files' names or sockets: octets come in and go out.
"""
