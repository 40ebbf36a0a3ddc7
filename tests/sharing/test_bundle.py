"""Bundles: what goes in comes out, nothing else does, and what changed on the way is refused."""

import functools
import hashlib
import http.server
import json
import re
import shutil
import threading
import zipfile
from dataclasses import replace

import duckdb
import pytest

from qkcore.__main__ import main
from qkcore.results.reader import StoreError
from qkcore.results.schema import SCHEMA
from qkcore.results.store import ResultStore
from qkcore.sharing.bundle import MANIFEST, STORE, BundleError, open_bundle, write_bundle
from qkcore.sharing.excerpt import TEXT_COLUMNS, TEXT_TABLES
from tests.stores import (
    planted_puzzles,
    planted_run,
    planted_scores,
    planted_store,
    publish_parts,
    write_parts,
)

KINDS = ["shared.zip", "shared"]


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    """A store of two runs on two puzzle sets."""
    folder = tmp_path_factory.mktemp("two")
    path = planted_store(folder / "two.duckdb")
    puzzles = [
        replace(one, puzzle_id=f"made-up-s1-d0-{i:05}-a")
        for i, one in enumerate(planted_puzzles(24))
    ]
    run = planted_run(puzzles, run_id="other-1", puzzle_set="other-set")
    publish_parts(
        path, run, puzzles, write_parts(folder / "other", puzzles, *planted_scores(puzzles))
    )
    return path


def rows(path, table):
    with duckdb.connect(str(path), read_only=True) as connection:
        return sorted(connection.execute(f"select * from {table}").fetchall(), key=repr)


def tables():
    with duckdb.connect() as connection:
        connection.execute(SCHEMA)
        return [
            row[0]
            for row in connection.execute("select table_name from duckdb_tables()").fetchall()
        ]


def opened(path, folder, **options):
    folder.mkdir(exist_ok=True)
    return open_bundle(str(path), folder, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bundle_of_all_runs_has_every_row_of_every_table(kind, two_runs, tmp_path):
    write_bundle(two_runs, tmp_path / kind)
    store = opened(tmp_path / kind, tmp_path / "unpacked")
    for table in tables():
        assert rows(store, table) == rows(two_runs, table), table


@pytest.mark.parametrize("kind", KINDS)
def test_a_bundle_has_the_chosen_run_and_no_trace_of_the_other(kind, two_runs, tmp_path):
    manifest = write_bundle(two_runs, tmp_path / kind, ["other-1"])
    store = opened(tmp_path / kind, tmp_path / "unpacked")
    assert [run["run_id"] for run in manifest["runs"]] == ["other-1"]
    assert list(manifest["puzzle_sets"]) == ["other-set"]
    for table in tables():
        assert "planted-1" not in repr(rows(store, table)), table
        assert "planted-set" not in repr(rows(store, table)), table
    assert b"planted-set" not in store.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_without_texts_no_word_of_a_puzzle_is_in_the_bundle(kind, two_runs, tmp_path):
    manifest = write_bundle(two_runs, tmp_path / kind, with_texts=False)
    store = opened(tmp_path / kind, tmp_path / "unpacked")
    raw = (
        store.read_bytes() + (tmp_path / kind).read_bytes()
        if kind.endswith("zip")
        else store.read_bytes()
    )
    assert b"Context 7." in two_runs.read_bytes()
    assert b"Context 7." not in raw
    assert b"Statement 1." not in raw
    assert not any(one["has_texts"] for one in manifest["puzzle_sets"].values())
    with ResultStore.open(store) as ours, ResultStore.open(two_runs) as theirs:
        assert ours.head_accuracy("planted-1", "test").equals(
            theirs.head_accuracy("planted-1", "test")
        )


def test_each_column_of_words_in_the_schema_is_known_to_hold_a_puzzles_text_or_not():
    """A new column of words must be named here.

    And in qkcore.sharing.excerpt if a puzzle can be read in it.
    """
    harmless = set(
        "qkcore_version run_id model model_revision puzzle_set puzzle_set_sha256 dtype rope "
        "template puzzle_id candidates group split rule scores measure twin_of kind "
        "chosen_by twin_run evidence".split()
    )
    with duckdb.connect() as connection:
        connection.execute(SCHEMA)
        words = connection.execute(
            "select table_name, column_name from duckdb_columns() where not internal and data_type "
            "like 'VARCHAR%'"
        ).fetchall()
    for table, column in words:
        assert table in TEXT_TABLES or column in TEXT_COLUMNS or column in harmless, (table, column)


def test_the_manifest_says_versions_hashes_and_licences(two_runs, tmp_path):
    given = {"planted-set": "CC0"}
    manifest = write_bundle(two_runs, tmp_path / "b", licences=given)
    assert manifest == json.loads((tmp_path / "b" / MANIFEST).read_text()) | {
        "fingerprint": manifest["fingerprint"]
    }
    assert manifest["puzzle_sets"]["planted-set"]["licence"] == "CC0"
    assert "QKScope's generator" in manifest["puzzle_sets"]["other-set"]["licence"]
    with ResultStore.open(two_runs) as store:
        assert {one["puzzle_set_sha256"] for one in manifest["runs"]} == set(
            store.runs()["puzzle_set_sha256"]
        )


def test_a_set_of_unknown_origin_comes_with_a_warning(planted_path, tmp_path):
    manifest = write_bundle(planted_path, tmp_path / "b")
    assert manifest["puzzle_sets"]["planted-set"]["licence"].startswith("not stated; ask")


def other_results(bundle):
    planted_store(bundle / "new.duckdb", n_groups=12)
    (bundle / "new.duckdb").replace(bundle / STORE)


def one_byte(bundle):
    raw = bytearray((bundle / STORE).read_bytes())
    raw[len(raw) // 2] ^= 1
    (bundle / STORE).write_bytes(raw)


def claim(**changes):
    def change(bundle):
        manifest = json.loads((bundle / MANIFEST).read_text())
        (bundle / MANIFEST).write_text(json.dumps(manifest | changes))

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (other_results, "were changed after the bundle was made; get the bundle again"),
        (one_byte, "were changed after the bundle was made; get the bundle again"),
        (lambda bundle: (bundle / STORE).unlink(), "it has no results.duckdb; copy it again"),
        (lambda bundle: (bundle / MANIFEST).unlink(), "is no bundle: it has no manifest.json"),
        (lambda bundle: (bundle / MANIFEST).write_text("[]"), "does not say what is in it"),
        (lambda bundle: (bundle / MANIFEST).write_bytes(b"\xff{"), "does not say what is in it"),
        (claim(bundle_version="x"), "does not say what is in it"),
        (claim(files={STORE: {}}), "does not say what is in it"),
        (
            claim(bundle_version=2, qkcore_version="9.0"),
            "made by a newer QKScope (9.0); update QKScope to open it",
        ),
    ],
)
def test_a_bundle_that_is_not_what_was_made_is_refused(change, sentence, planted_path, tmp_path):
    write_bundle(planted_path, tmp_path / "b")
    change(tmp_path / "b")
    with pytest.raises(BundleError, match=re.escape(sentence)):
        opened(tmp_path / "b", tmp_path / "unpacked")


