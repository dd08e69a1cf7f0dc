"""Score on several machines with Ray Data: its actors read, decode and answer; this process writes the parts.

A killed actor is started again and its batch is scored again. A batch comes back whole and once, so no row is lost or
doubled. Rows come in the order of the sources, as on one machine.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, final

import msgspec
import numpy as np
from numpy.typing import NDArray

from facevalue.errors import ImageError, MissingExtraError
from facevalue.runtime import bulk
from facevalue.runtime.predictor import Predictor
from facevalue.runtime.scoring import engines, pipeline
from facevalue.runtime.scoring.items import Item
from facevalue.runtime.scoring.opening import How, Opening

BATCH = 256
"""Images in one call of an actor."""

WINDOW_IMAGES = 20_000
"""Images for each actor that are handed to Ray at once; it holds their names, not their bytes."""

WINDOW_BYTES = 1 << 29
"""Most bytes of images out of archives, which this process reads, that are handed to Ray at once."""

Rows = list[dict[str, Any]]


def ray_package() -> Any:
    """Ray; raises :class:`MissingExtraError` if it is not installed."""
    try:
        import ray.data
    except ImportError as error:
        raise MissingExtraError("ray", "ray") from error
    return ray


def scored(opening: Opening, how: How, engine: str, items: Iterable[Item]) -> Iterator[tuple[str, Rows]]:
    """The name and the rows of each image, in order.

    Parameters
    ----------
    opening : how each actor opens the model; its folder must be there on every machine.
    engine : the name of the engine that every actor uses, such as ``openvino fp32``.
    """
    ray = ray_package()
    with _cluster(ray):
        actors = max(1, int(ray.cluster_resources().get("CPU", 1)))
        for window in _windows(items, actors):
            rows = ray.data.from_items(window, override_num_blocks=-(-len(window) // BATCH)).map_batches(
                _Actor,
                batch_size=BATCH,
                compute=ray.data.ActorPoolStrategy(size=min(actors, -(-len(window) // BATCH))),
                num_cpus=1,
                fn_constructor_args=(opening, how, engine),
            )
            for row in rows.iter_rows():
                yield msgspec.msgpack.decode(row["scored"], type=tuple[str, Rows])


@final
class _Actor:
    """A predictor and an engine on one processor of some machine."""

    def __init__(self, opening: Opening, how: How, engine: str) -> None:
        self._predictor: Predictor = opening.predictor()
        choice, _, precision = engine.partition(" ")
        self._engine = engines.opened(
            self._predictor.card,
            opening.graph(self._predictor.card),
            choice,  # type: ignore[arg-type]
            precision,  # type: ignore[arg-type]
        )
        self._how = how

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        items = (Item(*pickle.loads(one)) for one in batch["item"])
        classes = self._predictor.card.classes
        found = [
            msgspec.msgpack.encode((name, [bulk.row(prediction, classes) for prediction in predictions]))
            for name, predictions in pipeline.scored(self._predictor, self._engine, items, self._how.faces)
        ]
        return {"scored": np.array(found, object)}


def _windows(items: Iterable[Item], actors: int) -> Iterator[list[dict[str, bytes]]]:
    """The images as Ray takes them, so many at a time that the actors seldom wait for new ones."""
    window: list[dict[str, bytes]] = []
    held = 0
    for item in items:
        load = partial(_given, _now(item)) if item.in_turn else item.load
        window.append({"item": pickle.dumps((item.name, item.key, load))})
        held += len(window[-1]["item"]) if item.in_turn else 0
        if len(window) >= WINDOW_IMAGES * actors or held >= WINDOW_BYTES:
            yield window
            window, held = [], 0
    if window:
        yield window


def _now(item: Item) -> Any:
    try:
        return item.load()
    except ImageError as error:
        return error


def _given(found: Any) -> Any:
    """What was loaded before; raises it if it is an error."""
    if isinstance(found, ImageError):
        raise found
    return found


@contextmanager
def _cluster(ray: Any) -> Iterator[None]:
    """A running Ray: the caller's, the one at ``RAY_ADDRESS``, or one on this machine that ends with the block."""
    loggers = [logging.getLogger(name) for name in ("ray", "ray.data")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:  # it reports every step of a plan
        logger.setLevel(logging.ERROR)
    ours = not ray.is_initialized()
    if ours:
        ray.init(log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
    context = ray.data.DataContext.get_current()
    before = (context.execution_options.preserve_order, context.enable_progress_bars)
    context.execution_options.preserve_order, context.enable_progress_bars = True, False
    try:
        yield
    finally:
        context.execution_options.preserve_order, context.enable_progress_bars = before
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if ours:
            ray.shutdown()
