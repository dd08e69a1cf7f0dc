"""What ``verify`` found: one record per check."""

from __future__ import annotations

from facevalue.evidence.record import Record


class FolderCheck(Record, frozen=True):
    """One check of a model folder.

    Attributes
    ----------
    name : ``card``, ``files``, ``canaries``, ``report``, ``signature``, ``statements``, ``figures`` or ``data``.
    passed : ``None`` if it was not made.
    text : what was checked, or why it was not.
    problems : a line for each thing that is not as it should be.
    """

    name: str
    passed: bool | None
    text: str
    problems: tuple[str, ...] = ()

    @staticmethod
    def of(name: str, text: str, problems: list[str] | tuple[str, ...]) -> FolderCheck:
        """A check that was made; it passes without problems."""
        return FolderCheck(name=name, passed=not problems, text=text, problems=tuple(problems))


class Verification(Record, frozen=True):
    """All checks of a model folder. ``passed`` is true if every check that was made passed."""

    model: str
    checks: tuple[FolderCheck, ...]

    @property
    def passed(self) -> bool:
        """Whether every check that was made passed."""
        return all(check.passed is not False for check in self.checks)

    @property
    def failed(self) -> tuple[FolderCheck, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if check.passed is False)

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "model": self.model,
            "passed": self.passed,
            "failed": [check.to_dict() for check in self.failed],
            "checks": [check.to_dict() for check in self.checks],
        }
