"""The docstrings of parameters and attributes that several autoencoders share."""

from __future__ import annotations

from typing import TypeVar

CATEGORIES = """\
max_categories : int, default=100
    Maximum number of categories kept for each column of texts or unordered categories. The most
    frequent ones are kept, and all others become one unknown category. A larger number makes the
    network wider and slower."""

LIMITS = """\
time_limit : float or None, default=None
    Maximum training time in seconds. When it is exceeded, training ends after the current step,
    the best weights so far are kept and a warning is issued. None sets no limit.
max_memory : float or None, default=None
    Maximum memory of a fit in bytes. The need is estimated before anything is allocated. None
    allows the memory that is free."""

KIND = """\
kind : {"auto", "images"}, default="auto"
    Interpretation of arrays of three or four axes. "auto" takes them as images if they hold
    unsigned integers, booleans, numbers within [0, 1] or whole numbers from 0 to 255. It refuses
    all others, which may be windows of a series. "images" takes all of them as images."""

COMMON_PARAMETERS = """\
network : Network or None, default=None
    Architecture: a ``DenseNetwork``, ``ConvNetwork`` or ``CustomNetwork``. None uses {network}.
corruption : callable or None, default=None
    Corruption of the inputs, applied in training only: ``Masking``, ``GaussianNoise``,
    ``SaltAndPepper`` or a callable of your own. None uses {corruption}.
likelihood : {{"auto", "gaussian", "bernoulli", "continuous_bernoulli", "discretized_logistic"}} \
or ColumnLikelihood, default="auto"
    Likelihood of numbers and pixels. "auto" is "bernoulli" for images and for tables whose numbers
    are in [0, 1] on one common scale, and "gaussian" for all others. "continuous_bernoulli" is a
    density of grey levels in [0, 1]. "discretized_logistic" is for images of whole numbers: it
    gives each value a probability and learns the scale. An object of a subclass of
    ``latently.nn.ColumnLikelihood`` is a likelihood of your own. Categories, booleans and dates
    keep theirs.
{kind}
{categories}
max_epochs : int or "auto", default="auto"
    Number of passes over the training rows. "auto" counts steps instead: 100 passes, but at least
    2,000 and at most 10,000 steps. A larger number fits closer, until early stopping ends the
    training.
batch_size : int or "auto", default="auto"
    Rows per step. "auto" takes 16 to 1,024, growing with the number of training rows. A larger
    batch costs less time per row and takes fewer steps per pass.
learning_rate : float, default={learning_rate}
    Maximum learning rate of AdamW [1]_, reached after a warm-up and followed by cosine decay. A
    rate that is too large diverges, and one that is too small needs more steps.
weight_decay : float, default=0.01
    Weight decay of weight matrices. A larger value makes a smoother model.
gradient_clip : float or None, default=1.0
    Maximum norm of the gradient. None turns clipping off.
effort : {{"fast", "balanced", "thorough"}}, default="balanced"
    Multiplier of the steps of ``max_epochs="auto"``: "fast" takes a quarter of them, "thorough"
    four times as many.
validation_fraction : float, default=0.1
    Fraction of the rows held out to select the best weights, at most 20,000 rows. Fewer than 20
    rows are not split.
shuffle : bool, default=True
    If True, held-out rows are drawn at random. If False, the last rows are held out, which suits
    rows in the order of time.
splitter : splitter or None, default=None
    A splitter of scikit-learn, such as ``TimeSeriesSplit()`` or ``GroupKFold()``, in place of
    ``validation_fraction`` and ``shuffle``. Its last split is used.
refit : bool, default=False
    If True, train again on all rows for the number of steps that was best. This doubles the time
    and uses every row. ``history_`` and ``baselines_`` remain from the first training.
patience : int or None, default=10
    Number of evaluations without a lower validation loss, out of about 50 in a training, before
    early stopping. Training then returns to the best weights, decays the learning rate to zero
    over half as many evaluations, and ends. None turns early stopping off.
{limits}
engine : str or Engine, default="auto"
    Where to train: "auto", "cpu", "cuda", "mps", "torchrun", "ray" or an engine, such as
    ``RayEngine(4)``.
random_state : int, RandomState or None, default=None
    Random state of the split, the initial weights and the batches. The same seed gives a model
    with bitwise equal weights.
verbose : bool, default=False
    If True, show a progress bar on stderr."""

