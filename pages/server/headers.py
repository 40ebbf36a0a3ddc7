"""What the server tells browsers to forbid, and two of Streamlit's addresses that it keeps shut.

A middleware for `st.App`. Where a host runs app.py as a plain script there is none; docs/hosting.md
says so.
"""

import base64
import functools
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import streamlit
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pages.server.settings import SettingsError, settings

# No page takes files; the other address tells how much memory each cache holds.
SHUT = re.compile(rb"/_stcore/(upload_file|metrics)(/|$)")
ORIGIN = re.compile(r"https?://[\w.*-]+(:\d+)?|\*")


def security_headers(embed: Iterable[str]) -> dict[str, str]:
    """Headers by name; `embed` are the sites that may show the dashboard inside their pages.

    Raises:
        SettingsError: when one of them is no origin.
    """
    embed = tuple(embed)
    if wrong := [site for site in embed if not ORIGIN.fullmatch(site)]:
        raise SettingsError(
            f"embed (QKSCOPE_EMBED) has {wrong[0]!r}; write origins such as https://huggingface.co"
        )
    policy = {
        "default-src": "'self'",
        "script-src": " ".join(("'self'", *_own_scripts())),
        "style-src": "'self' 'unsafe-inline'",  # Streamlit's own, written as the page is drawn
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "object-src": "'none'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": " ".join(("'self'", *embed)),
    }
    headers = {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",  # a link may hold a puzzle
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    }
    return headers if embed else headers | {"X-Frame-Options": "SAMEORIGIN"}


@functools.cache
def _own_scripts() -> tuple[str, ...]:
    """Hashes of the scripts that stand in Streamlit's start page itself, as a policy names them."""
    page = (Path(streamlit.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
    inline = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    hashes = (base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in inline)
    return tuple(f"'sha256-{one}'" for one in hashes)


class SecurityHeaders:
    """ASGI middleware: the headers on every answer, and 403 at the addresses that are shut."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        added = [
            (name.lower().encode(), value.encode())
            for name, value in security_headers(settings().embed).items()
        ]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = {name for name, _ in added}
                theirs = message.get("headers", ())
                kept = [header for header in theirs if header[0].lower() not in ours]
                message = {**message, "headers": [*kept, *added]}
            await send(message)

        if SHUT.search(scope["path"].encode()):
            await send_with_headers({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b"This address is shut here."})
        else:
            await self._app(scope, receive, send_with_headers)
