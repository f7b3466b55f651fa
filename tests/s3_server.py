"""S3's protocol spoken by a real server on loopback, that can be slow, broken or gone."""

import os
import threading
import time
from collections.abc import Iterable
from typing import Any

import pyarrow.fs
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None: ...


class S3Server:
    """A server with one bucket, ``bucket``.

    Attributes:
        delay_s: Each request waits so long.
        is_broken: Each request is answered with error 500.
        failed: Requests that were.
        delayed: Requests that waited.
    """

    def __init__(self) -> None:
        self.delay_s, self.is_broken, self.failed, self.delayed = 0.0, False, 0, 0
        self._app = DomainDispatcherApplication(create_backend_app)
        self._port = 0
        self._server: BaseWSGIServer | None = None
        self.start()
        self.system, _ = pyarrow.fs.FileSystem.from_uri(
            self.uri("x").replace("?", "?allow_bucket_creation=true&")
        )
        self.system.create_dir("bucket")

    def uri(self, path: str) -> str:
        """Of a folder in the bucket."""
        options = f"endpoint_override=127.0.0.1:{self._port}&scheme=http&region=us-east-1"
        return f"s3://bucket/{path}?{options}"

    def start(self) -> None:
        """Listens, on the same port as before."""
        self._server = make_server(
            "127.0.0.1", self._port, self._answer, threaded=True, request_handler=_Quiet
        )
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Refuses connections from now on; keeps what it has."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], respond: Any) -> Iterable[bytes]:
        if self.delay_s:
            self.delayed += 1
            time.sleep(self.delay_s)
        if self.is_broken:
            self.failed += 1
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            respond("500 Internal Server Error", [("Content-Length", "0")])
            return []
        answer: Iterable[bytes] = self._app(environ, respond)
        return answer

    def names(self, folder: str) -> set[str]:
        """Files below a folder of the bucket."""
        tree = pyarrow.fs.FileSelector(f"bucket/{folder}", recursive=True, allow_not_found=True)
        found = self.system.get_file_info(tree)
        files = [info.path for info in found if info.type == pyarrow.fs.FileType.File]
        return {os.path.relpath(path, f"bucket/{folder}") for path in files}
