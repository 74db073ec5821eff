"""A certificate authority for tests (RFC 8555): it asks for dns-01 alone, and believes what a validator believes.

It takes each request as signed: whether an ACME client signs well is not what it is here for.
"""

from __future__ import annotations

import json
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

LookUp = Callable[[str], set[str]]
"""The strings of the TXT RRset at a name, where it validates."""


@dataclass
class Order:
    """What a client wants a certificate for: names, each with its token and whether it was proved."""

    names: list[str]
    tokens: list[str]
    proved: list[bool]
    certificate: str = ""

    @property
    def status(self) -> str:
        """As of RFC 8555 §7.1.6."""
        if self.certificate:
            return "valid"
        return "ready" if all(self.proved) else "pending"


@dataclass
class Authority:
    """What it was told, and what it saw when it looked up."""

    look_up: LookUp
    url: str = ""
    thumbprint: str = ""
    orders: list[Order] = field(default_factory=list)
    seen: list[tuple[str, set[str]]] = field(default_factory=list)

    def prove(self, order: Order, number: int) -> None:
        """Look the answer to a challenge up (RFC 8555 §8.4)."""
        owner = f"_acme-challenge.{order.names[number].removeprefix('*.')}."
        found = self.look_up(owner)
        self.seen.append((owner, found))
        wanted = _base64(sha256(f"{order.tokens[number]}.{self.thumbprint}".encode()).digest())
        order.proved[number] = wanted in found


@contextmanager
def issuing(look_up: LookUp) -> Iterator[Authority]:
    """An authority on a free port; `url` is its directory's."""
    authority = Authority(look_up)
    handler = type("Handler", (_Handler,), {"authority": authority})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        authority.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield authority
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    """The resources of RFC 8555 §7.1."""

    authority: Authority

    def do_HEAD(self) -> None:
        self._answer(200)

    def do_GET(self) -> None:
        url = self.authority.url
        self._answer(200, {"newNonce": f"{url}/nonce", "newAccount": f"{url}/account", "newOrder": f"{url}/order"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        protected, payload = (json.loads(_octets(body[part]) or b"null") for part in ("protected", "payload"))
        resource, *numbers = re.findall(r"[a-z]+|\d+", self.path)
        getattr(self, f"_{resource}")(protected, payload, *map(int, numbers))

    def _account(self, protected: Any, payload: Any) -> None:
        # RFC 7638: the members that are required, in order, without space.
        needed = {name: value for name, value in protected["jwk"].items() if name in ("crv", "e", "kty", "n", "x", "y")}
        text = json.dumps(needed, sort_keys=True, separators=(",", ":"))
        self.authority.thumbprint = _base64(sha256(text.encode()).digest())
        self._answer(201, {"status": "valid"}, Location=f"{self.authority.url}/account/1")

    def _order(self, protected: Any, payload: Any, number: int | None = None) -> None:
        if number is not None:
            self._answer(200, self._shown(number))
            return
        names = [identifier["value"] for identifier in payload["identifiers"]]
        tokens = [secrets.token_urlsafe(24) for _ in names]
        self.authority.orders.append(Order(names, tokens, [False for _ in names]))
        number = len(self.authority.orders) - 1
        self._answer(201, self._shown(number), Location=f"{self.authority.url}/order/{number}")

    def _authorization(self, protected: Any, payload: Any, number: int, name: int) -> None:
        order = self.authority.orders[number]
        value = order.names[name].removeprefix("*.")
        status = "valid" if order.proved[name] else "pending"
        shown = {"status": status, "identifier": {"type": "dns", "value": value}}
        self._answer(200, {**shown, "challenges": [self._challenged(number, name)]})

    def _challenge(self, protected: Any, payload: Any, number: int, name: int) -> None:
        self.authority.prove(self.authority.orders[number], name)
        link = f'<{self.authority.url}/authorization/{number}/{name}>;rel="up"'
        self._answer(200, self._challenged(number, name), Link=link)

    def _finalize(self, protected: Any, payload: Any, number: int) -> None:
        order = self.authority.orders[number]
        assert order.status == "ready"
        order.certificate = _issue(x509.load_der_x509_csr(_octets(payload["csr"])))
        self._answer(200, self._shown(number))

    def _certificate(self, protected: Any, payload: Any, number: int) -> None:
        self._answer(200, self.authority.orders[number].certificate)

    def _shown(self, number: int) -> dict[str, object]:
        order, url = self.authority.orders[number], self.authority.url
        return {
            "status": order.status,
            "identifiers": [{"type": "dns", "value": name} for name in order.names],
            "authorizations": [f"{url}/authorization/{number}/{name}" for name in range(len(order.names))],
            "finalize": f"{url}/finalize/{number}",
            **({"certificate": f"{url}/certificate/{number}"} if order.certificate else {}),
        }

    def _challenged(self, number: int, name: int) -> dict[str, str]:
        order = self.authority.orders[number]
        return {
            "type": "dns-01",
            "url": f"{self.authority.url}/challenge/{number}/{name}",
            "token": order.tokens[name],
            "status": "valid" if order.proved[name] else "pending",
        }

    def _answer(self, status: int, body: object = None, **headers: str) -> None:
        text = (body if isinstance(body, str) else json.dumps(body)).encode()
        kind = "application/pem-certificate-chain" if isinstance(body, str) else "application/json"
        self.send_response(status)
        nonce = {"Replay-Nonce": secrets.token_urlsafe(12), "Content-Length": str(len(text))}
        for name, value in {"Content-Type": kind, **nonce, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (its name in the standard library)
        """Nothing: the test tells what it saw."""


def _issue(request: x509.CertificateSigningRequest) -> str:
    """A certificate for what is requested, and the one that signed it."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name.from_rfc4514_string("CN=An authority for tests")
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    def builder(subject: x509.Name, public_key: Any) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        dated = x509.CertificateBuilder().not_valid_before(now).not_valid_after(now + timedelta(days=90))
        named = dated.issuer_name(name).subject_name(subject)
        return named.public_key(public_key).serial_number(x509.random_serial_number())

    issuer = builder(name, key.public_key()).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    issued = builder(request.subject, request.public_key()).add_extension(names, critical=False)
    chain = [one.sign(key, hashes.SHA256()) for one in (issued, issuer)]
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in chain)


def _base64(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def _octets(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
