"""Plain FastAPI with eager PyTorch, as tutorials write it: everything in an async function, one image at a time."""

from __future__ import annotations

import sys

import torch
import uvicorn
from fastapi import FastAPI, Request

from facevalue.models.classifier import load

classifier = load(sys.argv[1])
app = FastAPI()


@app.post("/predict")
async def predict(request: Request) -> dict[str, float]:
    pixels = classifier.card.preprocessing.read(await request.body())
    with torch.no_grad():
        x = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
        probabilities = classifier.probabilities(x)[0].tolist()
    return dict(zip(classifier.card.classes, probabilities, strict=True))


uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
