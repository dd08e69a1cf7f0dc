"""The baseline of ``probe_speed``: a common training loop with a frozen backbone that is recomputed every epoch.

``python -m benchmarks.plain_loop DATA WEIGHTS EPOCHS [SEED]``. DATA has ``train/`` and ``validation/``, or one folder
per class.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset

from facevalue.models.networks import torchvision_ready


class Folder(Dataset):
    """Images in one folder per class, decoded at every access, as such loops do."""

    def __init__(self, root: Path) -> None:
        names = sorted(p.name for p in root.iterdir() if p.is_dir())
        self.files = [(p, i) for i, n in enumerate(names) for p in sorted((root / n).rglob("*.*")) if p.is_file()]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        path, label = self.files[index]
        image = Image.open(path).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
        return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 127.5 - 1, label


def main(data: str, weights: str, epochs: int, seed: int = 0) -> None:
    torchvision_ready.ready()
    import timm

    torch.manual_seed(seed)
    root = Path(data)
    if (root / "train").is_dir():
        train: Dataset = Folder(root / "train")
        held_out: Dataset = Folder(root / "validation")
    else:
        whole = Folder(root)
        order = torch.randperm(len(whole)).tolist()
        cut = len(whole) * 8 // 10
        train, held_out = Subset(whole, order[:cut]), Subset(whole, order[cut:])
    model = timm.create_model("mobilenetv2_100", pad_type="same", num_classes=1000)
    model.load_state_dict(load_file(weights))
    model.reset_classifier(2)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("classifier"))
    optimizer = torch.optim.Adam(model.get_classifier().parameters(), lr=1e-3)
    for epoch in range(epochs):
        model.eval()  # the backbone is frozen, including its batch norm
        for x, y in DataLoader(train, batch_size=32, shuffle=True):
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.inference_mode():
            right = sum(int((model(x).argmax(1) == y).sum()) for x, y in DataLoader(held_out, batch_size=32))
        print(f"epoch {epoch + 1}: validation accuracy {right / len(held_out):.4f}", flush=True)
    torch.save(model.state_dict(), "/dev/null")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), *map(int, sys.argv[4:5]))
