"""Base class of autoencoders with a prior over the code: scores, samples and rotations."""

from __future__ import annotations

from numbers import Integral
from typing import Any, Self, get_args

import numpy as np

from latently._sklearn import Interval, StrOptions, check_parameters
from latently._validation import check_fitted, read_seed
from latently.estimators._base import BaseAutoencoder
from latently.estimators._inference import (
    as_tensor,
    code_of,
    decoded,
    variation_of,
)
from latently.estimators._protocol import SupportName, fitted_of
from latently.estimators._rotation import Rotation, RotationName
from latently.exceptions import DataError
from latently.nn import Cells, SparseLatent


class GenerativeAutoencoder(BaseAutoencoder):
    """Autoencoder whose code has a prior, so that it can be sampled, scored and rotated."""

    def rotate_latents(self, X: Any, method: RotationName = "ica") -> Self:
        """Rotate the axes of the code to make them interpretable. Reconstructions do not change.

        Afterwards ``transform`` returns codes on the new axes and ``inverse_transform`` expects
        them. On ``X`` the axes have variance one. They are sorted by their effect on the
        reconstruction, the largest first.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``, preferably a few hundred or more.
        method : {"ica", "varimax"}, default="ica"
            "ica" finds axes that are statistically independent [1]_, "varimax" finds axes that
            each affect few columns [2]_.

        Returns
        -------
        self
            The model, with rotated axes.

        Raises
        ------
        DataError
            If the code is sparse, or if there are fewer rows than twice the components.

        References
        ----------
        .. [1] Hyvarinen (1999), Fast and Robust Fixed-Point Algorithms for Independent Component
           Analysis.
        .. [2] Kaiser (1958), The Varimax Criterion for Analytic Rotation in Factor Analysis.
        """
        check_fitted(self)
        check_parameters(
            {"method": [StrOptions(set(get_args(RotationName)))]}, {"method": method},
            f"{type(self).__name__}.rotate_latents",
        )  # fmt: skip
        if isinstance(self.module_.latent, SparseLatent):
            raise DataError(
                "A sparse code cannot be rotated, because its zeros would be lost. Use an "
                "Autoencoder, or interpret the sparse components."
            )
        inner = fitted_of(self)
        codes = inner.infer(X, code_of)
        if len(codes) < 2 * self.n_components_:
            raise DataError(
                f"A rotation of {self.n_components_} components needs at least "
                f"{2 * self.n_components_} rows, got {len(codes)}. Give more rows."
            )
        rows = inner.ask(Cells(as_tensor(codes)), decoded)
        self.rotation_ = Rotation.fit(method, codes, rows)
        return self

    def score(self, X: Any, y: Any = None) -> float:
        r"""Return the share of the variation of rows that is reconstructed.

        The score is :math:`1 - \sum\|x - \hat x\|^2 / \sum\|x - \bar x\|^2` over the observed cells
        in encoded and scaled units, with the mean of the training rows. It compares autoencoders of
        any kind and size, and is used by ``cross_val_score``.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.
        y : None
            Ignored.

        Returns
        -------
        float
            1 for a perfect reconstruction, 0 for one as good as the mean, negative for a worse
            one. If all rows equal the mean, the score is 1 for a perfect reconstruction and 0
            otherwise.

        Raises
        ------
        DataError
            If the rows cannot be used.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.model_selection import cross_val_score
        >>> from latently import Autoencoder
        >>> X = load_iris().data
        >>> scores = cross_val_score(Autoencoder(2, max_epochs=100, random_state=0), X, cv=3)
        >>> scores.shape
        (3,)
        """
        left, whole = fitted_of(self).infer(X, variation_of).sum(0, dtype=np.float64)
        if whole == 0:
            return float(left == 0)
        return float(1 - left / whole)

    def sample(
        self,
        n_samples: int = 1,
        *,
        random_state: int | np.random.RandomState | None = None,
        support: SupportName = "column",
    ) -> Any:
        """Generate new rows from the prior of the code.

        A variational model draws codes from its standard normal prior. Other models draw them from
        a normal distribution fitted to the codes of the training rows.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows to generate.
        random_state : int, RandomState or None, default=None
            Random state. None gives other rows in each call.
        support : {"column", "free"}, default="column"
            "column" generates values that each column can hold: within the bounds of the training
            rows, on their grid of decimals or steps, with their point masses and their share of
            missing cells. "free" generates unrounded numbers from the decoder, and no missing
            cells.

        Returns
        -------
        ndarray, DataFrame, Table or image stack
            Rows in the columns, types and units of ``fit``.
        """
        check_fitted(self)
        check_parameters(
            {
                "n_samples": [Interval(Integral, 1, None, closed="left")],
                "random_state": ["random_state"],
            },
            {"n_samples": n_samples, "random_state": random_state},
            f"{type(self).__name__}.sample",
        )
        seed, latent = read_seed(random_state), self.module_.latent
        return fitted_of(self).generate(lambda n, _: latent.draw(n), n_samples, seed, support)
