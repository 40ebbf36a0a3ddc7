"""Published sets: what comes is what is pinned, or one sentence says which file is not."""

import hashlib
import json
import re
from collections import Counter
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
    for words in ("1 by whole hash", "2 by beginning and revision", "1 by revision alone"):
        assert words in said
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
    with pytest.raises(SetsError, match=r"has no file of any set, such as one/deep/whole\.json"):
        get_sets(tmp_path / "new", tmp_path, manifest=manifest)


def test_a_set_that_a_copy_lacks_whole_is_left_out_and_said_unless_it_was_asked_for(site, tmp_path):
    manifest, said = site[1], []
    second = manifest.read_text().replace('name = "one"', 'name = "two"')
    manifest.write_text(second + manifest.read_text())  # the one that is lacking comes first
    copy, out = copied(site, tmp_path), tmp_path / "out"
    assert list(get_sets(out, copy, manifest=manifest, say=said.append)) == ["one"]
    assert f"two: left out, for {copy} has no file of it" in said
    assert list(json.loads((out / "sets.json").read_text())) == ["one"]
    with pytest.raises(SetsError, match=r"has no file of two, such as two/deep/whole\.json"):
        get_sets(out, copy, ["two"], manifest)


def copied(site, tmp_path):
    """A folder with the published files, as `get_sets` lays them out."""
    folder, copy = site[0], tmp_path / "copy"
    for file in pinned_sets(site[1])[-1].files:
        at = folder.parent / "other.json" if file.path == "unknown.json" else folder / file.path
        (copy / "one" / file.path).parent.mkdir(parents=True, exist_ok=True)
        (copy / "one" / file.path).write_bytes(at.read_bytes())
    return copy


def test_what_a_copy_cannot_show_to_be_the_published_file_is_said(site, tmp_path):
    copy, out, said = copied(site, tmp_path), tmp_path / "out", []
    record = get_sets(out, copy, manifest=site[1], say=said.append)
    assert {name: file["checked"] for name, file in record["one"]["files"].items()} == {
        "deep/whole.json": "by whole hash",
        "begins.jsonl": "by beginning alone",
        "examples.json": "by beginning alone",
        "unknown.json": "not checked",
    }
    text = "\n".join(said)
    assert "begin as they should, and the rest was not checked: 2 (begins.jsonl, ...)" in text
    assert "not checked, for no hash is known: 1 (unknown.json)" in text
    assert f"  copied from {copy}" in said
    assert not any(line.startswith("  from https:") for line in said)
    assert get_sets(out, manifest=site[1]) == record  # having it does not make it checked


def test_a_file_with_more_than_the_sample_and_less_than_the_whole_is_refused(site, tmp_path):
    text = site[1].read_text()
    site[1].write_text(
        text.replace("bytes =", "of = 3, bytes =").replace("s = 1,", "s = 1, of = 2,")
    )
    copy = copied(site, tmp_path)
    get_sets(tmp_path / "out", copy, manifest=site[1])
    more = json.dumps(EXAMPLES | {"example3": {}}).encode()
    for name, content, found in (
        ("begins.jsonl", LINES + b" ", "has 2 lines where the published file has 3"),
        ("begins.jsonl", LINES + b"{}\n{}\n", "has 4 lines where the published file has 3"),
        ("examples.json", more, "has 3 examples where the published file has 2"),
    ):
        whole = (copy / "one" / name).read_bytes()
        (copy / "one" / name).write_bytes(content)
        with pytest.raises(SetsError, match=f"copy/one/{name} is not .* nor its sample: .*{found}"):
            get_sets(tmp_path / "out", copy, manifest=site[1])
        (copy / "one" / name).write_bytes(whole)


def test_a_folder_is_compared_with_what_was_written_and_with_the_copy(site, tmp_path):
    copy, out = copied(site, tmp_path), tmp_path / "out"
    (copy / "one/begins.jsonl").write_bytes(LINES)
    get_sets(out, copy, manifest=site[1])
    (out / "one/begins.jsonl").write_bytes(LINES + b"{}")  # it was a sample
    for source in (copy, None):
        with pytest.raises(
            SetsError, match=r"out/one/begins.jsonl is not .* here before: .*delete"
        ):
            get_sets(out, source, manifest=site[1])
    (out / "one/begins.jsonl").write_bytes(LINES)
    (copy / "one/unknown.json").write_bytes(b"other")
    with pytest.raises(SetsError, match=r"copy/one/unknown.json is not the file that is at .*out"):
        get_sets(out, copy, manifest=site[1])


def test_what_cannot_be_asked_for_is_one_line(tmp_path, capsys):
    gone = ["--from", str(tmp_path / "gone")]
    for words in (["--set", "x"], gone):
        assert main(["get-sets", str(tmp_path / "out"), *words]) == 2
        said = capsys.readouterr().err
        assert re.match("qkscope get-sets: error: there is no ", said)
        assert said.count("\n") == 1
    (tmp_path / "afile").write_text("")
    for name in ("afile", "afile/in"):
        assert main(["get-sets", str(tmp_path / name), "--from", str(tmp_path)]) == 2
        assert "afile is a file, and the sets go into a folder" in capsys.readouterr().err
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
    hows = Counter(file["checked"] for one in record.values() for file in one["files"].values())
    assert hows == {pinned.WHOLE: 40, pinned.SAMPLE: 15}


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the samples of the published sets are not here")
@pytest.mark.parametrize(
    "name",
    [
        "prontoqa_ood/1hop_AndElim_random_noadj.json",
        "pararule_plus/PARARULE_Plus_Depth2_shuffled_test.jsonl",
        "multi_logieval/d1_Data/pl/BD.json",
    ],
)
@pytest.mark.parametrize("added", [b"\n", b"x", b'{"n": 1}\n'])
def test_a_sample_with_bytes_appended_is_refused(name, added, tmp_path):
    copy = tmp_path / "copy"
    (copy / name).parent.mkdir(parents=True)
    (copy / name).write_bytes((SAMPLES / name).read_bytes() + added)
    with pytest.raises(SetsError, match=f"copy/{name} is not the file that is pinned"):
        get_sets(tmp_path / "out", copy, [name.partition("/")[0]])
    assert not (tmp_path / "out" / name).exists()
