"""The parts of a model that a graph is built of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from latently.estimators import fitted_of
from latently.exceptions import ParameterError
from latently.export._columns import Encoded
from latently.export._graph import Value
from latently.export._surprise import membership, remembered, surprise
from latently.nn import AutoencoderModule, StoredRows
from latently.preprocessing import TablePreprocessor

#: Number of distances to stored rows, and of elements, that are computed at once.
_DISTANCES, _ELEMENTS = 1 << 18, 1 << 20


class Parts(NamedTuple):
    preprocessor: Any
    module: AutoencoderModule
    detector: Any
    n_components: int

    @property
    def n_rows_at_once(self) -> int:
        if isinstance(self.module, StoredRows):
            return max(_DISTANCES // self.n_components, 16)
        return max(_ELEMENTS // self.module.likelihood.layout.width // 8, 16)

    def score(self, encoded: Encoded) -> Value:
        return surprise(self.module, encoded)

    def rebuild(self, encoded: Encoded) -> list[Value]:
        code = membership(self.module, encoded)
        return [code, remembered(self.module, code)]


def parts_of(model: Any) -> Parts:
    autoencoder = getattr(model, "autoencoder_", model)
    detector = model if hasattr(model, "calibration_") else None
    return Parts(autoencoder.preprocessor_, autoencoder.module_, detector, autoencoder.n_components_)
