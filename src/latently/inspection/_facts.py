"""``inspect``: a fitted model, its training and its error compared with PCA."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from latently._tabular import Answer
from latently._validation import check_fitted
from latently.estimators import BaseAutoencoder, ComponentsCurve
from latently.inspection._usage import count_used_components
from latently.schema import ImageSpec

#: Attributes of a column in the description.
_COLUMN = ("name", "kind", "likelihood")
_PLAIN = (str, int, float, bool, type(None))


@dataclass(frozen=True)
class ColumnFacts:
    """One column of the table, or all pixels of the images together.

    Attributes
    ----------
    name : str
        Name of the column. Unnamed columns are ``x0``, ``x1`` and so on.
    kind : str
        Arrow type of the column in ``fit``, or NumPy dtype for arrays.
    likelihood : {"gaussian", "bernoulli", "categorical"}
        Likelihood that measures its reconstruction error.
    """

    name: str
    kind: str
    likelihood: str


@dataclass(frozen=True)
class TrainingFacts:
    """Summary of the training.

    Attributes
    ----------
    n_steps : int
        Optimiser steps taken.
    best_step : int
        Step whose parameters were kept.
    stopped : str
        Reason for the end: "finished", "early stopping" or "interrupted".
    seconds : float or None
        Duration of the training. None if the model file does not store it.
    train_loss, valid_loss : float or None
        Losses at the best step, in nats per column. None if they were not recorded.
    events : tuple of str
        Roll-backs to an earlier step after the loss diverged.
    """

    n_steps: int
    best_step: int
    stopped: str
    seconds: float | None
    train_loss: float | None
    valid_loss: float | None
    events: tuple[str, ...] = ()


@dataclass(frozen=True)
class BaselineFacts:
    """Mean squared error per encoded cell of three reconstructions of the same rows.

    Attributes
    ----------
    mean, pca, autoencoder : float
        Errors of the column means, of a PCA with the same number of components, and of the model.
    n_rows : int
        Number of rows.
    rows : {"validation", "training"}
        Origin of the rows.
    conclusion : str
        Summary of the comparison.
    """

    mean: float
    pca: float
    autoencoder: float
    n_rows: int
    rows: str
    conclusion: str


@dataclass(frozen=True)
class SparsityFacts:
    """Sparsity of the code of a sparse autoencoder on held-out rows.

    Attributes
    ----------
    l0 : float
        Mean number of active components per row.
    dead : float
        Fraction of components that no row activates.
    fvu : float or None
        Fraction of variance unexplained. None after ``partial_fit``.
    """

    l0: float
    dead: float
    fvu: float | None


@dataclass(frozen=True, repr=False)
class ModelFacts(Answer):
    """Description of a fitted model, without its data.

    Attributes
    ----------
    name : str
        Name of the class.
    parameters : dict of str to plain values
        Constructor parameters. Other objects are given by their text representation.
    input : str
        Description of the input of ``fit``.
    n_columns : int
        Number of columns, or of pixels times channels.
    n_components : int
        Size of the code.
    n_components_used : int
        Number of components that affect the output of the decoder.
    n_weights : int
        Number of trained parameters.
    training : TrainingFacts
        Summary of the training.
    baselines : BaselineFacts or None
        Comparison with the mean and a PCA. None after ``partial_fit``.
    columns : tuple of ColumnFacts
        The columns in their order.
    sparsity : SparsityFacts or None
        Sparsity of the code. None for codes that are not sparse.
    components : ComponentsCurve or None
        Reconstruction error by number of components. None if it was not measured.
    fitted : dict of str to plain values
        Fitted attributes of a task, for example its threshold.
    autoencoder : ModelFacts or None
        Description of the autoencoder inside a task.
    """

    name: str
    parameters: dict[str, Any]
    input: str
    n_columns: int
    n_components: int
    n_components_used: int
    n_weights: int
    training: TrainingFacts
    baselines: BaselineFacts | None
    columns: tuple[ColumnFacts, ...]
    sparsity: SparsityFacts | None = None
    components: ComponentsCurve | None = None
    fitted: dict[str, Any] = field(default_factory=dict)
    autoencoder: ModelFacts | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return nested dicts, lists and plain values, ready for JSON.

        Returns
        -------
        dict
            One entry an attribute.
        """
        return asdict(self)

    def entries(self) -> dict[str, list[Any]]:
        """Return one list an attribute of a column.

        Returns
        -------
        dict of str to list
            An entry a column of the table.
        """
        return {name: [getattr(column, name) for column in self.columns] for name in _COLUMN}

    def caption(self) -> str:
        return "\n".join(_head_lines(self))

    def __str__(self) -> str:
        return "\n".join([*_head_lines(self), *_column_lines(self)])


