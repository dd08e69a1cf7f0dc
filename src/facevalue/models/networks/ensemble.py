"""Several trained models as one network: the average of their calibrated probabilities."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from facevalue.images.preprocessing import Preprocessing
from facevalue.models import calibration
from facevalue.models.networks.base import Body, Network, new_head, normalise
from facevalue.models.networks.small_inception import SMALL_INCEPTION
from facevalue.models.networks.small_resnet import SMALL_RESNET
from facevalue.models.novelty import SCORES, NoveltyScore
from facevalue.models.novelty.mahalanobis import Mahalanobis

_SPECIFICATION: dict[str, Any] = {
    "name": None,  # of the member's network
    "options": {},  # of the member's network
    "mean": (0.0, 0.0, 0.0),  # of pixels in [0, 1]
    "std": (1.0, 1.0, 1.0),
    "temperature": 1.0,
    "calibration": {"method": "temperature", "parameters": {}},
    "novelty": None,  # the member's limit; None if it has none
    "score": None,  # name and buffer shapes of its novelty score; None for a member from before there were several
    "order": None,  # for each class of the ensemble, its index in the member; None if the orders are equal
}


class Member(nn.Module):
    """One model: pixels in [0, 1] in, log of calibrated probabilities and relative novelty out."""

    mean: Tensor
    std: Tensor

    def __init__(self, classes: int, size: int, specification: Mapping[str, Any]) -> None:
        super().__init__()
        from facevalue.models.networks import build  # the dict that this network is in

        unknown = sorted(set(specification) - set(_SPECIFICATION))
        if unknown:
            raise ValueError(f"a member has no {unknown[0]!r}; it knows: {', '.join(_SPECIFICATION)}")
        values = {**_SPECIFICATION, **specification}
        self.body = build(values["name"], classes, size, values["options"])
        self.temperature = float(values["temperature"])
        self.method = calibration.find(values["calibration"]["method"])
        self.fitted: calibration.Parameters = {
            name: tuple(numbers) for name, numbers in values["calibration"]["parameters"].items()
        }
        self.limit: float | None = values["novelty"]
        self.order: list[int] | None = values["order"]
        self.register_buffer("mean", torch.tensor(values["mean"]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(values["std"]).view(1, 3, 1, 1), persistent=False)
        self.novelty_score: NoveltyScore | None = None
        if self.limit is not None:
            unfitted = Mahalanobis.unfitted(classes, self.body.head.in_features)
            given = values["score"]
            self.novelty_score = unfitted if given is None else SCORES[given["name"]].of_shapes(given["shapes"])

    def maps(self, x: Tensor) -> Tensor:
        """(n, c, h, w) of images in [0, 1]."""
        return self.body.maps(normalise(x, self.mean, self.std))

    def answers(self, features: Tensor) -> Tensor:
        """(n, k) log of the calibrated probabilities, in the ensemble's order of classes."""
        log_p = self.method.log_probabilities(self.body.head(features) / self.temperature, self.fitted)
        return log_p if self.order is None else log_p[:, self.order]

    def novelty(self, features: Tensor) -> Tensor:
        """(n, 1) novelty divided by the member's own limit; (n, 0) if it has no limit.

        The predicted class is the most probable one, whatever the member's threshold.
        """
        if self.limit is None or self.novelty_score is None:
            return features[:, :0]
        logits = self.body.head(features)
        scores: Tensor = self.novelty_score(features, logits, logits.argmax(1))
        return (scores / self.limit).unsqueeze(1)


class Together(nn.Module):
    """Runs all members on the same image. Maps of equal size are joined along channels, others are flattened."""

    def __init__(self, members: list[Member]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.flat = False

    def __iter__(self) -> Any:
        return iter(self.members)

    def forward(self, x: Tensor) -> Tensor:
        maps = [cast(Member, member).maps(x) for member in self.members]
        return torch.cat([m.flatten(1) for m in maps] if self.flat else maps, dim=1)


class Ensemble(Body):
    """The average of the members' calibrated probabilities (Lakshminarayanan et al. 2017, arXiv:1612.01474).

    The logits are the logarithm of the average, so the softmax at temperature 1 returns the average. The members keep
    their normalisation and temperatures. The features are each member's novelty divided by its limit, then these
    logits; :attr:`head` only passes the logits on.
    """

    pooled = False

    def __init__(self, classes: int, size: int, members: list[Mapping[str, Any]]) -> None:
        super().__init__()
        if len(members) < 2:
            raise ValueError("an ensemble has at least two members")
        self.together = Together([Member(classes, size, m) for m in members])
        self.batch = min(member.body.batch for member in self.together)
        with torch.no_grad(), torch.random.fork_rng():
            shapes = [m.eval().maps(torch.zeros(1, 3, size, size)).shape[1:] for m in self.together]
        self.train()
        self._shapes = [tuple(shape) for shape in shapes]
        self.spatial = all(len(s) == 3 for s in shapes) and len({s[1:] for s in shapes}) == 1
        self.together.flat = not self.spatial
        self.centred = any(m.body.centred for m in self.together)
        self.novelties = sum(m.limit is not None for m in self.together)
        self.head = new_head(self.novelties + classes, classes)
        with torch.no_grad():
            self.head.bias.zero_()
            self.head.weight.copy_(torch.eye(self.novelties + classes)[self.novelties :])

    def maps(self, x: Tensor) -> Tensor:
        maps: Tensor = self.together(x)
        return maps

    def embed(self, maps: Tensor) -> Tensor:
        widths = [s[0] if self.spatial else math.prod(s) for s in self._shapes]
        parts = [
            part if self.spatial else part.reshape(-1, *s)
            for part, s in zip(torch.split(maps, widths, 1), self._shapes, strict=True)
        ]
        features = [m.body.embed(part) for m, part in zip(self.together, parts, strict=True)]
        novelties = [m.novelty(f) for m, f in zip(self.together, features, strict=True)]
        answers = torch.stack([m.answers(f) for m, f in zip(self.together, features, strict=True)])
        # In logarithms, so that a probability below the float32 range does not become log(0).
        average = torch.logsumexp(answers, dim=0) - math.log(len(answers))
        return torch.cat([*novelties, average], dim=1)

    def stages(self) -> list[nn.Module]:
        return [s for m in self.together for s in m.body.stages()] + [m.body.head for m in self.together]

    @property
    def cam_layer(self) -> nn.Module:
        return self.together


def _build(classes: int, size: int, options: Mapping[str, Any]) -> Body:
    return Ensemble(classes, size, list(options["members"]))


def _member_options(network: Network) -> dict[str, Any]:
    return {"name": network.name, "mean": network.mean, "std": network.std}


ENSEMBLE = Network(
    name="ensemble",
    build=_build,
    preprocessing=Preprocessing(size=128, filter="bilinear"),
    paper="Lakshminarayanan et al. 2017, arXiv:1612.01474",
    options={"members": (_member_options(SMALL_RESNET), _member_options(SMALL_INCEPTION))},
)
