"""Any timm network as a body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from facevalue.errors import UsageError
from facevalue.images.preprocessing import Preprocessing
from facevalue.images.resize import Filter
from facevalue.models.networks import torchvision_ready
from facevalue.models.networks.base import Body, Network, Tokens, Triple, new_head
from facevalue.support.registry import did_you_mean

# By default timm builds these with an auxiliary output for its own training loop, or with zeroed residual branches.
_BUILD_OPTIONS: dict[str, dict[str, Any]] = {
    "inception_v3": {"aux_logits": False},
    "resnet": {"zero_init_last": False},
}


class TimmBody(Body):
    """A timm model without its classifier, and a new linear head.

    Raises
    ------
    UsageError
        timm has no model of this name, or an option is unknown.
    """

    model: Any  # timm's own class, which has forward_features and forward_head

    def __init__(self, name: str, classes: int, size: int, options: Mapping[str, Any]) -> None:
        super().__init__()
        torchvision_ready.ready()
        import timm

        timm_record(name)
        try:
            self.model = timm.create_model(name, num_classes=0, **build_options(name, options))
        except TypeError as error:
            raise UsageError(f"{name} does not know these options: {dict(options)} ({error})") from error
        self.map_layer = nn.Identity()  # attribution hooks attach here, in every family of networks
        was_training = self.model.training
        self.model.eval()
        # Not zeros: a network without biases would return zeros, and any layer would look like average pooling.
        image = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            maps = self.model.forward_features(image)
            features = self.embed(maps)
            self.spatial = maps.ndim == 4 and maps.shape[1] == self.model.num_features
            self.pooled = (
                self.spatial
                and features.shape[1] == maps.shape[1]
                and bool(torch.allclose(features, maps.mean((2, 3)), atol=1e-5))
            )
        self.tokens = _tokens(self.model, maps, size)
        self.model.train(was_training)
        self.head = new_head(features.shape[1], classes)

    def maps(self, x: Tensor) -> Tensor:
        maps: Tensor = self.map_layer(self.model.forward_features(x))
        return maps

    def embed(self, maps: Tensor) -> Tensor:
        features: Tensor = self.model.forward_head(maps, pre_logits=True)
        return features

    def backbone(self) -> nn.Module:
        return cast(nn.Module, self.model)

    def stages(self) -> list[nn.Module]:
        return top_stages(self.model)

    @property
    def cam_layer(self) -> nn.Module:
        return self.map_layer


def _tokens(model: Any, maps: Tensor, size: int) -> Tokens | None:
    """Where the tokens of a vision transformer are; ``None`` for other families."""
    from timm.models.vision_transformer import VisionTransformer

    if not isinstance(model, VisionTransformer):
        return None
    grid: tuple[int, int] = model.patch_embed.dynamic_feat_size((size, size))
    if maps.ndim != 3 or maps.shape[1] != model.num_prefix_tokens + grid[0] * grid[1]:
        return None  # it merges or drops tokens on the way
    # After the last attention only the class token reaches the prediction, so this is the input of the last block.
    layer = cast(nn.Module, model.blocks[-1].norm1)
    return Tokens(layer, model.num_prefix_tokens, grid, model.global_pool == "token")


def build_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What timm's ``create_model`` is called with for this network, besides the number of classes."""
    extra = next((o for prefix, o in _BUILD_OPTIONS.items() if name.startswith(prefix)), {})
    return {**extra, **options}


def top_stages(model: nn.Module) -> list[nn.Module]:
    """The parts of a network from input to output: its children; sequences are replaced by their own children."""
    stages: list[nn.Module] = []
    for child in model.children():
        parts = list(child.children()) if isinstance(child, nn.Sequential) else [child]
        stages.extend(part for part in parts if any(True for _ in part.parameters()))
    return stages


def timm_record(name: str, others: Sequence[str] = ()) -> str:
    """The name, if timm has such a model.

    Parameters
    ----------
    others : further names to suggest for a misspelt one.

    Raises
    ------
    UsageError
        timm has none; the message suggests similar names.
    """
    torchvision_ready.ready()
    import timm

    if timm.is_model(name):
        return name
    raise UsageError(f"there is no network {name!r}{did_you_mean(name, [*others, *timm.list_models()], 4)}")


def any_timm(name: str, others: Sequence[str] = ()) -> Network:
    """A record for any timm model, with preprocessing and normalisation from timm's own settings.

    Raises
    ------
    UsageError
        timm has no model of this name.
    """
    timm_record(name, others)
    import timm

    settings = timm.get_pretrained_cfg(name)
    size = settings.input_size[-1] if settings else 224
    filters: dict[str, Filter] = {"bilinear": "bilinear", "bicubic": "bicubic"}
    return Network(
        name=name,
        build=lambda classes, side, options: TimmBody(name, classes, side, options),
        preprocessing=Preprocessing(
            size=size, filter=filters.get(settings.interpolation if settings else "", "bicubic")
        ),
        paper="timm, https://github.com/huggingface/pytorch-image-models",
        mean=_triple(settings.mean if settings else None),
        std=_triple(settings.std if settings else None),
        licence=(settings.license if settings else None),
        timm_name=name,
        ignores=_classifier_prefixes(settings.classifier if settings else None),
    )


def _classifier_prefixes(names: str | Sequence[str] | None) -> tuple[str, ...]:
    listed = [names] if isinstance(names, str) else list(names or ())
    return tuple(f"{name}." for name in listed)


def _triple(values: Sequence[float] | None) -> Triple:
    a, b, c = values or (0.5, 0.5, 0.5)
    return (a, b, c)