def inspect(model: Any) -> ModelFacts:
    """Describe a fitted autoencoder or task.

    Parameters
    ----------
    model : autoencoder or task
        Fitted, or loaded from a file.

    Returns
    -------
    ModelFacts
        Sizes, parameters, training, comparison with mean and PCA, columns. Printed, a page.

    Raises
    ------
    NotFittedError
        If ``fit`` was not called.

    Examples
    --------
    >>> import latently
    >>> from sklearn.datasets import load_iris
    >>> model = latently.Autoencoder(2, max_epochs=2, random_state=0).fit(load_iris().data)
    >>> facts = latently.inspect(model)
    >>> facts.name, facts.n_columns, facts.n_components
    ('Autoencoder', 4, 2)
    """
    check_fitted(model)
    inner = getattr(model, "autoencoder_", None)
    if inner is None:
        return _facts(model, model)
    return _facts(model, inner, _fitted_values(model), _facts(inner, inner))


def _facts(
    model: Any,
    autoencoder: BaseAutoencoder,
    fitted: dict[str, Any] | None = None,
    inner: ModelFacts | None = None,
) -> ModelFacts:
    preprocessor = autoencoder.preprocessor_
    return ModelFacts(
        name=type(model).__name__,
        parameters=_parameters(model),
        input=_input_words(preprocessor.spec),
        n_columns=preprocessor.layout.n_columns,
        n_components=autoencoder.n_components_,
        n_components_used=count_used_components(autoencoder.module_),
        n_weights=sum(weights.numel() for weights in autoencoder.module_.parameters()),
        training=_training(autoencoder),
        baselines=_baselines(autoencoder),
        columns=_columns(preprocessor),
        sparsity=_sparsity(autoencoder),
        components=getattr(autoencoder, "components_curve_", None),
        fitted=fitted or {},
        autoencoder=inner,
    )


def _parameters(model: Any) -> dict[str, Any]:
    chosen = model.get_params(deep=False)
    return {name: v if isinstance(v, _PLAIN) else _one_line(v) for name, v in chosen.items()}


def _one_line(value: Any) -> str:
    return " ".join(repr(value).split())


def _fitted_values(task: Any) -> dict[str, Any]:
    named = {k: v for k, v in vars(task).items() if k.endswith("_") and k != "n_features_in_"}
    kept = {name: value for name, value in named.items() if value is not None}
    return {name: value for name, value in kept.items() if isinstance(value, _PLAIN)}


def _input_words(spec: Any) -> str:
    if isinstance(spec, ImageSpec):
        channels, height, width = spec.shape
        return f"images of {height} x {width} pixels, {channels} channels, {spec.dtype}"
    if spec.container == "numpy":
        return f"array of {spec.dtype}"
    return f"{spec.container} table"


def _training(autoencoder: BaseAutoencoder) -> TrainingFacts:
    history = autoencoder.history_
    records = list(history)
    best = [record for record in records if record.step == history.best_step][:1]
    return TrainingFacts(
        n_steps=records[-1].step if records else 0,
        best_step=history.best_step,
        stopped=history.stopped,
        seconds=round(history.seconds[-1], 3) if history.seconds else None,
        train_loss=best[0].train_loss if best else None,
        valid_loss=best[0].valid_loss if best else None,
        events=tuple(history.events),
    )


