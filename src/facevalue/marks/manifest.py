"""What a C2PA manifest says, from the report of c2pa-python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from facevalue.marks.record import UNTRUSTED, Credentials, State, shown
from facevalue.marks.source_types import MOST, short

_STATES: dict[str, State] = {"Valid": "valid", "Trusted": "trusted", "Invalid": "invalid"}


def credentials_of(state: str, report: Mapping[str, Any]) -> Credentials:
    """The record of one file's credentials.

    Parameters
    ----------
    state : ``Valid``, ``Trusted`` or ``Invalid``.
    report : the library's own report, as JSON.
    """
    if state not in _STATES:
        return Credentials("not_checked", detail=f"the state {shown(state)!r} is not known to this version")
    manifests = _mapping(report.get("manifests"))
    active = _mapping(manifests.get(str(report.get("active_manifest"))))
    signature = _mapping(active.get("signature_info"))
    others = [_mapping(one) for name, one in manifests.items() if name != report.get("active_manifest")]
    return Credentials(
        state=_STATES[state],
        signer=_text(signature.get("common_name")),
        issuer=_text(signature.get("issuer")),
        time=_text(signature.get("time")),
        generator=_generator(active),
        source_types=_types([active]),
        ingredient_source_types=_types(others),
        problems=_problems(report),
    )


def _actions(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for assertion in _list(manifest.get("assertions")):
        found = _mapping(assertion)
        if str(found.get("label")).startswith("c2pa.actions"):
            yield from map(_mapping, _list(_mapping(found.get("data")).get("actions")))


def _types(manifests: list[Mapping[str, Any]]) -> tuple[str, ...]:
    """IPTC source types in the manifests' actions, each once."""
    addresses = (_text(action.get("digitalSourceType")) for one in manifests for action in _actions(one))
    return tuple(dict.fromkeys(short(address) for address in addresses if address))[:MOST]


def _generator(manifest: Mapping[str, Any]) -> str | None:
    """The program that made the manifest, and the one that made the image."""
    infos = _list(manifest.get("claim_generator_info"))
    first = _mapping(infos[0]) if infos else {}
    named = [_program(first) or _text(manifest.get("claim_generator"))]
    for action in _actions(manifest):
        agent = action.get("softwareAgent")
        named.append(_text(agent) if isinstance(agent, str) else _program(_mapping(agent)))
    return ", ".join(dict.fromkeys(name for name in named[:MOST] if name)) or None


def _program(info: Mapping[str, Any]) -> str | None:
    return " ".join(part for part in (_text(info.get("name")), _text(info.get("version"))) if part) or None


def _problems(report: Mapping[str, Any]) -> tuple[str, ...]:
    """C2PA's codes of failures in the active manifest and in its ingredients."""
    results = _mapping(report.get("validation_results"))
    parts = [_mapping(results.get("activeManifest"))]
    parts += [_mapping(_mapping(one).get("validationDeltas")) for one in _list(results.get("ingredientDeltas"))]
    codes = [_text(_mapping(one).get("code")) for part in parts for one in _list(part.get("failure"))]
    return tuple(dict.fromkeys(code for code in codes if code and code != UNTRUSTED))[:MOST]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return (shown(value) or None) if isinstance(value, str) else None
