"""Decoding and the network, off the event loop: images of all requests in shared batches, and no more than fit.

A few threads decode, and as many of them as there are processors may run the network at the same time. A thread that
has decoded an image runs the network on all that is decoded by then, and goes on while more is. So one image alone
waits for nobody, and under load batches grow by themselves. On CPUs several runs side by side answer more images per
second than one run that all processors share.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from facevalue import decision
from facevalue.data.input_facts import detail, jpeg_quality
from facevalue.evidence.score_reference import margins
from facevalue.faces.gate import WhichFaces
from facevalue.runtime.base import Input
from facevalue.runtime.drift import Watched
from facevalue.runtime.predictor import Outputs
from facevalue.serve.answers import Refusal
from facevalue.serve.figures import Figures
from facevalue.serve.served_model import Loaded
from facevalue.serve.tracing import Note, Stage
from facevalue.support import machine
from facevalue.types import Prediction

log = logging.getLogger("facevalue.serve")

BATCH = 4
"""Most images in one run of the network. On CPUs a larger batch takes no less time an image, and more memory."""


@dataclass(frozen=True)
class Judged:
    """One image's answer.

    Attributes
    ----------
    prediction : without ``path``, which the request knows.
    outputs : the network's outputs for this image, by name; empty where it cannot be read or shows no face.
    pixels : (s, s, 3) the network input, where heat was asked for.
    """

    prediction: Prediction
    outputs: Outputs = field(default_factory=dict)
    pixels: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Asked:
    """What a request wants of each of its images: heat, and the largest face or all."""

    heat: bool = False
    faces: WhichFaces = "largest"


@final
class Job:
    """One image on its way. ``dropped`` once nobody waits for it.

    It has one network input, none where it cannot be read or shows no face, or one for each face.
    """

    def __init__(
        self,
        model: Loaded,
        given: bytes | NDArray[np.uint8],
        asked: Asked,
        future: asyncio.Future[tuple[Judged, ...]],
        note: Note | None = None,
    ) -> None:
        self.model = model
        self.heat = asked.heat
        self.faces = asked.faces
        self.future = future
        self.given: bytes | NDArray[np.uint8] | None = given
        self.inputs: tuple[Input, ...] = ()
        self.answers: dict[int, Judged] = {}
        self.dropped = False
        self.jpeg_quality: int | None = None
        self._note = note
        self.decoded = 0.0
        self.since = time.perf_counter()

    def drop(self) -> None:
        """Nobody waits any more. The bytes are let go of now, and not when a thread comes to look at them."""
        self.dropped = True
        self.given = None

    def read(self, given: bytes | NDArray[np.uint8]) -> None:
        """Decode the image, look for faces if the model does, and answer what needs no network."""
        self.given = None
        self.jpeg_quality = jpeg_quality(given) if isinstance(given, bytes) else None
        inputs = self.model.predictor.inputs_of((None, given), self.faces) if isinstance(given, bytes) else None
        self.inputs = (Input(None, given),) if inputs is None else inputs  # type: ignore[arg-type]
        for place, one in enumerate(self.inputs):
            if one.error is not None:
                self.answers[place] = Judged(decision.unreadable(one.error))
            elif one.pixels is None and one.seen is not None:
                self.answers[place] = Judged(decision.without_face(one.seen))

    def took(self, stage: Stage, begun: float, ended: float) -> None:
        """Tell the request's trace, if it has one, of a stage that this image went through."""
        if self._note is not None:
            self._note(stage, begun, ended)

    @property
    def answer(self) -> tuple[Judged, ...]:
        """The answers in order, once there are all."""
        return tuple(self.answers[place] for place in range(len(self.inputs)))


@final
class Piece(NamedTuple):
    """One network input of a job that waits for the network."""

    job: Job
    place: int
    pixels: NDArray[np.uint8]


