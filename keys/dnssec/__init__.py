"""The records of DNSSEC as values and octets: policies, windows, RRSIG, DNSKEY, DS, and the ZSK that signs.

All that an answering process needs of keys, and pure. It must not know how keys come and go (`keys.rules`).
"""
