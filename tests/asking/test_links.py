"""A puzzle in a link, as Python and as a command: the same puzzle, and the same numbers."""

import base64
import io
import json
import shlex
import subprocess
import sys
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkcore.__main__ import main
from qkcore.asking.links import (
    MAX_LINK,
    MAX_UNPACKED,
    LinkError,
    Shared,
    decode,
    encode,
    python_snippet,
    shell_snippet,
    typed_puzzle,
)
from qkcore.asking.templates import template_named
from qkcore.attention.load import load_model
from qkcore.scoring.score import score_puzzle
from tests import ROOT

ONE = Shared(
    typed_puzzle(
        'Max is a wumpus. Every wumpus is a tumpus.\nTumpuses are "not" cold\'s $HOME `x`.',
        "Max is a tumpus.",
        answer=0,
    ),
    "data/reference",
    layer=6,
    head=1,
)
TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=50).filter(str.strip)


@given(
    TEXT,
    TEXT,
    st.lists(TEXT.map(str.strip), min_size=2, max_size=8, unique=True),
    st.integers(0, 1) | st.none(),
)
def test_a_link_gives_back_whatever_was_typed(context, statement, candidates, answer):
    shared = replace(ONE, puzzle=typed_puzzle(context, statement, tuple(candidates), answer))
    text = encode(shared)
    assert decode(text) == shared
    assert text.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("rope", ["raw", "post"])
def test_a_template_and_another_reading_travel_too(rope):
    shared = replace(ONE, rope=rope, template="{context}\n{statement}\nSo:")
    assert decode(encode(shared)) == shared


@given(st.text(max_size=200))
def test_any_other_text_is_refused_in_a_sentence(text):
    with pytest.raises(LinkError, match="copy it again in full"):
        decode(text)


def test_a_chat_travels_and_is_asked_for_by_its_option():
    shared = replace(ONE, template="{chat}default")
    assert decode(encode(shared)) == shared
    assert "--chat" in shell_snippet(shared)
    assert "--template" not in shell_snippet(shared)
    assert "template=template_named('{chat}default')" in python_snippet(shared)


def test_bits_are_asked_for_by_their_option():
    assert " --quantize 4bit " in shell_snippet(ONE, "4bit")
    assert "quantize='4bit')" in python_snippet(ONE, "4bit")
    assert "quantize" not in shell_snippet(ONE) + python_snippet(ONE)


@pytest.mark.parametrize("n", [1, 5, 40])
def test_a_link_that_was_cut_short_is_refused(n):
    with pytest.raises(LinkError):
        decode(encode(ONE)[:-n])


def packed(data: bytes, version: int = 1) -> str:
    return base64.urlsafe_b64encode(bytes([version]) + zlib.compress(data, 9)).decode().rstrip("=")


def test_a_link_of_another_version_says_so():
    with pytest.raises(LinkError, match="another version of QKScope"):
        decode(packed(b"[]", version=9))


@pytest.mark.parametrize(
    "changes",
    [
        {"context": ""},
        {"context": 7},
        {"candidates": ["true"]},
        {"candidates": "true"},
        {"candidates": ["a"] * 2},
        {"candidates": [str(number) for number in range(9)]},
        {"answer": 2},
        {"answer": True},
        {"layer": -1},
        {"layer": 1e9},
        {"head": "1"},
        {"rope": "both"},
        {"model": ""},
        {"model": ["x"]},
        {"template": "{context.__class__}{statement}:"},
        {"template": 5},
        {"template": "{chat}{chat"},
        {"template": "{chat}{chat}default"},
    ],
)
def test_fields_that_no_puzzle_has_are_refused(changes):
    row = {
        name: getattr(ONE.puzzle, name) for name in ("context", "statement", "candidates", "answer")
    }
    row |= {
        name: getattr(ONE, name) for name in ("model", "rope", "template", "layer", "head")
    } | changes
    with pytest.raises(LinkError):
        decode(packed(json.dumps(list(row.values())).encode()))


def test_a_bomb_is_not_unpacked():
    bomb = packed(b"[" + b" " * 20_000_000)
    assert len(bomb) < MAX_LINK
    unpacked = []
    original = zlib.decompressobj

    class Counting:
        def __init__(self):
            self.inner = original()

        def decompress(self, data, limit):
            unpacked.append(limit)
            return self.inner.decompress(data, limit)

        eof = property(lambda self: self.inner.eof)
        unused_data = b""

    zlib.decompressobj = Counting
    try:
        with pytest.raises(LinkError):
            decode(bomb)
    finally:
        zlib.decompressobj = original
    assert unpacked == [MAX_UNPACKED]


def test_deep_nesting_is_refused():
    with pytest.raises(LinkError):
        decode(packed(b"[" * 100_000))


def test_a_puzzle_too_long_for_a_link_says_by_how_much():
    rng = np.random.default_rng(0)
    with pytest.raises(LinkError, match="too long for a link"):
        encode(replace(ONE, puzzle=replace(ONE.puzzle, context=rng.bytes(60_000).hex())))


OTHER = replace(ONE, rope="post", template="{context}\n{statement}\nAnswer:")


def check_printed(shared: Shared, by_python: str, by_shell: str) -> None:
    """What both printed are the scores of the puzzle."""
    lm = load_model(ROOT / shared.model)
    scores = score_puzzle(
        lm, shared.puzzle, rope=shared.rope, template=template_named(shared.template)
    )
    qk, logits = map(json.loads, by_python.splitlines())
    np.testing.assert_allclose(qk, scores.qk[shared.layer, shared.head], atol=1e-5)
    np.testing.assert_allclose(logits, scores.logits, atol=1e-5)
    answer = json.loads(by_shell)
    (own,) = [
        one for one in answer["heads"] if (one["layer"], one["head"]) == (shared.layer, shared.head)
    ]
    np.testing.assert_allclose(own["scores"], qk, atol=1e-5)
    np.testing.assert_allclose(answer["model"]["logits"], logits, atol=1e-5)


def output(line: list[str]) -> str:
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_python_and_shell_run_as_they_are_shown_and_give_the_numbers_of_the_page():
    command = shell_snippet(OTHER).replace("python", sys.executable, 1)
    by_shell = output(["sh", "-c", command])
    check_printed(OTHER, output([sys.executable, "-c", python_snippet(OTHER)]), by_shell)


# In python's place: what it was called with, and what it was given to read.
SHOW = "import json, sys; print(json.dumps([sys.argv[1:], sys.stdin.read()]))"
SHOWING = f"{shlex.quote(sys.executable)} -c '{SHOW}'"


@pytest.mark.parametrize(
    "shared", [ONE, OTHER, replace(ONE, template="{context}\n'$x' {statement}:")]
)
def test_python_and_shell_say_the_same(shared, monkeypatch, capsys):
    """Without a process for each: a shell takes the command apart, the command is called here."""
    monkeypatch.chdir(ROOT)
    exec(compile(python_snippet(shared), "snippet", "exec"), {})
    by_python = capsys.readouterr().out
    taken_apart = output(["sh", "-c", shell_snippet(shared).replace("python", SHOWING, 1)])
    (dash_m, room, *arguments), typed = json.loads(taken_apart)
    assert (dash_m, room) == ("-m", "qkcore")
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert main(arguments) == 0
    check_printed(shared, by_python, capsys.readouterr().out)