def test_a_bundle_with_another_fingerprint_is_refused(planted_path, tmp_path):
    fingerprint = write_bundle(planted_path, tmp_path / "b")["fingerprint"]
    assert opened(tmp_path / "b", tmp_path / "unpacked", sha256=fingerprint)
    # All that a forger of the store would need to change as well
    claim(created_at="yesterday")(tmp_path / "b")
    with pytest.raises(BundleError, match=f"its fingerprint is .*, not {fingerprint}"):
        opened(tmp_path / "b", tmp_path / "unpacked", sha256=fingerprint)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_file_that_was_cut_short_is_refused(share, planted_path, tmp_path):
    write_bundle(planted_path, tmp_path / "b.zip")
    raw = (tmp_path / "b.zip").read_bytes()
    (tmp_path / "b.zip").write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(BundleError, match="is no bundle, or was cut short"):
        opened(tmp_path / "b.zip", tmp_path / "unpacked")


def test_a_bundle_of_another_schema_says_who_made_it_and_what_to_do(planted_path, tmp_path):
    shutil.copyfile(planted_path, tmp_path / "old.duckdb")
    write_bundle(planted_path, tmp_path / "b")
    with duckdb.connect(str(tmp_path / "b" / STORE)) as connection:
        connection.execute("update meta set schema_version = 0")
    store = (tmp_path / "b" / STORE).read_bytes()
    claim(
        files={STORE: {"sha256": hashlib.sha256(store).hexdigest(), "bytes": len(store)}},
        qkcore_version="0.0.1",
    )(tmp_path / "b")
    with pytest.raises(
        BundleError,
        match=r"made by QKScope 0\.0\.1 and cannot be opened here: .* version 0, .* make",
    ):
        opened(tmp_path / "b", tmp_path / "unpacked")


