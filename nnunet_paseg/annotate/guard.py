"""Guard of the local server: address, token, origin and size of every request, before anything else sees it."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 1 << 20
"""Largest body of a request in bytes: a case with thousands of points."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self' data: blob:; font-src 'self' data:; worker-src blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
"""Headers of every response. Nothing is loaded from elsewhere, and no other page can read or embed this one."""


class Guard:
    """ASGI middleware that rejects every request that the page of this server does not send.

    The token is the first part of the path, so that images, scripts and requests all carry it and no cookie does:
    browsers send the cookies of 127.0.0.1 to the servers of all its ports.

    Args:
        app: Application behind the guard, which sees the path without the token.
        token: Secret of this server.
        hosts: Accepted values of the Host header, such as ``127.0.0.1:8765``.
    """

    def __init__(self, app: ASGIApp, *, token: str, hosts: Collection[str]) -> None:
        self.app = app
        self.token = token
        self.hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a rejected request, and pass on any other one."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        response, body = self._rejection(scope), b""
        if response is None and scope["method"] == "POST":
            read = await _read_body(scope, receive)
            response, body = (_error(413, "The request is too large."), b"") if read is None else (None, read)
        if response is not None:
            await response(scope, receive, _with_headers(send))
            return
        inner = {**scope, "path": "/" + scope["path"].split("/", 2)[2]}
        await self.app(inner, _replay(body, receive), _with_headers(send))

    def _rejection(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host not in self.hosts:
            return _error(
                403, f"This server is {' or '.join(sorted(self.hosts))}: open the address that it printed, unchanged."
            )
        parts = scope["path"].split("/", 2)
        given = parts[1] if len(parts) > 1 else ""
        if not secrets.compare_digest(given.encode(), self.token.encode()):
            return _error(403, "The token is missing or wrong: open the whole address that paseg annotate printed.")
        if len(parts) == 2:
            return RedirectResponse(f"/{self.token}/")
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return _error(405, "Only GET and POST are known.")
        if scope["method"] == "POST" and headers.get("origin") != f"http://{host}":
            return _error(403, "The request comes from another page.")
        return None


def _error(status: int, message: str) -> Response:
    # A body that was not read would be taken for the next request.
    return JSONResponse({"error": message}, status, headers={"Connection": "close"})


async def _read_body(scope: Scope, receive: Receive) -> bytes | None:
    """Return the body of a request, None if it is too large."""
    declared = Headers(scope=scope).get("content-length", "0")
    if not declared.isdigit() or int(declared) > MAX_BODY:
        return None
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_BODY:
            return None
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: Any = MutableHeaders(scope=message)
            headers.update(HEADERS)
        await send(message)

    return send_with_headers
