"""PyTorch as a source of importance (extra `nnr[torch]`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .formats.extras import require

__all__ = ["fisher_diagonal"]


def fisher_diagonal(
    model: Any,
    batches: Iterable[tuple[Any, Any]],
    *,
    loss: Callable[[Any, Any], Any] | None = None,
    limit: int | None = None,
) -> dict[str, np.ndarray]:
    """Diagonal of the empirical Fisher information of a model, scaled to the mean 1: how much each weight
    matters.

    The mean of squared gradients of the loss, batch by batch, as `importance` for `nnr.encode`. To be exact
    batches would have one sample; larger ones are faster and give an estimate whose ranking is good enough.

    Args:
        model: a `torch.nn.Module`; it is put into evaluation mode and back.
        batches: (inputs, targets), such as a data loader.
        loss: of outputs and targets; cross entropy by default.
        limit: batches to use at most.

    Returns:
        float32 arrays by parameter name, of the parameters' shapes.

    Raises:
        MissingExtraError: torch is not installed.
        ValueError: there are no batches.
    """
    torch = require("torch", "torch", "the Fisher diagonal of a model")
    criterion = torch.nn.functional.cross_entropy if loss is None else loss
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    sums = {name: torch.zeros_like(p) for name, p in parameters.items()}
    was_training = model.training
    model.eval()
    count = 0
    try:
        for inputs, targets in batches:
            if limit is not None and count >= limit:
                break
            model.zero_grad(set_to_none=True)
            criterion(model(inputs), targets).backward()
            for name, p in parameters.items():
                if p.grad is not None:
                    sums[name] += p.grad.detach() ** 2
            count += 1
    finally:
        model.zero_grad(set_to_none=True)
        model.train(was_training)
    if count == 0:
        raise ValueError("batches: there are none")
    arrays = {name: total.double().cpu().numpy() / count for name, total in sums.items()}
    weights = sum(a.size for a in arrays.values())
    mean = sum(float(a.sum()) for a in arrays.values()) / max(weights, 1)
    return {
        name: (a / mean if mean > 0 else np.ones_like(a)).astype(np.float32) for name, a in arrays.items()
    }
