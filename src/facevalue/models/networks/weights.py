"""Loads weights into a body: none, timm's from the Hub, or a local file. Errors list what did not match."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from facevalue.errors import UsageError, WeightsError
from facevalue.evidence.card import NetworkFacts
from facevalue.models.networks import build, find, hub
from facevalue.models.networks.base import Body, Convention, Network, Triple, count_parameters
from facevalue.models.networks.torchvision_ready import ready
from facevalue.support import files, progress


@dataclass(frozen=True)
class Wanted:
    """The network that a recipe requests.

    Attributes
    ----------
    name, options, size, classes : as :func:`facevalue.models.networks.build` takes them.
    weights : ``none``, ``hub``, or a ``.safetensors``, ``.pth``, ``.pt`` or ``.bin`` file.
    convention : a convention of the record, ``own`` for the record's normalisation, or ``auto``: the known convention
        of the file, else ``own``.
    mean, std : override the convention, if given.
    """

    name: str
    classes: int
    size: int
    weights: str = "none"
    options: Mapping[str, Any] = field(default_factory=dict)
    convention: str = "auto"
    mean: Triple | None = None
    std: Triple | None = None


def prepare(wanted: Wanted) -> tuple[Body, NetworkFacts]:
    """Build a body and load its weights; the head is always new.

    Raises
    ------
    UsageError
        The network, an option or a convention is unknown.
    WeightsError
        The file is missing, cannot be read, or does not fit; or the Hub cannot be reached.
    """
    network = find(wanted.name)
    state, digest = None, None
    if wanted.weights not in ("none", "hub"):
        path = Path(wanted.weights)
        state = read_file(path)
        digest = files.sha256(path)
    convention = _convention(network, wanted.convention, digest)
    options = {**network.options, **convention.options, **wanted.options}
    body = build(wanted.name, wanted.classes, wanted.size, options)
    if wanted.weights == "hub":
        state = from_hub(network)
    if state is not None:
        fill(body, state, network, wanted.weights)
    facts = NetworkFacts(
        name=network.name,
        options=options,
        mean=wanted.mean or convention.mean,
        std=wanted.std or convention.std,
        parameters=count_parameters(body),
        features=body.head.in_features,
        weights=wanted.weights if wanted.weights in ("none", "hub") else Path(wanted.weights).name,
        weights_sha256=digest,
        licence=network.licence if wanted.weights == "hub" else None,
        pooled=body.pooled,
        batch=body.batch,
    )
    return body, facts


def _convention(network: Network, name: str, digest: str | None) -> Convention:
    own = Convention(network.mean, network.std)
    if name == "auto":
        known = network.known_weights.get(digest or "")
        if known is not None:
            progress.note(f"these weights are known to follow the {known} convention, which is used")
        return network.conventions[known] if known is not None else own
    if name == "own":
        return own
    if name not in network.conventions:
        known_names = ", ".join(("auto", "own", *network.conventions))
        raise UsageError(f"{network.name} has no weights convention {name!r}; it knows: {known_names}")
    return network.conventions[name]


def read_file(path: Path) -> dict[str, Tensor]:
    """Tensors of a weights file by name. No code from the file is executed (``weights_only``).

    Raises
    ------
    WeightsError
        The file is missing, has another format, or is damaged.
    """
    if not path.is_file():
        raise WeightsError(f"`weights` {path}: there is no such file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix not in (".pth", ".pt", ".bin", ".ckpt"):
            raise WeightsError(f"`weights` {path}: expected a .safetensors or .pth file")
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"`weights` {path}: holds more than tensors, and facevalue runs no code from files"
        ) from error
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise WeightsError(f"`weights` {path}: cannot be read: {' '.join(str(error).split())[:200]}") from error
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not any(isinstance(v, Tensor) for v in loaded.values()):
        raise WeightsError(f"`weights` {path}: holds no table of tensors")
    return {str(k).removeprefix("module."): v for k, v in loaded.items() if isinstance(v, Tensor)}


def expect_available(name: str, weights: str) -> None:
    """Check within seconds that weights can be had, before long work that would fail for lack of them.

    Raises
    ------
    WeightsError
        The file does not exist; or timm has no weights for this network, or they are neither in the cache nor can the
        Hub be reached.
    """
    if weights == "hub":
        _hub_file(find(name))
    elif weights != "none" and not Path(weights).is_file():
        raise WeightsError(f"`weights` {weights}: there is no such file")


def from_hub(network: Network) -> dict[str, Tensor]:
    """timm's pretrained weights; the Hub's client downloads them once and caches them.

    Raises
    ------
    WeightsError
        timm has none for this network, or the download failed.
    """
    file = _hub_file(network)
    assert network.timm_name is not None
    import timm
    from huggingface_hub.utils import logging

    own: dict[str, Any] = {} if file is None else {"pretrained_cfg_overlay": {"file": str(file)}}
    before = logging.get_verbosity()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # each retry would warn; the error below says it once
    try:
        with progress.work(f"fetching {network.timm_name} weights", 1, "files") as work:
            model: nn.Module = timm.create_model(network.timm_name, pretrained=True, **own)
            work.advance()
    except Exception as error:  # the Hub's client and its transports raise many types
        raise _not_fetched(network, " ".join(str(error).split()).rstrip(".")) from error
    finally:
        logging.set_verbosity(before)
    return model.state_dict()


def _hub_file(network: Network) -> Path | None:
    """The weights in the cache of the Hub's client; ``None`` if they are not there and can be downloaded."""
    if network.timm_name is None:
        raise WeightsError(f"{network.name} has no published weights; use `weights` none or a file")
    ready()
    import timm
    from huggingface_hub import constants

    settings = timm.get_pretrained_cfg(network.timm_name)
    if settings is None or not settings.has_weights:
        raise WeightsError(f"timm has no weights for {network.timm_name}; use `weights` none or a file")
    repository = settings.hf_hub_id
    file = hub.cached(repository, settings.hf_hub_filename) if repository else None
    if file is None and constants.HF_HUB_OFFLINE:
        raise _not_fetched(network, "they are not in the cache, and HF_HUB_OFFLINE is set")
    if file is None:
        try:
            hub.expect_reachable(constants.ENDPOINT if repository else str(settings.url))
        except WeightsError as error:
            raise _not_fetched(network, str(error)) from error
    return file


