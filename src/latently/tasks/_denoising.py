"""Rows rebuilt through a narrow code lose their noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from sklearn.base import OneToOneFeatureMixin, TransformerMixin

from latently._notices import each_once, warn
from latently._validation import check_fitted, is_pictures, is_target
from latently.estimators import BaseAutoencoder, DenoisingAutoencoder, UNetAutoencoder, tags_of
from latently.nn import GaussianNoise
from latently.tasks._base import AutoencoderTask, as_fitted


@dataclass(kw_only=True, eq=False, repr=False)
class AutoencoderDenoiser(OneToOneFeatureMixin, TransformerMixin, AutoencoderTask):  # type: ignore[misc]
    """Take noise off rows or images.

    Parameters
    ----------
    autoencoder : autoencoder or None, default=None
        A copy is fitted, or the autoencoder is used as it is if already fitted. None uses a
        ``DenoisingAutoencoder`` with normal noise for tables, a ``UNetAutoencoder`` for images.
    random_state : int, RandomState or None, default=None
        Seed of the autoencoder. None keeps its own.
    effort : {"fast", "balanced", "thorough"} or None, default=None
        Training effort of the autoencoder: a quarter, all or four times its default. None keeps the
        setting of the autoencoder.
    kind : {"auto", "images"}, default="auto"
        "images" treats every array of three or four axes as images. "auto" keeps the ``kind`` of
        the autoencoder.

    Attributes
    ----------
    autoencoder_ : autoencoder
        The fitted autoencoder.
    n_features_in_ : int
        Columns, or pixels times channels, seen in ``fit``.
    feature_names_in_ : ndarray of str
        Names of the columns, where the input had them.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> clean = rng.normal(size=(300, 1)) * np.ones(8)
    >>> noisy = clean + rng.normal(scale=0.5, size=clean.shape)
    >>> denoiser = AutoencoderDenoiser(random_state=0).fit(noisy, clean)
    >>> bool(np.square(denoiser.transform(noisy) - clean).mean() < 0.1)
    True
    """

    @each_once()
    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the autoencoder to clean rows, or to pairs of noisy and clean rows.

        Parameters
        ----------
        X : array-like, DataFrame, Table, image stack or list of images
            Clean rows, which are corrupted in training, or noisy ones, when ``y`` holds them
            clean. A list may hold images of several sizes.
        y : like X or None, default=None
            The same rows without noise. Labels, of one axis or in one column, are ignored.

        Returns
        -------
        self
            The fitted denoiser.

        Raises
        ------
        DataError
            If the rows cannot be used, or do not match those of ``y``.
        """
        self._is_images = is_pictures(X)
        self._fit_autoencoder(X, y if is_target(X, y) else None)
        model, tags = self.autoencoder_, tags_of(self.autoencoder_)
        if not (tags.is_denoiser or tags.has_narrow_code):
            warn(
                f"{type(model).__name__} is not trained with noise and has no narrow code, so that "
                "little noise comes off. Use a DenoisingAutoencoder, or a UNetAutoencoder."
            )
        return self

    def transform(self, X: Any) -> Any:
        """Take the noise off.

        Parameters
        ----------
        X : array-like, DataFrame, Table, image stack or list of images
            Noisy rows with the columns of ``fit``, or images of any size for a ``UNetAutoencoder``.

        Returns
        -------
        ndarray, DataFrame, Table or image stack
            Rows with the columns, types and units of ``fit``. An array if ``fit`` got an array.
        """
        check_fitted(self)
        return as_fitted(self.autoencoder_, self.autoencoder_.reconstruct(X))

    def _default_autoencoder(self) -> BaseAutoencoder:
        if getattr(self, "_is_images", False):
            return UNetAutoencoder(kind="auto")
        return DenoisingAutoencoder(corruption=GaussianNoise(0.3))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
