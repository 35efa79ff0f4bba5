"""What stands before every request: who may ask, how much may be sent, and what browsers are told about the answers.

A page of another site that is open in the same browser can send requests to 127.0.0.1, and a name of its own can be
made to lead there (DNS rebinding). Against both: the Host header must be this server's own, requests from other sites
are refused, and everything asks for a token that is new at every start and known only to who started the server.
"""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "frame-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
TOKEN_HEADER = "x-bozzetto-token"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
NO_TOKEN = "This page belongs to another start of the server: open the address that `bozzetto serve` printed."


@dataclass(frozen=True)
class Door:
    """Where a server listens, and what it asks of visitors."""

    port: int
    host: str = LOOPBACK[0]
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def cookie(self) -> str:
        """Browsers share cookies among all ports of a host."""
        return f"bozzetto-{self.port}"

    @property
    def address(self) -> str:
        """What to open in a browser."""
        name = LOOPBACK[0] if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{f'[{name}]' if ':' in name else name}:{self.port}/?token={self.token}"

    def knows_host(self, given: str) -> bool:
        """Whether a Host header, or an Origin without its scheme, is this server's own.

        Where it listens to more than this machine, any address in numbers is: those cannot be made to lead elsewhere.
        """
        try:
            parts = urlsplit(f"//{given}")
            name, port = parts.hostname or "", parts.port or 80
        except ValueError:
            return False
        if port != self.port or parts.username is not None or parts.path or parts.query or parts.fragment:
            return False
        if name in (*LOOPBACK, self.host.lower()):
            return True
        return self.host not in LOOPBACK and _is_address(name)

    def knows_origin(self, given: str) -> bool:
        scheme, _, rest = given.partition("://")
        return scheme == "http" and self.knows_host(rest)

    def knows_token(self, given: str | None) -> bool:
        return given is not None and secrets.compare_digest(given.encode(), self.token.encode())


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Guard:
    """ASGI middleware: the outermost layer of the app."""

    def __init__(self, app: ASGIApp, door: Door, max_body: int) -> None:
        self.app, self.door, self.max_body = app, door, max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self.refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, answer)
        else:
            await self.app(scope, self._counted(receive), answer)

    def refusal(self, scope: Scope) -> Response | None:
        """What to answer to a request that is not let in; None for one that is."""
        headers, door = Headers(scope=scope), self.door
        if len(headers.getlist("host")) != 1 or not door.knows_host(headers["host"]):
            return _refuse("This server answers under its own address alone.", 421)
        # To follow a link to the front page is all that another site's page may bring about.
        arriving = scope["method"] == "GET" and scope["path"] == "/"
        site = headers.get("sec-fetch-site", "none")
        if not arriving and site not in ("same-origin", "none"):
            return _refuse("Requests from other sites are refused.", 403)
        if "origin" in headers and not door.knows_origin(headers["origin"]):
            return _refuse("Requests from other sites are refused.", 403)
        if not self._has_token(scope, headers, arriving):
            return PlainTextResponse(NO_TOKEN, 403) if arriving else _refuse(NO_TOKEN, 403)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.max_body:
            return _refuse(too_large(self.max_body), 413)
        return None

    def _has_token(self, scope: Scope, headers: Headers, arriving: bool) -> bool:
        found = [headers.get(TOKEN_HEADER)]
        try:
            kept = SimpleCookie(headers.get("cookie", "")).get(self.door.cookie)
        except CookieError:
            kept = None
        if kept is not None:
            found.append(kept.value)
        if arriving:
            found += parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        return any(self.door.knows_token(token) for token in found)

    def _counted(self, receive: Receive) -> Receive:
        """`receive` that refuses more bytes than allowed, whatever the header said."""
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self.max_body:
                raise HTTPException(413, too_large(self.max_body))
            return message

        return counted


def too_large(most: int) -> str:
    return f"The upload is larger than {most / 2**20:.3g} MiB; make it smaller, or start with a larger --max-upload."


def _refuse(sentence: str, status: int) -> Response:
    return JSONResponse({"error": sentence}, status)
