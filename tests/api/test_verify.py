"""A model folder verifies itself: every changed file and field is named, with and without a signature."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import facevalue as fv
from facevalue.api.sign import sign
from facevalue.api.verify import verify
from facevalue.errors import UsageError
from facevalue.evaluation.differences import output_differences
from facevalue.evidence.card import CANARIES, CARD, MANIFEST, ONNX, OUTPUTS, REPORT, WEIGHTS, ModelCard
from facevalue.evidence.outputs import read_outputs, write_outputs
from facevalue.evidence.records import CorruptionReport
from facevalue.evidence.signing import SIGNATURE, STATEMENTS
from facevalue.evidence.signing.keys import hint_of, public_key
from facevalue.evidence.verification import Verification
from facevalue.models.classifier import Classifier
from facevalue.support.files import sha256

from .. import commands


@pytest.fixture(scope="session")
def whole(made: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model with several kinds of evidence."""
    folder = tmp_path_factory.mktemp("verified") / "model"
    shutil.copytree(made.folder, folder)
    test = fv.ImageDataset.from_folder(Path(made.card.provenance.source), split="test")
    fv.attack(folder, test, attacks=["fgsm"], eps=[0.01], limit=8)
    fv.evaluate_corruptions(folder, test, limit=4)
    return folder


@pytest.fixture
def model(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A private and a public key."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("keys")
    return _write_keys(folder, ec.generate_private_key(ec.SECP256R1()), serialization.NoEncryption())


def _write_keys(folder: Path, key: Any, encryption: Any) -> tuple[Path, Path]:
    from cryptography.hazmat.primitives import serialization

    private, public = folder / "key.pem", folder / "public.pem"
    kinds = serialization.PrivateFormat.PKCS8, serialization.PublicFormat.SubjectPublicKeyInfo
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, kinds[0], encryption))
    public.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, kinds[1]))
    return private, public


def problems(found: Verification) -> str:
    return "\n".join(problem for check in found.failed for problem in check.problems)


def state(found: Verification) -> dict[str, bool | None]:
    return {check.name: check.passed for check in found.checks}


def test_an_untouched_folder_passes_without_its_images(model: Path) -> None:
    found = verify(model)
    assert found.passed
    assert state(found) == {"signature": None, "card": True, "files": True, "canaries": True, "figures": True}
    texts = {check.name: check.text for check in found.checks}
    assert "34 images predicted on this machine" in texts["canaries"]
    assert "test (" in texts["figures"]


@pytest.mark.parametrize("name", [WEIGHTS, ONNX, REPORT, CANARIES, MANIFEST, OUTPUTS, "history.jsonl"])
def test_one_changed_byte_of_any_file_is_named(name: str, model: Path, keys: tuple[Path, Path]) -> None:
    sign(model, keys[0])
    data = bytearray((model / name).read_bytes())
    data[len(data) // 2] ^= 1
    (model / name).write_bytes(data)
    assert f"{name} was changed or damaged" in problems(verify(model))
    assert f"{name} was changed after signing" in problems(verify(model, key=keys[1]))


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in _leaves(item, (*path, key))]
    if isinstance(value, list):
        return [leaf for i, item in enumerate(value) for leaf in _leaves(item, (*path, i))]
    return [path]


def test_every_changed_value_of_the_card_is_named(model: Path) -> None:
    text = (model / CARD).read_text(encoding="utf-8")
    for name in (ONNX, OUTPUTS):  # no predictions and no figures: this is about the card
        (model / name).unlink()
    leaves = [path for path in _leaves(json.loads(text)) if path[0] not in ("seals", "format")]
    assert len(leaves) > 500
    kinds = {leaf[:3] if leaf[0] == "evidence" else leaf[:2] for leaf in leaves}
    # One value of each field, and of each field of each piece of evidence.
    for leaf in [next(leaf for leaf in leaves if leaf[: len(kind)] == kind) for kind in sorted(kinds, key=str)]:
        plain = json.loads(text)
        holder = plain
        for step in leaf[:-1]:
            holder = holder[step]
        old = holder[leaf[-1]]
        holder[leaf[-1]] = _other(old)
        (model / CARD).write_text(json.dumps(plain), encoding="utf-8")
        named = f"evidence[{leaf[1]}] (" if leaf[0] == "evidence" else str(leaf[0])
        card = next(check for check in verify(model).checks if check.name == "card")
        assert any(problem.startswith(named) for problem in card.problems), (leaf, card)


