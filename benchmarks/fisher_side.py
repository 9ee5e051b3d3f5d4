"""The importance of a network's weights: run by the Python of an environment with torch.

    python fisher_side.py WEIGHTS.safetensors DATASET SAMPLES OUT.npz

DATASET is a name or file that `evaluate.py` of the evaluation data knows; that script builds the network and
loads the images. Labels are drawn from the network's own predictions, so that none of the data set's are
used, and the Fisher diagonal is estimated one image at a time. The first SAMPLES images count.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def main() -> None:
    """Write the diagonal by parameter name."""
    weights, dataset, samples, output = sys.argv[1:]
    sys.path.insert(0, str(Path(weights).resolve().parent))
    import evaluate
    import torch
    from safetensors.torch import load_file

    import nnr.torch

    torch.manual_seed(0)
    torch.set_num_threads(1)
    tensors = load_file(weights)
    network, normalisation = evaluate.build(tensors)
    network.load_state_dict(tensors, strict=False)
    network.eval()
    path = evaluate.find(dataset, str(Path(weights).resolve().parent), None)
    images, _ = evaluate.load_images(path)
    mean, std = normalisation or evaluate.default_norm(path, images)

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for image in images[: int(samples)]:
            x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
            x = (x - torch.tensor(mean).view(1, -1, 1, 1)) / torch.tensor(std).view(1, -1, 1, 1)
            with torch.no_grad():
                labels = torch.distributions.Categorical(logits=network(x)).sample()
            yield x, labels

    np.savez(output, **nnr.torch.fisher_diagonal(network, batches()))


if __name__ == "__main__":
    main()