def test_a_zip_that_unpacks_to_more_than_allowed_is_stopped_on_the_way(planted_path, tmp_path):
    manifest = write_bundle(planted_path, tmp_path / "b")
    manifest.pop("fingerprint")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(MANIFEST, json.dumps(manifest))
        file.writestr(STORE, bytes(50_000_000))
    assert (tmp_path / "bomb.zip").stat().st_size < 100_000
    with pytest.raises(BundleError, match="larger than 5 MB"):
        opened(tmp_path / "bomb.zip", tmp_path / "unpacked", max_bytes=5_000_000)
    assert (tmp_path / "unpacked" / STORE).stat().st_size <= 5_000_000


def test_names_in_a_zip_do_not_say_where_it_is_unpacked(planted_path, tmp_path):
    write_bundle(planted_path, tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "b.zip", "a") as file:
        file.writestr("../escaped.txt", "x")
        file.writestr("/tmp/qkscope-escaped.txt", "x")
    (tmp_path / "in").mkdir()
    store = opened(tmp_path / "b.zip", tmp_path / "in" / "unpacked")
    assert sorted(path.name for path in (tmp_path / "in").rglob("*")) == [STORE, "unpacked"]
    assert store.parent == tmp_path / "in" / "unpacked"


@pytest.fixture
def site(tmp_path):
    """(folder, address) of a web server on this machine."""
    (tmp_path / "site").mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=tmp_path / "site")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield tmp_path / "site", f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_bundle_is_fetched_from_an_address_with_its_fingerprint(site, planted_path, tmp_path):
    folder, address = site
    fingerprint = write_bundle(planted_path, folder / "b.zip")["fingerprint"]
    store = opened(f"{address}/b.zip?token=secret", tmp_path / "unpacked", sha256=fingerprint)
    assert rows(store, "runs") == rows(planted_path, "runs")


@pytest.mark.parametrize(
    ("options", "path", "sentence"),
    [
        ({}, "b.zip", "needs its fingerprint beside it"),
        ({"sha256": "0" * 64}, "b.zip", "is not the bundle that was asked for"),
        ({"sha256": "0" * 64}, "gone.zip", "answers 404 File not found; check the address"),
        ({"sha256": "0" * 64, "max_bytes": 1000}, "b.zip", "is larger than 0 MB"),
    ],
)
def test_an_address_that_does_not_hold_the_bundle_is_refused(
    options, path, sentence, site, planted_path, tmp_path
):
    write_bundle(planted_path, site[0] / "b.zip")
    with pytest.raises(BundleError, match=sentence) as caught:
        opened(f"{site[1]}/{path}?token=secret", tmp_path / "unpacked", **options)
    assert "secret" not in str(caught.value)


def test_nobody_at_the_address_is_a_sentence(tmp_path):
    with pytest.raises(BundleError, match=r"does not answer .*; check the address and the network"):
        opened("http://127.0.0.1:9/b.zip", tmp_path / "unpacked", sha256="0" * 64)


@pytest.mark.parametrize("source", ["file:///etc/passwd", "ftp://127.0.0.1/b.zip", "gone.zip", ""])
def test_anything_else_is_a_path_and_not_there(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError, match="no bundle"):
        opened(source, tmp_path / "unpacked")


def test_the_command_prints_the_fingerprint_that_opens_the_bundle(two_runs, tmp_path, capsys):
    line = [
        "bundle",
        "--store",
        str(two_runs),
        "--run",
        "other-1",
        "--without-texts",
        "--out",
        str(tmp_path / "b.zip"),
    ]
    assert main(line) == 0
    fingerprint = re.search(r"fingerprint: (\w{64})", capsys.readouterr().out).group(1)
    assert opened(tmp_path / "b.zip", tmp_path / "unpacked", sha256=fingerprint)
    assert main(line) == 2
    assert "exists already; name another path" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--run", "'; drop table runs; --"], "has no run"),
        (["--licence", "gone=CC0"], "there is no puzzle set 'gone'"),
        (["--licence", "CC0"], "write SET=LICENCE"),
    ],
)
def test_a_command_that_asks_for_what_is_not_there_is_refused(
    options, sentence, two_runs, tmp_path, capsys
):
    try:
        status = main(
            ["bundle", "--store", str(two_runs), *options, "--out", str(tmp_path / "b.zip")]
        )
    except SystemExit as error:
        status = error.code
    assert status == 2
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_store_that_is_gone_or_broken_makes_no_bundle(tmp_path):
    with pytest.raises(StoreError, match="There is no result store"):
        write_bundle(tmp_path / "gone.duckdb", tmp_path / "b")
    (tmp_path / "broken.duckdb").write_bytes(b"x" * 5000)
    with pytest.raises(StoreError, match="not a DuckDB file"):
        write_bundle(tmp_path / "broken.duckdb", tmp_path / "b")
    assert not (tmp_path / "b").exists()
