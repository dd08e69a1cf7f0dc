"""The contract of every explanation method."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from facevalue.errors import DataError, UsageError
from facevalue.explanations import EXPLANATIONS, Explanation, find
from facevalue.explanations.run import explain_images
from facevalue.models.classifier import Classifier

from .known_networks import patches, trained_for

HEATS = [name for name, method in EXPLANATIONS.items() if isinstance(method, Explanation)]


def images(folder, *names):
    rng = np.random.default_rng(0)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (50, 40, 3), dtype=np.uint8)).save(folder / name)
    return [folder / name for name in names]


def state_of(classifier: Classifier):
    return (
        {name: value.clone() for name, value in classifier.state_dict().items()},
        [module.training for module in classifier.modules()],
        [(p.requires_grad, None if p.grad is None else p.grad.clone()) for p in classifier.parameters()],
    )


def assert_same_state(before, after):
    assert before[0].keys() == after[0].keys()
    assert all(torch.equal(before[0][k], after[0][k]) for k in before[0])
    assert before[1] == after[1]
    for (flag, grad), (flag_after, grad_after) in zip(before[2], after[2], strict=True):
        assert flag == flag_after
        assert (grad is None) == (grad_after is None)
        assert grad is None or torch.equal(grad, grad_after)


@pytest.mark.parametrize("name", EXPLANATIONS)
def test_names_and_papers(name):
    method = find(name)
    assert method.name == name
    assert "arXiv" in method.paper


def test_unknown_method():
    with pytest.raises(UsageError, match=r"there is no method 'magic'; there are: gradcam, .*feature-maps"):
        find("magic")


@pytest.mark.parametrize("name", EXPLANATIONS)
def test_classifier_is_left_alone(name, tmp_path):
    """Weights, gradients, which of them are frozen, and each module's mode: as they were."""
    classifier = trained_for(name).changed()
    classifier.train()
    next(classifier.body.children()).eval()
    next(classifier.parameters()).requires_grad_(False)
    classifier.body.head.weight.grad = torch.ones_like(classifier.body.head.weight)
    before = state_of(classifier)
    explain_images(classifier, images(tmp_path, "a.png"), tmp_path / "out", find(name))
    assert_same_state(before, state_of(classifier))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in classifier.modules())


