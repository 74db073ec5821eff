"""From a master file (RFC 1035 §5) to a zone: records read, checked and compiled; errors by file and line.

It must not know who reads the messages, nor where the zone will be served.
"""