def _other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return "changed" if value is None else f"{value}x"


def test_a_signature_holds_and_an_unsigned_evaluation_is_named(model: Path, keys: tuple[Path, Path], lfw: Path) -> None:
    written = sign(model, keys[0])
    assert written == model / SIGNATURE
    found = verify(model, key=keys[1])
    assert found.passed, problems(found)
    assert state(found)["signature"] is True
    assert state(found)["statements"] is True
    assert verify(model).checks[0].passed is None
    fv.evaluate(model, lfw, split="train")
    after = problems(verify(model, key=keys[1]))
    assert "card.json was changed after signing" in after
    assert "evaluation on train is on the card but nobody signed it" in after
    sign(model, keys[0])
    assert verify(model, key=keys[1]).passed


def test_a_card_sealed_again_by_a_forger_fails_only_with_the_key(model: Path, keys: tuple[Path, Path]) -> None:
    sign(model, keys[0])
    card = ModelCard.load(model)
    better = tuple(e.changed(mean_accuracy=1.0) if isinstance(e, CorruptionReport) else e for e in card.evidence)
    card.changed(evidence=better).save(model)
    assert verify(model).passed
    text = problems(verify(model, key=keys[1]))
    assert "card.json was changed after signing" in text
    assert "a signed statement (corruptions) is not on the card" in text


def test_removed_added_and_renamed_files_are_named(model: Path, keys: tuple[Path, Path]) -> None:
    sign(model, keys[0])
    (model / "history.jsonl").rename(model / "old.jsonl")
    text = problems(verify(model, key=keys[1]))
    assert "history.jsonl is missing" in text
    assert "old.jsonl was added after signing" in text
    (model / "link").symlink_to(model / CARD)
    with pytest.raises(UsageError, match="is a symbolic link"):
        verify(model, key=keys[1])


