"""Models and figures that deceive are found out, and honest ones are not accused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from facevalue.evidence.records import AttackFigures
from facevalue.models.classifier import Classifier, frozen
from facevalue.robustness import sanity_checks
from facevalue.robustness.attacks.base import Threat
from facevalue.robustness.attacks.gradients import input_gradient
from facevalue.robustness.attacks.pgd import PGD
from facevalue.robustness.attacks.victim import Victim, log_odds

Faces = tuple[Tensor, Tensor]


class RoundedPixels(torch.autograd.Function):
    """Pixels in eight levels: a staircase, whose gradient is 0 everywhere."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return (x * 7).round() / 7

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return torch.zeros_like(gradient)


def scaled(classifier: Classifier, factor: float) -> Classifier:
    new = classifier.changed()
    with torch.no_grad():
        new.body.head.weight *= factor
        new.body.head.bias *= factor
    return new


def figures(attack: str, eps: float, robust: float, n: int = 100, clean: float = 0.95) -> AttackFigures:
    return AttackFigures(
        attack=attack,
        norm="linf",
        eps=eps,
        n=n,
        clean_accuracy=clean,
        robust_accuracy=robust,
        robust_ci=(0.0, 1.0),
        robust_accuracy_unrounded=robust,
        confusion=((0, 0), (0, 0)),
        mean_distance=eps,
        queries=2 * n,
        seconds=1.0,
    )


def test_a_sound_model_has_no_finding(trained: Classifier, some_faces: Faces) -> None:
    x, y = some_faces
    assert sanity_checks.of_model(trained, x[::2], y[::2]) == []


def test_a_saturated_softmax(trained: Classifier, some_faces: Faces) -> None:
    x, y = some_faces[0][::2], some_faces[1][::2]
    saturated = scaled(trained, 1e6)
    (warning,) = sanity_checks.of_model(saturated, x, y)
    assert warning.code == "softmax-saturated"
    assert "gradient of cross-entropy is zero in float32 on" in warning.text
    counted = int(warning.text.split(" of 50 images")[0].split()[-1])
    assert counted == warning.values["images"]
    # Counted again, the plain way: the gradient of cross-entropy on the logits themselves.
    leaf = x.clone().requires_grad_()
    nn.functional.cross_entropy(saturated.logits(leaf), y, reduction="sum").backward()
    assert counted == int((leaf.grad.abs().amax(dim=(1, 2, 3)) == 0).sum()) > 25
    # And the attacks are not fooled by it, because they climb the log odds.
    threat = Threat("linf", 8 / 255)
    assert PGD()(saturated, x, y, threat).robust_accuracy == PGD()(trained, x, y, threat).robust_accuracy


def test_log_odds_climb_as_cross_entropy_does(trained: Classifier, some_faces: Faces) -> None:
    x, y = some_faces[0][:20], some_faces[1][:20]
    with frozen(trained):
        victim = Victim(trained, y)
        ours, logits = input_gradient(victim, x)
        usual, _ = input_gradient(victim, x, lambda _, z: nn.functional.cross_entropy(z, y, reduction="none"))
    cosine = nn.functional.cosine_similarity(ours.flatten(1), usual.flatten(1))
    torch.testing.assert_close(cosine, torch.ones(20), atol=1e-4, rtol=0)
    expected = nn.functional.cross_entropy(logits, y, reduction="none")
    torch.testing.assert_close(torch.log1p(log_odds(logits, y).exp()), expected, atol=1e-5, rtol=1e-4)


def test_a_rounding_layer(make_linear: Callable[..., Classifier], some_faces: Faces) -> None:
    x, _ = some_faces
    weight = 0.1 * torch.randn(2, 3, 25, 25, generator=torch.Generator().manual_seed(0))
    masked = make_linear(weight, torch.zeros(2), RoundedPixels.apply)
    with torch.no_grad():
        y = masked.logits(x).argmax(dim=1)
    gradient, unbounded = sanity_checks.of_model(masked, x, y)
    assert (gradient.code, unbounded.code) == ("gradients-zero", "unbounded-attack-fails")
    assert "gradient is zero or nearly so on 100 of 100 images (100.0 %)" in gradient.text
    assert "unbounded attack (linf 1: any image is allowed) fails on 100 of 100 images" in unbounded.text


