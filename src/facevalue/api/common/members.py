"""What members of an ensemble promise and how they make their answers."""

from __future__ import annotations

from collections.abc import Sequence

from facevalue.errors import UsageError
from facevalue.evidence.findings import Finding, finding
from facevalue.models.classifier import Classifier


def shared_inputs(names: Sequence[str], members: Sequence[Classifier]) -> int:
    """Number of versions of the network input that every member makes its answers from; 0 for one.

    Raises
    ------
    UsageError
        It differs between members.
    """
    first = members[0].card.inputs
    for name, member in zip(names, members, strict=True):
        if member.card.inputs != first:
            raise UsageError(
                f"members need the same `stable`, but {names[0]} makes an answer from {first} network "
                f"input{'s' * (first != 1)} and {name} from {member.card.inputs}; calibrate one of them again with the "
                "other's `stable`, 0 for one network input"
            )
    return 0 if first == 1 else first


def lost_promises(names: Sequence[str], members: Sequence[Classifier]) -> tuple[Finding, ...]:
    """A warning if members promise an error or few false positives: their images do not show it for the ensemble."""
    made = [
        name
        for name, member in zip(names, members, strict=True)
        if (limits := member.card.limits).stated_error is not None or limits.false_positives is not None
    ]
    if not made:
        return ()
    text = (
        f"what {', '.join(made)} promise{'s' * (len(made) == 1)} (a stated error, or few false positives) does not "
        "hold for the ensemble, whose limits are chosen for accuracy; promise it again: facevalue calibrate MODEL DATA "
        "--max-error, with images that are new to all members"
    )
    return (finding("ensemble-without-promise", text, models=tuple(made)),)
