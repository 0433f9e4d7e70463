"""Five named autoencoders, each of which fixes the network, the latent or the corruption."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from latently._renamed import renamed
from latently._sklearn import Interval, StrOptions, check_parameters
from latently._validation import check_fitted, is_target
from latently.estimators._protocol import AutoencoderTags, fitted_of
from latently.estimators._trained import TrainedAutoencoder
from latently.estimators.fit._baselines import Spectrum, automatic_components
from latently.estimators.fit._prepare import default_network
from latently.estimators.models._common_docs import document
from latently.estimators.models._plain import PlainAutoencoder
from latently.exceptions import DataError, ParameterError
from latently.nn import (
    LATENTS,
    AutoencoderModule,
    Cells,
    ConvNetwork,
    Corruption,
    Deterministic,
    DictionaryNetwork,
    Gaussian,
    GaussianNoise,
    Latent,
    Masking,
    Network,
    SparseLatent,
    SparseModule,
    VariationalModule,
)
from latently.preprocessing import LikelihoodChoice
from latently.training import TrainingOptions, checkpointing


@document
@dataclass(kw_only=True, eq=False, repr=False)
class Autoencoder(PlainAutoencoder):
    """Plain autoencoder, which reconstructs each row from a narrow code [2]_.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Size of the code. A larger code reconstructs better and summarises less.
        {auto}
    {common}
    {ordered}
    {latent}
    refinement_steps : int, default=0
        Number of gradient steps, at most 1,000, that improve each code after the encoder [3]_.
        They lower the reconstruction error of the row and leave the network as it is, so that
        codes lose the part that the encoder has overfitted. Ten steps cost about twenty times as
        much as encoding a row. Do not use them to detect anomalies, which are also reconstructed
        better.

    Attributes
    ----------
    {attributes}
    {curve}

    References
    ----------
    {adamw}
    .. [2] Hinton and Salakhutdinov (2006), Reducing the Dimensionality of Data with Neural
       Networks.
    .. [3] Kim, Wiseman, Miller, Sontag and Rush (2018), Semi-Amortized Variational Autoencoders.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> model = Autoencoder(2, max_epochs=5, random_state=0).fit(X)
    >>> model.transform(X).shape
    (150, 2)
    >>> model.reconstruct(X[:3]).shape
    (3, 4)
    """

    refinement_steps: int = 0

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **PlainAutoencoder._parameter_constraints,
        "refinement_steps": [Interval(Integral, 0, 1_000, closed="both")],
    }

    def _build_module(self, mean: Tensor) -> AutoencoderModule:
        module = super()._build_module(mean)
        if self.refinement_steps and not isinstance(module.latent, Deterministic):
            raise ParameterError(
                f"refinement_steps must be 0 with latent={self.latent!r:.60}, got "
                f"{self.refinement_steps}. Only plain codes are refined."
            )
        module.refinement_steps = int(self.refinement_steps)
        return module


@document
@dataclass(kw_only=True, eq=False, repr=False)
class VariationalAutoencoder(TrainedAutoencoder):
    r"""Variational autoencoder, whose prior over the code generates new rows [2]_.

    Training maximises the evidence lower bound, with a weight beta on the KL divergence [3]_:
    :math:`E_q[\log p(x|z)] - \beta\,\mathrm{KL}(q(z|x)\,\|\,p(z))`. The noise scale of each
    numeric column is learnt with the network [4]_.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Size of the code. "auto" takes the number of components with which a PCA keeps 90 % of
        the variance, at most 64. Components that are not needed collapse to the prior.
    {common}
    beta : float, default=1.0
        Weight of the KL divergence, where 1 gives the ELBO. A larger weight favours independent
        components and blurs the reconstruction.
    kl_warmup : float, default=0.25
        Fraction of the training, in [0, 1], over which the weight rises linearly from zero to
        ``beta``. It prevents components from collapsing to the prior at the start.
    free_bits : float, default=0.0
        KL divergence in nats that each component may have without penalty. It prevents components
        from collapsing to the prior.
    n_importance : int, default=1
        Number of importance samples of each code in the training objective [5]_, reached in the
        second half of the training. More samples tighten the bound on log p(x) and cost time.
    binarize : bool, default=False
        If True, treat each pixel as a Bernoulli variable whose probability is its grey level,
        resampled in every batch. The model then learns the distribution of binary images.
    learn_scale : bool, default=True
        If True, learn the noise scale of each numeric column of a "gaussian" likelihood [4]_. If
        False, fix it at one standard deviation of the column, where components easily collapse.

    Attributes
    ----------
    {attributes}

    References
    ----------
    {adamw}
    .. [2] Kingma and Welling (2014), Auto-Encoding Variational Bayes.
    .. [3] Higgins et al. (2017), beta-VAE.
    .. [4] Rybkin, Daniilidis and Levine (2021), Simple and Effective VAE Training with Calibrated
       Decoders.
    .. [5] Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> model = VariationalAutoencoder(2, max_epochs=5, random_state=0).fit(X)
    >>> model.sample(3, random_state=0).shape
    (3, 4)
    """

    beta: float = 1.0
    kl_warmup: float = 0.25
    free_bits: float = 0.0
    n_importance: int = 1
    binarize: bool = False
    learn_scale: bool = True

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TrainedAutoencoder._parameter_constraints,
        "beta": [Interval(Real, 0, None, closed="left")],
        "kl_warmup": [Interval(Real, 0, 1, closed="both")],
        "free_bits": [Interval(Real, 0, None, closed="left")],
        "n_importance": [Interval(Integral, 1, None, closed="left")],
        "binarize": ["boolean"],
        "learn_scale": ["boolean"],
    }
    _searched: ClassVar[dict[str, Any]] = {"kl_warmup": (0.0, 0.5), "n_importance": [1, 5]}

    def _make_network(self) -> Network:
        if self.network is not None:
            return self.network
        chosen = default_network(self.preprocessor_.layout)
        # With a linear path or dropout, components without information do not collapse.
        return replace(chosen, linear_path=False, dropout=0.0)

    def _build_module(self, mean: Tensor) -> AutoencoderModule:
        plain = super()._build_module(mean)
        kinds = {block.likelihood for block in plain.likelihood.layout.blocks}
        if self.binarize and kinds != {"bernoulli"}:
            raise ParameterError(
                "binarize=True needs pixels, or numbers in [0, 1] on one common scale, got "
                f"{', '.join(sorted(kinds))} columns. Leave binarize=False."
            )
        return VariationalModule(
            plain.encoder, cast(Gaussian, plain.latent), plain.decoder, plain.likelihood, mean,
            int(self.n_importance), bool(self.binarize),
        )  # fmt: skip

    def _make_latent(self, n_components: int) -> Latent:
        settings = float(self.beta), float(self.kl_warmup), float(self.free_bits)
        return Gaussian(n_components, *settings)

    @renamed(n_samples="n_draws")
    def score_samples(self, X: Any, n_draws: int = 16) -> np.ndarray:
        """Return a lower bound on the log-likelihood of each row, by importance sampling.

        The random state of the draws depends on the row alone. Scores are therefore repeatable and
        do not depend on the batch. Missing cells are marginalised by leaving them out of the sum.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.
        n_draws : int, default=16
            Number of draws from the posterior of each row. One draw gives the ELBO. More draws
            tighten the bound towards log p(x) [1]_, at a time proportional to their number.

        Returns
        -------
        ndarray of shape (n_samples,)
            Lower bound in nats, where higher is more normal.

        References
        ----------
        .. [1] Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders.
        """
        limits = {"n_draws": [Interval(Integral, 1, None, closed="left")]}
        check_parameters(limits, {"n_draws": n_draws}, "score_samples")

        def evidence(module: AutoencoderModule, cells: Cells) -> Tensor:
            return cast(VariationalModule, module).log_evidence(cells, n_draws)

        return fitted_of(self).infer_by_noise(X, evidence)

    def __sklearn_tags__(self) -> AutoencoderTags:
        tags = super().__sklearn_tags__()
        tags.scorings = (*tags.scorings, "elbo")
        tags.has_posterior, tags.learns_scale = True, self.learn_scale
        return tags


@partial(document, network="``DictionaryNetwork()``", learning_rate="8e-3")
@dataclass(kw_only=True, eq=False, repr=False)
class SparseAutoencoder(TrainedAutoencoder):
    """Sparse autoencoder, with a wide code of which few components are active in a row [2]_.

    With ``network=None`` the model is a dictionary: a row is a sum of few atoms of norm one with
    non-negative weights. Every component can then be shown as its atom. With ``likelihood="auto"``
    numbers have a "gaussian" likelihood, whose error is the squared difference.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Size of the code. "auto" takes four times the width of an encoded row, at most 1,024.
    {common}
    n_active : int or "auto", default="auto"
        Number of active components in a row. "auto" takes the number of components with which a
        PCA keeps 90 % of the variance. A larger number reconstructs better and is harder to
        interpret.
    sparsity : {"topk", "batchtopk", "jumprelu", "l1", "kl"}, default="topk"
        Method that makes the code sparse. "topk" keeps the ``n_active`` largest components of each
        row. "batchtopk" keeps the largest of all rows of a batch, ``n_active`` per row on average,
        so that complex rows get more than simple ones [3]_. "jumprelu" learns a threshold for each
        component [4]_. "l1" and "kl" are penalties, whose weight is adjusted until ``n_active``
        components are active, and which reconstruct worse.

    Attributes
    ----------
    {attributes}

    References
    ----------
    {adamw}
    .. [2] Makhzani and Frey (2014), k-Sparse Autoencoders.
    .. [3] Bussmann, Leask and Nanda (2024), BatchTopK Sparse Autoencoders.
    .. [4] Rajamanoharan et al. (2024), Jumping Ahead: Improving Reconstruction Fidelity with
       JumpReLU Sparse Autoencoders.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> model = SparseAutoencoder(16, n_active=2, max_epochs=5, random_state=0).fit(X)
    >>> int((model.transform(X) != 0).sum(1).max())
    2
    >>> model.dictionary_.shape
    (16, 4)
    """

    n_active: int | Literal["auto"] = "auto"
    sparsity: Literal["topk", "batchtopk", "jumprelu", "l1", "kl"] = "topk"
    learning_rate: float = 8e-3

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TrainedAutoencoder._parameter_constraints,
        "n_active": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "sparsity": [StrOptions(set(LATENTS))],
    }
    _searched: ClassVar[dict[str, Any]] = {"sparsity": ["topk", "batchtopk", "jumprelu"]}

    @property
    def dictionary_(self) -> np.ndarray:
        """Atoms of shape (n_components, n_encoded), each of norm one in encoded units.

        Raises
        ------
        NotFittedError
            If ``fit`` was not called.
        DataError
            If the model has a network other than a ``DictionaryNetwork``.
        """
        check_fitted(self)
        atoms = cast(SparseModule, self.module_).atoms
        if atoms is None:
            raise DataError(
                f"dictionary_ needs a DictionaryNetwork, got {type(self.network).__name__}. Leave "
                "network=None."
            )
        return np.asarray(atoms.detach().numpy())

    @property
    def _likelihood(self) -> LikelihoodChoice:
        chosen = super()._likelihood
        return "gaussian" if chosen == "auto" else chosen

    def _make_network(self) -> Network:
        return DictionaryNetwork() if self.network is None else self.network

    @property
    def can_copy_rows(self) -> bool:
        """False, because few components are active at once."""
        return False

    def _default_n_components(self, spectrum: Spectrum) -> int:
        auto = self.n_active == "auto"
        self.n_active_ = automatic_components(spectrum) if auto else int(self.n_active)
        if self.n_components != "auto":
            return int(self.n_components)
        return min(4 * self.preprocessor_.layout.width, 1024)

    def _make_latent(self, n_components: int) -> Latent:
        return LATENTS[self.sparsity](n_components, self.n_active_)

    def _build_module(self, mean: Tensor) -> AutoencoderModule:
        plain = super()._build_module(mean)
        return SparseModule(
            plain.encoder, cast(SparseLatent, plain.latent), plain.decoder, plain.likelihood, mean
        )

    def _options(self, n_rows: int, seed: int) -> TrainingOptions:
        options = super()._options(n_rows, seed)
        if not LATENTS[self.sparsity].is_steered:
            return options
        # Losses under a changing penalty are not comparable, so the last weights are kept.
        return replace(options, patience=None, keep_best=False)


@partial(document, network="``ConvNetwork()``")
@dataclass(kw_only=True, eq=False, repr=False)
class ConvolutionalAutoencoder(PlainAutoencoder):
    """Convolutional autoencoder for stacks of images.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Size of the code. A larger code reconstructs better and summarises less.
        {auto}
    {common}
    {ordered}
    {latent}

    Attributes
    ----------
    {attributes}
    {curve}

    References
    ----------
    {adamw}
    .. [2] Masci et al. (2011), Stacked Convolutional Auto-Encoders for Hierarchical Feature
       Extraction.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> images = load_digits().images[:100]
    >>> model = ConvolutionalAutoencoder(8, max_epochs=1, random_state=0).fit(images)
    >>> model.reconstruct(images[:3]).shape
    (3, 8, 8)
    """

    def _make_network(self) -> Network:
        return ConvNetwork() if self.network is None else self.network

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags


@partial(document, corruption="``Masking(0.2)``")
@dataclass(kw_only=True, eq=False, repr=False)
class DenoisingAutoencoder(PlainAutoencoder):
    """Denoising autoencoder, which reconstructs rows from corrupted ones [2]_.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Size of the code. A larger code reconstructs better and summarises less.
        {auto}
    {common}
    {ordered}
    {latent}

    Attributes
    ----------
    {attributes}
    {curve}

    References
    ----------
    {adamw}
    .. [2] Vincent et al. (2010), Stacked Denoising Autoencoders.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> model = DenoisingAutoencoder(2, max_epochs=5, random_state=0).fit(X)
    >>> X[0, 0] = np.nan
    >>> bool(np.isfinite(model.reconstruct(X)).all())
    True
    """

    _searched: ClassVar[dict[str, Any]] = {
        "corruption": [None, Masking(0.1), Masking(0.3), GaussianNoise(0.1)]
    }

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        checkpoint: str | Path | None = None,
    ) -> Self:
        """Fit the autoencoder to rows, or to pairs of noisy and clean rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), DataFrame, Table, image stack or dataset
            Clean rows, or noisy ones if ``y`` holds the clean ones. The corruption is applied to
            them in training.
        y : like X, array-like of shape (n_samples,) or None, default=None
            Rows to reconstruct, of the shape of ``X``. None reconstructs ``X``. Labels, of one axis
            or in one column, are used only by a ``splitter`` that needs them.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weight of each row, at least zero. None gives all rows the same weight.
        groups : array-like of shape (n_samples,) or None, default=None
            Group of each row. The rows of a group are either all held out or all trained on.
        checkpoint : str or Path or None, default=None
            Folder in which the training is saved and from which it is resumed. See
            ``checkpointing``. None saves nothing.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ParameterError
            If a parameter has a wrong value, or ``X`` is a dataset and ``y`` holds targets.
        DataError
            If the rows cannot be used, or do not match those of ``y``.
        DivergenceError
            If training diverged three times.
        ResourceError
            If the fit needs more memory than is free, or than ``max_memory`` allows.
        """
        if not is_target(X, y):
            return super().fit(X, y, sample_weight, groups=groups, checkpoint=checkpoint)
        with checkpointing(checkpoint):
            return self._fit(X, y, sample_weight, groups)

    def _make_corruption(self) -> Corruption | None:
        return Masking() if self.corruption is None else self.corruption

    def __sklearn_tags__(self) -> AutoencoderTags:
        tags = super().__sklearn_tags__()
        tags.is_denoiser = True  # inputs are always corrupted in training
        return tags
