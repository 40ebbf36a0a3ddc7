"""The stylesheet that the server puts into Streamlit's start page."""

import asyncio
import gzip
import re

import pytest

from pages.server.stylesheet import RULES, Stylesheet

PAGE = b"<html><head><title>x</title></head><body></body></html>"


def answered(headers, body, asked=(), method="GET"):
    """What an app's answer of two parts becomes: (request that the app saw, headers, body)."""
    seen, sent = [], []

    async def app(scope, _receive, send):
        seen.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        half = len(body) // 2
        await send({"type": "http.response.body", "body": body[:half], "more_body": True})
        await send({"type": "http.response.body", "body": body[half:]})

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "headers": list(asked)}
    asyncio.run(Stylesheet(app)(scope, None, send))
    starts = [one for one in sent if one["type"] == "http.response.start"]
    assert len(starts) == 1
    return seen[0], dict(starts[0]["headers"]), b"".join(one.get("body", b"") for one in sent)


@pytest.mark.parametrize("is_packed", [False, True])
def test_a_page_gets_the_rules_in_its_head_and_headers_that_fit(is_packed):
    body = gzip.compress(PAGE) if is_packed else PAGE
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"etag", b'"1"')]
    headers += [(b"content-length", str(len(body)).encode()), (b"cache-control", b"no-cache")]
    headers += [(b"content-encoding", b"gzip")] if is_packed else []
    _, got, found = answered(headers, body)
    assert got[b"content-length"] == str(len(found)).encode()
    assert b"etag" not in got
    assert got[b"cache-control"] == b"no-cache"
    text = (gzip.decompress(found) if is_packed else found).decode()
    assert text == PAGE.decode().replace("</head>", f"<style>\n{RULES}\n</style></head>")


@pytest.mark.parametrize(
    ("kind", "method"), [(b"text/javascript", "GET"), (b"application/json", "GET")]
)
def test_any_other_answer_is_as_it_was(kind, method):
    headers = [(b"content-type", kind), (b"etag", b'"1"')]
    _, got, found = answered(headers, PAGE, method=method)
    assert (got, found) == (dict(headers), PAGE)


def test_a_copy_of_the_page_from_before_is_not_taken_for_it():
    asked = [(b"accept", b"text/html,*/*"), (b"if-none-match", b'"1"'), (b"host", b"x")]
    seen, _, _ = answered([(b"content-type", b"text/html")], PAGE, asked)
    assert dict(seen["headers"]) == {b"accept": b"text/html,*/*", b"host": b"x"}
    asked = [(b"accept", b"*/*"), (b"if-none-match", b'"1"')]
    seen, _, _ = answered([(b"content-type", b"text/javascript")], PAGE, asked)
    assert list(seen["headers"]) == asked


def test_of_two_looks_of_one_thing_a_width_shows_just_one():
    hidden = re.findall(r"@media (.*?) \{ (\S+) \{ display: none", RULES)
    assert hidden == [
        ("(max-width: 640px)", "div.st-key-wide-only"),
        ("not all and (max-width: 640px)", "div.st-key-narrow-only"),
    ]


def test_the_rules_name_no_colour_and_fetch_nothing():
    plain = re.sub(r"/\*.*?\*/", "", RULES)
    assert not re.search(r"url\(|@import|#[0-9a-f]{3}|rgb|hsl|color", plain)
    assert "<" not in RULES
