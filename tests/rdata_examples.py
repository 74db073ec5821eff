"""Rdata of every type that dnspython knows, as text, with names in mixed case."""

from __future__ import annotations

import dns.rdata
import dns.rdataclass
from dns.rdatatype import RdataType

_SHA256 = "AB" * 32
_DELEGATION_SIGNER = f"1 13 2 {_SHA256}"
_CERTIFICATE = f"3 1 1 {_SHA256}"
_SIGNATURE = "A 13 2 60 20300101000000 20290101000000 1 Signer.Example. AAAA"
_KEY = "257 3 13 AAAA"

EXAMPLES = {
    "A": "192.0.2.1",
    "AAAA": "2001:db8::1",
    "AFSDB": "1 Db.Example.",
    "AMTRELAY": "10 0 3 Relay.Example.",
    "APL": "1:192.0.2.0/24 !2:2001:db8::/32",
    "AVC": '"app-name:x"',
    "BRID": "AAAA",
    "CAA": '0 issue "ca.example"',
    "CDNSKEY": _KEY,
    "CDS": _DELEGATION_SIGNER,
    "CERT": "PGP 0 0 AAAA",
    "CNAME": "Target.Example.",
    "CSYNC": "1 3 A NS",
    "DHCID": "AAAA",
    "DLV": _DELEGATION_SIGNER,
    "DNAME": "Target.Example.",
    "DNSKEY": _KEY,
    "DS": _DELEGATION_SIGNER,
    "DSYNC": "CDS NOTIFY 5300 Agent.Example.",
    "EUI48": "00-00-5e-00-53-2a",
    "EUI64": "00-00-5e-ef-10-00-00-2a",
    "GPOS": "-32.6882 116.8652 10.0",
    "HHIT": "AAAA",
    "HINFO": '"Cpu" "Os"',
    "HIP": "2 200100107B1A74DF365639CC39F1D578 AAAA Rvs.Example.",
    "HTTPS": "1 Svc.Example. alpn=h2 port=443 ipv4hint=192.0.2.1",
    "IPSECKEY": "1 3 2 Gate.Example. AAAA",
    "ISDN": "150862028003217 004",
    "KEY": "512 3 13 AAAA",
    "KX": "1 Kx.Example.",
    "L32": "10 10.1.2.0",
    "L64": "10 2001:0DB8:1140:1000",
    "LOC": "10 20 30.5 N 20 30 40.25 E 5.29m 1m 10m 100m",
    "LP": "10 L64.Example.",
    "MX": "10 Mail.Example.",
    "NAPTR": '1 2 "U" "E2U" "!^.*$!sip:I@Example!" Next.Example.',
    "NID": "10 0014:4fff:ff20:ee64",
    "NINFO": '"x"',
    "NS": "Ns.Example.",
    "NSAP": "0x47000580005a",
    "NSAP_PTR": "Ptr.Example.",
    "NSEC": "Next.Example. A NS",
    "NSEC3": "1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr A",
    "NSEC3PARAM": "1 0 0 -",
    "OPENPGPKEY": "AAAA",
    "PTR": "Ptr.Example.",
    "PX": "1 Map822.Example. Mapx400.Example.",
    "RESINFO": '"qnamemin"',
    "RP": "Host.Example. Text.Example.",
    "RRSIG": _SIGNATURE,
    "RT": "1 Rt.Example.",
    "SIG": _SIGNATURE,
    "SMIMEA": _CERTIFICATE,
    "SOA": "Ns.Example. Host.Example. 1 2 3 4 5",
    "SPF": '"v=spf1 -all"',
    "SRV": "1 2 3 Srv.Example.",
    "SSHFP": f"1 1 {'AB' * 20}",
    "SVCB": "1 Svc.Example. alpn=h2",
    "TLSA": _CERTIFICATE,
    "TXT": '"Text" "two"',
    "URI": '10 1 "http://Example/"',
    "WALLET": '"x" "y"',
    "WKS": "192.0.2.1 6 25",
    "X25": "311061700956",
    "ZONEMD": f"1 1 1 {'AB' * 48}",
}
"""By type."""

NOT_DATA = {"OPT", "TKEY", "TSIG"}
"""Types that dnspython knows and no zone holds."""


def known_types() -> set[str]:
    """The types that dnspython knows, apart from those that are not data."""
    generic = dns.rdata.GenericRdata
    found = set()
    for rrtype in RdataType:
        if dns.rdata.get_rdata_class(dns.rdataclass.IN, rrtype) is not generic:  # type: ignore[no-untyped-call]
            found.add(rrtype.name)
    return found - NOT_DATA
