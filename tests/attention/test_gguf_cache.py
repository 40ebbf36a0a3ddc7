"""GGUF files become folders once, whole or not at all; what cannot be is said in one sentence."""

import errno
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import gguf
import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors import SafetensorError
from transformers import PreTrainedModel

from qkcore.attention import english_check, gguf_reading
from qkcore.attention.english_check import EnglishCheck
from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.gguf_files import ABOUT, cache_folder, converted
from tests import ROOT
from tests.attention.gguf_models import gguf_model, gguf_tokenizer
from tests.attention.gguf_writer import write_gguf


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "original.gguf"
    return write_gguf(path, gguf_model("qwen2"), gguf_tokenizer("qwen2"), "Q8_0")


@pytest.fixture
def path(original, tmp_path):
    """A GGUF file of a tiny random model, for a test to move and to spoil."""
    return Path(shutil.copy(original, tmp_path / "tiny.gguf"))


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def conversions(monkeypatch):
    """The files that were really read, with random models taken for readers of English."""
    read, files = gguf_reading.read_model, []

    def noted(path, name, header):
        files.append(name)
        return read(path, name, header)

    monkeypatch.setattr(gguf_reading, "read_model", noted)
    monkeypatch.setattr(english_check, "require_english", lambda *_: EnglishCheck(1.0, 2.0, 3.0))
    return files


def refused(model, cache) -> str:
    """The sentence; nothing may be left in the cache but the file's hash and its lock."""
    with pytest.raises(UnsupportedModelError) as refusal:
        converted(model, cache)
    left = [one.name for one in cache.glob("gguf/*") if one.suffix not in (".sha256", ".lock")]
    assert left == []
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_a_second_load_does_not_convert_again(path, cache, conversions):
    first = converted(path, cache)
    assert converted(path, cache) == first
    assert (first.folder.parent, first.name) == (cache / "gguf", "tiny")
    assert conversions == ["tiny"]


def test_a_conversion_reads_its_file_once(path, cache, conversions, monkeypatch):
    read, tables, names = [], [], gguf.get_tensor_name_map

    class Reader(gguf.GGUFReader):
        def __init__(self, file):
            read.append(file)
            super().__init__(file)

    monkeypatch.setattr(gguf, "GGUFReader", Reader)
    monkeypatch.setattr(
        gguf, "get_tensor_name_map", lambda *which: tables.append(which) or names(*which)
    )
    converted(path, cache)
    assert (read, len(tables)) == ([str(path)], 1)
    assert gguf.GGUFReader is Reader


def test_a_file_is_known_by_what_it_holds_and_not_by_its_name(path, cache, conversions):
    first = converted(path, cache)
    moved = path.rename(path.with_name("moved.gguf"))
    second = converted(moved, cache)
    assert (second.folder, second.sha256, second.name) == (first.folder, first.sha256, "moved")
    assert conversions == ["tiny"]


def test_a_file_that_changed_is_converted_again(path, cache, conversions):
    first, times = converted(path, cache), path.stat()
    changed = bytearray(path.read_bytes())
    changed[-1] ^= 1
    path.write_bytes(changed)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as `cp -p` would
    assert converted(path, cache).sha256 != first.sha256
    assert len(conversions) == 2


@pytest.mark.parametrize("about", ["", "[]", '{"conversion": 0}', '{"name": "tiny"}', None])
def test_a_folder_of_another_version_is_made_again(about, path, cache, conversions):
    folder = converted(path, cache).folder
    was = json.loads((folder / ABOUT).read_text())
    (folder / ABOUT).write_text(json.dumps(was | {"conversion": 0}) if about is None else about)
    (folder / "left.txt").write_text("of the older version")
    assert converted(path, cache).folder == folder
    assert json.loads((folder / ABOUT).read_text()) == was
    assert not (folder / "left.txt").exists()


def test_what_others_may_read_follows_the_umask(path, cache, conversions):
    before = os.umask(0o022)
    try:
        folder = converted(path, cache).folder
    finally:
        os.umask(before)
    assert {one.stat().st_mode & 0o777 for one in folder.iterdir()} == {0o644}
    assert folder.stat().st_mode & 0o777 == 0o755


def test_one_bar_counts_and_transformers_own_are_hidden(path, cache, conversions, capfd):
    converted(path, cache)
    shown = capfd.readouterr().err
    assert "Converting tiny.gguf: 100%" in shown
    assert "de-quantizing" not in shown
    assert "Writing" not in shown


