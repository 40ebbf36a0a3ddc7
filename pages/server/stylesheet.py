"""The few rules of style that Streamlit has no setting for, put into its start page.

A middleware for `st.App`, so that no page needs HTML of its own. Rules name widgets by the keys
that pages give them (Streamlit's class `st-key-` and the key), and use no colour: those are the
theme's. Where a host runs app.py as a plain script there is none, and only what is said here is
lost. Nothing of a visitor's, and nothing of a store's, gets in.
"""

import gzip

from starlette.types import ASGIApp, Message, Receive, Scope, Send

BEFORE = "live before"  # key of the container that holds a result of the puzzle before
TYPED = ("live context", "live statement", "live own")  # keys of the fields that hold people's text
WIDE_ONLY, NARROW_ONLY = "wide only", "narrow only"  # keys of containers of two looks of one thing
NARROW = "(max-width: 640px)"  # where Streamlit's own columns stand one below the other
RUN = "run"  # key of the box that lists runs by id

CONDITIONS = (b"if-none-match", b"if-modified-since")  # headers of a request: "send what is newer"


def _of(key: str) -> str:
    """The class that Streamlit gives a widget of this key.

    >>> _of("live context")
    '.st-key-live-context'
    """
    return f".st-key-{key.replace(' ', '-')}"


RULES = "\n".join(
    (
        "/* Each paragraph of what is typed runs as its first letter does. */",
        *(f"{_of(key)} :is(textarea, input) {{ unicode-bidi: plaintext; }}" for key in TYPED),
        "/* Of a long id, the end tells it from others; the list has room for all of it. */",
        f"{_of(RUN)} input {{ font-size: 0.8rem; text-overflow: ellipsis; }}",
        f"{_of(RUN)} input:not(:focus) {{ direction: rtl; text-align: left; }}",
        "[role=option] > div { white-space: normal; overflow-wrap: anywhere; height: auto; }",
        "/* Whoever goes by keyboard sees where: a ring round links of the menu. */",
        ":is(a[data-testid^=stPageLink], a[data-testid=stSidebarNavLink]):focus-visible "
        "{ outline: 2px solid; outline-offset: -2px; }",
        "/* Where two columns of sets have no room, runs stand in a list instead of a matrix. */",
        f"@media {NARROW} {{ div{_of(WIDE_ONLY)} {{ display: none; }} }}",
        f"@media not all and {NARROW} {{ div{_of(NARROW_ONLY)} {{ display: none; }} }}",
        "/* Dimmed, and still legible: text less than what is drawn. */",
        f"{_of(BEFORE)} {{ filter: grayscale(1); }}",
        f"{_of(BEFORE)} :is([data-testid=stVegaLiteChart], [data-testid=stDataFrame]) "
        "{ opacity: 0.45; }",
        f"{_of(BEFORE)} :is([data-testid=stHeading], [data-testid=stMarkdown] "
        ":not([data-testid=stCaptionContainer] *)) { opacity: 0.85; }",
    )
)


class Stylesheet:
    """ASGI middleware: the rules in the head of the start page; any other answer as it is."""

    is_there = False  # whether this process serves pages with the rules

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        Stylesheet.is_there = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        begun: Message | None = None  # the start of an answer that is a page
        parts: list[bytes] = []

        async def send_dressed(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start" and _is_page(message):
                begun = message
            elif begun is None or message["type"] != "http.response.body":
                await send(message)
            else:
                parts.append(message.get("body", b""))
                if not message.get("more_body"):
                    start, body = dressed(begun, b"".join(parts))
                    await send(start)
                    await send({"type": "http.response.body", "body": body})

        await self._app(_without_copy(scope), receive, send_dressed)


def _without_copy(scope: Scope) -> Scope:
    """The request of a browser that has no copy of the page: it may be one without the rules."""
    headers = dict(scope["headers"])
    if b"text/html" not in headers.get(b"accept", b""):
        return scope
    kept = [one for one in scope["headers"] if one[0] not in CONDITIONS]
    return {**scope, "headers": kept}


def _is_page(start: Message) -> bool:
    headers = dict(start.get("headers", ()))
    kind = headers.get(b"content-type", b"")
    return (
        start["status"] == 200
        and kind.startswith(b"text/html")
        and headers.get(b"content-encoding", b"gzip") == b"gzip"
    )


def dressed(start: Message, page: bytes) -> tuple[Message, bytes]:
    """The page with the rules at the end of its head, and headers that fit it.

    A browser must not take its copy of a page without the rules, or with older ones, for this one.
    """
    is_packed = (b"content-encoding", b"gzip") in start["headers"]
    page = gzip.decompress(page) if is_packed else page
    page = page.replace(b"</head>", f"<style>\n{RULES}\n</style></head>".encode(), 1)
    page = gzip.compress(page, compresslevel=6) if is_packed else page
    stale = (b"content-length", b"etag", b"last-modified")
    kept = [header for header in start["headers"] if header[0].lower() not in stale]
    return {**start, "headers": [*kept, (b"content-length", str(len(page)).encode())]}, page
