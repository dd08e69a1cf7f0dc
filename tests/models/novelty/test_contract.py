"""What every novelty score promises, and each one against an independent computation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn

from facevalue.evidence.card import ModelCard, NetworkFacts, NoveltyFacts
from facevalue.export.onnx import Graph
from facevalue.images.preprocessing import Preprocessing
from facevalue.models.classifier import Classifier, load
from facevalue.models.graphs.record import recorded
from facevalue.models.networks import build
from facevalue.models.novelty import SCORES, KnownImages
from facevalue.models.novelty.bank import largest, thinned
from facevalue.models.novelty.base import NoveltyScore, positive, projection_of
from facevalue.models.novelty.contrast import WEIGHT

D, K = 24, 3


class World:
    """Three classes as cones around orthogonal axes, strangers around further ones, and a head of the class axes."""

    def __init__(self, d: int = D, n: int = 60) -> None:
        rng = np.random.default_rng(0)
        self.labels = np.arange(K * n) % K
        self.axes = np.eye(d)[: K + 2] * 5
        self.head = nn.Linear(d, K)
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(self.axes[:K]))
            self.head.bias.zero_()
        self.own = self.around(rng, self.labels)
        self.new = self.around(rng, self.labels)
        self.known_strangers = self.around(rng, np.full(20, K))
        self.strangers = self.around(rng, np.full(40, K + 1))
        self.known = KnownImages.of(self.own, self.logits(self.own), self.labels, self.known_strangers)

    def around(self, rng: np.random.Generator, which: np.ndarray) -> Tensor:
        points = self.axes[which] + rng.normal(0, 0.4, (len(which), self.axes.shape[1]))
        return torch.from_numpy(points).float()

    def logits(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self.head(x)

    def scores(self, score: NoveltyScore, x: Tensor) -> np.ndarray:
        logits = self.logits(x)
        with torch.no_grad():
            return score(x, logits, logits.argmax(1)).numpy()


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(params=sorted(SCORES))
def kind(request: pytest.FixtureRequest) -> type[NoveltyScore]:
    return SCORES[request.param]


def test_names_are_keys() -> None:
    assert all(score.name == name and score.paper for name, score in SCORES.items())


def test_strangers_are_more_novel_than_new_images_of_the_classes(world: World, kind: type[NoveltyScore]) -> None:
    score = kind.fitted(world.known)
    own, strangers = world.scores(score, world.new), world.scores(score, world.strangers)
    assert own.shape == (len(world.new),)
    assert np.isfinite(own).all()
    assert (own >= 0).all()
    assert (strangers[:, None] > own).mean() > 0.9


def test_an_image_has_the_same_score_alone(world: World, kind: type[NoveltyScore]) -> None:
    score = kind.fitted(world.known)
    together = world.scores(score, world.strangers[:5])
    alone = np.concatenate([world.scores(score, world.strangers[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(alone, together, rtol=1e-4)


def test_its_buffers_are_all_that_it_knows(world: World, kind: type[NoveltyScore]) -> None:
    score = kind.fitted(world.known)
    again = kind.of_shapes(score.shapes)
    again.load_state_dict(score.state_dict())
    np.testing.assert_array_equal(world.scores(again, world.new), world.scores(score, world.new))
    assert not list(score.parameters())


def test_it_knows_strangers_only_if_it_says_so(world: World, kind: type[NoveltyScore]) -> None:
    with_them = kind.fitted(world.known)
    without = kind.fitted(world.known.against(world.known_strangers[:0]))
    same = np.allclose(world.scores(with_them, world.new), world.scores(without, world.new))
    assert same != kind.learns_strangers
    assert np.isfinite(world.scores(without, world.strangers)).all()


@pytest.mark.filterwarnings("ignore")  # torch.export uses what torch deprecates
def test_its_graph_checks_no_values(world: World, kind: type[NoveltyScore]) -> None:
    """LiteRT has no operation for a check such as that of one_hot."""
    logits = world.logits(world.new)
    program = torch.export.export(kind.fitted(world.known), (world.new, logits, logits.argmax(1)))
    operations = [str(node.target) for node in program.run_decompositions().graph.nodes]
    assert [name for name in operations if "_assert_async" in name or "_assert_scalar" in name] == []


def test_it_is_the_same_in_onnx_runtime_and_from_the_folder(kind: type[NoveltyScore], tmp_path: Path) -> None:
    torch.manual_seed(0)
    size, classes = 16, ("cat", "dog")
    options = {"widths": [8, 140]}  # more features than a projection has dimensions
    body = build("small-resnet", 2, size, options)
    facts = NetworkFacts(name="small-resnet", options=options, pooled=body.pooled)
    card = ModelCard(
        classes=classes,
        preprocessing=Preprocessing(size=size),
        network=facts,
        positive="dog",
        novelty=NoveltyFacts(score=kind.name),
    )
    classifier = Classifier(body, card).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (40, size, size, 3), dtype=np.uint8)
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        features = classifier.features(x)
        classifier.body.head.weight.mul_(2 / features.std(0).norm())
        classifier.body.head.bias.copy_(-(features.mean(0) @ classifier.body.head.weight.T))
        known = KnownImages.of(features[:30], classifier.body.head(features[:30]), np.arange(30) % 2, features[30:35])
        classifier = classifier.changed(novelty_score=kind.fitted(known))
        expected = classifier.novelty(classifier.features(x)).numpy()
    session = onnxruntime.InferenceSession(recorded(Graph(classifier), size).SerializeToString())
    for rows in (slice(0, 1), slice(0, 3), slice(30, 40)):
        (got,) = session.run(["novelty"], {"pixels": pixels[rows]})
        np.testing.assert_allclose(got, expected[rows], rtol=2e-3)
    classifier.write(tmp_path)
    again = load(tmp_path)
    assert type(again.novelty_score) is kind
    with torch.no_grad():
        np.testing.assert_array_equal(again.novelty(again.features(x)).numpy(), expected)


# Against other libraries ---------------------------------------------------------------------------------------------


def _cosine(known: Tensor, x: Tensor, count: int) -> np.ndarray:
    found = NearestNeighbors(n_neighbors=count, metric="cosine").fit(known.numpy())
    return found.kneighbors(x.numpy())[0].mean(1)


def test_neighbours_are_those_of_scikit_learn(world: World) -> None:
    score = SCORES["neighbours"].fitted(world.known)
    np.testing.assert_allclose(world.scores(score, world.new), _cosine(world.own, world.new, 5), rtol=1e-3, atol=1e-6)


def test_contrast_is_the_ratio_of_two_distances(world: World) -> None:
    score = SCORES["contrast"].fitted(world.known)
    for x in (world.new, world.strangers):
        decided = world.logits(x).argmax(1).numpy()
        near = np.array([_cosine(world.own[world.labels == c], x, 5)[i] for i, c in enumerate(decided)])
        expected = near / _cosine(world.known_strangers, x, 3) ** WEIGHT
        np.testing.assert_allclose(world.scores(score, x), expected, rtol=1e-3)


def test_contrast_is_about_the_predicted_class(world: World) -> None:
    score = SCORES["contrast"].fitted(world.known)
    x = world.new[world.labels == 0]
    with torch.no_grad():
        right, wrong = (score(x, world.logits(x), torch.full((len(x),), c)) for c in (0, 1))
    assert (wrong > 2 * right).all()


def test_few_images_of_a_class_are_all_its_neighbours(world: World) -> None:
    few = np.isin(np.arange(len(world.labels)), [0, 3, 1, 4, 7, 2, 5])  # two of class 0, three of 1, two of 2
    score = SCORES["contrast"].fitted(world.known.rows(few))
    assert score.shapes["own_share"] == [2]
    assert np.isfinite(world.scores(score, world.new)).all()


def test_vim_is_the_residual_of_pca_against_the_energy(world: World) -> None:
    score = SCORES["vim"].fitted(world.known)
    pca = PCA(D // 2).fit(world.own.double().numpy())

    def residual(x: Tensor) -> np.ndarray:
        values = x.double().numpy()
        return np.linalg.norm(values - pca.inverse_transform(pca.transform(values)), axis=1)

    logits = world.logits(world.own).double()
    alpha = float(logits.amax(1).mean()) / residual(world.own).mean()
    energy = torch.logsumexp(world.logits(world.strangers).double(), 1).numpy()
    expected = positive(torch.from_numpy(alpha * residual(world.strangers) - energy)).numpy()
    np.testing.assert_allclose(world.scores(score, world.strangers), expected, rtol=1e-3)


def test_relative_mahalanobis_is_the_difference_of_two_distances() -> None:
    world = World(d=6, n=200)  # few enough features that every direction has its own deviation
    score = SCORES["relative-mahalanobis"].fitted(world.known)
    x, own = world.strangers.double().numpy(), world.own.double().numpy()
    means = np.stack([own[world.labels == c].mean(0) for c in range(K)])
    spread = own - means[world.labels]
    within = np.linalg.inv(spread.T @ spread / (len(own) - K))
    whole = np.linalg.inv(np.cov(own.T))
    near = (cdist(x, means, "mahalanobis", VI=within) ** 2).min(1)
    away = cdist(x, own.mean(0)[None], "mahalanobis", VI=whole)[:, 0] ** 2
    expected = positive(torch.from_numpy((near - away) / 6)).numpy()
    np.testing.assert_allclose(world.scores(score, world.strangers), expected, rtol=1e-2)


def test_nnguide_and_energy_by_hand(world: World) -> None:
    def unit(x: Tensor) -> np.ndarray:
        return (x / x.norm(dim=1, keepdim=True)).double().numpy()

    energy = np.log(np.exp(world.logits(world.new).double().numpy()).sum(1))
    own = np.log(np.exp(world.logits(world.own).double().numpy()).sum(1))
    guided = np.sort(unit(world.new) @ unit(world.own).T * own, axis=1)[:, -10:].mean(1) * energy
    np.testing.assert_allclose(world.scores(SCORES["energy"].fitted(world.known), world.new), 1 / (1 + energy), 1e-3)
    np.testing.assert_allclose(world.scores(SCORES["nnguide"].fitted(world.known), world.new), 1 / (1 + guided), 1e-3)


def test_exposure_orders_as_logistic_regression_does(world: World) -> None:
    def unit(x: Tensor) -> np.ndarray:
        return (x / x.norm(dim=1, keepdim=True)).double().numpy()

    scale = unit(world.own).std(0).mean()
    rows = np.concatenate([unit(world.own), unit(world.known_strangers)]) / scale
    model = LogisticRegression(C=0.01, class_weight="balanced", max_iter=1000)
    model.fit(rows, [0] * len(world.own) + [1] * len(world.known_strangers))
    expected = positive(torch.from_numpy(model.decision_function(unit(world.strangers) / scale))).numpy()
    got = world.scores(SCORES["exposure"].fitted(world.known), world.strangers)
    np.testing.assert_allclose(got, expected, rtol=1e-3)


# Parts ---------------------------------------------------------------------------------------------------------------


def test_the_projection_holds_the_principal_directions() -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(400, 200)) * np.linspace(3, 0.1, 200)).float()
    found = projection_of(x)
    assert found.shape == (200, 128)
    unit = (x / x.norm(dim=1, keepdim=True)).numpy()
    svd = TruncatedSVD(128, random_state=0, algorithm="arpack").fit(unit)
    assert np.square(unit @ found.numpy()).sum() == pytest.approx(np.square(svd.transform(unit)).sum(), rel=1e-4)
    assert projection_of(x[:, :100]).shape == (0, 0)


def test_positive_keeps_the_order_and_never_reaches_0() -> None:
    values = torch.tensor([-1e4, -400.0, -1.0, 0.0, 1.0, 50.0])
    found = positive(values)
    assert (found > 0).all()
    assert (found.diff() > 0).all()


def test_the_largest_are_those_of_topk_where_several_are_equal_too() -> None:
    values = torch.randint(-3, 3, (200, 7), generator=torch.Generator().manual_seed(0)).float()
    for count in (1, 2, 5, 7):
        torch.testing.assert_close(largest(values, count), torch.topk(values, count, dim=1).values, rtol=0, atol=0)


def test_thinning_is_even_over_classes_and_always_the_same() -> None:
    labels = np.array([0] * 1000 + [1] * 30 + [2] * 200)
    kept = thinned(labels, 150)
    assert np.bincount(labels[kept]).tolist() == [60, 30, 60]
    assert (kept == thinned(labels, 150)).all()
    assert thinned(labels, 5000).tolist() == list(range(len(labels)))