@pytest.mark.parametrize("curve", ["SECP384R1", "SECP521R1"])
def test_other_curves_and_a_password(curve: str, model: Path, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(getattr(ec, curve)())
    private, public = _write_keys(tmp_path, key, serialization.BestAvailableEncryption(b"secret"))
    with pytest.raises(UsageError, match=r"key.pem cannot be read|password"):
        sign(model, private)
    with pytest.raises(UsageError, match="password is wrong"):
        sign(model, private, password="other")
    sign(model, private, password="secret", output=tmp_path / "outside.sig")
    assert not (model / SIGNATURE).exists()
    assert verify(model, key=public, signature=tmp_path / "outside.sig").passed


def test_wrong_keys_and_files_are_one_clear_line(model: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    with pytest.raises(UsageError, match="does not exist, so there is no signature"):
        verify(model, key=keys[1])
    with pytest.raises(UsageError, match="only be verified with the signer's public key"):
        verify(model, signature=tmp_path / "a.sig")
    sign(model, keys[0])
    other = tmp_path / "other"
    other.mkdir()
    _, stranger = _write_keys(other, ec.generate_private_key(ec.SECP256R1()), serialization.NoEncryption())
    assert "made with another key" in problems(verify(model, key=stranger))
    with pytest.raises(UsageError, match="is a private key; verify with the public one"):
        verify(model, key=keys[0])
    with pytest.raises(UsageError, match="is not a public key in PEM form"):
        verify(model, key=model / CARD)
    weak, _ = _write_keys(other, rsa.generate_private_key(65537, 2048), serialization.NoEncryption())
    with pytest.raises(UsageError, match="not a private key on the curve"):
        sign(model, weak)
    (model / SIGNATURE).write_text("{}")
    assert "model.sig was changed or damaged: expected a signature in the OpenSSF" in problems(
        verify(model, key=keys[1])
    )
    (model / SIGNATURE).write_text("no json")
    assert "is not JSON" in problems(verify(model, key=keys[1]))
    with pytest.raises(UsageError, match="is not JSON"):
        verify(model, key=keys[1], signature=Path(shutil.copy(model / SIGNATURE, tmp_path / "elsewhere.sig")))


def test_canaries_notice_another_prediction(model: Path, made: Classifier, tmp_path: Path) -> None:
    """The graph of another temperature, on a card that says so: files and card are whole, the predictions are not."""
    card = ModelCard.load(model)
    other = made.changed(made.card.changed(temperature=2 * made.card.temperature, evidence=()))
    from facevalue.export import EXPORTERS

    images = fv.ImageDataset.from_folder(Path(card.provenance.source), split="test").with_preprocessing(
        card.preprocessing
    )
    EXPORTERS["onnx"](other, model / ONNX, images)
    from facevalue.support.files import sha256

    card.changed(temperature=other.card.temperature, files={**card.files, ONNX: sha256(model / ONNX)}).save(model)
    found = verify(model)
    assert [check.name for check in found.failed] == ["canaries"]
    assert "a probability differs by" in problems(found)


def test_evaluations_are_repeated_on_the_data(model: Path, lfw: Path, tmp_path: Path) -> None:
    found = verify(model, lfw)
    assert found.passed, problems(found)
    assert found.checks[-1].text.startswith("evaluated again: train, validation, calibration, test")
    card = ModelCard.load(model)
    wrong = tuple(e.changed(accuracy=0.123) if isinstance(e, fv.Evaluation) else e for e in card.evidence)
    card.changed(evidence=wrong).save(model)
    assert "test: accuracy is" in problems(verify(model, lfw))
    fewer = Path(shutil.copytree(lfw, tmp_path / "fewer"))
    rows = pd.read_parquet(model / MANIFEST)
    (fewer / "face" / Path(rows[(rows["split"] == "test") & (rows["label"] == "face")]["path"].iloc[0]).name).unlink()
    found = verify(model, fewer)
    assert found.checks[-1].text.endswith("these images were not found in the data: test")
    assert "test: accuracy" not in "".join(found.checks[-1].problems)
    shutil.rmtree(fewer / "face")
    assert "no evaluation on the card was made on these images" in problems(verify(model, fewer))


def test_drawn_canaries_copy_no_image_of_anybody(lfw: Path, tiny: dict[str, object], tmp_path: Path) -> None:
    import zipfile

    fv.train(lfw, tmp_path / "model", recipe="scratch", size=24, epochs=1, settings={**tiny, "canaries": "drawn"})
    with zipfile.ZipFile(tmp_path / "model" / CANARIES) as archive:
        names = [name for name in archive.namelist() if name.startswith("images/")]
    assert len(names) == 10
    assert all(name.startswith("images/drawn-") for name in names)
    assert verify(tmp_path / "model").passed


def test_command_line(model: Path, keys: tuple[Path, Path]) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*commands.facevalue(), *arguments], capture_output=True, text=True, check=False)

    assert run("sign", str(model), "--key", str(keys[0])).returncode == 0
    done = run("verify", str(model), "--key", str(keys[1]), "--json", "-")
    assert done.returncode == 0
    assert json.loads(done.stdout)["passed"] is True
    (model / STATEMENTS).write_text("")
    done = run("verify", str(model), "--key", str(keys[1]))
    assert done.returncode == 1
    assert "statements.jsonl was changed after signing" in done.stdout
    assert done.stderr.count("\n") == 1
    assert "signature, statements" in done.stderr
    assert run("verify", str(model.parent)).returncode == 2


