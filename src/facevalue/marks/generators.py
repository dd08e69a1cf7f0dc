"""Marks that image generators leave in text entries of a PNG and in EXIF: their settings, or their name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from facevalue.marks import exif as tags
from facevalue.marks.record import UnsignedMark, shown

_TOOLS = {
    "parameters": "Stable Diffusion web UI",
    "prompt": "ComfyUI",
    "workflow": "ComfyUI",
    "dream": "InvokeAI",
    "sd-metadata": "InvokeAI",
    "invokeai_metadata": "InvokeAI",
    "invokeai_graph": "InvokeAI",
    "fooocus_scheme": "Fooocus",
    "generation_data": None,
    "use_stable_diffusion_model": "Easy Diffusion",
}
"""By key of the text entry, in small letters."""

_NAMES = re.compile(
    r"\b(novelai|midjourney|dall[- ·]?e|stable ?diffusion|comfyui|invokeai|fooocus|firefly|leonardo\.ai|ideogram|"
    r"made with google ai|nightcafe|draw things|automatic1111)\b",
    re.IGNORECASE,
)
_STEPS = re.compile(r"\bSteps: ?\d+")
_MIDJOURNEY = re.compile(r"\bJob ID: ?[0-9a-f]{8}-[0-9a-f]{4}-")


def names_a_generator(text: str) -> bool:
    """Whether a text has the name of a known image generator.

    >>> names_a_generator("Adobe Firefly"), names_a_generator("GIMP 3.0")
    (True, False)
    """
    return _NAMES.search(text) is not None


def marks_in(texts: Sequence[tuple[str, str]], exif: Mapping[int, str]) -> list[UnsignedMark]:
    """The generators' marks, in text entries and in EXIF texts by tag."""
    found = [mark for key, value in texts if (mark := _of_text(key.lower(), value)) is not None]
    # ComfyUI writes its settings where cameras write their names.
    for tag in (tags.MAKE, tags.MODEL):
        key, colon, value = exif.get(tag, "").partition(":")
        if colon and key in ("workflow", "prompt") and value.lstrip().startswith("{"):
            found.append(_settings(value, "EXIF", "ComfyUI"))
    for tag in (tags.USER_COMMENT, tags.DESCRIPTION):
        tool = tool_of(exif.get(tag, ""))
        if tool is not None:
            found.append(_settings(exif[tag], "EXIF", tool))
    return found


def tool_of(text: str) -> str | None:
    """The generator whose settings a text holds.

    >>> tool_of("a cat\\nSteps: 20, Sampler: Euler a, Seed: 1")
    'Stable Diffusion web UI'
    """
    if "sui_image_params" in text:
        return "SwarmUI"
    if _STEPS.search(text) and ("Sampler: " in text or "Seed: " in text):
        return "Stable Diffusion web UI"
    return "Midjourney" if _MIDJOURNEY.search(text) else None


def _of_text(key: str, value: str) -> UnsignedMark | None:
    if key in _TOOLS:
        # Other programs use the keys of ComfyUI too; its values are JSON.
        tool = _TOOLS[key] if _TOOLS[key] != "ComfyUI" or value.lstrip().startswith("{") else None
        return _settings(value, "PNG text", tool_of(value) or tool)
    if key in ("title", "software", "source") and value.startswith(("NovelAI", "AI generated image")):
        return _settings(value, "PNG text", "NovelAI")
    if key in ("description", "comment", "usercomment"):
        tool = tool_of(value)
        return None if tool is None else _settings(value, "PNG text" if key != "comment" else "comment", tool)
    return None


def _settings(text: str, where: str, tool: str | None) -> UnsignedMark:
    return UnsignedMark("prompt", shown(text), where, tool, "ai")
