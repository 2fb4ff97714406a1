"""The far end of raw connections, in a process of its own: `python -m benchmarks.path.services`.

It says where each service listens as a line of JSON, and ends with its standard input.
"""

import asyncio
import json
import sys
from typing import cast

import uvloop

_PIECE = bytes(128 * 1024)


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Sink(Echo):
    """Swallows everything."""

    def data_received(self, data: bytes) -> None:
        pass


class Source(Sink):
    """Pours for as long as somebody takes it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.pouring = True
        self.pour()

    def pour(self) -> None:
        while self.pouring and not self.transport.is_closing():
            self.transport.write(_PIECE)

    def pause_writing(self) -> None:
        self.pouring = False

    def resume_writing(self) -> None:
        self.pouring = True
        self.pour()


class Closer(Sink):
    """Hangs up at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).close()


SERVICES: dict[str, type[Echo]] = {"echo": Echo, "sink": Sink, "source": Source, "closer": Closer}


async def main() -> None:
    loop = asyncio.get_running_loop()
    ports = {}
    for name, protocol in SERVICES.items():
        server = await loop.create_server(protocol, "127.0.0.1", 0, backlog=1024)
        ports[name] = server.sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main())
