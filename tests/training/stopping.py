"""A Ctrl-C at a chosen moment."""

from __future__ import annotations


class StopAfter:
    """A reporter that presses Ctrl-C after so many epochs of this work."""

    def __init__(self, epochs: int, what: str = "training") -> None:
        self.left, self.what = epochs, what

    def start(self, what: str, total: int | None, unit: str) -> int:
        return 1 if what == self.what else 0

    def advance(self, key: int, by: int, detail: str) -> None:
        if key and detail:
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    def stop(self, key: int) -> None: ...

    def note(self, text: str) -> None: ...