def _not_fetched(network: Network, reason: str) -> WeightsError:
    return WeightsError(
        f"the weights of {network.timm_name} could not be fetched: {reason}. Give a local file as `weights`, or train "
        "without any: none"
    )


def fill(body: Body, state: Mapping[str, Tensor], network: Network, source: str) -> None:
    """Copy ``state`` into ``body``, except the head.

    Raises
    ------
    WeightsError
        Names or shapes do not match; the message lists them.
    """
    if any(name.startswith("body.") for name in state):  # weights of a model folder
        state = {n.removeprefix("body."): v for n, v in state.items() if n.startswith("body.")}
        target: nn.Module = body
    else:
        target = body.backbone()
    own = target.state_dict()
    skipped = ("head.",) if target is body else ()
    wanted = {n for n in own if not n.startswith(skipped) and not n.endswith("num_batches_tracked")}
    given = {n: v for n, v in state.items() if not n.startswith((*skipped, *network.ignores, *body.leaves_out))}
    missing = sorted(wanted - set(given))
    unexpected = sorted(set(given) - set(own))
    reshaped = sorted(n for n in wanted & set(given) if given[n].shape != own[n].shape)
    if missing or unexpected or reshaped:
        shapes = [f"{n} {tuple(given[n].shape)} instead of {tuple(own[n].shape)}" for n in reshaped]
        parts = (("missing", missing), ("unknown", unexpected), ("of another shape", shapes))
        mismatches = "; ".join(f"{len(names)} {what}: {_some(names)}" for what, names in parts if names)
        raise WeightsError(f"{source} does not fit {network.name}: {mismatches}")
    target.load_state_dict({n: v for n, v in given.items() if n in own}, strict=False)


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
