"""Plain FastAPI with ONNX Runtime: one image per request, decoded and classified in FastAPI's thread pool."""

from __future__ import annotations

import sys
from pathlib import Path

import onnxruntime
import uvicorn
from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool

from facevalue.evidence.card import ModelCard

folder = Path(sys.argv[1])
card = ModelCard.load(folder)
session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
app = FastAPI()


def judge(data: bytes) -> dict[str, float]:
    pixels = card.preprocessing.read(data)
    (probabilities,) = session.run(["probabilities"], {"pixels": pixels[None]})
    return dict(zip(card.classes, map(float, probabilities[0]), strict=True))


@app.post("/predict")
async def predict(request: Request) -> dict[str, float]:
    return await run_in_threadpool(judge, await request.body())


uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
