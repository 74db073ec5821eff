"""One HTTP/1.1 connection: requests that h11 reads, handed to an ASGI application one by one.

Nothing is read before it is wanted: the headers of a request, then its body as the application asks for it, and the
next request when the answer is sent. So what a client may have us hold is what `http_limits` says. HTTP/1.1 is all that
is spoken: an Upgrade is ignored, as RFC 9110 §7.8 allows, and HTTP/2 by prior knowledge refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import h11
import trio
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Scope

from keys.aws.http_connections import Connections, Held
from keys.aws.http_head import BadRequestError, head_end, header, host_of, read_head, target_of
from keys.aws.http_limits import (
    HEAD_WITHIN,
    KEEP_ALIVE,
    LARGEST_REST,
    LINGER,
    LONGEST_HEAD,
    SLOWEST,
    TAKEN_WITHIN,
    Limits,
    Turns,
    may_be_called,
)
from keys.aws.limited_log import LimitedLog

_PIECE = 1 << 16
"""Octets that are read or sent at once."""

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class _GoneError(Exception):
    """The client is gone, or is treated as if it were."""


class HttpConnection:
    """Speaks with one client until either has enough."""

    def __init__(
        self,
        stream: Stream,
        held: Held,
        app: ASGIApp,
        limits: Limits,
        connections: Connections,
        turns: Turns,
        log: LimitedLog,
    ) -> None:
        self._stream = stream
        self._held = held
        self._app = app
        self._limits = limits
        self._connections = connections
        self._turns = turns
        self._log = log
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=LONGEST_HEAD)
        self._received = bytearray()
        """What h11 was not given yet."""
        self._body_left: int | None = 0
        """Octets of the body that h11 was not given yet; `None`: as many as its chunks say."""
        self._body_read = True
        self._answer: h11.Response | None = None
        """Its line and headers, until the first octets of its body go with them."""
        self._request: h11.Request | None = None
        self._bad: BadRequestError | None = None
        """What was wrong with a body that the application has begun to read."""

    def know_client(self) -> None:
        """Its request was signed as it must be: it does not wait for strangers any more."""
        self._held.known = True

    async def next_turn(self) -> None:
        """Let queries, and other requests, be answered before this one goes on."""
        await self._turns.wait()

    async def drop(self) -> None:
        """Close it without another byte, but for what is wrong with the body."""
        if self._bad is None:
            await trio.aclose_forcefully(self._stream)

    async def serve(self) -> None:
        """Answer requests until the connection ends. Raises what the application does."""
        try:
            if isinstance(self._stream, trio.SSLStream):
                await self._shake_hands(self._stream)
            while await self._exchange():
                pass
        except BadRequestError as bad:
            self._log.note(f"HTTP {bad.status.value}", bad.reason)
            await self._refuse(bad)
        except (_GoneError, ClientDisconnect, trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def _shake_hands(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        await self._turns.wait_as_stranger()  # a signature of the certificate's key costs as much as a request
        try:
            with trio.fail_after(HEAD_WITHIN):
                await stream.do_handshake()
        except (trio.BrokenResourceError, trio.TooSlowError) as error:
            self._log.note("TLS handshake failed", str(error.__cause__ or "timed out")[:200])
            raise _GoneError from None

    async def _exchange(self) -> bool:
        """One request and its answer; whether there may be another."""
        head = await self._read_head()
        if head is None:
            return False
        with self._held.busy():
            await (self._turns.wait() if self._held.known else self._turns.wait_as_stranger())
            request = self._request = self._understand(head)
            scope = self._scope(request)
            try:
                await self._app(scope, self._receive, self._send)
            except ClientDisconnect:
                if self._bad is None:
                    raise
            except Exception:
                if self._h11.our_state is h11.SEND_RESPONSE:
                    await self._send_plain(HTTPStatus.INTERNAL_SERVER_ERROR, "")
                raise
        self._connections.release(self._held)
        if self._h11.our_state is h11.SEND_RESPONSE:  # the application has let go of the client
            if self._bad is not None:
                raise self._bad
            return False
        return await self._ready_for_next()

    async def _read_head(self) -> bytes | None:
        """The octets of the next request's line and headers; `None`: the client wants no more, or says nothing."""
        fresh = has_begun = self._request is None
        looked_at = 0
        with trio.CancelScope(deadline=trio.current_time() + (HEAD_WITHIN if fresh else KEEP_ALIVE)) as scope:
            while True:
                if self._received.startswith(b"\r\n"):  # one empty line is to be passed over (RFC 9112 §2.2)
                    del self._received[:2]
                    looked_at = 0
                end = head_end(self._received, looked_at)
                if end or len(self._received) >= LONGEST_HEAD:
                    break
                if self._received and not has_begun:
                    has_begun = True  # whatever empty lines it sends yet
                    scope.deadline = trio.current_time() + HEAD_WITHIN
                looked_at = len(self._received)
                octets = await self._stream.receive_some(LONGEST_HEAD - looked_at)
                if not octets:
                    return None
                self._received += octets
        if scope.cancelled_caught:
            if self._received:
                raise BadRequestError(
                    HTTPStatus.REQUEST_TIMEOUT, f"the request header was not complete within {HEAD_WITHIN:.0f} s"
                )
            return None
        if not end:
            raise BadRequestError(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the request headers exceed {LONGEST_HEAD} octets"
            )
        head = bytes(self._received[:end])
        del self._received[:end]
        return head

    def _understand(self, head: bytes) -> h11.Request:
        """The request of these octets. Raises `BadRequestError`."""
        request = read_head(self._h11, head)
        self._check_host(request)
        self._begin_body(request)
        return request

    def _check_host(self, request: h11.Request) -> None:
        names = self._limits.hosts
        if names is None or (self._limits.signed and header(request, b"authorization") is not None):
            return
        host = host_of(request).decode("latin-1")
        if not may_be_called(host, names):
            shown = host[:100].encode("ascii", "backslashreplace").decode()
            raise BadRequestError(
                HTTPStatus.MISDIRECTED_REQUEST,
                f'the host "{shown}" is not a name of this server: use its IP address or localhost, or '
                + ("sign the request" if self._limits.signed else "add the name to the setting hosts"),
            )

    def _begin_body(self, request: h11.Request) -> None:
        length = header(request, b"content-length")
        if header(request, b"transfer-encoding") is None:
            self._body_left = int(length or b"0")
        elif self._limits.trusted:
            self._body_left = None
        else:
            # Its size is not known before it is here (RFC 9110 §15.5.12).
            raise BadRequestError(HTTPStatus.LENGTH_REQUIRED, "the request has no Content-Length")
        self._body_read = False

    def _scope(self, request: h11.Request) -> Scope:
        path, _, query = target_of(request).partition(b"?")
        socket = _socket_of(self._stream)
        try:
            client, server = _address(socket.getpeername()), _address(socket.getsockname())
        except OSError:  # it was reset, or closed for another one
            raise _GoneError from None
        return {
            "type": "http",
            "asgi": {"spec_version": "2.1", "version": "3.0"},
            "http_version": request.http_version.decode(),
            "method": request.method.decode("ascii"),
            "scheme": "https" if isinstance(self._stream, trio.SSLStream) else "http",
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": list(request.headers),
            "client": client,
            "server": server,
            "state": {},
            "extensions": {},
        }

    async def _receive(self) -> Message:
        """The next message for the application: a part of the body, or that the client is gone."""
        if self._body_read:
            await self._until_gone()
            return {"type": "http.disconnect"}
        try:
            part = await self._body_part()
            self._hold(len(part))
        except BadRequestError as bad:
            self._bad = bad
            return {"type": "http.disconnect"}
        except (_GoneError, trio.BrokenResourceError, trio.ClosedResourceError):
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": not self._body_read}

    def _hold(self, octets: int) -> None:
        if not self._limits.trusted and not self._connections.hold(self._held, octets):
            raise BadRequestError(
                HTTPStatus.SERVICE_UNAVAILABLE, "the server holds too many octets of request bodies; try again later"
            )

    async def _body_part(self) -> bytes:
        """Octets of the body; `_body_read` says whether they are the last. Raises `_GoneError`."""
        if self._h11.they_are_waiting_for_100_continue:
            await self._write(self._h11.send(h11.InformationalResponse(status_code=100, headers=[])))
        while True:
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as error:
                raise BadRequestError(HTTPStatus.BAD_REQUEST, str(error)[:200]) from None
            if isinstance(event, h11.Data):
                return bytes(event.data)
            if isinstance(event, h11.EndOfMessage):
                self._body_read = True
                return b""
            with self._held.waiting():
                await self._feed()

    async def _feed(self) -> None:
        """Give h11 octets of the body, and nothing that stands behind it. Raises `_GoneError`."""
        if not self._received:
            octets = await self._stream.receive_some(
                _PIECE if self._body_left is None else min(self._body_left, _PIECE)
            )
            if not octets:
                raise _GoneError
            self._received += octets
        size = len(self._received) if self._body_left is None else min(len(self._received), self._body_left)
        self._h11.receive_data(bytes(self._received[:size]))
        del self._received[:size]
        if self._body_left is not None:
            self._body_left -= size

    async def _until_gone(self) -> None:
        while len(self._received) < LONGEST_HEAD:
            try:
                octets = await self._stream.receive_some(LONGEST_HEAD - len(self._received))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if not octets:
                return
            self._received += octets  # the next request, early
        await trio.sleep_forever()

    async def _send(self, message: Message) -> None:
        """What the application answers."""
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), (b"date", formatdate(usegmt=True).encode())]
            if self._rest_is_unread():
                headers.append((b"connection", b"close"))
            self._answer = h11.Response(status_code=message["status"], headers=headers)
        elif message["type"] == "http.response.body":
            await self._send_part(message.get("body", b""), bool(message.get("more_body", False)))

    async def _send_part(self, part: bytes, more: bool) -> None:
        pieces: list[bytes] = []
        if self._answer is not None:
            pieces += self._of_h11(self._answer)
            self._answer = None
        if part and self._request is not None and self._request.method != b"HEAD":
            pieces += self._of_h11(h11.Data(data=part))
        if not more:
            pieces += self._of_h11(h11.EndOfMessage())
        if len(pieces) > 1 and len(pieces[1]) < _PIECE:
            pieces = [b"".join(pieces)]
        await self._write(*pieces)

    def _of_h11(self, event: h11.Event) -> Iterable[bytes]:
        """The octets of an event, without a copy of a body."""
        octets = self._h11.send_with_data_passthrough(event)
        return [] if octets is None else [piece for piece in octets if piece]

    async def _write(self, *pieces: bytes) -> None:
        """Send octets to a client who takes them in time, whatever else is cancelled meanwhile. Raises `_GoneError`."""
        size = sum(map(len, pieces))
        seconds = TAKEN_WITHIN + size / SLOWEST
        with self._held.waiting(), trio.CancelScope(deadline=trio.current_time() + seconds, shield=True) as scope:
            for piece in pieces:
                whole = memoryview(piece)
                for start in range(0, len(piece), _PIECE):
                    await self._stream.send_all(whole[start : start + _PIECE])
        if scope.cancelled_caught:
            self._log.note("the client did not read the response in time", f"{size} octets in {seconds:.0f} s")
            raise _GoneError

    async def _ready_for_next(self) -> bool:
        """Read what the application left of the body; whether the connection goes on."""
        if self._body_left is None:  # what stands behind the last chunk is in h11's hands
            return False
        if self._h11.our_state is h11.MUST_CLOSE:
            await self._linger()
            return False
        if not self._body_read and not await self._read_rest():
            return False
        try:
            self._h11.start_next_cycle()
        except h11.LocalProtocolError:  # one side said that it would close
            await self._linger()
            return False
        return True

    def _rest_is_unread(self) -> bool:
        """Whether an answer that begins now is the last, as what is left of the body won't be read.

        A client that was not told to send its body may send the next request in its place (RFC 9110 §10.1.1), so what
        comes then belongs to nobody knows which.
        """
        if self._body_read:
            return False
        return self._h11.they_are_waiting_for_100_continue or (self._body_left or 0) > LARGEST_REST

    async def _read_rest(self) -> bool:
        """Read and forget a body that nobody wanted, where it is small; whether it is read."""
        with trio.move_on_after(LINGER), self._held.waiting():
            while not self._body_read:
                await self._body_part()
        return self._body_read

    async def _refuse(self, bad: BadRequestError) -> None:
        try:
            await self._send_plain(bad.status, bad.reason + "\n")
            await self._linger()
        except (_GoneError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def _send_plain(self, status: HTTPStatus, text: str) -> None:
        """An answer without h11, which may be in no state to make one, and the last of this connection."""
        body = text.encode("ascii", "backslashreplace")
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nDate: {formatdate(usegmt=True)}\r\n"
            f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        await self._write(head.encode() + body)

    async def _linger(self) -> None:
        """Take what is on its way, for a while: a connection closed over it is reset, and the answer may be lost."""
        left = LARGEST_REST
        with trio.move_on_after(LINGER), self._held.waiting():
            try:
                if isinstance(self._stream, trio.SocketStream):
                    await self._stream.send_eof()
                while left > 0 and (octets := await self._stream.receive_some(_PIECE)):
                    left -= len(octets)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return


def _socket_of(stream: Stream) -> Any:
    return (stream.transport_stream if isinstance(stream, trio.SSLStream) else stream).socket


def _address(name: Any) -> tuple[str, int] | None:
    """An address as ASGI has it; `None` of a Unix socket."""
    return (name[0], name[1]) if isinstance(name, tuple) else None
