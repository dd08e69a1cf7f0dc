"""A Ctrl-C at a chosen moment."""

from __future__ import annotations

from facevalue.support.time_left import Left


class StopAfter:
    """A reporter that raises Ctrl-C after this many epochs."""

    def __init__(self, epochs: int, what: str = "training") -> None:
        self.left, self.what = epochs, what

    def start(self, what: str, total: int | None, unit: str) -> int:
        return 1 if what == self.what else 0

    def advance(self, key: int, by: int, detail: str, left: Left | None) -> None:
        if key and not by:  # the figures of a whole epoch
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    def skip(self, key: int, by: int) -> None: ...

    def stop(self, key: int) -> None: ...

    def note(self, text: str) -> None: ...
