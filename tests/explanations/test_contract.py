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
    with pytest.raises(UsageError, match="there is no method 'magic'; there are: gradcam, feature-maps"):
        find("magic")


@pytest.mark.parametrize("name", EXPLANATIONS)
def test_classifier_is_left_alone(name, small_resnet, tmp_path):
    """Weights, gradients, which of them are frozen, and each module's mode: as they were."""
    classifier = small_resnet.changed()
    classifier.train()
    classifier.body.stem.eval()
    next(classifier.parameters()).requires_grad_(False)
    classifier.body.head.weight.grad = torch.ones_like(classifier.body.head.weight)
    before = state_of(classifier)
    explain_images(classifier, images(tmp_path, "a.png"), tmp_path / "out", find(name))
    assert_same_state(before, state_of(classifier))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in classifier.modules())


@pytest.mark.parametrize("name", EXPLANATIONS)
def test_every_file_opens_and_none_is_half_written(name, small_resnet, tmp_path):
    paths = images(tmp_path / "in", "one.png", "two.jpg")
    found = explain_images(small_resnet, paths, tmp_path / "out", find(name))
    on_disk = sorted(p for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert sorted(map(str, on_disk)) == sorted(found.to_dict()["files"])
    for path in on_disk:
        with Image.open(path) as image:
            image.verify()
    assert [p["path"] for p in found.to_dict()["images"]] == [str(p) for p in paths]
    assert found.to_dict()["unreadable"] == []


@pytest.mark.parametrize("name", HEATS)
def test_heat_is_in_range_and_as_large_as_the_image(name, small_resnet):
    x = torch.rand(3, 3, 32, 32)
    found = find(name)(small_resnet, x)
    assert found.heat.shape == (3, 32, 32)
    assert found.heat.dtype == np.float32
    assert found.heat.min() >= 0
    top = found.heat.max(axis=(1, 2))
    # Each is scaled by its own maximum, unless there is no evidence for the class.
    assert np.all(np.isclose(top, 1) | (top == 0))
    assert len(found.raw) == 3
    assert found.target.tolist() == small_resnet.logits(x).argmax(1).tolist()


@pytest.mark.parametrize("name", HEATS)
def test_target_is_decided_by_the_cards_threshold(name, small_resnet):
    x = torch.rand(4, 3, 32, 32)
    never = small_resnet.changed(small_resnet.card.changed(threshold=1.1))
    assert find(name)(never, x).target.tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("name", HEATS)
def test_one_answer_inside_no_grad_and_out(name, small_resnet):
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        inside = find(name)(small_resnet, x)
    assert np.array_equal(inside.heat, find(name)(small_resnet, x).heat)


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
def test_wrong_input_is_an_error_before_any_work(name, x, target, message, small_resnet):
    with pytest.raises(UsageError, match=message):
        find(name)(small_resnet, x, target)


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