AUTO = """\
"auto" trains codes of all sizes at once for two fifths of the steps [nested]_.
    The largest size is twice the number of components with which a PCA keeps 90 % of the
    variance, plus four, and at most 64. "auto" selects the size at which the curve of the held-out
    error bends, where a PCA counts if its error is lower. If the curve does not bend, it selects
    the first size that leaves at most a tenth of the variation. With fewer than 20 rows, in
    ``partial_fit`` and with targets, it is the number of components of that PCA."""

ORDERED = """\
ordered : bool, default=False
    If True, sort the components by importance [nested]_, so that ``cut`` can drop the last ones of
    a fitted model. The reconstruction from the whole code becomes slightly worse."""

LATENT = """\
latent : callable or None, default=None
    From a number of components to a ``latently.nn.Latent``: a subclass of it, or an object such as
    ``VectorQuantization()``. It replaces the plain code. ``n_components="auto"`` is then the
    number that a PCA needs. None keeps the plain code."""

CURVE = """\
components_curve_ : ComponentsCurve
    Share of the variation left by codes of each size, the selected size and the reason. Present
    with ``n_components="auto"`` or ``ordered=True``, if rows are reconstructed from themselves."""

NESTED = """\
.. [nested] Rippel, Gelbart and Adams (2014), Learning Ordered Representations with Nested
   Dropout."""

COMMON_ATTRIBUTES = """\
n_components_ : int
    Size of the code.
history_ : History
    Losses and learning rate at each evaluation, and the reason why training ended.
baselines_ : Baselines
    Squared error of the column means, of a PCA and of this model on the same validation rows.
module_ : AutoencoderModule
    The trained torch module.
preprocessor_ : Preprocessor
    Scaling and encoding of the columns.
interrupted_ : bool
    True if training was interrupted by Ctrl-C.
n_features_in_ : int
    Number of columns, or of pixels times channels, seen in ``fit``.
feature_names_in_ : ndarray of str
    Names of the columns. Present if the input had names."""

LOSHCHILOV = ".. [1] Loshchilov and Hutter (2019), Decoupled Weight Decay Regularization."

_DENSE = """\
``DenseNetwork()``. Rows
    of 32 pixels or more get one with batch normalisation, dropout of 0.05 and a linear path"""

Class = TypeVar("Class", bound=type)


def document(
    cls: Class,
    *,
    network: str = _DENSE,
    corruption: str = "no corruption",
    learning_rate: str = "2e-3",
) -> Class:
    """Replace the placeholders ``{common}``, ``{kind}``, ``{limits}`` and others of a docstring."""
    common = COMMON_PARAMETERS.format(
        network=network,
        corruption=corruption,
        learning_rate=learning_rate,
        limits=LIMITS,
        kind=KIND,
        categories=CATEGORIES,
    )
    doc = cls.__doc__ or ""
    adamw = f"{LOSHCHILOV}\n{NESTED}" if "{ordered}" in doc else LOSHCHILOV
    for mark, text in (
        ("{common}", common), ("{limits}", LIMITS), ("{kind}", KIND), ("{categories}", CATEGORIES),
        ("{attributes}", COMMON_ATTRIBUTES), ("{adamw}", adamw),
        ("{auto}", AUTO), ("{ordered}", ORDERED), ("{latent}", LATENT),
        ("{curve}", CURVE),
    ):  # fmt: skip
        doc = doc.replace(mark, text.replace("\n", "\n    "))
    cls.__doc__ = doc
    return cls
