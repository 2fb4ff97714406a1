"""Connections that send as much as is taken: `python -m benchmarks.path.uploads JSON NUMBER`.

A process of its own. It says a line when they stand, and ends with its standard input.
"""

import json
import sys
import threading

from benchmarks.path.opener import Order, context_of, opened

_PIECE = bytes(128 * 1024)


def main(arguments: list[str]) -> None:
    order = Order(**json.loads(arguments[0]))
    context = context_of(order.certificate, order.key)

    def upload() -> None:
        sock, _ = opened(order, context)
        sock.settimeout(None)
        while True:
            sock.sendall(_PIECE)

    for _ in range(int(arguments[1])):
        threading.Thread(target=upload, daemon=True).start()
    print("uploading", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1:])
