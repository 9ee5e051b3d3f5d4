"""What a model file gives: its tensors, and the text metadata that stood beside them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

__all__ = ["Tensors"]


class Tensors(dict[str, np.ndarray]):
    """A dict of tensors in file order, with the file's own text metadata in `metadata`."""

    def __init__(
        self, tensors: Mapping[str, np.ndarray] | None = None, *, metadata: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(tensors or {})
        self.metadata: dict[str, str] = dict(metadata or {})
