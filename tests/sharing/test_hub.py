"""Results on a hub: what is pushed is what opens, and whatever fails leaves what was there."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from qkcore import ResultStore, open_bundle, verdict_of
from qkcore.__main__ import main
from qkcore.reports.published import write_published
from qkcore.sharing.bundle import STORE, BundleError
from qkcore.sharing.hub import HubError, hub_address
from qkcore.sharing.push import files_of, push
from tests.sharing.hubs import LARGE, fake_hub
from tests.stores import (
    planted_puzzles,
    planted_run,
    planted_scores,
    planted_store,
    publish_parts,
    write_parts,
)

NAME = "ann/results"
TO = f"hf://datasets/{NAME}"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with fake_hub(monkeypatch, str(tmp_path / "cache")) as hub:
        yield hub


@pytest.fixture(scope="module")
def published(planted_path, tmp_path_factory):
    """(all that is pushed of a run, its fingerprint)."""
    folder = tmp_path_factory.mktemp("published") / "all"
    manifest = write_published(planted_path, ["planted-1"], folder, hub_address(TO), {})
    return folder, manifest["fingerprint"]


@pytest.fixture
def without_reports(monkeypatch):
    """They take most of the time, and only some tests are about them."""
    monkeypatch.setattr("qkcore.reports.published._write_reports", lambda *_: {})


@pytest.fixture
def small(tmp_path):
    """A folder of files that are quick to push, one of them large enough to go its own way."""
    folder = tmp_path / "small"
    (folder / "reports").mkdir(parents=True)
    (folder / "README.md").write_text("A card.")
    (folder / STORE).write_bytes(bytes(LARGE))
    (folder / "reports" / "own.html").write_text("A report.")
    return folder


def pushed(hub, folder):
    """Put a folder there without pushing it; returns its commit."""
    return hub.commit(NAME, {name: path.read_bytes() for name, path in files_of(folder).items()})


def opened(source, tmp_path, **options):
    (tmp_path / "in").mkdir(exist_ok=True)
    return open_bundle(source, tmp_path / "in", **options)


def test_what_is_pushed_is_one_commit_with_card_reports_and_bundle(hub, published, tmp_path):
    at = push(hub_address(TO), published[0], "One run")
    _, (sha, files) = hub.commits[NAME]  # the first is that of an empty data set
    assert str(at) == f"{TO}@{sha}"
    assert sorted(files) == ["README.md", "manifest.json", "reports/planted-1.html", STORE]
    assert hub.tokens - {None} == {"Bearer hf_secret"}
    with ResultStore.open(opened(str(at), tmp_path)) as store:
        head, _, card = files["README.md"].decode().removeprefix("---\n").partition("---\n")
        assert verdict_of(store, "planted-1").sentence in card.replace("\\", "")
        own = store.head_accuracy("planted-1", "test").set_index(["layer", "head"])
        accuracy = own.loc[store.best_head("planted-1"), "accuracy"]
        assert f"| {100 * accuracy:.1f} % (" in card
    assert yaml.safe_load(head)["viewer"] is False
    for words in ("not stated; ask where", f"QKSCOPE_BUNDLE={TO}@REVISION", "arXiv:2502.17017"):
        assert words in card


def test_texts_go_along_where_the_licence_permits_it_or_somebody_says_so(tmp_path, without_reports):
    store = planted_store(tmp_path / "two.duckdb", n_groups=12)
    puzzles = [
        replace(one, puzzle_id=f"made-up-s1-d0-{i:05}-a", context=f"Own {i}.")
        for i, one in enumerate(planted_puzzles(12))
    ]
    run = planted_run(puzzles, run_id="own-1", puzzle_set="own-set")
    parts = write_parts(tmp_path / "own", puzzles, *planted_scores(puzzles))
    publish_parts(store, run, puzzles, parts)
    for n, (licences, with_texts, own, planted) in enumerate(
        (
            ({}, False, True, False),
            ({"planted-set": "MIT", "own-set": "no copies"}, False, False, True),
            ({}, True, True, True),
        )
    ):
        folder, runs = tmp_path / str(n), ["own-1", "planted-1"]
        manifest = write_published(store, runs, folder, hub_address(TO), licences, with_texts)
        raw = b"".join(path.read_bytes() for path in files_of(folder).values())
        assert [b"Own 7." in raw, b"Context 7." in raw] == [own, planted]
        has_texts = {name: one["has_texts"] for name, one in manifest["puzzle_sets"].items()}
        assert has_texts == {"own-set": own, "planted-set": planted}


def test_a_second_push_replaces_the_reports_of_the_first(hub, small):
    hub.commit(NAME, {"manifest.json": b"", "reports/old.html": b"", "notes.txt": b"theirs"})
    push(hub_address(TO), small, "m")
    files = sorted(hub.commits[NAME][-1][1])
    assert files == ["README.md", "manifest.json", "notes.txt", "reports/own.html", STORE]


def test_a_data_set_of_something_else_is_not_touched(hub, small):
    hub.commit(NAME, {"README.md": b"theirs", "train.csv": b"1,2"})
    with pytest.raises(HubError, match=r"holds something else .*train\.csv.*push to another name"):
        push(hub_address(TO), small, "m")
    assert len(hub.commits[NAME]) == 1


@pytest.mark.parametrize(
    ("broken", "status", "sentence"),
    [
        ("repos/create", 401, "401 Unauthorized; nothing was changed; .* or it has expired: make"),
        (f"datasets/{NAME}", 401, "401 Unauthorized; nothing was changed; .* or it has expired: "),
        (
            "repos/create",
            403,
            "403 Forbidden; nothing was changed; your token may not write to data",
        ),
        (
            "preupload",
            403,
            "the data set was made .*; your token may not write to data sets of ann",
        ),
        ("commit", 429, "the data set was made .*; wait some minutes, and push again"),
    ],
)
def test_what_the_hub_refuses_is_said_with_what_to_do(broken, status, sentence, hub, small):
    hub.breaks[broken] = status
    with pytest.raises(HubError, match=f"could not be pushed: the hub answers .*{sentence}"):
        push(hub_address(TO), small, "m")


def test_the_command_says_what_goes_and_a_dry_run_asks_nobody(
    hub, planted_path, without_reports, monkeypatch, capsys
):
    words = ["push", "planted-1", "--store", str(planted_path), "--to", TO]
    assert main(words) == 0
    assert f"QKSCOPE_BUNDLE={TO}@{hub.commits[NAME][-1][0]}" in capsys.readouterr().out
    hub.asked.clear()
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "gone")
    assert main([*words, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^results\.duckdb: [\d,]+ bytes$", said, re.MULTILINE)
    assert "# QK-scores: " in said
    assert "nothing was pushed" in said
    assert main(words) == 2
    assert "there is no token for the Hugging Face hub" in capsys.readouterr().err
    assert hub.asked == []


@pytest.mark.parametrize("broken", ["validate-yaml", "preupload", "lfs/objects", "large", "commit"])
def test_a_hub_that_fails_half_way_leaves_the_old_revision_and_it_is_said(broken, hub, small):
    sha = hub.commit(NAME, {"README.md": b"old"})
    hub.breaks[f"/{broken}"] = 500 if broken == "commit" else 403
    with pytest.raises(HubError, match=f"nothing was changed: it is still at {sha}; "):
        push(hub_address(TO), small, "m")
    assert hub.commits[NAME] == [(sha, {"README.md": b"old"})]


def test_an_answer_that_is_lost_is_told_from_a_commit_that_was_not_made(hub, small):
    old = hub.commit(NAME, {"README.md": b"old"})
    hub.drops_answer = True
    with pytest.raises(HubError, match=f"it was at {old} and is now at ") as caught:
        push(hub_address(TO), small, "m")
    assert f"{hub.commits[NAME][-1][0]} (look at it first); push again" in str(caught.value)


def test_somebody_who_was_quicker_is_not_overwritten(hub, small, monkeypatch):
    hub.commit(NAME, {"README.md": b"old"})
    monkeypatch.setattr(hub, "before_commit", lambda: hub.commit(NAME, {"README.md": b"theirs"}))
    with pytest.raises(HubError, match="the hub answers 412"):
        push(hub_address(TO), small, "m")
    assert hub.commits[NAME][-1][1] == {"README.md": b"theirs"}


def test_without_a_revision_a_sentence_says_the_pinned_form(hub, published, tmp_path):
    sha = pushed(hub, published[0])
    for source in (TO, f"{TO}@main"):
        with pytest.raises(BundleError, match=f"may change; write {TO}@{sha}, which it is today"):
            opened(source, tmp_path)


def test_what_is_pinned_comes_once_and_then_from_the_cache(hub, published, tmp_path):
    sha = pushed(hub, published[0])
    first = opened(f"{TO}@{sha}", tmp_path)
    hub.asked.clear()
    hub.breaks["/"] = 500
    assert opened(f"{TO}@{sha}", tmp_path) == first
    assert hub.asked == []
    blob = Path(first).resolve()
    blob.write_bytes(blob.read_bytes()[:-1])
    with pytest.raises(BundleError, match="were changed after the bundle was made"):
        opened(f"{TO}@{sha}", tmp_path)


def test_a_dashboard_shows_what_is_on_the_hub(hub, published, monkeypatch):
    from pages.server.opened import store_in_use

    sha = pushed(hub, published[0])
    monkeypatch.setenv("QKSCOPE_BUNDLE", f"{TO}@{sha}")
    with ResultStore.open(store_in_use()) as store:
        assert store.runs()["run_id"].tolist() == ["planted-1"]
    monkeypatch.setenv("QKSCOPE_BUNDLE", TO)
    with pytest.raises(BundleError, match=f"write {TO}@{sha}"):
        store_in_use()


def test_a_fingerprint_pins_a_data_set_without_a_revision(hub, published, tmp_path):
    folder, fingerprint = published
    pushed(hub, folder)
    assert opened(TO, tmp_path, sha256=fingerprint).is_file()
    hub.commit(NAME, {"manifest.json": b"{}", STORE: b""})
    with pytest.raises(BundleError, match="is not the bundle that was asked for"):
        opened(TO, tmp_path, sha256=fingerprint)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("hf://models/ann/results", "is no data set on the Hugging Face hub; write hf://"),
        (f"{TO}@{'0' * 40}", "the hub answers 404"),
        (f"hf://datasets/ann/gone@{'0' * 40}", "the hub answers 404"),
        ("hf://datasets/ann/gone", "the hub answers 404"),
    ],
)
def test_what_is_not_there_is_a_sentence(source, sentence, hub, tmp_path):
    hub.commit(NAME, {})
    with pytest.raises(BundleError, match=sentence):
        opened(source, tmp_path)


def test_what_is_larger_than_allowed_is_not_fetched(hub, published, tmp_path):
    sha = pushed(hub, published[0])
    with pytest.raises(BundleError, match=r"results\.duckdb of .* is larger than 0 MB"):
        opened(f"{TO}@{sha}", tmp_path, max_bytes=50_000)
    assert not [line for line in hub.asked if line.startswith("GET") and STORE in line]


def test_a_push_that_cannot_be_is_one_line(hub, planted_path, capsys):
    words = ["push", "planted-1", "--store", str(planted_path), "--to", TO]
    for change, sentence in (
        ({TO: NAME}, "is no data set on the Hugging Face hub"),
        ({TO: f"{TO}@main"}, "not to a revision"),
        ({TO: "hf://datasets/ann/.."}, "is no data set on the Hugging Face hub"),
        ({TO: "hf://datasets/results"}, "write hf://datasets/USER/NAME"),
        ({"planted-1": "gone"}, "has no run 'gone'"),
        ({"planted-1": "--dry-run"}, f"no run is named; .* `qkscope runs --store {planted_path}`"),
    ):
        assert main([change.get(word, word) for word in words]) == 2
        said = capsys.readouterr().err
        assert said.startswith("qkscope push: error: ")
        assert re.search(sentence, said)
        assert said.count("\n") == 1
    assert hub.commits == {}
    assert main(["runs", "--store", str(planted_path)]) == 0
    assert capsys.readouterr().out == "planted-1: planted on planted-set, 120 puzzles\n"
