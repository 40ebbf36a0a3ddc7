"""Published sets: what comes is what is pinned, or one sentence says which file is not."""

import hashlib
import json
import re
from http.server import SimpleHTTPRequestHandler

import pytest

from qkcore.__main__ import main
from qkcore.puzzles.public_sets import NAMES
from qkcore.sharing import pinned
from qkcore.sharing.get_sets import get_sets
from qkcore.sharing.pinned import SetsError, pinned_sets
from tests import ROOT
from tests.sharing.web import served

SAMPLES = ROOT.parent / "shared" / "data"
WHOLE, LINES = b'{"a": 1}', b'{"n": 1}\r\n{"n": 2}\r\n'
EXAMPLES = {"example1": {"question": "Q"}, "example2": {"question": "R"}}


def sha(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def site(tmp_path):
    """(where its files lie, the manifest of a set there); what was asked for is in the log."""
    folder = tmp_path / "site" / "at-1" / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "whole.json").write_bytes(WHOLE)
    (folder / "begins.jsonl").write_bytes(LINES + b'{"n": 3}\r\n')
    (folder / "examples.json").write_text(json.dumps(EXAMPLES, indent=1))
    (folder.parent / "other.json").write_bytes(b"{}")

    class Files(SimpleHTTPRequestHandler):
        def __init__(self, *given):
            super().__init__(*given, directory=tmp_path / "site")

    first = json.dumps({"example1": EXAMPLES["example1"]}, separators=(",", ":")).encode()
    with served(Files) as address:
        (tmp_path / "sets.toml").write_text(f"""
[[sets]]
name = "one"
title = "One"
format = "prontoqa"
address = "{address}/at-1"
folder = "data"
licence = "CC0"
[sets.files]
"deep/whole.json" = {{ sha256 = "{sha(WHOLE)}" }}
"begins.jsonl" = {{ bytes = {len(LINES)}, sha256 = "{sha(LINES)}" }}
"examples.json" = {{ examples = 1, sha256 = "{sha(first)}" }}
"unknown.json" = {{ at = "other.json" }}
""")
        yield folder, tmp_path / "sets.toml"


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_sets_come_from_their_addresses_and_say_how_they_were_checked(
    site, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("qkcore.sharing.get_sets.pinned_sets", lambda _: pinned_sets(site[1]))
    monkeypatch.setattr(pinned, "pinned_sets", lambda: pinned_sets(site[1]))
    assert main(["get-sets", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "1 by whole hash, 2 by beginning, 1 by revision alone" in said
    assert "licence: CC0" in said
    assert f"qkscope import prontoqa {tmp_path / 'out' / 'one'} --out one.jsonl" in said
    named = ["begins.jsonl", "deep/whole.json", "examples.json", "unknown.json"]
    assert files_in(tmp_path / "out") == [*(f"one/{name}" for name in named), "sets.json"]
    assert (tmp_path / "out/one/begins.jsonl").read_bytes().startswith(LINES)
    record = json.loads((tmp_path / "out/sets.json").read_text())["one"]["files"]
    assert record["deep/whole.json"]["sha256"] == sha(WHOLE)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("deep/whole.json", b"{}", f"SHA-256 should be {sha(WHOLE)} and is {sha(b'{}')}"),
        ("begins.jsonl", b"x" + LINES, f"of its first {len(LINES)} bytes should be {sha(LINES)}"),
        ("examples.json", b'{"example1": {}}', "of its first 1 examples should be .* and is "),
        ("examples.json", b"<html>", "and is none, for it is no JSON"),
    ],
)
def test_other_bytes_are_refused_with_file_expected_and_found(
    name, content, sentence, site, tmp_path
):
    (site[0] / name).write_bytes(content)
    with pytest.raises(SetsError, match=f"one/{name} is not the file that is pinned: .*{sentence}"):
        get_sets(tmp_path / "out", manifest=site[1])
    assert f"one/{name}" not in files_in(tmp_path / "out")


def test_a_file_changed_by_hand_is_refused_also_where_only_its_revision_is_pinned(site, tmp_path):
    out = tmp_path / "out"
    before = get_sets(out, manifest=site[1])
    assert get_sets(out, manifest=site[1]) == before
    for name, sentence in (("unknown.json", "that was here before"), ("deep/whole.json", "pinned")):
        whole = (out / "one" / name).read_bytes()
        (out / "one" / name).write_bytes(b"changed")
        with pytest.raises(SetsError, match=f"one/{name} is not the file .*{sentence}"):
            get_sets(out, manifest=site[1])
        (out / "one" / name).write_bytes(whole)


def test_what_was_fetched_before_the_network_failed_is_not_fetched_again(site, tmp_path):
    out = tmp_path / "out"
    (site[0] / "examples.json").rename(site[0] / "away.json")
    with pytest.raises(SetsError, match=r"examples.json could not be fetched: .* 404 .*--from"):
        get_sets(out, manifest=site[1])
    assert files_in(out) == ["one/begins.jsonl", "one/deep/whole.json", "sets.json"]
    (site[0] / "away.json").rename(site[0] / "examples.json")
    (site[0] / "begins.jsonl").unlink()
    assert len(get_sets(out, manifest=site[1])["one"]["files"]) == 4


def test_a_copy_needs_no_network_and_a_sample_gives_way_to_the_whole_file(site, tmp_path):
    folder, manifest = site
    copy, out, said = tmp_path / "copy", tmp_path / "out", []
    (copy / "one").mkdir(parents=True)
    (copy / "one" / "begins.jsonl").write_bytes(LINES)
    (folder / "begins.jsonl").rename(tmp_path / "away")  # nobody may ask for it
    get_sets(out, copy, manifest=manifest, say=said.append)
    assert "left out, since the copy lacks them: deep/whole.json" in "\n".join(said)
    assert "samples, not whole files: 1 (begins.jsonl" in "\n".join(said)
    (tmp_path / "away").rename(folder / "begins.jsonl")
    get_sets(out, manifest=manifest)
    assert (out / "one/begins.jsonl").read_bytes() != LINES
    with pytest.raises(SetsError, match=r"has no file of one, such as one/deep/whole\.json"):
        get_sets(tmp_path / "new", tmp_path, manifest=manifest)


def test_what_cannot_be_asked_for_is_one_line(tmp_path, capsys):
    gone = ["--from", str(tmp_path / "gone")]
    for words in (["--set", "x"], gone):
        assert main(["get-sets", str(tmp_path / "out"), *words]) == 2
        said = capsys.readouterr().err
        assert re.match("qkscope get-sets: error: there is no ", said)
        assert said.count("\n") == 1
    (tmp_path / "sets.json").write_text("[]")
    with pytest.raises(SetsError, match="cannot be read; delete it"):
        get_sets(tmp_path, tmp_path)


def test_every_published_set_is_pinned_and_can_be_imported():
    assert {one.format for one in pinned_sets()} <= set(NAMES)
    for one in pinned_sets():
        assert len({file.path for file in one.files}) == len(one.files)
        for file in one.files:
            assert re.fullmatch(r"https://raw\.githubusercontent\.com/[!-~]+", file.address)
            assert re.fullmatch(r"([0-9a-f]{64})?", file.sha256)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the samples of the published sets are not here")
def test_samples_of_the_published_sets_are_what_is_pinned(tmp_path):
    record = get_sets(tmp_path, SAMPLES)
    counts = {name: len(one["files"]) for name, one in record.items()}
    assert counts == {"prontoqa_ood": 12, "pararule_plus": 4, "multi_logieval": 39}
