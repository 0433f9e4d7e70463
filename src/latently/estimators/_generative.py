"""What a trained autoencoder answers beside its code: a score, new rows, other axes."""

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

#: Rows that a generator draws to find which of its numbers stand for a point mass.
_REFERENCE_ROWS = 4_096


class GenerativeAutoencoder(BaseAutoencoder):
    """The answers of models that were trained by gradient descent."""

    @property
    def _learns_scale(self) -> bool:
        """Whether the noise of each number is learnt; variational models need it."""
        return False

    def rotate_latents(self, X: Any, method: RotationName = "ica") -> Self:
        """Turn the axes of the code so that they can be read; no reconstruction changes.

        ``transform`` answers on the new axes from now on, with variance one on ``X`` and the axis
        that moves most first, and ``inverse_transform`` expects them.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``, a few hundred at least.
        method : {"ica", "varimax"}, default="ica"
            "ica" looks for axes that are independent of each other [1]_; "varimax" for axes that
            each move few columns [2]_.

        Returns
        -------
        self
            The model.

        Raises
        ------
        DataError
            If the code is sparse, whose axes are its meaning, or the rows are fewer than twice
            the components.

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
                "A sparse code cannot be rotated: its zeros would be lost. Use an Autoencoder, or "
                "read the code as it is."
            )
        codes = self._infer(X, code_of)
        if len(codes) < 2 * self.n_components_:
            raise DataError(
                f"A rotation of {self.n_components_} components needs at least "
                f"{2 * self.n_components_} rows, got {len(codes)}. Give more."
            )
        rows = self._ask(Cells(as_tensor(codes)), decoded)
        self.rotation_ = Rotation.fit(method, codes, rows)
        return self

    def score(self, X: Any, y: Any = None) -> float:
        r"""Return the share of the variation of rows that is rebuilt, as ``cross_val_score`` asks.

        :math:`1 - \sum\|x - \hat x\|^2 / \sum\|x - \bar x\|^2` over the observed cells, encoded and
        scaled as the network sees them, with the mean of the training rows. It compares kinds of
        autoencoder, and codes of any size.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.
        y : None
            Ignored.

        Returns
        -------
        float
            1 where every cell is rebuilt, 0 where the mean would do as well, below where it would
            do better. Rows that all equal the mean score 1 if they are rebuilt, else 0.

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

        A variational model draws codes from the standard normal that it was trained towards; any
        other from a normal fitted to the codes of its training rows.

        Parameters
        ----------
        n_samples : int, default=1
            Rows to generate.
        random_state : int, RandomState or None, default=None
            Seed; None differs from call to call.
        support : {"column", "free"}, default="column"
            "column" generates values that each column can hold: within the bounds of the training
            rows, on their grid of decimals or steps, with their point masses and as many gaps.
            "free" generates numbers as the decoder draws them, without gaps.

        Returns
        -------
        ndarray, DataFrame, Table or image stack
            In the columns, types and units of ``fit``.
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
        """Hold the model against the column means and PCA, on rows that it has not seen."""
        judged = train_rows if valid_rows is None else valid_rows
        rebuilt = ask(self.module_, judged.inputs, reconstruction_of)
        if isinstance(self.preprocessor_, TablePreprocessor):
            self.preprocessor_ = self.preprocessor_.calibrated(rebuilt.double().numpy())
        target = judged.take(slice(None)).target
        self.baselines_ = compare_with_baselines(
            self.module_,
            spectrum,
            target,
            rebuilt,
            "training" if valid_rows is None else "validation",
        )

    def _generate(
        self, draw: Callable[[int, int], Tensor], n_samples: int, seed: int, support: SupportName
    ) -> Any:
        """Return new rows, decoded from the codes that ``draw`` returns for a number and a seed.

        Point masses take as many rows of a reference sample of the same generator as they have
        training rows, and cells are left missing as often as there.
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
        """Return encoded rows of codes; with the noise of the likelihood, where it was learnt."""
        parameters, likelihood = self.module_.decode(codes), self.module_.likelihood
        values, preprocessor = likelihood.mean(parameters), self.preprocessor_
        if self._learns_scale and isinstance(preprocessor, TablePreprocessor):
            # The chance of a grey pixel is its grey; a coin would be none of the values seen.
            n_grey = len(preprocessor.positions) if preprocessor.grey else 0
            values = torch.cat([values[:, :n_grey], likelihood.draw(parameters)[:, n_grey:]], 1)
        rows: np.ndarray = values.double().numpy()
        return rows

    def _draw_codes(self, X: Any) -> np.ndarray:
        """Return a draw from the posterior of each row's code, as what is generated follows."""
        return self._infer_by_noise(X, drawn_code_of)
