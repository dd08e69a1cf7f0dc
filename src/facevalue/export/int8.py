"""Which operations of a network compute with 8-bit numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Operation:
    """An operation of a graph, in the words that all formats share.

    Attributes
    ----------
    name : unique in the graph.
    inputs, outputs : names of tensors.
    width : for a layer with weights the number of its output channels, else ``None``.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    width: int | None = None


def eight_bit(operations: Sequence[Operation], logits: str, classes: int) -> frozenset[str]:
    """Names of the operations that may compute with 8 bits: the layers of the body, and what lies before them.

    A last layer has one output a class, also inside an ensemble. It stays float with all that follows it: 8 bits would
    leave probabilities in steps of 1/256. What does not lead to the logits, as novelty and heat, stays float as well.

    Parameters
    ----------
    operations : in any order.
    logits : the tensor with the logits.
    classes : their number.

    >>> layers = [Operation("conv", ("x",), ("a",), 8), Operation("add", ("a",), ("b",)), Operation("fc", ("b",), ("c",), 8)]
    >>> head = [Operation("head", ("c",), ("y",), 2), Operation("far", ("c",), ("novelty",), 8)]
    >>> sorted(eight_bit([*layers, *head], "y", classes=2))
    ['add', 'conv', 'fc']
    """
    makers = {tensor: operation for operation in operations for tensor in operation.outputs}
    towards_logits = _before([logits], makers)
    layers = [one for one in towards_logits.values() if one.width not in (None, classes)]
    return frozenset({layer.name for layer in layers} | set(_before([t for o in layers for t in o.inputs], makers)))


def _before(tensors: Sequence[str], makers: dict[str, Operation]) -> dict[str, Operation]:
    """The operations, by name, that these tensors are computed by, directly or not."""
    found: dict[str, Operation] = {}
    waiting = list(tensors)
    while waiting:
        operation = makers.get(waiting.pop())
        if operation is not None and operation.name not in found:
            found[operation.name] = operation
            waiting.extend(operation.inputs)
    return found
