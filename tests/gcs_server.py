"""Google Cloud Storage's protocol spoken by a real server on loopback."""

import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pyarrow.fs
from gcp_storage_emulator.handlers.buckets import create_bucket
from gcp_storage_emulator.server import Router
from gcp_storage_emulator.storage import Storage


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, storage: Any, *rest: Any) -> None:
        self.storage = storage  # the router looks for it here
        super().__init__(*rest)

    def do_GET(self) -> None:
        Router(self).handle("GET")

    def do_POST(self) -> None:
        self._write()

    def do_PUT(self) -> None:
        self._write()

    def do_DELETE(self) -> None:
        self._write()

    def _write(self) -> None:
        if self.headers.get("Authorization", "").startswith("Bearer "):
            Router(self).handle(self.command)
        else:
            self.send_response(401)
            self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


class GcsServer:
    """A server with one bucket, ``bucket``, that anyone can read and whoever has a key can write.

    It answers one request after the other: its store has no locks.
    """

    def __init__(self) -> None:
        self._storage = Storage(use_memory_fs=True)
        create_bucket("bucket", self._storage)
        self._server = HTTPServer(("127.0.0.1", 0), partial(_Handler, self._storage))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def uri(self, path: str) -> str:
        """Of a folder in the bucket."""
        at = f"127.0.0.1:{self._server.server_port}"
        return f"gs://bucket/{path}?endpoint_override={at}&scheme=http"

    def stop(self) -> None:
        """Refuses connections from now on."""
        self._server.shutdown()
        self._server.server_close()

    def write(self, path: str, data: bytes) -> None:
        """Writes a file to the bucket, with the keys of the environment."""
        system, there = pyarrow.fs.FileSystem.from_uri(self.uri(path))
        with system.open_output_stream(there) as file:
            file.write(data)

    def put(self, root: Path, folder: str) -> None:
        """Copies a run's directory into the bucket."""
        for path in (path for path in root.rglob("*") if path.is_file()):
            self.write(f"{folder}/{path.relative_to(root).as_posix()}", path.read_bytes())

    def names(self, folder: str) -> set[str]:
        """Files below a folder of the bucket."""
        found, _ = self._storage.get_file_list("bucket", f"{folder}/")
        return {each["name"].removeprefix(f"{folder}/") for each in found}
