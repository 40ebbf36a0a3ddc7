"""A Hugging Face hub on this machine: as much of its API as huggingface_hub asks for here.

Data sets are lists of commits, each all files at that commit. What it is told to break, it breaks.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote, urlsplit

import pytest

from tests.sharing.web import served

LARGE = 100_000  # bytes; from there on a file goes its own way, before the commit
Files = dict[str, bytes]


class FakeHub:
    """Data sets by name, and what was asked."""

    def __init__(self) -> None:
        self.commits: dict[str, list[tuple[str, Files]]] = {}
        self.asked: list[str] = []
        self.stored: dict[str, bytes] = {}  # large files by SHA-256
        self.breaks: dict[str, int] = {}  # a word of a path: the status it is answered with
        self.drops_answer = False  # the commit is made, and nobody hears of it
        self.tokens: set[str | None] = set()
        self.address = ""

    def before_commit(self) -> None:
        """What somebody else does in the last moment."""

    def commit(self, name: str, files: Files) -> str:
        """Put these files as a new commit; returns its name."""
        commits = self.commits.setdefault(name, [])
        sha = hashlib.sha1(repr((name, len(commits), sorted(files))).encode()).hexdigest()
        commits.append((sha, files))
        return sha

    def at(self, name: str, revision: str) -> tuple[str, Files] | None:
        commits = self.commits.get(name, [])
        if revision == "main":
            return commits[-1] if commits else None
        return next((one for one in commits if one[0] == revision), None)


@contextmanager
def fake_hub(monkeypatch: pytest.MonkeyPatch, folder: str) -> Iterator[FakeHub]:
    """The hub that huggingface_hub asks, with a cache and a token of its own."""
    from huggingface_hub import constants

    hub = FakeHub()
    with served(_handler(hub)) as address:
        hub.address = address
        monkeypatch.setattr(constants, "ENDPOINT", address)

        at = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", at)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", folder)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        yield hub


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self):
            self.answer()

        do_GET = do_POST = do_PUT = do_HEAD

        def answer(self):
            path = unquote(urlsplit(self.path).path)
            hub.asked.append(f"{self.command} {path}")
            hub.tokens.add(self.headers.get("Authorization"))
            self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status = next((hub.breaks[word] for word in hub.breaks if word in path), None)
            if status is not None:
                return self.send(status, b"{}")
            for pattern, method in ROUTES.items():
                if found := re.fullmatch(pattern, path):
                    return getattr(self, method)(*found.groups())
            return self.send(404, b"{}")

        def send(self, status, content=b"", **headers):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def say(self, answer):
            self.send(200, json.dumps(answer).encode(), Content_Type="application/json")

        def check_card(self):
            self.say({"errors": [], "warnings": []})

        def create(self):
            asked = json.loads(self.body)
            name = f"{asked['organization']}/{asked['name']}"
            hub.commit(name, {})
            self.say({"url": f"{hub.address}/datasets/{name}"})

        def info(self, name, revision=None):
            found = hub.at(name, revision or "main")
            if found is None:
                known = "RevisionNotFound" if name in hub.commits else "RepoNotFound"
                return self.send(404, b"{}", X_Error_Code=known)
            return self.say({"id": name, "sha": found[0], "siblings": []})

        def tree(self, name, revision):
            _, files = hub.at(name, revision)
            self.say(
                [
                    {"type": "file", "path": path, "oid": "0" * 40, "size": len(content)}
                    for path, content in files.items()
                ]
            )

        def modes(self, name):
            self.say(
                {
                    "files": [
                        {
                            "path": one["path"],
                            "uploadMode": "lfs" if one["size"] >= LARGE else "regular",
                            "shouldIgnore": False,
                        }
                        for one in json.loads(self.body)["files"]
                    ]
                }
            )

        def batch(self, name):
            objects = [
                one | {"actions": {"upload": {"href": f"{hub.address}/large/{one['oid']}"}}}
                for one in json.loads(self.body)["objects"]
            ]
            self.say({"transfer": "basic", "objects": objects})

        def store(self, sha256):
            assert hashlib.sha256(self.body).hexdigest() == sha256
            hub.stored[sha256] = self.body
            self.send(200)

        def commit(self, name):
            lines = [json.loads(line) for line in self.body.splitlines()]
            header, *changes = lines
            hub.before_commit()
            before, files = hub.at(name, "main")
            if header["value"].get("parentCommit", before) != before:
                return self.send(412, b"{}")
            files = dict(files)
            for one in changes:
                path, value = one["value"]["path"], one["value"]
                if one["key"] == "deletedFile":
                    del files[path]
                elif one["key"] == "lfsFile":
                    files[path] = hub.stored[value["oid"]]
                else:
                    files[path] = base64.b64decode(value["content"])
            sha = hub.commit(name, files)
            if hub.drops_answer:
                self.close_connection = True
                return self.connection.close()
            return self.say(
                {"commitUrl": f"{hub.address}/datasets/{name}/commit/{sha}", "commitOid": sha}
            )

        def resolve(self, name, revision, path):
            found = hub.at(name, revision)
            if found is None or path not in found[1]:
                return self.send(404, b"", X_Error_Code="EntryNotFound")
            content = found[1][path]
            etag = f'"{hashlib.sha256(content).hexdigest()}"'
            return self.send(200, content, ETag=etag, X_Repo_Commit=found[0])

    return Handler


NAME = r"([\w.-]+/[\w.-]+)"
ROUTES = {
    "/api/validate-yaml": "check_card",
    "/api/repos/create": "create",
    f"/api/datasets/{NAME}": "info",
    f"/api/datasets/{NAME}/revision/([\\w.-]+)": "info",
    f"/api/datasets/{NAME}/tree/([\\w.-]+)": "tree",
    f"/api/datasets/{NAME}/preupload/main": "modes",
    f"/datasets/{NAME}\\.git/info/lfs/objects/batch": "batch",
    r"/large/(\w{64})": "store",
    f"/api/datasets/{NAME}/commit/main": "commit",
    f"/datasets/{NAME}/resolve/([\\w.-]+)/(.+)": "resolve",
}
