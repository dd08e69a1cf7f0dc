"""Convert cards of format 1 to format 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Plain = dict[str, Any]

_RECIPE = {
    "augment": {"damage": "corruption", "surroundings": "background"},
    "probe": {"steady": "quarter_consistency", "alike": "copy_consistency"},
}
_PROVENANCE = ("fingerprint", "source", "split", "n", "command", "versions", "created", "seconds", "seed")

# The only warning of format 1 that other code depends on.
_CODES = {
    "the model has learned from its own calibration pictures: the new one is calibrated on hard ones alone": (
        "calibrated-on-hard-images-only"
    )
}


def converted(card: Mapping[str, Any]) -> Plain:
    """A card of format 1 as one of format 2.

    Parameters
    ----------
    card : the parsed JSON; it is not changed. Values that do not fit format 1 are passed on, and the reader of format 2
        refuses them.
    """
    new = {("preprocessing" if key == "geometry" else key): value for key, value in card.items()}
    data = dict(_table(card, "data"))
    new["recipe"] = _recipe(_table(card, "recipe"))
    new["evidence"] = [_evidence(e) if isinstance(e, dict) else e for e in _list(card, "evidence")]
    new["provenance"] = _moved(new, "command", "versions", "created", "seconds", "seed")
    new["provenance"] |= _moved(data, "fingerprint", "source") | {"n": _images(data)}
    new["data"] = _with_findings(data)
    if isinstance(data.get("groups"), str):
        new["data"]["groups"] = _groups(data["groups"])
    return new | {"format": 2}


def _recipe(recipe: Mapping[str, Any]) -> Plain:
    new = dict(recipe)
    for table, names in _RECIPE.items():
        if isinstance(recipe.get(table), dict):
            new[table] = {names.get(key, key): value for key, value in recipe[table].items()}
    split = recipe.get("split")
    if isinstance(split, dict) and isinstance(split.get("groups"), str):
        new["split"] = split | {"groups": _groups(split["groups"])}
    if isinstance(recipe.get("finetune"), dict):
        new["finetune"] = _evidence(recipe["finetune"] | {"kind": "finetune"})
        new["finetune"].pop("kind")
    return new


def _evidence(old: Mapping[str, Any]) -> Plain:
    new = dict(old)
    provenance = _moved(new, *_PROVENANCE)
    if new.get("kind") == "finetune":
        changes = [dict(c) for c in _list(new, "changes") if isinstance(c, dict)]
        for change in changes:
            change["images"] = change.pop("pictures", "")
        new["changes"] = changes
        provenance |= {"n": sum(int(c.get("n", 0)) for c in changes), "source": new.pop("hard", "")}
    if "slices" in new:
        new["slices"] = [_with_findings(s) if isinstance(s, dict) else s for s in _list(new, "slices")]
    return _with_findings(new) | {"provenance": provenance}


def _with_findings(old: Mapping[str, Any]) -> Plain:
    return dict(old) | {"warnings": [_finding(w) if isinstance(w, str) else w for w in _list(old, "warnings")]}


def _finding(text: str) -> Plain:
    return {"code": _CODES.get(text, "unclassified"), "severity": "warning", "text": text, "values": {}}


def _groups(how: str) -> str:
    return "; ".join("image" if part == "picture" else part for part in how.split("; "))


def _images(data: Mapping[str, Any]) -> int:
    by_split = [of for of in _table(data, "counts").values() if isinstance(of, dict)]
    return sum(n for of in by_split for n in of.values() if isinstance(n, int))


def _moved(plain: Plain, *names: str) -> Plain:
    return {name: plain.pop(name) for name in names if name in plain}


def _table(plain: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = plain.get(key, {})
    return value if isinstance(value, dict) else {}


def _list(plain: Mapping[str, Any], key: str) -> list[Any]:
    value = plain.get(key, [])
    return value if isinstance(value, list) else []
