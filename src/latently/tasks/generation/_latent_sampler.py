"""New rows from the density of the codes."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import torch

from latently._notices import each_once
from latently._sklearn import Interval, StrOptions, check_parameters
from latently._validation import check_fitted, read_seed
from latently.estimators import (
    BaseAutoencoder,
    SupportName,
    VariationalAutoencoder,
    code_of,
    fitted_of,
    tags_of,
)
from latently.exceptions import DataError, ParameterError
from latently.preprocessing import is_missing
from latently.schema import unmasked
from latently.tasks._base import AutoencoderTask
from latently.tasks.generation._density import Density, DensityName, fit_density


@dataclass(kw_only=True, eq=False, repr=False)
class LatentSampler(AutoencoderTask):
    """Generate rows: a density is fitted to the codes, drawn from and decoded [1]_.

    Works with any autoencoder that decodes, also without a prior. A variational one improves if
    its codes do not match the prior. With ``conditional=True`` each class has a density of its
    own, so that rows of a wanted class can be drawn.

    Parameters
    ----------
    autoencoder : autoencoder or None, default=None
        A copy is fitted, or the autoencoder is used as it is if already fitted. None uses
        ``VariationalAutoencoder()``.
    random_state : int, RandomState or None, default=None
        Seed of the autoencoder and of the mixture.
    effort : {"fast", "balanced", "thorough"} or None, default=None
        Training effort of the autoencoder: a quarter, all or four times its default. None keeps the
        setting of the autoencoder.
    kind : {"auto", "images"}, default="auto"
        "images" treats every array of three or four axes as images. "auto" keeps the ``kind`` of
        the autoencoder.
    density : {"mixture", "kernel"}, default="mixture"
        A mixture of normals, or a normal around the code of every row, whose width maximises the
        likelihood of left-out codes. Samples of "kernel" are nearer to the training rows.
    n_modes : int, default=10
        Largest number of normals in the mixture, reduced if there are fewer than twenty rows each.
        A larger number fits the codes more closely.
    conditional : bool, default=False
        True fits a density to each class of ``y``. A class of one row is drawn around that row, as
        wide as the kernel density of all rows.

    Attributes
    ----------
    autoencoder_ : autoencoder
        The fitted autoencoder.
    weights_ : ndarray of shape (n_modes,)
        Shares of the modes.
    means_ : ndarray of shape (n_modes, n_components)
        Their centres, in code units.
    factors_ : ndarray of shape (n_shapes, n_components, n_components)
        Cholesky factors of covariances.
    shapes_ : ndarray of int, shape (n_modes,)
        Which of the factors each mode has.
    classes_ : ndarray of shape (n_classes,)
        The classes of ``y``, of a conditional sampler.
    class_of_mode_ : ndarray of shape (n_modes,)
        Which of the classes each mode belongs to, of a conditional sampler.
    n_features_in_ : int
        Columns seen in ``fit``.
    feature_names_in_ : ndarray of str
        Names of the columns, where the input had them.

    References
    ----------
    .. [1] Ghosh et al. (2020), From Variational to Deterministic Autoencoders.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> sampler = LatentSampler(random_state=0).fit(load_iris().data)
    >>> sampler.sample(5, random_state=0).shape
    (5, 4)
    """

    density: DensityName = "mixture"
    n_modes: int = 10
    conditional: bool = False

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **AutoencoderTask._parameter_constraints,
        "density": [StrOptions({"mixture", "kernel"})],
        "n_modes": [Interval(Integral, 1, None, closed="left")],
        "conditional": ["boolean"],
    }

    _fitted_types: ClassVar[dict[str, type | tuple[type, ...]]] = {
        **AutoencoderTask._fitted_types,
        "weights_": np.ndarray,
        "means_": np.ndarray,
        "factors_": np.ndarray,
        "shapes_": np.ndarray,
    }
    _optional_types: ClassVar[dict[str, type | tuple[type, ...]]] = {
        **AutoencoderTask._optional_types,
        "classes_": np.ndarray,
        "class_of_mode_": np.ndarray,
    }

    def _default_autoencoder(self) -> BaseAutoencoder:
        return VariationalAutoencoder()

    @each_once()
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the density of the codes.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows to imitate.
        y : array-like of shape (n_samples,) or None, default=None
            Class of each row if ``conditional`` is True, ignored otherwise.

        Returns
        -------
        self
            The fitted sampler.

        Raises
        ------
        DataError
            If the rows cannot be used, the autoencoder cannot decode, or classes are missing.
        """
        model = self._fit_autoencoder(X)
        if not tags_of(model).decodes_codes:
            raise DataError(
                f"{type(model).__name__} cannot decode codes that are drawn. Use a "
                "VariationalAutoencoder or an Autoencoder."
            )
        codes, seed = fitted_of(model).draw_codes(X), read_seed(self.random_state)
        codes = codes.astype(np.float64)
        if self.conditional:
            self._fit_classes(codes, _classes_of(y, len(codes)), seed)
        else:
            self._keep([fit_density(codes, self.density, self.n_modes, seed)], [1.0])
        return self

    def _fit_classes(self, codes: np.ndarray, y: np.ndarray, seed: int) -> None:
        self.classes_, which = np.unique(y, return_inverse=True)
        parts = [codes[which == place] for place in range(len(self.classes_))]
        found = [self._of_class(part, codes, seed) for part in parts]
        self._keep(found, [len(part) / len(codes) for part in parts])
        sizes = [len(one.weights) for one in found]
        self.class_of_mode_ = np.repeat(np.arange(len(found)), sizes)

    def _of_class(self, part: np.ndarray, codes: np.ndarray, seed: int) -> Density:
        """Return the density of a class, with the width of all rows for a class of one row."""
        if len(part) > 1:
            return fit_density(part, self.density, self.n_modes, seed)
        around = fit_density(codes, "kernel", 1, seed)
        return around._replace(weights=np.ones(1), means=part, shapes=np.zeros(1, dtype=np.intp))

    def _keep(self, found: list[Density], shares: list[float]) -> None:
        """Put densities side by side."""
        self.weights_ = np.concatenate(
            [share * one.weights for share, one in zip(shares, found, strict=True)]
        )
        self.means_ = np.concatenate([one.means for one in found])
        self.factors_ = np.concatenate([one.factors for one in found])
        before = np.cumsum([0, *(len(one.factors) for one in found[:-1])])
        self.shapes_ = np.concatenate(
            [one.shapes + start for one, start in zip(found, before, strict=True)]
        )

    def _check_consistent(self) -> None:
        super()._check_consistent()
        if not tags_of(self.autoencoder_).decodes_codes:
            raise DataError("The model's autoencoder_ cannot decode codes that are drawn.")
        self._density.check_consistent(self.autoencoder_.n_components_)
        has_classes = hasattr(self, "classes_") and hasattr(self, "class_of_mode_")
        if has_classes != self.conditional:
            raise DataError("The model's classes do not fit together.")
        if has_classes:
            self._check_classes()

    def _check_classes(self) -> None:
        """Raise DataError unless each class has modes, and each mode a class."""
        n_classes, classes, modes = len(self.classes_), self.classes_, self.class_of_mode_
        sound = (
            classes.ndim == 1
            and len(set(classes.tolist())) == n_classes
            and modes.dtype.kind in "iu"
            and modes.shape == self.weights_.shape
            and set(modes.tolist()) == set(range(n_classes))
        )
        if not sound:
            raise DataError("The model's classes do not fit together.")

    @property
    def _density(self) -> Density:
        return Density(self.weights_, self.means_, self.factors_, self.shapes_)

    def sample(
        self,
        n_samples: int = 1,
        *,
        y: Any = None,
        random_state: int | np.random.RandomState | None = None,
        support: SupportName = "column",
    ) -> Any:
        """Generate rows.

        Parameters
        ----------
        n_samples : int, default=1
            Rows to generate.
        y : object or array-like of shape (n_samples,), default=None
            Class of all rows, or of each row, for a conditional sampler. None draws classes with
            their frequencies in ``fit``.
        random_state : int, RandomState or None, default=None
            Seed. None differs from call to call.
        support : {"column", "free"}, default="column"
            "column" generates values that each column can hold, with as many gaps as the training
            rows. "free" generates numbers as the decoder draws them, without gaps.

        Returns
        -------
        ndarray, DataFrame, Table or image stack
            In the columns, types and units of ``fit``.

        Raises
        ------
        ParameterError
            If a class is unknown, or the sampler knows none.
        """
        check_fitted(self)
        limits = {"n_samples": [Interval(Integral, 1, None, closed="left")]}
        check_parameters(limits, {"n_samples": n_samples}, "LatentSampler.sample")

        def draw(n: int, seed: int) -> torch.Tensor:
            rng = np.random.default_rng(seed)
            asked = y is not None and n == n_samples
            codes = self._of(y, n, rng) if asked else self._density.draw(n, rng)
            return torch.from_numpy(codes).float()

        seed = read_seed(random_state)
        return fitted_of(self.autoencoder_).generate(draw, n_samples, seed, support)

    def _of(self, y: Any, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Draw codes of wanted classes."""
        if not self.conditional:
            raise ParameterError(
                "y needs a sampler that was fitted with conditional=True. Drop it, or fit again."
            )
        wanted = np.broadcast_to(np.asarray(y), (n_samples,))
        unknown = sorted({str(label) for label in wanted} - {str(c) for c in self.classes_})
        if unknown:
            raise ParameterError(
                f"y names classes that fit did not see: {', '.join(unknown[:5])}. There are "
                f"{', '.join(str(c) for c in self.classes_[:8])}."
            )
        codes = np.empty((n_samples, self.means_.shape[1]))
        for place, label in enumerate(self.classes_):
            rows, modes = np.flatnonzero(wanted == label), self.class_of_mode_ == place
            own = self._density._replace(
                weights=self.weights_[modes], means=self.means_[modes], shapes=self.shapes_[modes]
            )
            codes[rows] = own.draw(len(rows), rng)
        return codes

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log density of each row's code.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray of shape (n_samples,)
            Log-densities in nats. Higher is more typical.
        """
        check_fitted(self)
        codes = fitted_of(self.autoencoder_).infer(X, code_of)
        return self._density.log_density(codes.astype(np.float64))


def _classes_of(y: Any, n_rows: int) -> np.ndarray:
    """Return the class of each row."""
    if y is None:
        raise DataError("A conditional sampler needs the class of each row. Give y.")
    classes = unmasked(y, "y").ravel()
    if len(classes) != n_rows:
        raise DataError(f"y must have one class a row, got {len(classes)} for {n_rows} rows.")
    missing = [row for row, label in enumerate(classes.tolist()) if is_missing(label)]
    if missing:
        raise DataError(
            f"y must have a class for each row, got none in {len(missing):,} rows, the first of "
            f"them row {missing[0]}. Leave those rows out."
        )
    try:
        np.unique(classes)
    except TypeError:
        raise DataError(
            "y must hold labels of one type, got a mixture. Give all of them as texts."
        ) from None
    return classes
