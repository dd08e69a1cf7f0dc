"""What the routes share: the models, the engine, and how a request becomes predictions."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, final

import numpy as np
from fastapi import Request
from numpy.typing import NDArray

from facevalue.marks import OriginMarks
from facevalue.serve.answers import Refusal
from facevalue.serve.engine import Asked, Engine, Judged
from facevalue.serve.figures import Figures
from facevalue.serve.served_model import Loaded, ServedModel
from facevalue.serve.settings import Settings
from facevalue.serve.tracing import Tracing
from facevalue.support import machine

R = TypeVar("R")


@final
class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


@final
class Service:
    """One server's models and engine.

    Parameters
    ----------
    folders : model folders by name; the first is the one that paths without a name ask.
    tracing : takes the stages of images, if traces are wanted.
    """

    def __init__(self, folders: Mapping[str, Path], settings: Settings, tracing: Tracing | None = None) -> None:
        self._tracing = tracing
        self.settings = settings
        self.models = {name: ServedModel(name, folder, settings.opened) for name, folder in folders.items()}
        self.figures = Figures()
        self.engine = Engine(self.figures, settings.max_queue)
        self.marks = settings.mark_reader()
        # Of its own, so that files whose check takes long do not take the threads of all that is not a prediction.
        self._marking = ThreadPoolExecutor(machine.cores(), thread_name_prefix="facevalue-marks")

    @property
    def first(self) -> str:
        """The model that paths without a name ask."""
        return next(iter(self.models))

    def refresh(self) -> None:
        """Take in every model whose files changed."""
        for model in self.models.values():
            model.refresh()

    def loaded(self, name: str | None = None, version: str | None = None) -> Loaded:
        """The model of this name.

        Raises
        ------
        Refusal
            404 there is none of this name or version, 503 it could not be loaded.
        """
        name = self.first if name is None else name
        if name not in self.models:
            raise Refusal(404, f"there is no model of this name; there is {', '.join(self.models)}")
        model = self.models[name]
        if model.loaded is None:
            raise Refusal(
                503, f"no model is loaded: {model.problem or 'not yet; try again in a moment'}", retry_after=1
            )
        if version is not None and version != model.loaded.version:
            raise Refusal(404, f"model {name} is at version {model.loaded.version}; another is not served")
        return model.loaded

    async def judge(
        self, request: Request, model: Loaded, images: Sequence[bytes | NDArray[np.uint8]], asked: Asked
    ) -> list[tuple[Judged, ...]]:
        """Judge a request's images; what is not begun is dropped when its client goes."""
        request.scope["facevalue"].update(model=model.name, version=model.version, images=len(images))
        note = None if self._tracing is None else self._tracing.note(request.scope)
        judging = self.engine.judge(model, images, asked, seconds=self.settings.request_seconds, note=note)
        return await _unless_gone(request, judging)

    async def marks_of(self, request: Request, images: Sequence[bytes]) -> list[OriginMarks]:
        """What a request's files say of their own origin.

        Raises
        ------
        Refusal
            503 time is up.
        """

        async def read() -> list[OriginMarks]:
            loop = asyncio.get_running_loop()
            return [await loop.run_in_executor(self._marking, self.marks.of, data) for data in images]

        try:
            async with asyncio.timeout(self.settings.request_seconds):
                return await _unless_gone(request, read())
        except TimeoutError as error:
            why = f"reading the marks of origin took more than {self.settings.request_seconds:g} s; ask without them"
            raise Refusal(503, why, retry_after=1) from error

    def close(self) -> None:
        """Let go of the threads and of the process that checks marks."""
        self.engine.close()
        self._marking.shutdown(wait=False, cancel_futures=True)
        self.marks.close()


async def _unless_gone(request: Request, work: Coroutine[Any, Any, R]) -> R:
    """The work's result; where the client disconnects first the work is cancelled."""
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGoneError
    finally:
        for task in (working, gone):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