def test_what_killed_processes_left_is_removed(path, cache, conversions):
    made = converted(path, cache).folder
    shutil.rmtree(made)
    own = cache / "gguf" / f".{made.name}.1.tmp"
    others = cache / "gguf" / ".0123456789abcdef.1.tmp"
    for left in (own, others):
        left.mkdir()
        (left / "model.safetensors").write_bytes(b"half")
    (cache / "gguf" / "0123456789abcdef.lock").touch()
    converted(path, cache)
    assert not own.exists()
    assert not others.exists()


def test_what_another_process_is_writing_is_not_removed(path, cache, conversions):
    others = cache / "gguf" / ".0123456789abcdef.1.tmp"
    others.mkdir(parents=True)
    with (cache / "gguf" / "0123456789abcdef.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        converted(path, cache)
        assert others.exists()


SLOW = """
import sys, time
from pathlib import Path
from qkcore.attention import english_check, gguf_reading
from qkcore.attention.gguf_files import converted

read = gguf_reading.read_model
path, cache, log = map(Path, sys.argv[1:])

def slow(path, name, header):
    with log.open("a") as file:
        file.write("converting\\n")
    time.sleep(2)
    return read(path, name, header)

gguf_reading.read_model = slow
english_check.require_english = lambda *_: english_check.EnglishCheck(1.0, 2.0, 3.0)
print(converted(path, cache).folder, flush=True)
"""


def started(path, cache, log):
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, str(path), str(cache), str(log)],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_two_processes_that_want_one_file_convert_it_once(path, cache, tmp_path):
    both = [started(path, cache, tmp_path / "log") for _ in range(2)]
    output = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], output
    (folder,) = {out.strip() for out, _ in output}
    assert (Path(folder) / ABOUT).is_file()
    assert (tmp_path / "log").read_text() == "converting\n"
    assert sum("Another process is converting this file" in errors for _, errors in output) == 1


def test_a_process_that_is_killed_leaves_what_the_next_one_does_without(path, cache, tmp_path):
    first = started(path, cache, tmp_path / "log")
    while not (tmp_path / "log").exists():
        assert first.poll() is None, first.communicate()
        time.sleep(0.05)
    first.kill()
    first.communicate()
    second = started(path, cache, tmp_path / "log")
    output, errors = second.communicate(timeout=300)
    assert (Path(output.strip()) / ABOUT).is_file(), errors


@pytest.mark.parametrize("at", ["read_tokenizer", "read_model"])
def test_an_interruption_leaves_nothing(at, path, cache, conversions, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(gguf_reading, at, interrupted)
    with pytest.raises(KeyboardInterrupt):
        converted(path, cache)
    assert {one.suffix for one in cache.glob("gguf/*")} == {".sha256", ".lock"}


def test_an_interruption_of_writing_leaves_nothing(path, cache, conversions, monkeypatch):
    def half(_, folder):
        (folder / "model.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(PreTrainedModel, "save_pretrained", half)
    with pytest.raises(KeyboardInterrupt):
        converted(path, cache)
    assert {one.suffix for one in cache.glob("gguf/*")} == {".sha256", ".lock"}


def test_a_model_that_reads_no_english_is_refused_with_its_figures(path, cache):
    sentence = refused(path, cache)
    assert sentence.startswith("tiny does not read plain English: ")
    figures = r"[\d.]+ nats a token, with its words shuffled [\d.]+ \(guessing: 6\.04\)"
    assert re.search(figures, sentence)


@pytest.mark.parametrize("share", [0, 0.00001, 0.0001, 0.001, 0.01, 0.05, 0.1, 0.2, 0.5, 0.999])
def test_a_file_that_was_cut_short_is_refused(share, path, cache):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert refused(path, cache).startswith("tiny is damaged, cut short or no GGUF file (")


@pytest.mark.parametrize("content", [b"PK\3\4" + bytes(100), b"GGUF", b"\xff" * 1000, b"{}"])
def test_what_is_no_gguf_file_is_refused(content, path, cache):
    path.write_bytes(content)
    assert refused(path, cache).startswith("tiny is damaged, cut short or no GGUF file (")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"general.architecture": "clip"}, "tiny is of architecture 'clip', which transformers"),
        ({"split.count": 3}, "tiny is one of 3 parts of a model; put them together with"),
    ],
)
def test_what_is_no_whole_model_is_refused(said, message, path, cache):
    write_gguf(path, gguf_model("qwen2"), gguf_tokenizer("qwen2"), **said)
    assert refused(path, cache).startswith(message)


