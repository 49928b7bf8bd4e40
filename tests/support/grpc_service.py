"""A service of gRPC in a process of its own: `grpc_service.py N` responds when N calls are there at once.

It prints its port. grpcio has threads, which would be in every process that a test forks.
"""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc

DEADLINE_S = 20.0


def main(count: int) -> None:
    """Serve until standard input ends."""
    everybody = threading.Barrier(count)

    def price(request: bytes, context: grpc.ServicerContext) -> bytes:
        everybody.wait(DEADLINE_S)
        return b"price of " + request

    server = grpc.server(ThreadPoolExecutor(count))
    handler = grpc.method_handlers_generic_handler(
        "shop.Prices", {"Price": grpc.unary_unary_rpc_method_handler(price)}
    )
    server.add_generic_rpc_handlers((handler,))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    sys.stdin.read()
    server.stop(None).wait()


if __name__ == "__main__":
    main(int(sys.argv[1]))
