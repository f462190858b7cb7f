"""A Docker exec's two output streams on one connection, taken apart."""

from __future__ import annotations

import socket
import struct
from typing import Any

from paritylab.engines.streams import SocketChannel

_HEAD = struct.Struct(">BxxxI")
_STDOUT = 1
_LAST_WORDS = 4000


def raw_socket(stream: Any) -> socket.socket:
    """Return the socket in what docker-py gives for an attached stream.

    docker-py reads the response's headers through a buffer and then hands out the socket below
    it: the other side must not speak before it has been spoken to, or its words are lost there.
    """
    sock: socket.socket = getattr(stream, "_sock", stream)
    # The response owns the connection; without a reference it would be closed with it.
    return _Held(sock, stream)  # type: ignore[return-value]


class _Held:
    """A socket, and the object that must live as long."""

    def __init__(self, sock: socket.socket, owner: Any) -> None:
        self._sock, self._owner = sock, owner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def close(self) -> None:
        """Close both."""
        self._owner.close()
        self._sock.close()


class MultiplexedChannel(SocketChannel):
    """A Channel over an attached exec: reads its stdout, keeps the tail of its stderr."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._kind, self._left = _STDOUT, 0
        self._stderr = bytearray()

    @property
    def last_words(self) -> str:
        """The end of what came on stderr so far."""
        return self._stderr.decode("utf-8", "replace").strip()

    def _some(self, size: int, deadline: float) -> bytes:
        while True:
            if not self._left:
                head = self._head(deadline)
                if not head:
                    return b""
                self._kind, self._left = _HEAD.unpack(head)
                continue
            wanted = size if self._kind == _STDOUT else _LAST_WORDS
            part = super()._some(min(wanted, self._left), deadline)
            self._left -= len(part)
            if self._kind == _STDOUT or not part:
                return part
            self._stderr = (self._stderr + part)[-_LAST_WORDS:]

    def _head(self, deadline: float) -> bytes:
        head = b""
        while len(head) < _HEAD.size:
            part = super()._some(_HEAD.size - len(head), deadline)
            if not part:
                return b""
            head += part
        return head
