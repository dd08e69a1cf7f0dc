"""The classifier: what it saves it loads bit for bit, and its probabilities and novelty against NumPy."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from facevalue.errors import ModelFolderError
from facevalue.evidence.card import CARD, WEIGHTS, ModelCard, NetworkFacts
from facevalue.images.preprocessing import Preprocessing
from facevalue.models.classifier import Classifier, load
from facevalue.models.networks import build
from facevalue.models.novelty.mahalanobis import Mahalanobis
from facevalue.support import files

SIZE = 16


def made(name: str = "small-resnet", classes: tuple[str, ...] = ("cat", "dog"), **card: object) -> Classifier:
    torch.manual_seed(0)
    options = {"widths": [8, 16]} if name == "small-resnet" else {}
    body = build(name, len(classes), SIZE if name == "small-resnet" else 30, options)
    size = Preprocessing(size=SIZE if name == "small-resnet" else 30)
    facts = NetworkFacts(name=name, options=options, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4), pooled=body.pooled)
    return Classifier(body, ModelCard(classes=classes, preprocessing=size, network=facts, **card)).eval()


@pytest.fixture
def x() -> torch.Tensor:
    return torch.rand(6, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def fitted(classifier: Classifier, seed: int = 0, rank: int = 5) -> tuple[Classifier, dict[str, np.ndarray]]:
    """The classifier with novelty statistics drawn by chance, and these as NumPy arrays."""
    rng = np.random.default_rng(seed)
    unfitted = classifier.novelty_score
    assert isinstance(unfitted, Mahalanobis)
    (k, d), r = unfitted.means.shape, unfitted.basis.shape[1]
    basis = np.zeros((d, r))
    basis[:, :rank] = np.linalg.qr(rng.normal(size=(d, rank)))[0]
    numbers = {
        "means": rng.normal(size=(k, d)),
        "basis": basis,
        "scale": np.concatenate([rng.uniform(0.5, 2, rank), np.ones(r - rank)]),
        "rest": np.array(0.3),
    }
    buffers = {name: torch.tensor(value, dtype=torch.float32) for name, value in numbers.items()}
    return classifier.changed(novelty_score=Mahalanobis(buffers)), numbers


def test_what_is_saved_is_loaded_bit_for_bit(tmp_path: Path, x: torch.Tensor) -> None:
    classifier, _ = fitted(made(temperature=1.5, threshold=0.3, positive="dog"))
    card = classifier.write(tmp_path)
    again = load(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [CARD, WEIGHTS]
    assert again.card == card
    assert not again.training
    with torch.no_grad():
        assert torch.equal(again.logits(x), classifier.logits(x))
        assert torch.equal(again.probabilities(x), classifier.probabilities(x))
        assert torch.equal(again.novelty(again.features(x)), classifier.novelty(classifier.features(x)))


def test_probabilities_are_the_softmax_of_logits_over_the_temperature(x: torch.Tensor) -> None:
    classifier = made(classes=("a", "b", "c"), temperature=2.5)
    with torch.no_grad():
        logits = classifier.logits(x).double().numpy()
        p = classifier.probabilities(x).numpy()
    expected = np.exp(logits / 2.5) / np.exp(logits / 2.5).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(p, expected, rtol=1e-5)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)


def test_pixels_are_normalised_inside_and_once(x: torch.Tensor) -> None:
    classifier = made()
    mean, std = torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1), torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(classifier.logits(x), classifier.body((x - mean) / std))
        torch.testing.assert_close(classifier(x), classifier.logits(x))


def test_novelty_is_the_mahalanobis_distance_under_probabilistic_pca(x: torch.Tensor) -> None:
    classifier, numbers = fitted(made())
    with torch.no_grad():
        features = classifier.features(x)
        novelty = classifier.novelty(features).numpy()
    # The same as a full covariance: rest^2 everywhere, scale^2 along the leading directions.
    leading = numbers["basis"][:, :5]
    rest = numbers["rest"] ** 2
    covariance = rest * np.eye(leading.shape[0]) + leading @ np.diag(numbers["scale"][:5] ** 2 - rest) @ leading.T
    away = features.double().numpy()[:, None] - numbers["means"][None]
    squared = np.einsum("nkd,de,nke->nk", away, np.linalg.inv(covariance), away)
    np.testing.assert_allclose(novelty, np.sqrt(squared.min(axis=1) / leading.shape[0]), rtol=1e-3)


def test_novelty_is_zero_before_it_is_fitted(x: torch.Tensor) -> None:
    classifier = made()
    with torch.no_grad():
        assert classifier.novelty(classifier.features(x)).numpy() == pytest.approx(0, abs=1e-5)


def test_heat_is_the_class_activation_map(x: torch.Tensor) -> None:
    classifier = made()
    with torch.no_grad():
        maps = classifier.maps(x)
        winner = torch.tensor([0, 1, 0, 1, 1, 0])
        heat = classifier.heat(maps, winner).numpy()
        weights = classifier.body.head.weight.numpy()
        expected = np.einsum("nc,nchw->nhw", weights[winner.numpy()], maps.numpy())
        np.testing.assert_allclose(heat, np.maximum(expected, 0), atol=1e-5)
        # CAM's defining property: its mean is the class's logit without the bias.
        logit = classifier.logits(x).numpy()[np.arange(6), winner.numpy()]
        np.testing.assert_allclose(
            expected.mean(axis=(1, 2)) + classifier.body.head.bias.numpy()[winner.numpy()], logit, atol=1e-4
        )


def test_a_change_makes_a_new_classifier(x: torch.Tensor) -> None:
    old = made()
    before = {name: value.clone() for name, value in old.state_dict().items()}
    score = Mahalanobis.unfitted(2, old.body.head.in_features)
    score.rest.fill_(2.0)
    new = old.changed(card=old.card.changed(temperature=3.0), novelty_score=score)
    with torch.no_grad():
        for parameter in new.parameters():
            parameter.add_(1)
    assert old.card.temperature == 1.0
    assert all(torch.equal(value, before[name]) for name, value in old.state_dict().items())
    assert float(new.novelty_score.get_buffer("rest")) == 2.0
    assert not new.training


@pytest.mark.parametrize("corruption", ["altered", "missing", "truncated"])
def test_weights_that_are_not_those_of_the_card(tmp_path: Path, corruption: str) -> None:
    made().write(tmp_path)
    path = tmp_path / WEIGHTS
    data = bytearray(path.read_bytes())
    if corruption == "missing":
        path.unlink()
    else:
        data[-1] ^= 1
        path.write_bytes(data if corruption == "altered" else data[: len(data) // 2])
    with pytest.raises(ModelFolderError, match="missing" if corruption == "missing" else "changed or damaged"):
        load(tmp_path)


def test_weights_of_another_network(tmp_path: Path) -> None:
    classifier = made()
    classifier.write(tmp_path)
    other = made("small-cnn")
    save_file(other.state_dict(), tmp_path / WEIGHTS)
    card = ModelCard.load(tmp_path).changed(files={WEIGHTS: files.sha256(tmp_path / WEIGHTS)})
    card.save(tmp_path)
    with pytest.raises(ModelFolderError, match="does not fit small-resnet") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def test_weights_of_another_shape_and_no_weights_at_all(tmp_path: Path) -> None:
    made().write(tmp_path)
    path = tmp_path / WEIGHTS
    weights = load_file(path)
    for content in ({**weights, "body.head.bias": torch.zeros(7)}, None):
        if content is None:
            path.write_bytes(b"not safetensors")
        else:
            save_file(content, path)
        ModelCard.load(tmp_path).changed(files={WEIGHTS: files.sha256(path)}).save(tmp_path)
        with pytest.raises(ModelFolderError, match="does not fit small-resnet"):
            load(tmp_path)