@pytest.mark.parametrize(
    "model", ["none.gguf", "~nobody-of-that-name/none.gguf", "a/b/c.gguf", "x" * 300 + ".gguf"]
)
def test_a_path_that_is_not_there_is_refused(model, cache):
    assert refused(model, cache) == (
        f"there is no file {model}; name a GGUF file, or one on the Hugging Face hub as "
        "ORG/REPO:FILE.gguf"
    )


def test_a_file_that_may_not_be_read_is_refused(path, cache, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert refused(path, cache) == f"{path} may not be read by this user"


def test_a_file_on_the_hub_is_had_by_its_name(path, cache, conversions, monkeypatch):
    asked = []
    monkeypatch.setattr(
        huggingface_hub, "hf_hub_download", lambda *names: asked.append(names) or str(path)
    )
    made = converted("some-org/repo.v1-GGUF:deep/model.Q8_0.gguf", cache)
    assert asked == [("some-org/repo.v1-GGUF", "deep/model.Q8_0.gguf")]
    assert made.name == "some-org/repo.v1-GGUF:deep/model.Q8_0.gguf"


def test_a_hub_that_cannot_be_reached_is_said(cache, monkeypatch):
    def offline(*_):
        raise LocalEntryNotFoundError("Cannot find the requested file.\nMore lines.")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    assert refused("org/repo:model.gguf", cache) == (
        "model.gguf cannot be had from org/repo on the Hugging Face hub (Cannot find the requested "
        "file.); check the names, or the network"
    )


def test_a_disk_without_room_is_said_before_anything_is_read(path, cache, conversions, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1e5))
    sentence = refused(path, cache)
    assert sentence.startswith("converting tiny takes 0.001 GB in ")
    assert sentence.endswith(
        ", where 0.000 GB are free; make room, or name another folder in QKSCOPE_CACHE"
    )
    assert conversions == []


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        SafetensorError("Error while serializing: I/O error: No space left (os error 28)"),
    ],
)
def test_a_disk_that_fills_up_is_said(error, path, cache, conversions, monkeypatch):
    def full(*_):
        raise error

    monkeypatch.setattr(PreTrainedModel, "save_pretrained", full)
    assert refused(path, cache) == (
        f"the disk is full in {cache / 'gguf'}; make room, or name another folder in QKSCOPE_CACHE"
    )


@pytest.fixture
def disk(tmp_path):
    """A disk of so many kilobytes, and a way to make it read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mounted(size_kb):
        line = ["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(folder)]
        if shutil.which("mount") is None or subprocess.run(line, capture_output=True).returncode:
            pytest.skip("may not mount a small disk here")
        return folder, lambda: subprocess.run(["mount", "-o", "remount,ro", folder], check=True)

    yield mounted
    if folder.is_mount():
        subprocess.run(["umount", folder], check=True)


def test_a_small_disk_fills_up(path, disk, conversions, monkeypatch):
    folder, _ = disk(512)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1e9))
    assert refused(path, folder).startswith(f"the disk is full in {folder / 'gguf'}; make room")


def test_a_cache_that_may_not_be_written_is_said(path, disk, conversions):
    folder, make_read_only = disk(512)
    make_read_only()
    assert refused(path, folder) == (
        f"{folder / 'gguf'}: Read-only file system; name a folder in QKSCOPE_CACHE"
    )


def test_a_cache_that_has_the_folder_may_be_read_only(path, disk, conversions):
    folder, make_read_only = disk(4096)
    made = converted(path, folder)
    make_read_only()
    assert converted(path, folder) == made
    moved = path.rename(path.with_name("moved.gguf"))  # its hash is not known there
    assert converted(moved, folder).folder == made.folder
    assert conversions == ["tiny"]


def test_a_cache_in_place_of_a_file_is_said(path, conversions):
    sentence = f"{path / 'gguf'}: Not a directory; name a folder in QKSCOPE_CACHE"
    with pytest.raises(UnsupportedModelError, match=sentence):
        converted(path, path)


def test_the_cache_is_where_the_platform_keeps_such(monkeypatch):
    monkeypatch.setenv("QKSCOPE_CACHE", "~/elsewhere")
    assert cache_folder() == Path.home() / "elsewhere"
    monkeypatch.delenv("QKSCOPE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_folder() == Path("/xdg/qkscope")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "qkscope"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder() == Path.home() / "Library" / "Caches" / "qkscope"