@pytest.mark.slow
@pytest.mark.network
def test_the_official_tool_agrees(
    model: Path, keys: tuple[Path, Path], tmp_path: Path, foreign_python: Callable[..., Path]
) -> None:
    python = foreign_python("model-signing==1.1.1", "pyOpenSSL")
    tool = [str(python), "-m", "model_signing"]

    def official(*arguments: str | Path) -> int:
        return subprocess.run([*tool, *map(str, arguments)], capture_output=True, text=True, check=False).returncode

    check = ("verify", "key", model, "--signature", model / SIGNATURE, "--public_key", keys[1])
    sign(model, keys[0])
    assert official(*check) == 0
    data = bytearray((model / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (model / WEIGHTS).write_bytes(data)
    assert official(*check) != 0
    data[-1] ^= 1
    (model / WEIGHTS).write_bytes(data)
    # The other way round: its signature, verified here.
    theirs = tmp_path / "theirs.sig"
    assert official("sign", "key", model, "--private_key", keys[0], "--signature", theirs) == 0
    assert verify(model, key=keys[1], signature=theirs).passed
    bundle = json.loads(theirs.read_text())
    assert bundle["verificationMaterial"]["publicKey"]["hint"] == hint_of(public_key(keys[1]))


@pytest.fixture(scope="session")
def foreign_python(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """An environment of its own with these packages."""

    def make(*packages: str) -> Path:
        folder = tmp_path_factory.mktemp("environment")
        venv.create(folder, with_pip=True)
        python = folder / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
        return python

    return make


def test_a_figure_that_the_outputs_do_not_give_is_named_although_the_card_is_sealed_again(model: Path) -> None:
    card = ModelCard.load(model)
    test = card.evaluation("test")
    assert test is not None
    better = test.changed(accuracy=0.999, ece=test.ece / 2)
    card.changed(evidence=tuple(better if e is test else e for e in card.evidence)).save(model)  # seals it again
    found = verify(model)
    assert state(found)["card"] is True
    assert state(found)["figures"] is False
    assert f"test: accuracy is {test.accuracy:.4g} now, 0.999 on the card" in problems(found)


def test_outputs_that_give_other_figures_are_named(model: Path) -> None:
    card = ModelCard.load(model)
    outputs = read_outputs(model / OUTPUTS, card.classes)
    flattered = [replace(each, y=each.p.argmax(1)) if each.split == "test" else each for each in outputs]
    write_outputs(flattered, card.classes, model / OUTPUTS)
    card.changed(files={**card.files, OUTPUTS: sha256(model / OUTPUTS)}).save(model)
    found = verify(model)
    assert state(found)["files"] is True
    assert "test: accuracy is 1 now" in problems(found)


def test_a_new_evaluation_adds_its_outputs_and_names_no_group(model: Path, made: Classifier) -> None:
    source = Path(made.card.provenance.source)
    before = read_outputs(model / OUTPUTS, made.classes)
    few = fv.ImageDataset.from_folder(source, split="test").some(9)
    report = fv.evaluate(model, few)
    after = read_outputs(model / OUTPUTS, made.classes)
    assert len(after) == len(before) + 1
    assert after[-1].identity == report.identity()
    assert len(after[-1].y) == report.n
    again = fv.evaluate(model, few)
    assert again.to_dict() | {"provenance": None} == report.to_dict() | {"provenance": None}
    assert len(read_outputs(model / OUTPUTS, made.classes)) == len(after)
    groups = {group for outputs in after for group in outputs.groups}
    assert all(group == "" or group.isdigit() for group in groups)
    assert verify(model).passed


def test_a_calibrated_model_does_not_list_the_outputs_of_the_model_before(model: Path, tmp_path: Path) -> None:
    """Calibration leaves no evaluation, so the new folder holds no outputs; it can be evaluated, and then it does."""
    source = Path(ModelCard.load(model).provenance.source)
    new = tmp_path / "calibrated"
    fv.calibrate(model, source, output=new)
    assert OUTPUTS not in ModelCard.load(new).files
    assert state(verify(new))["files"] is True
    fv.evaluate(new, source)
    assert state(verify(new))["figures"] is True


@pytest.mark.parametrize("name", [SIGNATURE, STATEMENTS, CARD, "README.md", "bom.cdx.json"])
def test_a_byte_that_is_no_text_is_named_in_a_signed_folder(name: str, model: Path, keys: tuple[Path, Path]) -> None:
    sign(model, keys[0])
    data = bytearray((model / name).read_bytes())
    data[len(data) // 2] = 0xC3  # begins a letter that does not end
    (model / name).write_bytes(data)
    found = verify(model, key=keys[1])
    assert not found.passed
    assert name in problems(found)


def test_an_image_on_a_limit_is_no_fault_and_another_output_is(made: Classifier) -> None:
    assert made.folder is not None
    kept = read_outputs(made.folder / OUTPUTS, made.classes)[-1]
    order = np.random.default_rng(0).permutation(len(kept.y))
    now = replace(
        kept,
        hashes=tuple(kept.hashes[i] for i in order),
        y=kept.y[order],
        p=kept.p[order] + 1e-5,
        novelty=kept.novelty[order] * (1 + 1e-4),
    )
    assert output_differences(kept, now) == []
    shifted = now.p.copy()
    shifted[3] = shifted[3][::-1]
    assert output_differences(kept, replace(now, p=shifted))[0].startswith(
        f"1 of {len(kept.y)} images have another prob"
    )
    [line] = output_differences(kept, replace(now, novelty=now.novelty * 1.5))
    assert "another novelty" in line
    [line] = output_differences(kept, replace(now, hashes=("0", *now.hashes[1:])))
    assert "not those that were evaluated now" in line


def test_without_the_train_extra_the_figures_are_not_checked_and_this_is_said(model: Path) -> None:
    code = f"""
import sys
sys.modules["sklearn"] = None
from facevalue.api.verify import verify
check = {{c.name: c for c in verify({str(model)!r}).checks}}["figures"]
assert check.passed is None, check
print(check.text)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "pip install 'facevalue[train]'" in done.stdout