def _baselines(autoencoder: BaseAutoencoder) -> BaselineFacts | None:
    found = getattr(autoencoder, "baselines_", None)
    if found is None:
        return None
    return BaselineFacts(
        found.mean, found.pca, found.autoencoder, found.n_rows, found.rows, found.conclusion
    )


def _sparsity(autoencoder: BaseAutoencoder) -> SparsityFacts | None:
    rate = getattr(autoencoder.module_.latent, "firing_rate", None)
    if rate is None:
        return None
    baselines = _baselines(autoencoder)
    return SparsityFacts(
        l0=round(float(rate.sum()), 3),
        dead=round(float((rate == 0).float().mean()), 4),
        fvu=None if baselines is None else baselines.autoencoder / max(baselines.mean, 1e-30),
    )


def _columns(preprocessor: Any) -> tuple[ColumnFacts, ...]:
    spec = preprocessor.spec
    blocks = preprocessor.layout.blocks
    if isinstance(spec, ImageSpec):
        return (ColumnFacts("pixels", spec.dtype, blocks[0].likelihood),)
    likelihoods = [block.likelihood for block in blocks for _ in range(block.n_columns)]
    by_position = dict(zip(preprocessor.order.tolist(), likelihoods, strict=True))
    kinds = [kind.name for kind in spec.types] or [spec.dtype] * len(likelihoods)
    return tuple(
        ColumnFacts(name, kinds[place], by_position[place])
        for place, name in enumerate(preprocessor.column_names)
    )


def _head_lines(facts: ModelFacts) -> list[str]:
    training, baselines = facts.training, facts.baselines
    lines = [
        facts.name if facts.autoencoder is None else f"{facts.name} of {facts.autoencoder.name}",
        f"  input       {facts.input}, {facts.n_columns:,} columns",
        f"  code        {facts.n_components:,} components, {facts.n_components_used:,} used",
        f"  weights     {facts.n_weights:,}",
        f"  training    {training.n_steps:,} steps{_time_words(training.seconds)} "
        f"({training.stopped}), best at step {training.best_step:,}",
    ]
    lines += [f"  event       {event}" for event in training.events]
    if facts.components is not None:
        lines.append(f"  size        {facts.components}")
    if baselines is not None:
        lines += _baseline_lines(baselines)
    if facts.sparsity is not None:
        lines.append(_sparsity_line(facts.sparsity))
    lines += [f"  {name:<11} {value}" for name, value in facts.fitted.items()]
    return [*lines, *_parameter_lines(facts)]


def _time_words(seconds: float | None) -> str:
    return "" if seconds is None else f" in {seconds:.1f} s"


def _baseline_lines(baselines: BaselineFacts) -> list[str]:
    return [
        f"  error       {baselines.autoencoder:.4g} a cell on {baselines.n_rows:,} "
        f"{baselines.rows} rows; PCA {baselines.pca:.4g}, column means {baselines.mean:.4g}",
        f"  conclusion     {baselines.conclusion}",
    ]


def _sparsity_line(sparsity: SparsityFacts) -> str:
    left = "" if sparsity.fvu is None else f", {sparsity.fvu:.1%} of the variance unexplained"
    return f"  sparsity    {sparsity.l0:.1f} active in a row, {sparsity.dead:.1%} dead{left}"


def _parameter_lines(facts: ModelFacts) -> list[str]:
    return ["  parameters", *(f"    {name}={value!r}" for name, value in facts.parameters.items())]


def _column_lines(facts: ModelFacts) -> list[str]:
    width = max(len(column.name) for column in facts.columns)
    return [
        "  columns",
        *(f"    {c.name:<{width}}  {c.kind:<10}  {c.likelihood}" for c in facts.columns),
    ]