def test_no_gradient_at_all(make_linear: Callable[..., Classifier], some_faces: Faces) -> None:
    """A body that works outside the graph, through NumPy or a file format, gives no gradient rather than an error."""
    x, y = some_faces[0][:10], some_faces[1][:10]
    cut = make_linear(torch.ones(2, 3, 25, 25), torch.zeros(2), torch.Tensor.detach)
    assert "zero or nearly so on 10 of 10" in sanity_checks.of_model(cut, x, y)[0].text


def test_a_model_that_is_not_deterministic(make_linear: Callable[..., Classifier], some_faces: Faces) -> None:
    x, y = some_faces
    torch.manual_seed(0)
    weight = torch.randn(2, 3, 25, 25)
    random = make_linear(weight, torch.zeros(2), lambda x: x + 0.2 * torch.randn_like(x))
    warnings = sanity_checks.of_model(random, x, y)
    [told] = [w for w in warnings if w.code == "model-not-deterministic"]
    assert "not deterministic: two runs differ" in told.text
    assert "of 100 images" in told.text


def test_rising_robust_accuracy() -> None:
    falling = [figures("fgsm", e / 255, r) for e, r in ((1, 0.9), (2, 0.5), (4, 0.505), (8, 0.1))]
    assert sanity_checks.rising(falling) == []
    (warning,) = sanity_checks.rising([*falling, figures("fgsm", 16 / 255, 0.25)])
    assert warning.code == "robust-accuracy-rises"
    assert "under fgsm (linf) it is 10.0 % at 8/255 and 25.0 % at 16/255 (n = 100)" in warning.text
    assert warning.values["robust_accuracy"] == (0.1, 0.25)
    # In any order, against the lowest so far and not only the neighbour, and each attack by itself.
    steps = [figures("bim", e / 255, r) for e, r in ((4, 0.31), (1, 0.3), (8, 0.33))]
    (warning,) = sanity_checks.rising([*steps, *falling])
    assert "under bim (linf) it is 30.0 % at 1/255 and 33.0 % at 8/255" in warning.text
    # One image of a few is no rise.
    assert sanity_checks.rising([figures("bim", 1 / 255, 0.3, n=10), figures("bim", 2 / 255, 0.4, n=10)]) == []


def test_no_better_than_noise() -> None:
    rows = [figures("fgsm", 1 / 255, 0.95), figures("fgsm", 8 / 255, 0.9), figures("bim", 8 / 255, 0.2)]
    noise = {1 / 255: 0.95, 8 / 255: 0.9}
    (warning,) = sanity_checks.no_better_than_noise(rows, noise)
    assert warning.code == "attack-no-better-than-noise"
    assert "fgsm (linf) is never better than random noise" in warning.text
    assert "at 8/255 accuracy is 90.0 % under attack and 90.0 % under noise (n = 100)" in warning.text
    assert sanity_checks.no_better_than_noise(rows, {1 / 255: 0.95, 8 / 255: 0.94}) == []
    assert sanity_checks.no_better_than_noise([figures("fgsm", 0.0, 0.95)], {0.0: 0.95}) == []


def test_noise_fills_the_ball(some_faces: Faces) -> None:
    x = some_faces[0].clamp(0.25, 0.75)
    x = (x * 255).round() / 255
    for threat in (Threat("linf", 4 / 255), Threat("l2", 2.0)):
        found = sanity_checks.noisy(x, threat, torch.Generator().manual_seed(0))
        distance = threat.distance(found, x)
        assert (distance <= threat.eps + 1e-6).all()
        assert (distance > 0.9 * threat.eps).all()
    assert (
        (sanity_checks.noisy(x, Threat("linf", 4 / 255), torch.Generator()) - x).abs() * 255
    ).round().unique().tolist() == [4]