@final
class Engine:
    """Judges images for all requests of one event loop.

    Parameters
    ----------
    max_queue : most images accepted and not yet answered.
    threads : that run the network. One more decodes, so that images are ready when a run ends.
    """

    def __init__(self, figures: Figures, max_queue: int, threads: int | None = None) -> None:
        self._figures = figures
        self._max_queue = max_queue
        self._most_runs = threads or machine.cores()
        self._pool = ThreadPoolExecutor(self._most_runs + 1, thread_name_prefix="facevalue")
        self._lock = threading.Lock()
        self._ready: deque[Piece] = deque()
        self._runs = 0
        self.pending = 0
        self._has_worked = False

    async def judge(
        self,
        model: Loaded,
        images: Sequence[bytes | NDArray[np.uint8]],
        asked: Asked,
        *,
        seconds: float,
        note: Note | None = None,
    ) -> list[tuple[Judged, ...]]:
        """Judge a request's images, files or network inputs (s, s, 3), in order: one answer each, or one a face.

        Where the caller is cancelled, because its client has gone, or where time is up, what is not begun is dropped.

        Parameters
        ----------
        seconds : longest time until the last answer.
        note : takes the stages of all images, for a trace.

        Raises
        ------
        Refusal
            503 the queue is full, or time is up.
        """
        if self.pending + len(images) > self._max_queue:
            self._figures.refused("queue")
            raise Refusal(503, f"{self.pending} images are waiting already; try again", retry_after=1)
        loop = asyncio.get_running_loop()
        jobs = [Job(model, image, asked, loop.create_future(), note) for image in images]
        self.pending += len(jobs)
        self._has_worked = True
        for job in jobs:
            job.future.add_done_callback(self._done)
            self._pool.submit(self._work, job, loop)
        try:
            async with asyncio.timeout(seconds):
                return [await job.future for job in jobs]
        except TimeoutError as error:
            self._figures.refused("time")
            raise Refusal(503, f"the answer took more than {seconds:g} s; try again", retry_after=1) from error
        finally:
            for job in jobs:
                job.drop()
                if not job.future.cancel() and not job.future.cancelled():
                    job.future.exception()  # looked at, or asyncio complains of those after the first

    def rested(self) -> bool:
        """Whether nothing is under way, for the first time since something was."""
        rested = self._has_worked and self.pending == 0
        if rested:
            self._has_worked = False
        return rested

    def close(self) -> None:
        """Let go of the threads. What was accepted has been answered by then."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _done(self, _: asyncio.Future[tuple[Judged, ...]]) -> None:
        self.pending -= 1

    def _work(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread: decode one image, and run the network unless enough threads do."""
        given = job.given
        if job.dropped or given is None:
            self._figures.dropped()
            return
        begun = time.perf_counter()
        waited = begun - job.since
        job.took("queue", job.since, begun)
        is_file = isinstance(given, bytes)
        try:
            job.read(given)
        except Exception as error:  # whatever it is, it is this request's, and the thread goes on
            loop.call_soon_threadsafe(_fail, [job], error)
            return
        job.decoded = time.perf_counter()
        if is_file:
            job.took("decode", begun, job.decoded)
        if is_file and all(one.error is None for one in job.inputs):
            self._figures.stage("decode", job.decoded - begun)
        self._figures.judged(job.model.name, [judged.prediction for judged in job.answers.values()])
        waiting = [Piece(job, place, one.pixels) for place, one in enumerate(job.inputs) if one.pixels is not None]
        if not waiting:
            _deliver(loop, [job])
            return
        job.since = time.perf_counter() - waited
        with self._lock:
            self._ready.extend(waiting)
            if self._runs >= self._most_runs:
                return
            self._runs += 1
        self._run(loop)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread: run the network until nothing is decoded that waits for it."""
        while batch := self._next():
            try:
                self._run_batch(batch, loop)
            except Exception as error:  # the requests of this batch fail; the others must not wait for ever
                loop.call_soon_threadsafe(_fail, [piece.job for piece in batch], error)

    def _run_batch(self, batch: list[Piece], loop: asyncio.AbstractEventLoop) -> None:
        begun = time.perf_counter()
        model, heat = batch[0].job.model, any(piece.job.heat for piece in batch)
        for piece in batch:
            self._figures.stage("queue", begun - piece.job.since)
        predictions, outputs = model.predictor.predict_pixels(np.stack([piece.pixels for piece in batch]), heat=heat)
        ended = time.perf_counter()
        for job in {id(piece.job): piece.job for piece in batch}.values():
            job.took("queue", job.decoded, begun)
            job.took("network", begun, ended)
        self._figures.stage("network", ended - begun)
        self._figures.batch(len(batch))
        found = []
        for i, ((job, place, pixels), prediction) in enumerate(zip(batch, predictions, strict=True)):
            seen = job.inputs[place].seen
            found.append(prediction if seen is None else decision.of_face(prediction, seen))
            own = {name: rows[i] for name, rows in outputs.items()}
            job.answers[place] = Judged(found[-1], own, pixels if job.heat else None)
        jobs = {id(piece.job): piece.job for piece in batch}.values()
        _deliver(loop, [job for job in jobs if len(job.answers) == len(job.inputs)])
        self._figures.judged(model.name, found)
        try:
            _watch(model, batch, found, outputs)
        except Exception:  # the answers are sent: only the log can tell
            log.exception("the drift alarm of model %s could not take in %d images", model.name, len(batch))

    def _next(self) -> list[Piece]:
        """The next batch, of one model, first come first served; empty, and the run over, where nothing waits."""
        batch: list[Piece] = []
        with self._lock:
            while self._ready:
                job, place, _ = self._ready[0]
                if job.dropped:
                    self._ready.popleft()
                    if place == len(job.inputs) - 1:  # an image counts once, however many faces it shows
                        self._figures.dropped()
                    continue
                model = job.model
                if batch and (model is not batch[0].job.model or len(batch) >= _most(model)):
                    break
                batch.append(self._ready.popleft())
            if not batch:
                self._runs -= 1
        return batch


def _watch(model: Loaded, batch: list[Piece], found: list[Prediction], outputs: Outputs) -> None:
    rows = zip(outputs["novelty"].tolist(), margins(outputs["logits"]).tolist(), batch, found, strict=True)
    model.drift.observe(
        [
            (Watched(novelty, margin, detail(piece.pixels), piece.job.jpeg_quality), prediction.confidence or 0.0)
            for novelty, margin, piece, prediction in rows
        ]
    )


def _most(model: Loaded) -> int:
    # With stable answers every image is several network inputs.
    return max(1, min(BATCH, model.card.network.batch) // model.card.inputs)


def _deliver(loop: asyncio.AbstractEventLoop, jobs: list[Job]) -> None:
    if jobs:
        loop.call_soon_threadsafe(_set, [(job, job.answer) for job in jobs])


def _set(answers: list[tuple[Job, tuple[Judged, ...]]]) -> None:
    for job, answer in answers:
        if not job.future.done():
            job.future.set_result(answer)


def _fail(jobs: list[Job], error: BaseException) -> None:
    for job in jobs:
        if not job.future.done():
            job.future.set_exception(error)
