"""Codes as features for a supervised model."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from sklearn.base import TransformerMixin
from torch import Tensor

from latently._notices import each_once
from latently._sklearn import StrOptions
from latently._validation import check_fitted
from latently.estimators import BaseAutoencoder, DenoisingAutoencoder, fitted_of, scaled
from latently.nn import AutoencoderModule, Cells, DenseNetwork, Masking, hidden_layers
from latently.tasks._base import AutoencoderTask
from latently.tasks._doubts import warn_of_doubts

#: Width of the default code, and passes over the rows: more of either gained little.
_WIDTH, _EPOCHS = 512, 50


@dataclass(kw_only=True, eq=False, repr=False)
class FeatureExtractor(TransformerMixin, AutoencoderTask):  # type: ignore[misc]  # sklearn is untyped
    """Turn rows into the code of an autoencoder, learnt without labels.

    Parameters
    ----------
    autoencoder : autoencoder or None, default=None
        A copy is fitted, or the autoencoder is used as it is if already fitted. None uses a
        ``DenoisingAutoencoder`` of 512 components behind an activation, with a third of the cells
        hidden in training [1]_: a wide code that a linear model reads better than a narrow one.
    random_state : int, RandomState or None, default=None
        Seed of the autoencoder. None keeps its own.
    effort : {"fast", "balanced", "thorough"} or None, default=None
        Training effort of the autoencoder: a quarter, all or four times its default. None keeps the
        setting of the autoencoder.
    kind : {"auto", "images"}, default="auto"
        "images" treats every array of three or four axes as images. "auto" keeps the ``kind`` of
        the autoencoder.
    layers : {"code", "all"}, default="code"
        "all" puts the hidden layers of the encoder before the code: more features, of which the
        first are nearest to the columns.
    include_error : bool, default=False
        True appends the reconstruction error of the row.

    Attributes
    ----------
    autoencoder_ : autoencoder
        The fitted autoencoder.
    n_features_in_ : int
        Columns seen in ``fit``.
    feature_names_in_ : ndarray of str
        Names of the columns, where the input had them.

    References
    ----------
    .. [1] Vincent et al. (2010), Stacked Denoising Autoencoders.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(FeatureExtractor(random_state=0), LogisticRegression()).fit(X, y)
    >>> bool(model.score(X, y) > 0.8)
    True
    """

    layers: Literal["code", "all"] = "code"
    include_error: bool = False

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **AutoencoderTask._parameter_constraints,
        "layers": [StrOptions({"code", "all"})],
        "include_error": ["boolean"],
    }

    def _default_autoencoder(self) -> BaseAutoencoder:
        network = DenseNetwork((_WIDTH,), normalization="batch", activate_code=True)
        return DenoisingAutoencoder(
            _WIDTH,
            network=network,
            corruption=Masking(0.3),
            max_epochs=scaled(_EPOCHS, self.effort or "balanced"),
        )

    @each_once()
    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the autoencoder. Labels are ignored.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows.
        y : None
            Ignored.

        Returns
        -------
        self
            The fitted extractor.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        warn_of_doubts(self._fit_autoencoder(X), X)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the code of each row.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
            Hidden layers where asked for, the code, the reconstruction error where asked for.
        """
        check_fitted(self)
        model = self.autoencoder_
        codes = fitted_of(model).infer(X, layers_of) if self.layers == "all" else model.transform(X)
        if not self.include_error:
            return codes
        return np.column_stack([codes, model.reconstruction_error(X)])

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the features.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns, only compared with those of ``fit``.

        Returns
        -------
        ndarray of str
            "hidden0" and so on, the autoencoder's names of its components, "reconstruction_error".
        """
        check_fitted(self)
        names: np.ndarray = self.autoencoder_.get_feature_names_out(input_features)
        if self.layers == "all":
            blank = torch.zeros(1, *self.autoencoder_.preprocessor_.layout.shape)
            with torch.no_grad():
                width = layers_of(self.autoencoder_.module_, Cells(blank)).shape[1]
            hidden = [f"hidden{place}" for place in range(width - len(names))]
            names = np.array([*hidden, *names], dtype=object)
        return np.append(names, "reconstruction_error") if self.include_error else names

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def layers_of(module: AutoencoderModule, cells: Cells) -> Tensor:
    """Return the hidden layers of the encoder and the code, side by side."""
    with ExitStack() as stack:
        kept = [stack.enter_context(hidden_layers(encoder)) for encoder in module.encoders]
        code = module.encode(cells).value
    return torch.cat([*chain.from_iterable(kept), code], 1)
