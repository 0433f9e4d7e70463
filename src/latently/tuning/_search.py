"""``AutoencoderSearchCV``: hyperparameter search, evaluated on held-out rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MetaEstimatorMixin, TransformerMixin

from latently._notices import each_once
from latently._sklearn import HasMethods, Interval, check_parameters
from latently._validation import check_fitted
from latently.estimators import (
    EFFORT_CONSTRAINT,
    Autoencoder,
    BaseAutoencoder,
    Effort,
    SupportName,
)
from latently.exceptions import ParameterError
from latently.nn import OwnSettings
from latently.tuning._objectives import ObjectiveName
from latently.tuning._optuna import quiet
from latently.tuning._progress import SearchBar
from latently.tuning._report import SearchReport
from latently.tuning._rows import read_rows
from latently.tuning._search_run import SearchRun
from latently.tuning._study import SearchTrial


@dataclass(eq=False, repr=False)
class AutoencoderSearchCV(OwnSettings, TransformerMixin, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Hyperparameter search for an autoencoder [1]_, evaluated on held-out rows.

    The search has four steps:

    1. Hold out the outer rows, and split the rest into training rows and inner rows.
    2. Train each trial on the training rows and score it on the inner rows. Trials that are worse
       than others at the same step are pruned [2]_.
    3. Train the best parameters, and the untuned default, on all but the outer rows. Score both and
       a PCA on the outer rows.
    4. Train the best parameters on all rows.

    Ctrl-C ends the search and keeps the best trial so far. The extra ``tune`` must be installed.

    Parameters
    ----------
    estimator : autoencoder or None, default=None
        Autoencoder to tune. None uses ``Autoencoder()``. Parameters that are not searched keep
        their values.
    space : dict or None, default=None
        Values of each parameter: a list of choices, ``(low, high)``, ``(low, high, "log")`` or an
        Optuna distribution. Parameters of the network are named as ``network__dropout``. None uses
        the default space of the autoencoder.
    objective : {"reconstruction", "downstream", "anomaly", "imputation"} or callable, \
default="reconstruction"
        Score to maximise. "reconstruction" is the share of the variation that is reconstructed,
        with codes of one size. "downstream" is the accuracy, or R2, of a linear model that predicts
        ``y`` from the code. "anomaly" is the average precision of the anomaly score, where ``y`` is
        1 for anomalies, 0 for normal rows and -1 for unknown ones. "imputation" is the share of the
        variation of hidden cells that is predicted. A callable gets the fitted autoencoder, X and
        y and returns a score, where higher is better. Only "reconstruction" prunes trials, because
        the validation loss does not predict the other scores.
    n_trials : int or None, default=20
        Number of trials, including earlier ones of a search that is resumed. None runs trials
        until the time limit.
    time_limit : float or None, default=None
        Approximate time limit of ``fit`` in seconds. None sets no limit.
    outer_fraction, inner_fraction : float, default=0.2
        Fraction of the rows in the outer rows, and fraction of the others in the inner rows.
    shuffle : bool, default=True
        If True, draw both at random. If False, take the last rows for both, and for the validation
        rows of the autoencoder.
    n_jobs : int, default=1
        Number of processes that run trials. -1 uses one per core. If the estimator has
        ``engine=RayEngine(...)``, each worker of Ray runs one trial at a time instead.
    n_seeds : int, default=1
        Number of trainings of each trial, each from its own seed and with its own validation rows.
        The score is their mean, which reduces its variance. Small models are trained at once, as by
        ``fit_seeds``.
    storage : str, Path or None, default=None
        SQLite file or database URL in which the trials are stored. A search that was stopped is
        resumed from there. None keeps the trials in memory.
    study_name : str, default="search"
        Name of the study in the storage.
    effort : {"fast", "balanced", "thorough"} or None, default=None
        Effort of every training. None uses the effort of the estimator.
    refit : bool, default=True
        If True, train the best parameters on all rows, as ``best_estimator_``.
    random_state : int, RandomState or None, default=None
        Random state. With one process and no time limit, the same seed finds the same parameters.
    verbose : bool, default=False
        If True, show a progress bar with the best score on stderr.

    Attributes
    ----------
    best_params_ : dict
        Best parameters. Empty if no trial is better than the default.
    best_score_ : float
        Score of these parameters on the inner rows, which is biased upwards by the selection.
    best_estimator_ : autoencoder
        Autoencoder with the best parameters, trained on all rows. Present if ``refit``.
    report_ : SearchReport
        Scores of the tuned model, the default and a PCA on inner and outer rows.
    trials_ : list of SearchTrial
        All trials that have ended.
    cv_results_ : dict of ndarray
        The trials as columns, as in the searches of scikit-learn.
    interrupted_ : bool
        True if the search was interrupted by Ctrl-C.

    References
    ----------
    .. [1] Bergstra et al. (2011), Algorithms for Hyper-Parameter Optimization.
    .. [2] Li et al. (2018), Hyperband: A Novel Bandit-Based Approach to Hyperparameter
       Optimization.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from latently import Autoencoder, AutoencoderSearchCV
    >>> search = AutoencoderSearchCV(
    ...     Autoencoder(2, max_epochs=10), {"learning_rate": (1e-3, 1e-2, "log")}, n_trials=3,
    ...     random_state=0,
    ... ).fit(load_iris().data)
    >>> [one.name for one in search.report_.standings]
    ['tuned', 'default', 'PCA']
    """

    estimator: BaseAutoencoder | None = None
    space: Mapping[str, Any] | None = None
    _: KW_ONLY
    objective: ObjectiveName | Callable[[Any, Any, Any], float] = "reconstruction"
    n_trials: int | None = 20
    time_limit: float | None = None
    outer_fraction: float = 0.2
    inner_fraction: float = 0.2
    shuffle: bool = True
    n_jobs: int = 1
    n_seeds: int = 1
    storage: str | Path | None = None
    study_name: str = "search"
    effort: Effort | None = None
    refit: bool = True
    random_state: int | np.random.RandomState | None = None
    verbose: bool = False

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "estimator": [HasMethods(["fit", "transform", "set_params"]), None],
        "space": [Mapping, None],
        "objective": [str, callable],
        "n_trials": [Interval(Integral, 1, None, closed="left"), None],
        "time_limit": [Interval(Real, 0, None, closed="neither"), None],
        "outer_fraction": [Interval(Real, 0, 1, closed="neither")],
        "inner_fraction": [Interval(Real, 0, 1, closed="neither")],
        "shuffle": ["boolean"],
        "n_jobs": [Integral],
        "n_seeds": [Interval(Integral, 1, None, closed="left")],
        "storage": [str, Path, None],
        "study_name": [str],
        "effort": [*EFFORT_CONSTRAINT, None],
        "refit": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["boolean"],
    }

    @each_once()
    def fit(self, X: Any, y: Any = None, *, groups: ArrayLike | None = None) -> Self:
        """Run the search.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows. Cells may be missing.
        y : array-like of shape (n_samples,) or None, default=None
            Labels, for objectives that need them.
        groups : array-like of shape (n_samples,) or None, default=None
            Group of each row. The rows of a group are on one side of every split.

        Returns
        -------
        self
            The fitted search.

        Raises
        ------
        ParameterError
            If the space, the storage or a limit is invalid, or if every trial failed.
        DataError
            If the rows cannot be used.
        MissingExtraError
            If Optuna is not installed.
        """
        self._check()
        with quiet(), ExitStack() as stack:
            run = SearchRun.begin(self, read_rows(X, y, groups), stack)
            with SearchBar(self.n_trials, self.time_limit, self.verbose) as bar:
                run.search(bar)
                self._store_results(run)
                bar.note("outer rows")
                self.report_: SearchReport = run.report(self.best_params_, self.best_score_)
                if self.refit:
                    bar.note("all rows")
                    self.best_estimator_: BaseAutoencoder = run.refit(self.best_params_)
        self._copy_input_attributes(run.default)
        return self

    def _copy_input_attributes(self, fitted: BaseAutoencoder) -> None:
        self.n_features_in_: int = fitted.n_features_in_
        self.__dict__.pop("feature_names_in_", None)  # it may be left from an earlier fit
        if hasattr(fitted, "feature_names_in_"):
            self.feature_names_in_ = fitted.feature_names_in_

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the components of the best model.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns, which must equal the names seen in ``fit``.

        Returns
        -------
        ndarray of str
            Name of each component.
        """
        names: np.ndarray = self._best().get_feature_names_out(input_features)
        return names

    def _store_results(self, run: SearchRun) -> None:
        self.trials_: list[SearchTrial] = run.trials.ended()
        self.best_params_, self.best_score_ = run.best()
        self.cv_results_ = _results_as_columns(self.trials_, list(run.trials.space))
        self.interrupted_: bool = run.interrupted

    # ------------------------------------------------------------------ results of the best model
    def transform(self, X: Any) -> np.ndarray:
        """Return the code of each row, by the best model.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            Codes, as float32 for float32 rows and as float64 for all others.
        """
        return self._best().transform(X)

    def reconstruct(self, X: Any, *, support: SupportName = "column") -> Any:
        """Reconstruct rows by the best model.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.
        support : {"column", "free"}, default="column"
            "column" returns values that each column can hold, "free" returns expected values.

        Returns
        -------
        ndarray, DataFrame, Table or image stack
            Rows in the columns, types and units of ``fit``.
        """
        return self._best().reconstruct(X, support=support)

    def _best(self) -> BaseAutoencoder:
        check_fitted(self)
        if not hasattr(self, "best_estimator_"):
            raise ParameterError(
                "refit must be True to keep a model, got False. Set refit=True and fit again."
            )
        return self.best_estimator_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        model = Autoencoder() if self.estimator is None else self.estimator
        tags.input_tags = model.__sklearn_tags__().input_tags
        tags.transformer_tags = model.__sklearn_tags__().transformer_tags
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "report_")

    def _check(self) -> None:
        if isinstance(self.estimator, type):
            raise ParameterError(
                f"estimator must be an instance, got the class {self.estimator.__name__}. Write "
                f"{self.estimator.__name__}()."
            )
        params = self.get_params(deep=False)
        check_parameters(self._parameter_constraints, params, type(self).__name__)
        if self.n_trials is None and self.time_limit is None:
            raise ParameterError("n_trials and time_limit must not both be None. Give one of them.")
        if self.n_jobs == 0 or self.n_jobs < -1:
            raise ParameterError(
                f"n_jobs must be -1 or at least 1, got {self.n_jobs}. Use -1 for all cores."
            )


def _results_as_columns(trials: list[SearchTrial], names: list[str]) -> dict[str, np.ndarray]:
    """Return trials as columns, as in the searches of scikit-learn."""
    scores = np.array([np.nan if t.score is None else t.score for t in trials])
    ranks = np.full(len(trials), len(trials), dtype=np.int32)
    known = np.flatnonzero(np.isfinite(scores))
    ranks[known[np.argsort(-scores[known], kind="stable")]] = 1 + np.arange(len(known))
    columns = {f"param_{name}": _objects([t.params.get(name) for t in trials]) for name in names}
    return {
        "params": _objects([dict(t.params) for t in trials]),
        **columns,
        "mean_test_score": scores,
        "rank_test_score": ranks,
        "mean_fit_time": np.array([t.seconds for t in trials]),
        "state": np.array([t.state for t in trials]),
    }


def _objects(values: list[Any]) -> np.ndarray:
    column = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        column[place] = value
    return column
