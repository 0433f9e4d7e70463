"""``AutoencoderSearchCV``: settings found by trying, and judged by rows that had no say."""

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
from latently.tuning._hunt import Hunt
from latently.tuning._objectives import ObjectiveName
from latently.tuning._optuna import quiet
from latently.tuning._progress import SearchBar
from latently.tuning._report import SearchReport
from latently.tuning._rows import read_rows
from latently.tuning._study import SearchTrial


@dataclass(eq=False, repr=False)
class AutoencoderSearchCV(OwnSettings, TransformerMixin, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Settings of an autoencoder, found by trying [1]_ and reported by rows that had no say.

    Outer rows are set apart first. Of the rest, inner rows judge each trial; trials that do worse
    than others at the same step are ended early [2]_. What was chosen is then trained on all but
    the outer rows and judged on these, beside the untuned default and a PCA; at last it is trained
    on all rows. Ctrl-C ends the search and keeps the best so far. Needs the extra ``tune``.

    Parameters
    ----------
    estimator : autoencoder or None, default=None
        Whose settings; None takes ``Autoencoder()``. What is not searched stays as it is here.
    space : dict or None, default=None
        Values of each parameter, those of the network as ``network__dropout``: a list of choices,
        ``(low, high)``, ``(low, high, "log")`` or an Optuna distribution. None takes the space
        that comes with the kind of autoencoder.
    objective : {"reconstruction", "downstream", "anomaly", "imputation"} or callable, \
default="reconstruction"
        What to make best. "reconstruction": the share of the variation that codes of one size
        rebuild. "downstream": how well a linear model reads ``y`` off the code. "anomaly": how
        well rows of ``y == 1`` are told from rows of ``y == 0``; -1 is not known. "imputation":
        the share of the variation of hidden cells that is filled in. A function of (fitted
        autoencoder, X, y) returns a figure of your own; higher is better. Only under
        "reconstruction" are trials ended early: elsewhere their losses do not tell.
    n_trials : int or None, default=20
        Trials, those of a search that is gone on with included; None tries until time is up.
    time_limit : float or None, default=None
        Seconds for all of ``fit``, about; None takes the time that it takes.
    outer_fraction, inner_fraction : float, default=0.2
        Share of the rows that report, and share of the others that choose.
    shuffle : bool, default=True
        False takes the last rows for both, and for the validation rows of the autoencoder.
    n_jobs : int, default=1
        Processes that run trials; -1 as many as there are cores. An estimator with
        ``engine=RayEngine(...)`` has its trials run by the workers of Ray instead, one each.
    n_seeds : int, default=1
        Trainings of each trial, from as many seeds and with as many rows held out; its figure is
        their mean, so that chance decides less. Small models are trained at once, as ``fit_seeds``
        trains them: eight take three to five times as long as one.
    storage : str, Path or None, default=None
        SQLite file, or database URL, that keeps the trials: a search that was killed goes on where
        it was. None forgets them.
    study_name : str, default="search"
        Name of the study in the storage.
    effort : {"fast", "balanced", "thorough"} or None, default=None
        Of every training; None leaves that of the estimator.
    refit : bool, default=True
        Whether to train on all rows at last, as ``best_estimator_``.
    random_state : int, RandomState or None, default=None
        Seed; with one process and no time limit, the same seed finds the same settings.
    verbose : bool, default=False
        True shows a bar with the best so far on stderr.

    Attributes
    ----------
    best_params_ : dict
        What was found; empty where nothing beat the default.
    best_score_ : float
        Its figure on the inner rows: flattered, for they chose it.
    best_estimator_ : autoencoder
        Trained on all rows, where ``refit``.
    report_ : SearchReport
        Tuned, default and PCA on inner and outer rows.
    trials_ : list of SearchTrial
        All trials.
    cv_results_ : dict of ndarray
        The same as columns, as scikit-learn's searches have them.
    interrupted_ : bool
        True after Ctrl-C.

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
        """Search.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows.
        y : array-like of shape (n_samples,) or None, default=None
            Labels, for objectives that need them.
        groups : array-like of shape (n_samples,) or None, default=None
            Group of each row; a group is on one side of every split.

        Returns
        -------
        self
            The search, done.

        Raises
        ------
        ParameterError
            If the space, the storage or a limit is wrong, or every trial failed.
        DataError
            If the rows cannot be used.
        MissingExtraError
            If Optuna is not installed.
        """
        self._check()
        with quiet(), ExitStack() as stack:
            hunt = Hunt.begin(self, read_rows(X, y, groups), stack)
            with SearchBar(self.n_trials, self.time_limit, self.verbose) as bar:
                hunt.search(bar)
                self._keep(hunt)
                bar.note("outer rows")
                self.report_: SearchReport = hunt.report(self.best_params_, self.best_score_)
                if self.refit:
                    bar.note("all rows")
                    self.best_estimator_: BaseAutoencoder = hunt.refit(self.best_params_)
        self._take_over(hunt.default)
        return self

    def _take_over(self, fitted: BaseAutoencoder) -> None:
        self.n_features_in_: int = fitted.n_features_in_
        self.__dict__.pop("feature_names_in_", None)  # of an earlier fit
        if hasattr(fitted, "feature_names_in_"):
            self.feature_names_in_ = fitted.feature_names_in_

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the components of the best model.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns; only held against those of ``fit``.

        Returns
        -------
        ndarray of str
            One a component.
        """
        names: np.ndarray = self._best().get_feature_names_out(input_features)
        return names

    def _keep(self, hunt: Hunt) -> None:
        self.trials_: list[SearchTrial] = hunt.trials.ended()
        self.best_params_, self.best_score_ = hunt.best()
        self.cv_results_ = _columns(self.trials_, list(hunt.trials.space))
        self.interrupted_: bool = hunt.interrupted

    # ------------------------------------------------------------------ the best model's answers
    def transform(self, X: Any) -> np.ndarray:
        """Return the codes of the best model.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            Codes.
        """
        return self._best().transform(X)

    def reconstruct(self, X: Any, *, support: SupportName = "column") -> Any:
        """Rebuild rows by the best model.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.
        support : {"column", "free"}, default="column"
            Whether answers are values that their columns can hold, or expected values.

        Returns
        -------
        ndarray, DataFrame, Table or image stack
            In the columns, types and units of ``fit``.
        """
        return self._best().reconstruct(X, support=support)

    def _best(self) -> BaseAutoencoder:
        check_fitted(self)
        if not hasattr(self, "best_estimator_"):
            raise ParameterError("refit=False kept no model. Set refit=True and search again.")
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
            raise ParameterError("n_trials=None needs a time_limit. Give one of them.")
        if self.n_jobs == 0 or self.n_jobs < -1:
            raise ParameterError(f"n_jobs must be -1 or at least 1, got {self.n_jobs}. Try 2.")


def _columns(trials: list[SearchTrial], names: list[str]) -> dict[str, np.ndarray]:
    """Return trials as columns, as scikit-learn's searches have them."""
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
