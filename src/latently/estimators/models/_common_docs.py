"""The parameters that all autoencoders share, written once and put into each docstring."""

from __future__ import annotations

from typing import TypeVar

CATEGORIES = """\
max_categories : int, default=100
    Most categories kept of each column of texts or unordered categories, by frequency; the others
    count as one unknown value. More make the network wider and slower."""

LIMIT_CONSTRAINTS = """\
max_seconds : float or None, default=None
    Time to train for at most; the step that is being taken is finished, the best weights so far
    are kept, and a warning says so. None sets no limit.
max_memory : float or None, default=None
    Bytes that a fit may need, as estimated before anything is allocated; None allows what is
    free."""

KIND = """\
kind : {"auto", "images"}, default="auto"
    Arrays of three or four axes are images: "auto" takes unsigned integers and booleans, numbers
    within [0, 1] and whole numbers from 0 to 255, and refuses others, which may be windows of a
    series. "images" takes all."""

COMMON_PARAMETERS = """\
network : Network or None, default=None
    ``DenseNetwork``, ``ConvNetwork`` or ``CustomNetwork``; None takes {network}.
corruption : callable or None, default=None
    Done to the inputs in training only: ``Masking``, ``GaussianNoise``, ``SaltAndPepper`` or your
    own; None takes {corruption}.
likelihood : {{"auto", "gaussian", "bernoulli", "continuous_bernoulli", "discretized_logistic"}} \
or ColumnLikelihood, default="auto"
    Of numbers and pixels. "auto" is "bernoulli" for images and for tables whose numbers lie in
    [0, 1] on one common scale, else "gaussian". "continuous_bernoulli" is a density of grey in
    [0, 1]; "discretized_logistic", for images of whole numbers, gives each of them a chance and
    learns its spread. An object of a subclass of ``latently.nn.ColumnLikelihood`` is a likelihood
    of your own. Categories, booleans and dates have their own.
{kind}
{categories}
max_epochs : int or "auto", default="auto"
    Passes over the training rows. "auto" counts steps instead: a hundred passes, but at least
    2,000 and at most 10,000 steps. More fits closer, until early stopping ends it.
batch_size : int or "auto", default="auto"
    Rows a step; "auto" takes 16 to 1,024, growing with the table. Larger is faster a row and
    takes fewer steps a pass.
learning_rate : float, default={learning_rate}
    Highest rate of AdamW [1]_, after warm-up and before cosine decay. Too large diverges, too
    small needs more steps.
weight_decay : float, default=0.01
    Of matrices. More makes a smoother model.
gradient_clip : float or None, default=1.0
    Longest gradient; None clips nothing.
effort : {{"fast", "balanced", "thorough"}}, default="balanced"
    How many steps ``max_epochs="auto"`` takes: "fast" a quarter of them, "thorough" four times as
    many.
validation_fraction : float, default=0.1
    Share of rows held out to choose the best weights by, at most 20,000 rows; none of fewer than
    20 rows.
shuffle : bool, default=True
    False holds out the last rows instead of some drawn at random: the way to judge rows in the
    order of time.
splitter : splitter or None, default=None
    Any of scikit-learn's, such as ``TimeSeriesSplit()`` or ``GroupKFold()``, instead of the two
    before; its last split is taken.
refit : bool, default=False
    True trains again on all rows, for as many steps as were best, once they are known. Twice the
    time, and every row is learnt from; ``history_`` and ``baselines_`` stay those of the first.
patience : int or None, default=10
    Evaluations without a better validation loss, of about 50 a training, until it goes back to the
    best weights, brings the learning rate to zero in half as many, and stops early; None never
    stops early.
{limits}
engine : str or Engine, default="auto"
    Where to train: "auto", "cpu", "cuda", "mps", "torchrun", "ray" or an engine, such as
    ``RayEngine(4)``.
random_state : int, RandomState or None, default=None
    Seed of the split, the weights and the batches; the same seed gives the same model to the bit.
verbose : bool, default=False
    True shows a progress bar on stderr."""

AUTO = """\
"auto" trains codes of every size at once for two fifths of the steps [nested]_,
    up to twice and four more than a PCA needs to keep 90 % of the variance, at most 64, and takes
    the size at which their error on rows held out, or that of a PCA if it is smaller, bends; where
    it bends nowhere, the first to leave at most a tenth of the variation. Below 20 rows, in
    ``partial_fit`` and in ``fit_pairs``, it is what that PCA needs."""

ORDERED = """\
ordered : bool, default=False
    True sorts the components by what they say [nested]_, so that ``cut`` can drop the last ones of
    a fitted model. The whole code is rebuilt a little worse."""

LATENT = """\
latent : callable or None, default=None
    From a number of components to a ``latently.nn.Latent``: a subclass of it, or an object such as
    ``VectorQuantization()``. It replaces the plain code. ``n_components="auto"`` is then the
    number that a PCA needs. None keeps the plain code."""

CURVE = """\
components_curve_ : ComponentsCurve
    What codes of each size leave, and which was chosen why; of ``n_components="auto"`` and
    ``ordered=True``, where rows are rebuilt from themselves."""

NESTED = """\
.. [nested] Rippel, Gelbart and Adams (2014), Learning Ordered Representations with Nested
   Dropout."""

COMMON_ATTRIBUTES = """\
n_components_ : int
    Size of the code.
history_ : History
    Losses and learning rate at each evaluation, and why training ended.
baselines_ : Baselines
    Squared error of the column means, of PCA and of this model on the same validation rows.
module_ : AutoencoderModule
    The trained torch module.
preprocessor_ : Preprocessor
    Scaling and encoding of the columns.
interrupted_ : bool
    True where training was cut short by Ctrl-C.
n_features_in_ : int
    Columns, or pixels times channels, seen in ``fit``.
feature_names_in_ : ndarray of str
    Names of the columns, where the input had them."""

LOSHCHILOV = ".. [1] Loshchilov and Hutter (2019), Decoupled Weight Decay Regularization."

_DENSE = """\
``DenseNetwork()``; for rows
    of 32 pixels and more with batch normalisation, dropout of 0.05 and a linear path"""

Class = TypeVar("Class", bound=type)


def document(
    cls: Class, *, network: str = _DENSE, corruption: str = "none", learning_rate: str = "2e-3"
) -> Class:
    """Fill the marks ``{common}``, ``{kind}``, ``{limits}`` and others of a docstring."""
    common = COMMON_PARAMETERS.format(
        network=network,
        corruption=corruption,
        learning_rate=learning_rate,
        limits=LIMIT_CONSTRAINTS,
        kind=KIND,
        categories=CATEGORIES,
    )
    doc = cls.__doc__ or ""
    adamw = f"{LOSHCHILOV}\n{NESTED}" if "{ordered}" in doc else LOSHCHILOV
    for mark, text in (
        ("{common}", common), ("{limits}", LIMIT_CONSTRAINTS), ("{kind}", KIND),
        ("{common}", common), ("{limits}", LIMIT_CONSTRAINTS), ("{categories}", CATEGORIES),
        ("{attributes}", COMMON_ATTRIBUTES), ("{adamw}", adamw),
        ("{auto}", AUTO), ("{ordered}", ORDERED), ("{latent}", LATENT),
        ("{curve}", CURVE),
    ):  # fmt: skip
        doc = doc.replace(mark, text.replace("\n", "\n    "))
    cls.__doc__ = doc
    return cls
