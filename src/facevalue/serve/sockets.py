"""The listening socket."""

from __future__ import annotations

import socket

from facevalue.errors import UsageError


def listen(host: str, port: int) -> socket.socket:
    """A listening socket whose connections send small answers at once.

    asyncio sets TCP_NODELAY on accepted connections only where the listener's protocol number is named, which
    ``socket.create_server`` does not do. Without it, Nagle's algorithm and the client's delayed acknowledgement cost
    a keep-alive client 40 ms a request.

    Raises
    ------
    UsageError
        The address is taken or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, UnicodeError) as error:  # a name that is no name of a host
        listener.close()
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot listen on {host} port {port}: {why}; choose another `port`") from error
    return listener
