"""Lets torchvision (and so timm) be imported beside a torch build that its compiled operators were not made for.

There ``import torchvision`` fails with «operator torchvision::nms does not exist»: the Python side describes
operators whose schemas the compiled side would have defined. Defining the schemas is enough, since facevalue uses no
torchvision operator. Where torchvision loads, this does nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import lru_cache

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


@lru_cache(maxsize=1)
def ready() -> torch.library.Library | None:
    """Make ``import torchvision`` work; returns the library that holds the schemas (it must stay alive), or None."""
    if importlib.util.find_spec("torchvision") is None:
        return None
    try:
        importlib.import_module("torchvision")
        return None
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]  # half imported
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        if not hasattr(torch.ops.torchvision, schema.partition("(")[0]):
            library.define(schema)  # type: ignore[no-untyped-call]
    importlib.import_module("torchvision")
    return library
