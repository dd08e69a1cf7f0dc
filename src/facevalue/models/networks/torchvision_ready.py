"""Makes torchvision (and so timm) importable beside a torch build that its compiled operators do not match.

There ``import torchvision`` fails with «operator torchvision::nms does not exist», because the compiled part that
defines the operators' schemas was not loaded. facevalue uses no torchvision operator, so defining the schemas is
enough. If torchvision loads, this module does nothing.
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
    """Make ``import torchvision`` work. Returns the library with the schemas (keep a reference to it), or None."""
    if importlib.util.find_spec("torchvision") is None:
        return None
    try:
        importlib.import_module("torchvision")
        return None
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]  # only partly imported
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        if not hasattr(torch.ops.torchvision, schema.partition("(")[0]):
            library.define(schema)  # type: ignore[no-untyped-call]
    importlib.import_module("torchvision")
    return library