@pytest.mark.parametrize("name", EXPLANATIONS)
def test_every_file_opens_and_none_is_half_written(name, tmp_path):
    paths = images(tmp_path / "in", "one.png", "two.jpg")
    found = explain_images(trained_for(name), paths, tmp_path / "out", find(name))
    on_disk = sorted(p for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert sorted(map(str, on_disk)) == sorted(found.to_dict()["files"])
    for path in on_disk:
        with Image.open(path) as image:
            image.verify()
    assert [p["path"] for p in found.to_dict()["images"]] == [str(p) for p in paths]
    assert found.to_dict()["unreadable"] == []


@pytest.mark.parametrize("name", HEATS)
def test_heat_is_in_range_and_as_large_as_the_image(name):
    classifier = trained_for(name)
    x = torch.rand(3, 3, 32, 32)
    found = find(name)(classifier, x)
    assert found.heat.shape == (3, 32, 32)
    assert np.isfinite(found.raw).all()
    assert found.heat.dtype == np.float32
    assert found.heat.min() >= 0
    top = found.heat.max(axis=(1, 2))
    # Each is scaled by its own maximum, unless there is no evidence for the class.
    assert np.all(np.isclose(top, 1) | (top == 0))
    assert len(found.raw) == 3
    assert found.target.tolist() == classifier.logits(x).argmax(1).tolist()


@pytest.mark.parametrize("name", HEATS)
def test_heat_is_where_the_evidence_is(name):
    """A network that was trained on small patches: their places get more heat than the rest, on average."""
    x, label, where = patches(16, seed=999)
    heat = torch.from_numpy(find(name)(trained_for(name), x, label).heat)
    inside, outside = (heat * where).sum() / where.sum(), (heat * (1 - where)).sum() / (1 - where).sum()
    assert inside > 1.5 * outside


@pytest.mark.parametrize("name", HEATS)
def test_one_image_at_a_time_gives_the_same(name):
    x, label, _ = patches(3, seed=9)
    together = find(name)(trained_for(name), x, label)
    alone = [find(name)(trained_for(name), x[i : i + 1], label[i : i + 1]).heat[0] for i in range(3)]
    np.testing.assert_allclose(together.heat, np.stack(alone), atol=2e-3)


OTHERS = ("small-resnet", "small-cnn", "ensemble", "mobilenetv2_100-texture")


@pytest.mark.parametrize("name", HEATS)
def test_a_refusal_is_one_line_that_names_the_network(name, make_classifier):
    for network in OTHERS:
        classifier = make_classifier(network, 64)
        refusal = find(name).refusal(classifier)
        if refusal is not None:
            assert network in refusal
            assert "\n" not in refusal
            assert "`method`" in refusal
            with pytest.raises(UsageError, match=network):
                find(name)(classifier, torch.rand(1, 3, 64, 64))


@pytest.mark.slow
@pytest.mark.parametrize("name", HEATS)
def test_a_method_explains_every_network_that_it_does_not_refuse(name, make_classifier):
    for network in OTHERS:
        classifier = make_classifier(network, 64)
        if find(name).refusal(classifier) is None:
            found = find(name)(classifier, torch.rand(1, 3, 64, 64), torch.tensor([0]))
            assert found.heat.shape == (1, 64, 64)
            assert np.isfinite(found.raw).all()


@pytest.mark.parametrize("name", HEATS)
def test_target_is_decided_by_the_cards_threshold(name):
    x = torch.rand(4, 3, 32, 32)
    classifier = trained_for(name)
    never = classifier.changed(classifier.card.changed(threshold=1.1))
    assert find(name)(never, x).target.tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("name", HEATS)
def test_one_answer_inside_no_grad_and_out(name):
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        inside = find(name)(trained_for(name), x)
    assert np.array_equal(inside.heat, find(name)(trained_for(name), x).heat)


@pytest.mark.parametrize("name", HEATS)
@pytest.mark.parametrize(
    ("x", "target", "message"),
    [
        (torch.rand(1, 3, 16, 16), None, r"Expected float images \(n, 3, 32, 32\)"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), None, "Expected float images"),
        (torch.rand(0, 3, 32, 32), None, "Expected float images"),
        (torch.rand(1, 3, 32, 32) * 255, None, r"in \[0, 1\]"),
        (torch.full((1, 3, 32, 32), torch.nan), None, r"in \[0, 1\]"),
        (torch.rand(1, 3, 32, 32), torch.tensor([2]), "classes 0 to 1"),
        (torch.rand(2, 3, 32, 32), torch.tensor([1]), r"target \(2,\)"),
    ],
)
def test_wrong_input_is_an_error_before_any_work(name, x, target, message):
    with pytest.raises(UsageError, match=message):
        find(name)(trained_for(name), x, target)


def test_file_names_are_unique_without_regard_to_case(small_resnet, tmp_path):
    paths = images(tmp_path / "in", "a/x.png", "b/x.png", "c/X.jpg", "d/x-2.png")
    found = explain_images(small_resnet, paths, tmp_path / "out", find("gradcam"))
    names = [f.rpartition("/")[2] for f in found.to_dict()["files"]]
    assert names == ["x-gradcam.png", "x-2-gradcam.png", "X-3-gradcam.png", "x-2-2-gradcam.png"]


def test_unreadable_are_named_and_the_rest_explained(small_resnet, tmp_path):
    good = images(tmp_path, "good.png")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    found = explain_images(small_resnet, [broken, *good, tmp_path / "gone.png"], tmp_path / "out", find("gradcam"))
    assert [p["path"] for p in found.to_dict()["images"]] == [str(good[0])]
    assert [u["path"] for u in found.to_dict()["unreadable"]] == [str(broken), str(tmp_path / "gone.png")]
    assert found.to_dict()["faithfulness"]["n"] <= 1


def test_nothing_readable(small_resnet, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"none of the 1 images can be read; .*broken.png"):
        explain_images(small_resnet, [broken], tmp_path / "out", find("gradcam"))
    assert not (tmp_path / "out").exists()


def test_folders_are_opened(small_resnet, tmp_path):
    images(tmp_path / "in", "a/1.png", "b/2.png")
    assert len(explain_images(small_resnet, [tmp_path / "in"], tmp_path / "out", find("gradcam")).files) == 2
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="has no image files"):
        explain_images(small_resnet, [tmp_path / "empty"], tmp_path / "out", find("gradcam"))
    with pytest.raises(UsageError, match="no image to explain"):
        explain_images(small_resnet, [], tmp_path / "out", find("gradcam"))


def test_more_images_than_one_batch(small_resnet, tmp_path):
    paths = images(tmp_path / "in", *(f"{i:02}.png" for i in range(20)))
    found = explain_images(small_resnet, paths, tmp_path / "out", find("gradcam"))
    assert [p["path"] for p in found.to_dict()["images"]] == [str(p) for p in paths]
    assert 0 < found.to_dict()["faithfulness"]["n"] <= 20
