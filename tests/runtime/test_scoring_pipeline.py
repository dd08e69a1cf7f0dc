"""The engines of bulk scoring, and how far it reads ahead of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from facevalue.errors import ImageError
from facevalue.evidence.card import ONNX
from facevalue.images.sources import ImageInput
from facevalue.runtime import open_folder
from facevalue.runtime.scoring import engines, pipeline
from facevalue.runtime.scoring.items import Item
from facevalue.support import machine

ENGINES = [
    "onnxruntime",
    pytest.param("openvino", marks=pytest.mark.skipif(not engines.installed(), reason="openvino is not installed")),
]


@pytest.mark.parametrize("choice", ENGINES)
def test_each_result_is_that_of_its_input(choice: engines.EngineChoice, folder: Path) -> None:
    """However many are under way, in whatever order they are asked for, and if the input is changed afterwards."""
    predictor = open_folder(folder)
    side = predictor.card.preprocessing.size
    inputs = np.random.default_rng(0).integers(0, 256, (40, side, side, 3), np.uint8)
    expected = [answer for one in inputs for answer in predictor.answers(one[None], False)]
    with closing(engines.opened(predictor.card, folder / ONNX, choice)) as engine:
        for order in (list(range(40)), list(range(39, -1, -1)), [*range(1, 40, 2), *range(0, 40, 2)]):
            given = [one.copy() for one in inputs]
            submitted = [engine.submit(one) for one in given]
            found = {place: engine.result(submitted[place]) for place in order}
            for place, answer in found.items():
                np.testing.assert_allclose(
                    answer.probabilities, expected[place].probabilities, atol=engines.MOST_DIFFERENCE
                )
                np.testing.assert_allclose(answer.novelty, expected[place].novelty, rtol=1e-3)


@pytest.mark.parametrize("choice", ENGINES)
def test_an_engine_closes_while_requests_are_under_way(choice: engines.EngineChoice, folder: Path) -> None:
    predictor = open_folder(folder)
    side = predictor.card.preprocessing.size
    engine = engines.opened(predictor.card, folder / ONNX, choice)
    for _ in range(20):
        engine.submit(np.zeros((side, side, 3), np.uint8))
    engine.close()


@pytest.mark.parametrize("readers", [0, 5, 64])
@pytest.mark.parametrize("unreadable", [False, True])
def test_the_sources_are_read_no_further_ahead_than_memory_allows(unreadable: bool, readers: int, folder: Path) -> None:
    predictor = open_folder(folder)
    given = 0

    def load() -> ImageInput:
        return np.zeros((20, 30, 3), np.uint8)

    def broken() -> ImageInput:
        raise ImageError("is truncated")

    def items() -> Iterator[Item]:
        nonlocal given
        for number in range(600):
            given += 1
            one = broken if unreadable and number >= 5 else load
            yield Item(str(number), str(number), one, in_turn=number % 2 == 0)

    threads = max(machine.cores(), readers)
    few = max(1, pipeline.READ_AHEAD // (2 * threads))
    most = (2 * threads + 1) * few + pipeline.ASKED_AHEAD * machine.threads() + 1
    names = []
    with closing(engines.opened(predictor.card, folder / ONNX, "onnxruntime")) as engine:
        for name, (prediction,) in pipeline.scored(predictor, engine, items(), readers=readers):
            assert (prediction.error is not None) == (unreadable and int(name) >= 5)
            assert given - len(names) <= most
            names.append(name)
    assert names == [str(number) for number in range(600)]
