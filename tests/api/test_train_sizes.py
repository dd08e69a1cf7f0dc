"""Several sizes of the network input, each a model folder, side by side."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from facevalue.api.train import train_sizes
from facevalue.errors import UsageError
from facevalue.evidence.card import ModelCard
from facevalue.support import progress


def trained(data: Path, folder: Path, tiny: dict[str, object], **more: object) -> list[dict[str, object]]:
    found = train_sizes(data, folder, (16, 24), recipe="scratch", settings={"fit.epochs": 1, **tiny}, **more)
    return found.to_dict()["models"]


@pytest.fixture(scope="module")
def study(lfw: Path, tiny: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sizes") / "study"
    rows = trained(lfw, folder, tiny, seed=3)
    assert json.loads((folder / "sizes.json").read_text())["models"] == json.loads(json.dumps(rows))
    return folder


def test_a_size_is_a_model_folder_and_the_rest_is_the_same(study: Path) -> None:
    cards = [ModelCard.load(study / str(size)) for size in (16, 24)]
    assert [card.preprocessing.size for card in cards] == [16, 24]
    assert {card.provenance.seed for card in cards} == {3}
    assert cards[0].data.counts == cards[1].data.counts
    with Image.open(study / "curves.png") as curves:
        assert curves.format == "PNG"
    assert [row["model"] for row in json.loads((study / "sizes.json").read_text())["models"]] == [
        str(study / "16"),
        str(study / "24"),
    ]


def test_an_existing_output_is_refused_and_kept(study: Path, lfw: Path, tiny: dict[str, object]) -> None:
    before = (study / "sizes.json").read_bytes()
    with pytest.raises(UsageError, match="is already a study of sizes"):
        trained(lfw, study, tiny, seed=3)
    with pytest.raises(UsageError, match="holds a study that differs in its recipe"):
        trained(lfw, study, tiny, seed=4, resume=True)
    with pytest.raises(UsageError, match="differs in its groups"):
        trained(lfw, study, tiny, seed=3, groups="image", resume=True)
    with pytest.raises(UsageError, match="expected parent, image"):
        trained(lfw, study.parent / "never", tiny, groups="nonsense")
    assert not (study.parent / "never").exists()
    with pytest.raises(UsageError, match="all different"):
        train_sizes(lfw, study, (16, 16))
    assert (study / "sizes.json").read_bytes() == before


class StopAt(progress.Silent):
    """Ctrl-C when the work comes to a size."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.read: list[str] = []

    def note(self, text: str) -> None:
        self.read.append(text)
        if text == f"{self.size} pixels":
            raise KeyboardInterrupt


def test_a_study_that_was_stopped_keeps_what_was_finished(lfw: Path, tiny: dict[str, object], tmp_path: Path) -> None:
    folder = tmp_path / "study"
    with progress.using(StopAt(24)), pytest.raises(KeyboardInterrupt, match="run the same again to go on"):
        trained(lfw, folder, tiny)
    made = (folder / "16" / "card.json").read_bytes()
    with pytest.raises(UsageError, match=r"differs in its recipe.seed \(0 then, 1 now\); .* give `fresh`"):
        trained(lfw, folder, tiny, seed=1)
    assert (folder / "16" / "card.json").read_bytes() == made
    notes = StopAt(0)
    with progress.using(notes):
        rows = trained(lfw, folder, tiny)  # without a flag it goes on
    assert (folder / "16" / "card.json").read_bytes() == made
    assert f"going on with the study in {folder}; `fresh` would start over" in notes.read
    assert f"{folder / '16'} is finished already" in notes.read
    assert len(rows) == 2


def test_a_study_written_over_an_older_one_does_not_take_its_models_for_its_own(
    study: Path, lfw: Path, tiny: dict[str, object], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(study, tmp_path / "study"))
    with progress.using(StopAt(24)), pytest.raises(KeyboardInterrupt):
        trained(lfw, folder, tiny, seed=5, overwrite=True)
    assert ModelCard.load(folder / "24").provenance.seed == 3
    trained(lfw, folder, tiny, seed=5)
    assert [ModelCard.load(folder / str(size)).provenance.seed for size in (16, 24)] == [5, 5]


def test_fresh_removes_an_interrupted_study(lfw: Path, tiny: dict[str, object], tmp_path: Path) -> None:
    folder = tmp_path / "study"
    with progress.using(StopAt(24)), pytest.raises(KeyboardInterrupt):
        trained(lfw, folder, tiny)
    (folder / "16" / "mark").touch()
    trained(lfw, folder, tiny, seed=1, fresh=True)
    assert not (folder / "16" / "mark").exists()
    assert {ModelCard.load(folder / str(size)).provenance.seed for size in (16, 24)} == {1}
