"""LitServe with ONNX Runtime, batching on. Images come as base64 in JSON, as in its documentation."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import litserve
import numpy as np
import onnxruntime

from facevalue.evidence.card import ModelCard

folder = Path(sys.argv[1])


class Api(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.card = ModelCard.load(folder)
        self.session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])

    def decode_request(self, request: dict[str, str]) -> Any:
        return self.card.preprocessing.read(base64.b64decode(request["image"]))

    def predict(self, x: Any) -> Any:
        (probabilities,) = self.session.run(["probabilities"], {"pixels": np.stack(x)})
        return probabilities

    def encode_response(self, output: Any) -> dict[str, float]:
        return dict(zip(self.card.classes, map(float, output), strict=True))


if __name__ == "__main__":
    server = litserve.LitServer(Api(max_batch_size=8, batch_timeout=0.002), accelerator="cpu")
    server.run(port=int(sys.argv[2]), log_level="warning", generate_client_file=False)