def test_black_box_ahead() -> None:
    rows = [figures("pgd", 8 / 255, 0.6), figures("square", 8 / 255, 0.5), figures("square", 4 / 255, 0.2)]
    (warning,) = sanity_checks.black_box_ahead(rows)
    assert warning.code == "black-box-beats-white-box"
    assert "at linf 8/255 robust accuracy is 50.0 % under square and 60.0 % under pgd (n = 100)" in warning.text
    assert sanity_checks.black_box_ahead([figures("pgd", 8 / 255, 0.5), figures("square", 8 / 255, 0.5)]) == []
    suite = figures("suite", 8 / 255, 0.3).changed(found_by={"apgd-ce": 60, "square": 5})
    (warning,) = sanity_checks.black_box_ahead([suite])
    assert "square, which uses no gradient, succeeded on 5 of 100 images" in warning.text
    assert sanity_checks.black_box_ahead([suite.changed(found_by={"apgd-ce": 60, "square": 1})]) == []


def test_implausible_robust_accuracy(trained: Classifier) -> None:
    table = ((48, 2), (3, 47))
    good = [figures("fgsm", 8 / 255, 0.9), figures("pgd", 8 / 255, 0.8)]
    good = [r.changed(robust_ci=(r.robust_accuracy - 0.08, 1.0)) for r in good]
    (warning,) = sanity_checks.implausibly_robust(good, trained.card, table)
    assert warning.code == "robust-accuracy-implausible"
    assert (
        "at linf 8/255 robust accuracy is 80.0 % under pgd, the strongest attack of this run, and clean accuracy "
        "95.0 % (n = 100)"
    ) in warning.text
    assert "trained on clean images alone keep at most 50.0 %" in warning.text
    hardened = trained.card.changed(recipe={"adversarial": {"method": "pgd"}})
    assert sanity_checks.implausibly_robust(good, hardened, table) == []
    # Mid grey is within reach of all: no more than the most frequent class can be right, whatever the training.
    (warning,) = sanity_checks.implausibly_robust([figures("suite", 0.5, 0.6)], hardened, table)
    assert (warning.code, warning.severity) == ("robust-accuracy-impossible", "error")
    assert "more than 50.0 % (the most frequent class) is impossible" in warning.text
    assert (
        sanity_checks.implausibly_robust([figures("suite", 0.5, 0.5).changed(robust_ci=(0.4, 0.6))], hardened, table)
        == []
    )


def test_a_gradient_that_leads_down(make_linear: Callable[..., Classifier], some_faces: Faces) -> None:
    """A straight-through gradient of the wrong sign: large, never zero, and of no use."""
    x, _ = some_faces
    weight = 0.1 * torch.randn(2, 3, 25, 25, generator=torch.Generator().manual_seed(0))
    turned = make_linear(weight, torch.zeros(2), lambda x: 2 * x.detach() - x)
    with torch.no_grad():
        y = turned.logits(x).argmax(dim=1)
    down, unbounded = sanity_checks.of_model(turned, x, y)
    assert (down.code, unbounded.code) == ("gradients-misleading", "unbounded-attack-fails")
    assert "does not rise along its gradient on 100 of 100 images (100.0 %" in down.text


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (
            ((30, 20), (22, 28)),
            "is 58.0 % (48.2 % to 67.2 %, n = 100), not significantly above the 50.0 % of always predicting one",
        ),
        (
            ((180, 0), (20, 0)),
            "is 90.0 % (85.1 % to 93.4 %, n = 200), not significantly above the 90.0 % of always predicting one",
        ),
    ],
)
def test_low_clean_accuracy(table: tuple[tuple[int, int], tuple[int, int]], words: str) -> None:
    (warning,) = sanity_checks.of_results([], {}, table)
    assert warning.code == "low-clean-accuracy"
    assert words in warning.text


@pytest.mark.parametrize("table", [((48, 2), (3, 47)), ((5, 0), (0, 0))])
def test_good_clean_accuracy(table: tuple[tuple[int, int], tuple[int, int]]) -> None:
    assert sanity_checks.of_results([], {}, table) == []
