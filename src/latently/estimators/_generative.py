"""Base class of autoencoders with a prior over the code: scores, samples and rotations."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any, Self, get_args

import numpy as np
import torch
from torch import Tensor

from latently._sklearn import Interval, StrOptions, check_parameters
from latently._validation import check_fitted, read_seed
from latently.estimators._base import BaseAutoencoder, SupportName, rounding_of, seeded
from latently.estimators._inference import (
    as_tensor,
    ask,
    code_of,
    decoded,
    drawn_code_of,
    reconstruction_of,
    variation_of,
)
from latently.estimators._rotation import Rotation, RotationName
from latently.estimators.fit._baselines import Spectrum, compare_with_baselines
from latently.estimators.fit._prepare import check_answer_memory
from latently.exceptions import DataError
from latently.nn import Cells, SparseLatent
from latently.preprocessing import TablePreprocessor
from latently.training import TrainingData

#: Generated rows that determine which values of a column become point masses.
_REFERENCE_ROWS = 4_096


class GenerativeAutoencoder(BaseAutoencoder):
    """Autoencoder whose code has a prior, so that it can be sampled, scored and rotated."""

    @property
    def _learns_scale(self) -> bool:
        """True if the noise scale of each numeric column is learnt, as in variational models."""
        return False

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
        codes = self._infer(X, code_of)
        if len(codes) < 2 * self.n_components_:
            raise DataError(
                f"A rotation of {self.n_components_} components needs at least "
                f"{2 * self.n_components_} rows, got {len(codes)}. Give more rows."
            )
        rows = self._ask(Cells(as_tensor(codes)), decoded)
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
        check_fitted(self)
        left, whole = self._infer(X, variation_of).sum(0, dtype=np.float64)
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
        seed = read_seed(random_state)
        return self._generate(lambda n, _: self.module_.latent.draw(n), n_samples, seed, support)

    def _compare_with_baselines(
        self, train_rows: TrainingData, valid_rows: TrainingData | None, spectrum: Spectrum
    ) -> None:
        """Set ``baselines_``, on the validation rows or, without any, on the training rows."""
        evaluated = train_rows if valid_rows is None else valid_rows
        reconstruction = ask(self.module_, evaluated.inputs, reconstruction_of)
        if isinstance(self.preprocessor_, TablePreprocessor):
            self.preprocessor_ = self.preprocessor_.calibrated(reconstruction.double().numpy())
        target = evaluated.take(slice(None)).target
        self.baselines_ = compare_with_baselines(
            self.module_,
            spectrum,
            target,
            reconstruction,
            "training" if valid_rows is None else "validation",
        )

    def _generate(
        self, draw: Callable[[int, int], Tensor], n_samples: int, seed: int, support: SupportName
    ) -> Any:
        """Return new rows, decoded from the codes that ``draw(n_samples, seed)`` returns.

        Point masses and missing cells are as frequent as in the training rows. A reference sample
        of the same generator determines which generated values become a point mass.
        """
        rounding = rounding_of(support, "sample")
        check_answer_memory(
            n_samples, self.preprocessor_.layout.width, f"Generating {n_samples:,} rows",
            "Generate fewer at a time",
        )  # fmt: skip
        with seeded(seed), torch.no_grad():
            values = self._generated(draw(n_samples, seed))
        preprocessor = self.preprocessor_
        if not isinstance(preprocessor, TablePreprocessor) or rounding == "free":
            return preprocessor.decode(values, rounding=rounding)
        if preprocessor.has_masses:
            with seeded(0), torch.no_grad():
                reference = self._generated(draw(_REFERENCE_ROWS, 0))
            preprocessor = preprocessor.calibrated(reference, generated=True)
        missing = preprocessor.draw_gaps(n_samples, np.random.default_rng(seed))
        return preprocessor.decode(values, rounding=rounding, missing=missing)

    def _generated(self, codes: Tensor) -> np.ndarray:
        """Return encoded rows of codes, with the noise of the likelihood if its scale is learnt."""
        parameters, likelihood = self.module_.decode(codes), self.module_.likelihood
        values, preprocessor = likelihood.mean(parameters), self.preprocessor_
        if self._learns_scale and isinstance(preprocessor, TablePreprocessor):
            # A grey pixel is its Bernoulli mean. A draw, 0 or 1, is not among the training values.
            n_grey = len(preprocessor.positions) if preprocessor.grey else 0
            values = torch.cat([values[:, :n_grey], likelihood.draw(parameters)[:, n_grey:]], 1)
        rows: np.ndarray = values.double().numpy()
        return rows

    def _draw_codes(self, X: Any) -> np.ndarray:
        """Return one draw from the posterior of the code of each row."""
        return self._infer_by_noise(X, drawn_code_of)
