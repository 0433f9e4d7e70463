"""The five named autoencoders: each fixes one axis of Network x Latent x Corruption."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, cast

import numpy as np
from torch import Tensor

from latently._sklearn import Interval, StrOptions, check_parameters
from latently._validation import check_fitted
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
    Latent,
    Masking,
    Network,
    SparseLatent,
    SparseModule,
    VariationalModule,
)
from latently.preprocessing import LikelihoodChoice
from latently.training import TrainingOptions


@document
@dataclass(kw_only=True, eq=False, repr=False)
class Autoencoder(PlainAutoencoder):
    """The plain autoencoder: squeeze each row through a narrow code and rebuild it [2]_.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Size of the code. {auto} More rebuilds better and summarises less.
    {common}
    {ordered}
    {latent}
    refinement_steps : int, default=0
        Steps, at most 1,000, that each code descends from the encoder's answer towards the code
        that is rebuilt best [3]_. A trained network is not touched, but its codes lose what the
        encoder has overfitted; 10 steps cost about twenty times what encoding a row does. Not
        for finding anomalies: they are rebuilt better, too.

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
    r"""The variational autoencoder: codes under a prior, so that new rows can be drawn [2]_.

    Training maximises the evidence lower bound, with beta in front of the KL [3]_:
    :math:`E_q[\log p(x|z)] - \beta\,\mathrm{KL}(q(z|x)\,\|\,p(z))`. The noise of each numeric
    column is learnt beside the network [4]_.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Size of the code. "auto" takes as many as a PCA needs to keep 90 % of the variance, at
        most 64. Components that are not needed fall back to the prior.
    {common}
    beta : float, default=1.0
        Weight of the KL; 1 is the ELBO. More presses for independent components and blurs the
        reconstruction.
    kl_warmup : float, default=0.25
        Share of the training over which beta rises from zero, in [0, 1]; guards against codes that
        collapse at the start.
    free_bits : float, default=0.0
        Nats that each component may use unpunished; guards against components that collapse.
    n_importance : int, default=1
        Draws of each code, whose weights tighten the bound that is descended [5]_; they grow to
        this number in the second half of the training. More fits log p(x) closer, and costs time.
    binarize : bool, default=False
        True takes each pixel for a coin with its grey level as chance, tossed anew in every batch:
        what is learnt is the distribution of black and white images.
    learn_scale : bool, default=True
        Learn the noise of each number of a "gaussian" likelihood [4]_; False fixes it at one
        standard deviation of the column, where codes easily collapse.

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

    @property
    def _learns_scale(self) -> bool:
        return self.learn_scale

    def _make_network(self) -> Network:
        if self.network is not None:
            return self.network
        chosen = default_network(self.preprocessor_.layout)
        # A linear path and dropout keep codes alive that carry nothing.
        return replace(chosen, linear_path=False, dropout=0.0)

    def _build_module(self, mean: Tensor) -> AutoencoderModule:
        plain = super()._build_module(mean)
        kinds = {block.likelihood for block in plain.likelihood.layout.blocks}
        if self.binarize and kinds != {"bernoulli"}:
            raise ParameterError(
                "binarize=True needs pixels, or numbers in [0, 1] on one common scale, got "
                f"{', '.join(sorted(kinds))} columns. Drop it."
            )
        return VariationalModule(
            plain.encoder, cast(Gaussian, plain.latent), plain.decoder, plain.likelihood, mean,
            int(self.n_importance), bool(self.binarize),
        )  # fmt: skip

    def _make_latent(self, n_components: int) -> Latent:
        settings = float(self.beta), float(self.kl_warmup), float(self.free_bits)
        return Gaussian(n_components, *settings)

    def score_samples(self, X: Any, n_samples: int = 16) -> np.ndarray:
        """Return a lower bound of each row's log-likelihood, by importance sampling.

        The draws of a row depend on nothing but the row, so that scores are repeatable and a row
        scores alone as it does in company. Missing cells are integrated out by leaving them
        out.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.
        n_samples : int, default=16
            Draws from the posterior of each row. 1 gives the ELBO; more tightens the bound
            towards log p(x) [1]_ and costs as much more time.

        Returns
        -------
        ndarray of shape (n_samples,)
            In nats; higher is more normal.

        References
        ----------
        .. [1] Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders.
        """
        check_fitted(self)
        limits = {"n_samples": [Interval(Integral, 1, None, closed="left")]}
        check_parameters(limits, {"n_samples": n_samples}, "score_samples")

        def evidence(module: AutoencoderModule, cells: Cells) -> Tensor:
            return cast(VariationalModule, module).log_evidence(cells, n_samples)

        return self._infer_by_noise(X, evidence)


@partial(document, network="``DictionaryNetwork()``", learning_rate="8e-3")
@dataclass(kw_only=True, eq=False, repr=False)
class SparseAutoencoder(TrainedAutoencoder):
    """The sparse autoencoder: a wide code of which few components are active in any row [2]_.

    Without a network of yours it is a dictionary: rows are sums of few atoms of length one, each
    with a weight of at least zero, so that every component has a picture of its own. Numbers are
    judged by squared errors.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Size of the code. "auto" takes four times the width of an encoded row, at most 1,024.
    {common}
    n_active : int or "auto", default="auto"
        Components to be active in a row; "auto" takes as many as a PCA needs to keep 90 % of the
        variance. More rebuilds better and reads worse.
    sparsity : {"topk", "batchtopk", "jumprelu", "l1", "kl"}, default="topk"
        "topk" keeps the largest ``n_active`` components of each row; "batchtopk" the largest of
        all rows together, so that busy rows get more than quiet ones, on average as many [3]_;
        "jumprelu" learns a threshold for each component [4]_; "l1" and "kl" are the textbook's
        penalties, steered until as many are active, and rebuild worse.

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

    @property
    def dictionary_(self) -> np.ndarray:
        """The atoms, (n_components, n_encoded), each of length one in encoded units.

        Raises
        ------
        NotFittedError
            If ``fit`` was not called.
        DataError
            If the model was given a network of its own, which has none.
        """
        check_fitted(self)
        atoms = cast(SparseModule, self.module_).atoms
        if atoms is None:
            raise DataError("A network of your own has no dictionary. Leave network=None.")
        return np.asarray(atoms.detach().numpy())

    @property
    def _likelihood(self) -> LikelihoodChoice:
        chosen = super()._likelihood
        return "gaussian" if chosen == "auto" else chosen

    def _make_network(self) -> Network:
        return DictionaryNetwork() if self.network is None else self.network

    @property
    def can_copy_rows(self) -> bool:
        """False: few components are active at once."""
        return False

    def _default_n_components(self, spectrum: Spectrum) -> int:
        auto = self.n_active == "auto"
        self.n_active_ = automatic_components(spectrum) if auto else int(self.n_active)
        if self.n_components != "auto":
            return int(self.n_components)
        return min(4 * self.preprocessor_.layout.width, 1024)

    def _make_latent(self, n_components: int) -> Latent:
        return LATENTS[self.sparsity](n_components, self.n_active_)

    def _create_module(self, spectrum: Spectrum, cells: Cells) -> None:
        super()._create_module(spectrum, cells)
        cast(SparseModule, self.module_).set_scale(spectrum.mean_square)

    def _build_module(self, mean: Tensor) -> AutoencoderModule:
        plain = super()._build_module(mean)
        return SparseModule(
            plain.encoder, cast(SparseLatent, plain.latent), plain.decoder, plain.likelihood, mean
        )

    def _options(self, n_rows: int, seed: int) -> TrainingOptions:
        options = super()._options(n_rows, seed)
        if not LATENTS[self.sparsity].is_steered:
            return options
        # Losses under a moving penalty do not compare: the last weights are the ones to keep.
        return replace(options, patience=None, keep_best=False)


@partial(document, network="``ConvNetwork()``")
@dataclass(kw_only=True, eq=False, repr=False)
class ConvolutionalAutoencoder(PlainAutoencoder):
    """The convolutional autoencoder: for stacks of images.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Size of the code. {auto} More rebuilds better and summarises less.
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
    """The denoising autoencoder: rebuild rows from corrupted ones [2]_.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Size of the code. {auto} More rebuilds better and summarises less.
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

    @property
    def is_denoiser(self) -> bool:
        """True: some noise is put on in training in any case."""
        return True

    def _make_corruption(self) -> Corruption | None:
        return Masking() if self.corruption is None else self.corruption
