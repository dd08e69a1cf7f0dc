"""Which operations of a network compute with 8-bit numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    """Names of the operations that may compute with 8 bits: the layers of the body, and what stands between them.

    A last layer has one output a class, also inside an ensemble. It stays float with all that follows it: 8 bits would
    leave probabilities in steps of 1/256. So does the normalisation before the first layer, and what does not lead to
    the logits, as novelty and heat.

    Parameters
    ----------
    operations : in any order.
    logits : the tensor with the logits.
    classes : their number.

    >>> first = [Operation("mean", ("x",), ("a",)), Operation("conv", ("a",), ("b",), 8)]
    >>> second = [Operation("add", ("b",), ("c",)), Operation("fc", ("c",), ("d",), 8)]
    >>> last = [Operation("head", ("d",), ("y",), 2), Operation("far", ("d",), ("novelty",), 4)]
    >>> sorted(eight_bit([*first, *second, *last], "y", classes=2))
    ['add', 'conv', 'fc']
    """
    makers = {tensor: [operation] for operation in operations for tensor in operation.outputs}
    readers: dict[str, list[Operation]] = {}
    for operation in operations:
        for tensor in operation.inputs:
            readers.setdefault(tensor, []).append(operation)
    towards_logits = _reached([logits], makers, lambda operation: operation.inputs)
    layers = [one for one in towards_logits.values() if one.width not in (None, classes)]
    before = _reached([t for one in layers for t in one.inputs], makers, lambda operation: operation.inputs)
    after = _reached([t for one in layers for t in one.outputs], readers, lambda operation: operation.outputs)
    between = {name for name in before.keys() & after.keys() if before[name].width is None}
    return frozenset(between | {layer.name for layer in layers})


def _reached(
    tensors: Sequence[str],
    neighbours: Mapping[str, Sequence[Operation]],
    further: Callable[[Operation], Sequence[str]],
) -> dict[str, Operation]:
    """The operations, by name, that are reached from these tensors through ``neighbours``, again and again."""
    found: dict[str, Operation] = {}
    waiting = list(tensors)
    while waiting:
        for operation in neighbours.get(waiting.pop(), ()):
            if operation.name not in found:
                found[operation.name] = operation
                waiting.extend(further(operation))
    return found
