"""A folder of synthetic people and the same packed; a server of S3, and a proxy before it that may fail."""

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sapiens2_lit.data.shards.pack import pack

SHARD = 60_000  # bytes: several shards of ten small people
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")
EXPIRED = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"


@pytest.fixture(scope="session")
def packed(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`people` in shards."""
    out = tmp_path_factory.mktemp("packed") / "people"
    pack(people, out, SHARD, "fast", 2, lambda _: None)
    return out


@dataclass
class Proxy:
    """Hands requests on to the server of S3.

    Attributes:
        s3: its address for the S3 protocol.
        http: the packed folder's address over HTTP.
        faults: what happens to the next requests for shards, instead: `slow`, `broken`, `expired`.
        cut: bytes after which shards end.
        asked: ranges of shards that were asked for.
    """

    s3: str
    http: str
    faults: list[str] = field(default_factory=list)
    cut: int | None = None
    asked: list[str] = field(default_factory=list)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="session")
def moto(packed: Path) -> Iterator[str]:
    """The address of a server process whose bucket `bucket` holds the packed folder below `people`."""
    pytest.importorskip("moto")
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                put(f"{address}/bucket", b"")
                break
            except (urllib.error.URLError, ConnectionError):
                assert process.poll() is None
                time.sleep(0.1)
        for path in packed.rglob("*"):
            if path.is_file():
                put(f"{address}/bucket/people/{path.relative_to(packed).as_posix()}", path.read_bytes())
        yield address
    finally:
        process.kill()
        process.wait()


def put(address: str, data: bytes) -> None:
    headers = {"x-amz-acl": "public-read-write", "Content-Type": "application/octet-stream"}
    request = urllib.request.Request(address, data, headers, method="PUT")
    with urllib.request.urlopen(request, timeout=20):
        pass


@pytest.fixture
def server(moto: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Proxy]:
    """The server behind a proxy, with credentials and a cache of its own for this test."""
    for name in [*KEYS, *(name for name in os.environ if name.startswith("AWS_"))]:
        monkeypatch.delenv(name, raising=False)
    proxy = Proxy("", "")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            shard = ".tar" in self.path
            if shard and self.command == "GET":
                proxy.asked.append(self.headers.get("Range", "all"))
                fault = proxy.faults.pop(0) if proxy.faults else ""
                if fault == "slow":
                    time.sleep(1.5)
                elif fault == "broken":
                    self.send_response(206)
                    self.send_header("Content-Length", "100000")
                    self.end_headers()
                    self.wfile.write(b"some")
                    self.close_connection = True
                    return
                elif fault == "expired":
                    self.answer(400, {"Content-Type": "application/xml"}, EXPIRED)
                    return
            kept = {name: value for name, value in self.headers.items() if name != "Connection"}
            request = urllib.request.Request(moto + self.path, headers=kept, method=self.command)
            try:
                with urllib.request.urlopen(request) as reply:
                    status, headers, data = reply.status, dict(reply.headers), reply.read()
            except urllib.error.HTTPError as error:
                status, headers, data = error.code, dict(error.headers), error.read()
            if shard and proxy.cut is not None:
                if self.command == "HEAD":
                    headers["Content-Length"] = str(proxy.cut)
                else:
                    first = int(self.headers["Range"].removeprefix("bytes=").split("-")[0])
                    data = data[: max(0, proxy.cut - first)]
            self.answer(status, headers, data)

        do_HEAD = do_GET

        def answer(self, status: int, headers: dict[str, str], data: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                    self.send_header(name, value)
            head = self.command == "HEAD"
            self.send_header("Content-Length", headers.get("Content-Length", "0") if head else str(len(data)))
            self.end_headers()
            if not head:
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            with suppress(ConnectionError):  # of one that was given up
                super().handle()

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    proxy.s3 = f"http://127.0.0.1:{listening.server_port}"
    proxy.http = f"{proxy.s3}/bucket/people"
    for name, value in {
        "AWS_ENDPOINT_URL": proxy.s3,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "SAPIENS2_LIT_CACHE": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sapiens2_lit.data.shards.storage.FIRST_WAIT", 0.01)
    monkeypatch.setattr("sapiens2_lit.data.shards.storage.TIMEOUT", 0.5)
    monkeypatch.setattr("sapiens2_lit.data.shards.paths._packs", {})
    yield proxy
    listening.shutdown()
    listening.server_close()
