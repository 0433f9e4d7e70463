"""Detection of rows with a large reconstruction error, flagged by a rule that the user chooses."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, NamedTuple, Self

import narwhals as nw
import numpy as np
from sklearn.base import OutlierMixin
from sklearn.frozen import FrozenEstimator

from latently._notices import each_once, silenced, warn
from latently._sklearn import HasMethods, Interval, StrOptions, check_parameters
from latently._validation import MIN_ROWS, check_fitted, read_input, read_seed
from latently.estimators import (
    BaseAutoencoder,
    NeighborAutoencoder,
    by_pieces,
    fitted_of,
    tags_of,
    take_rows,
)
from latently.exceptions import DataError, DataWarning, DriftWarning, ParameterError
from latently.preprocessing import TablePreprocessor, warn_of_far_rows
from latently.schema import container_of
from latently.tasks._base import AutoencoderTask
from latently.tasks._doubts import warn_of_doubts
from latently.tasks.anomaly._drift import Drift, DriftTally, drift_of_scores
from latently.tasks.anomaly._explanation import (
    Explanation,
    ImageExplanation,
    explain_images,
    explain_rows,
    row_labels,
)
from latently.tasks.anomaly._holding import MAX_CALIBRATION_ROWS, Holding
from latently.tasks.anomaly._reference import Reference
from latently.tasks.anomaly._repair import Repairs
from latently.tasks.anomaly._repeats import Repeats
from latently.tasks.anomaly._stream import ScoreStream
from latently.tasks.scores._labelled import Known, LabelledScore, fit_labelled
from latently.tasks.scores._labels import Labels, read_labels
from latently.tasks.scores._scores import SCORES, Score
from latently.tasks.thresholds._budgets import AlertBudget, refuse_to_flag_all, rows_and_periods
from latently.tasks.thresholds._calibration import Calibration, benjamini_hochberg
from latently.tasks.thresholds._rules import (
    Contamination,
    Evidence,
    FalseAlarmRate,
    Threshold,
    ThresholdRule,
    check_rule,
)

#: Smallest fraction of copies among the rows that raises a warning.
_MANY_COPIES = 0.05
#: Fraction of the false alarm rate at which flagged rows are left out of ``partial_fit``.
_UNLEARNT = 0.1
#: Number of calibration scores from which new scores replace old ones.
_LEAST_CALIBRATION = 500
#: Default rate of false alarms on normal rows.
_DEFAULT_RATE = 0.01
#: Smallest batch that is compared with the calibration before rows are flagged.
_MIN_DRIFT_ROWS = 100


@dataclass(kw_only=True, eq=False, repr=False)
class AnomalyDetector(OutlierMixin, AutoencoderTask):  # type: ignore[misc]  # sklearn is untyped
    """Flag rows that an autoencoder cannot rebuild, at a rate of false alarms that holds.

    Scores of rows that the model was not fitted to calibrate it: the p-value of a new row is the
    share of them at least as unusual [1]_. A fifth of the rows, at most 20,000, is held out for
    that. A memory of up to 2,500 rows scores its own rows instead, each left out, and one of up to
    500 rows uses five folds, as does a robust one of up to 2,500; up to 100 rows ten folds are
    used. A fitted autoencoder is calibrated on all rows given to ``fit``. Copies of a row count
    once and are kept on one side. Known anomalies are left out of all this.

    Parameters
    ----------
    autoencoder : autoencoder or None, default=None
        A copy is fitted, or the autoencoder is used as it is if already fitted. None uses
        ``NeighborAutoencoder()``, the best found on tables and images.
    random_state : int, RandomState or None, default=None
        Seed of the autoencoder and of the split. None keeps the autoencoder's own.
    effort : {"fast", "balanced", "thorough"} or None, default=None
        Training effort of the autoencoder: a quarter, all or four times its default. None keeps the
        setting of the autoencoder.
    kind : {"auto", "images"}, default="auto"
        "images" treats every array of three or four axes as images. "auto" keeps the ``kind`` of
        the autoencoder.
    scoring : {"auto", "surprise", "energy", "reconstruction", "elbo"}, default="auto"
        Score of a row. "surprise" is in standard deviations and needs a neighbor autoencoder.
        "energy" is the squared Mahalanobis length of the residual per column. "reconstruction" is
        the mean error per cell, in nats. "elbo" is the negative evidence lower bound of a
        variational model, in nats. "auto" is "surprise" for a neighbor autoencoder, else "energy".
    robust : bool, default=False
        True for rows of which many are anomalies already. It uses
        ``NeighborAutoencoder(robust=True)``, and is refused with any other autoencoder.
    threshold : rule or None, default=None
        Which scores are flagged: ``FalseAlarmRate(0.01)``, ``AlertBudget(20)``,
        ``Contamination(0.05)``, ``CostRatio(10)`` or ``MaxFScore()``. None flags one normal row in
        a hundred, or the smallest share that the calibration rows can resolve.
    contamination : "auto" or float, default="auto"
        Short for ``threshold=Contamination(share)``, in (0, 0.5].

    Attributes
    ----------
    autoencoder_ : autoencoder
        The fitted autoencoder.
    score_ : Score
        The score that combines the errors of a row.
    repairs_ : Repairs or None
        Model of each cell given the others of its row. None for images.
    calibration_ : Calibration
        Anomaly scores of normal rows that the autoencoder was not fitted to.
    reference_ : Reference or None
        Summaries of the columns of the training rows, for ``drift``. None for images.
    fit_scores_ : Calibration or None
        Anomaly scores of the training rows, each without itself and one equal row, for ``drift``.
        None if ``calibration_`` has scores of held-out rows.
    least_fit_scores_ : Calibration or None
        The same, each without itself only. Of rows that are frequent in the training set, the
        scores of new ones lie between the two.
    rule_ : rule
        Rule that chooses the threshold.
    threshold_ : Threshold
        Threshold of the anomaly scores, its band and a description of its reason.
    offset_ : float
        ``score_samples`` below it are anomalies: minus the cut of ``threshold_``.
    n_features_in_ : int
        Columns seen in ``fit``.
    feature_names_in_ : ndarray of str
        Names of the columns, where the input had them.

    References
    ----------
    .. [1] Bates, Candes, Lei, Romano and Sesia (2023), Testing for Outliers with Conformal
       p-values.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 1)) * [1, 2, 3]
    >>> detector = AnomalyDetector(random_state=0).fit(X)
    >>> detector.predict([[0.0, 0.0, 0.0], [9.0, -9.0, 9.0]])
    array([ 1, -1])
    >>> normal, strange = detector.anomaly_score([[0.0, 0.0, 0.0], [9.0, -9.0, 9.0]])
    >>> bool(normal < detector.threshold_.cut < strange)
    True
    >>> float(detector.p_values([[9.0, -9.0, 9.0]])[0]) == 1 / 201
    True
    """

    scoring: Literal["auto", "surprise", "energy", "reconstruction", "elbo"] = "auto"
    robust: bool = False
    threshold: ThresholdRule | None = None
    contamination: float | Literal["auto"] = "auto"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **AutoencoderTask._parameter_constraints,
        "scoring": [StrOptions({"auto", *SCORES})],
        "robust": ["boolean"],
        "threshold": [object],  # check_rule lists the rules
        "contamination": [Interval(Real, 0, 0.5, closed="right"), StrOptions({"auto"})],
    }

    _fitted_types: ClassVar[dict[str, type | tuple[type, ...]]] = {
        **AutoencoderTask._fitted_types,
        "score_": (*SCORES.values(), LabelledScore),
        "repairs_": (Repairs, type(None)),
        "calibration_": Calibration,
        "rule_": object,
        "threshold_": Threshold,
        "offset_": float,
    }
    _optional_types: ClassVar[dict[str, type | tuple[type, ...]]] = {
        **AutoencoderTask._optional_types,
        "reference_": (Reference, type(None)),
        "fit_scores_": (Calibration, type(None)),
        "least_fit_scores_": (Calibration, type(None)),
    }

    def _default_autoencoder(self) -> BaseAutoencoder:
        return NeighborAutoencoder(robust=self.robust)

    @each_once()
    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the autoencoder, the score, the calibration and the threshold.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Mostly normal rows.
        y : array-like of shape (n_samples,) or None, default=None
            Labels. Anomalies are True, 1 if the others are 0, or -1 if the others are 1. None or
            NaN is an unlabelled row, used as normal. Known anomalies are removed from the
            training rows and the calibration. In a table, the score also learns from them:
            rows like them score higher. ``CostRatio`` and ``MaxFScore`` choose the cut by all
            labels. Other numbers, such as classes, are ignored with a warning.

        Returns
        -------
        self
            The fitted detector.

        Raises
        ------
        ParameterError
            If a parameter has a wrong value.
        DataError
            If the rows cannot be used, or are too few for the rate asked for.
        """
        self._check_parameters()
        if self.robust and self.autoencoder is not None:
            raise ParameterError(
                f"robust=True chooses the autoencoder, got {type(self.autoencoder).__name__} too. "
                "Leave one of them out."
            )
        rule = self._rule()
        self.__dict__.pop("threshold_", None)  # unfitted until all is there
        data = read_input(copy.copy(self), X, reset=True, min_rows=MIN_ROWS)
        warn_of_far_rows(data)
        labels = read_labels(y, len(data), strict=rule is not None and rule.reads_labels)
        kept = _without_anomalies(data, labels)
        normal = self._distinct(kept)
        holding = Holding.of(normal.rows, normal.units, read_seed(self.random_state))
        n_held = self._count_held(holding)
        known = Known.of(data, labels, normal.places)
        places = holding.learnt(n_held)
        learnt = _rows(normal.rows, places)
        model = self._fit_autoencoder(X if len(learnt) == len(data) else learnt)
        warn_of_doubts(model, data if isinstance(data, np.ndarray) else data.to_native())
        self.score_: Score = fit_labelled(self.scoring, self.autoencoder_, learnt, known, places)
        self.repairs_ = self._learn_repairs(learnt)
        self.calibration_ = Calibration.of(
            self._calibration_scores(normal.rows, holding, n_held, known)
        )
        self.reference_ = self._summarised(kept, holding.n_units)
        self.fit_scores_, self.least_fit_scores_ = (
            (None, None) if n_held else self._left_out_scores(normal.rows, holding, known)
        )
        rule_here = rule or self._default_rule()
        self._cut(rule_here, X, labels, self._left_out_known(rule_here, learnt, known, places))
        if isinstance(rule, AlertBudget):
            rule.warn_of_fixed_cut(self.threshold_)
        return self

    def _distinct(self, data: Any) -> _Normal:
        """Return rows without repetitions of the whole table, and warn about copies.

        A memory keeps two copies of a row: one is left where the other is left out.
        """
        repeats = Repeats.of(data)
        words = (
            ""
            if repeats.n_times == 1
            else (f"All {len(data):,} rows occur {repeats.n_times} times, or a multiple. ")
        )
        if repeats.n_copies >= _MANY_COPIES * len(repeats.kept):
            words += f"{repeats.n_copies:,} of {len(repeats.kept):,} rows are copies of another. "
        if words:
            warn(
                f"{words}Repetitions count once in the calibration. Leave them out if they are no "
                "observations of their own."
            )
        if tags_of(self._given()).judges_own_rows and not _is_fitted(self._given()):
            repeats = repeats.at_most(2)
        all_kept = len(repeats.kept) == len(data)
        rows = data if all_kept else take_rows(data, repeats.kept)
        return _Normal(rows, repeats.units, repeats.kept)

    def _learn_repairs(self, learnt: Any) -> Repairs | None:
        layout = self.autoencoder_.preprocessor_.layout
        if len(layout.shape) > 1:
            return None
        with silenced(DataWarning):  # issued by the fit already
            return Repairs.fit(fitted_of(self.autoencoder_).read(learnt), layout)

    def _reference(self) -> Reference | None:
        """Return the summaries of the columns, which older model files lack."""
        found: Reference | None = getattr(self, "reference_", None)
        return found

    def _summarised(self, data: Any, n_units: int) -> Reference | None:
        preprocessor = self.autoencoder_.preprocessor_
        if not isinstance(preprocessor, TablePreprocessor):
            return None
        with silenced(DataWarning):  # issued by the fit already
            return Reference.of(preprocessor, data, n_units)

    @each_once()
    def explain(self, X: Any, *, n_reasons: int = 3) -> Explanation | ImageExplanation:
        """Explain scores by the columns to blame, with observed and expected values.

        The blame of a column is the gain in log-likelihood of the row if it is repaired [1]_.
        A repaired cell holds its expectation given all other columns. The next column is searched
        after the worst is repaired, so that one cell does not raise the blame of others. Images
        have a heat map instead.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``, usually the flagged ones.
        n_reasons : int, default=3
            Largest number of columns reported per row. After the first, only those outside the
            range of 95 % of the training rows.

        Returns
        -------
        Explanation or ImageExplanation
            Columns, values and ranges in the user's units. ``print`` shows one line per row.

        Raises
        ------
        DataError
            If the rows cannot be used.

        References
        ----------
        .. [1] Strumbelj and Kononenko (2014), Explaining Prediction Models and Individual
           Predictions with Feature Contributions, whose "omission" is a repair here.

        Examples
        --------
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(300, 1))
        >>> detector = AnomalyDetector(random_state=0).fit(np.hstack([x, 2 * x, -x]))
        >>> reason = detector.explain([[1.0, 2.0, 1.0]])[0].reasons[0]
        >>> reason.column, round(reason.expected)
        ('x2', -1)
        """
        check_fitted(self)
        limits = {"n_reasons": [Interval(Integral, 1, None, closed="left")]}
        check_parameters(limits, {"n_reasons": n_reasons}, "explain")
        scores, cut = self._anomaly_scores(X), self.threshold_.cut
        if self.repairs_ is None:
            return explain_images(self.cell_scores(X), self.autoencoder_.preprocessor_, scores, cut)
        parts, repaired = explain_rows(self.autoencoder_, self.repairs_, X, n_reasons)
        p_values, index = self.calibration_.p_values(scores), row_labels(X)
        alike = None
        if isinstance(self.score_, LabelledScore):
            likeness = self.score_.likeness(self.autoencoder_, X)
            alike = likeness.columns(parts["names"], n_reasons)
        return Explanation(
            scores, self._anomaly_scores(repaired), cut, **parts, p_values=p_values, index=index,
            alike=alike, library=container_of(X),
        )  # fmt: skip

    def set_threshold(self, rule: ThresholdRule, X: Any = None, y: Any = None) -> Self:
        """Change the threshold without training again.

        Parameters
        ----------
        rule : rule
            Rule that chooses the new threshold.
        X : array-like, DataFrame, Table, image stack or None, default=None
            Rows that the rule needs: the batch of an ``AlertBudget``, or labelled rows. The
            threshold stays fixed for later rows. See also ``alerts``.
        y : array-like of shape (n_samples,) or None, default=None
            Labels of ``X``, as in ``fit``. Rows without a label are ignored.

        Returns
        -------
        self
            The detector.

        Raises
        ------
        DataError
            If the rule needs rows or labels that are not there, they cannot be used, or all would
            be flagged.
        """
        check_fitted(self)
        if y is not None and X is None:
            raise DataError("Labels need their rows, got y without X. Give both, or neither.")
        labels = None if X is None else read_labels(y, _n_rows(X), strict=True)
        return self._cut(check_rule(rule), X, labels)

    def _rule(self) -> ThresholdRule | None:
        if self.contamination == "auto":
            return None if self.threshold is None else check_rule(self.threshold)
        if self.threshold is not None:
            raise ParameterError(
                f"threshold and contamination both say what to flag, got {self.threshold} and "
                f'{self.contamination}. Leave contamination at "auto".'
            )
        return Contamination(float(self.contamination))

    def _default_rule(self) -> ThresholdRule:
        return FalseAlarmRate(max(_DEFAULT_RATE, self.calibration_.smallest_rate))

    def _cut(
        self,
        rule: ThresholdRule,
        X: Any,
        labels: Labels | None,
        of_anomalies: np.ndarray | None = None,
    ) -> Self:
        scores = anomalies = periods = None
        if rule.reads_rows and X is not None:
            rows, periods = rows_and_periods(rule, X, self._names())
            scores = self._anomaly_scores(rows)
        if scores is not None and labels is not None and rule.reads_labels:
            if of_anomalies is not None:
                scores[labels.anomalies] = of_anomalies
            scores, anomalies = scores[labels.known], labels.anomalies[labels.known]
        threshold = rule.choose(Evidence(self.calibration_, scores, anomalies, periods))
        if scores is not None:
            refuse_to_flag_all(rule, scores > threshold.cut)
        self.rule_, self.threshold_ = rule, threshold
        self.offset_ = -self.threshold_.cut
        return self

    def _count_held(self, holding: Holding) -> int:
        given = self._given()
        if _is_fitted(given):
            return 0
        return holding.n_spared(judges_own_rows=tags_of(given).judges_own_rows)

    def _left_out_known(
        self, rule: ThresholdRule, learnt: Any, known: Known | None, places: np.ndarray
    ) -> np.ndarray | None:
        """Return the scores of known anomalies as if they were new, where the rule reads them."""
        if known is None or not rule.reads_labels or not isinstance(self.score_, LabelledScore):
            return None
        here = known._replace(normal=known.normal[places])
        return self.score_.left_out(self.autoencoder_, learnt, here)

    def _calibration_scores(
        self, data: Any, holding: Holding, n_held: int, known: Known | None
    ) -> np.ndarray:
        # Do not warn about categories that occur only in the calibration rows.
        with silenced(DataWarning):
            if n_held:
                return self._anomaly_scores(_rows(data, holding.first_of_units(n_held)[0]))
            given = self._given()
            tags = tags_of(given)
            is_exact = tags.leaves_out_exactly and known is None
            own = tags.judges_own_rows and not _is_fitted(given)
            if (own or known is not None) and holding.is_cross_fitted(is_exact=is_exact):
                return self._cross_fitted(data, holding, known)
            odds = self._left_out_odds(data, known)
            return self._own_scores(data, holding, MAX_CALIBRATION_ROWS, odds)

    def _cross_fitted(self, data: Any, holding: Holding, known: Known | None) -> np.ndarray:
        """Return cross-validated scores of the rows."""
        scores, is_fitted = [], _is_fitted(self._given())
        for others, held in holding.folds(has_forest=known is not None):
            rows = _rows(data, others)
            if is_fitted:
                judge = fitted_of(self.autoencoder_).leaving_out(2)
            else:
                judge = self._fresh(self.autoencoder).fit(rows)
            score = fit_labelled(self.scoring, judge, rows, known, others)
            scores.append(score.rows(judge, _rows(data, held)))
        return np.concatenate(scores)

    def _left_out_scores(
        self, data: Any, holding: Holding, known: Known | None
    ) -> tuple[Calibration | None, Calibration | None]:
        """Return scores of stored rows without two equal rows and without one, by the whole memory.

        The scores of folds calibrate the tail. They are not used for drift, because memories of
        fewer rows move the bulk.
        """
        given = self._given()
        tags = tags_of(given)
        if not tags.judges_own_rows or _is_fitted(given):
            return None, None
        is_exact = tags.leaves_out_exactly and known is None
        is_own = not holding.is_cross_fitted(is_exact=is_exact)
        n_all = len(data)
        with silenced(DataWarning):  # issued by the fit already
            odds = self._left_out_odds(data, known)
            most = None if is_own else self._own_scores(data, holding, n_all, odds)
            least = self._own_scores(data, holding, n_all, odds, n_left_out=1)
        return self.calibration_ if most is None else Calibration.of(most), Calibration.of(least)

    def _left_out_odds(self, data: Any, known: Known | None) -> np.ndarray | None:
        """Return the odds of each training row by a forest without it, None without labels."""
        if known is None or not isinstance(self.score_, LabelledScore):
            return None
        judge = fitted_of(self.autoencoder_).leaving_out(2)
        return self.score_.left_out_odds(judge, data, known)

    def _own_scores(
        self,
        data: Any,
        holding: Holding,
        n_most: int,
        odds: np.ndarray | None,
        n_left_out: int = 2,
    ) -> np.ndarray:
        """Return the scores of training rows as if they were new ones.

        A new row that equals a stored one is scored without it. So a training row is scored without
        itself and one equal row. All copies of one observation are left out.
        """
        places, n_copies = holding.first_of_units(n_most)
        scores = np.empty(len(places))
        for chosen, n_equal in ((n_copies == 1, n_left_out), (n_copies > 1, len(data))):
            if chosen.any():
                judge, some = fitted_of(self.autoencoder_).leaving_out(n_equal), places[chosen]
                extra = () if odds is None else (odds[some],)
                scores[chosen] = self.score_.rows(judge, _rows(data, some), *extra)
        return scores

    def _given(self) -> Any:
        given = self._default_autoencoder() if self.autoencoder is None else self.autoencoder
        return given.estimator if isinstance(given, FrozenEstimator) else given

    def _anomaly_scores(self, X: Any) -> np.ndarray:
        return by_pieces(X, lambda rows: self.score_.rows(self.autoencoder_, rows))

    def anomaly_score(self, X: Any) -> np.ndarray:
        """Return how unusual each row is: higher = more unusual.

        ``threshold_``, explanations, plots, streams and the command line use this score. It is
        minus ``score_samples``, whose sign follows scikit-learn.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray of shape (n_samples,)
            Anomaly scores in the unit of ``scoring``: standard deviations for "surprise", nats for
            "reconstruction" and "elbo", a squared length without a unit for "energy". Rows above
            ``threshold_.cut`` are flagged.
        """
        check_fitted(self)
        return self._anomaly_scores(X)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return how normal each row is, as scikit-learn defines it: higher = more normal.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray of shape (n_samples,)
            Minus ``anomaly_score``, in its unit.
        """
        return -self.anomaly_score(X)

    def cell_scores(self, X: Any) -> np.ndarray:
        """Return the contribution of each cell or pixel to the anomaly score of its row.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray of shape (n_samples, n_features) or of the images' shape
            Contributions in the order of the columns, zero for missing cells.
        """
        check_fitted(self)
        return self.score_.cells(self.autoencoder_, X)

    def decision_function(self, X: Any) -> np.ndarray:
        """Return how far each row lies on the normal side of the threshold.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray of shape (n_samples,)
            ``score_samples(X) - offset_``, which is ``threshold_.cut - anomaly_score(X)``. Below
            zero is an anomaly.
        """
        scores = self.score_samples(X)
        return scores - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """Flag anomalies.

        Warns (``DriftWarning``) where a hundred rows or more score higher than the calibration rows
        did, so that there may be more false alarms than asked for.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray of int, shape (n_samples,)
            -1 for an anomaly, 1 for a normal row.
        """
        decision = self.decision_function(X)
        if len(decision) >= _MIN_DRIFT_ROWS:
            found = drift_of_scores(self, -(decision + self.offset_))
            if found.drifted and found.higher:
                warn(str(found), DriftWarning)
        return np.where(decision < 0, -1, 1)

    def p_values(self, X: Any) -> np.ndarray:
        """Return how likely a normal row is to score as unusual as each row, or more.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray of shape (n_samples,)
            Conformal p-values, in (0, 1]: of normal rows, at most a share ``a`` has one below
            ``a``, whatever the distribution.
        """
        check_fitted(self)
        return self.calibration_.p_values(self._anomaly_scores(X))

    def discover(self, X: Any, *, false_discovery_rate: float = 0.1) -> np.ndarray:
        """Flag as many rows of a batch as keep the share of false ones among them in bounds.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``. The result depends on all of them.
        false_discovery_rate : float, default=0.1
            Expected share of normal rows among those flagged [1]_, in (0, 1). More flags more.

        Returns
        -------
        ndarray of int, shape (n_samples,)
            -1 for an anomaly, 1 for a normal row.

        References
        ----------
        .. [1] Benjamini and Hochberg (1995), Controlling the False Discovery Rate.
        """
        flagged = benjamini_hochberg(self.p_values(X), false_discovery_rate)
        return np.where(flagged, -1, 1)

    def alerts(self, X: Any, budget: AlertBudget) -> np.ndarray:
        """Flag the most unusual rows of a batch, or of each day in it, as a budget allows.

        The threshold stays as it is.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit`` and the time column of the budget. The result depends
            on all of them.
        budget : AlertBudget
            ``AlertBudget(20)`` flags the 20 most unusual rows of ``X``, ``AlertBudget(20,
            per="day", time="timestamp")`` those of each day.

        Returns
        -------
        ndarray of int, shape (n_samples,)
            -1 for an alert, 1 for any other row.

        Raises
        ------
        DataError
            If the rows cannot be used, or all would be flagged.

        Examples
        --------
        >>> import numpy as np
        >>> X = np.random.default_rng(0).normal(size=(200, 1)) * [1, 2, 3]
        >>> detector = AnomalyDetector(random_state=0).fit(X)
        >>> int((detector.alerts(X, AlertBudget(5)) == -1).sum())
        5
        """
        check_fitted(self)
        budget.check()
        rows, periods = rows_and_periods(budget, X, self._names())
        return np.where(budget.flags(self._anomaly_scores(rows), periods), -1, 1)

    def _names(self) -> tuple[str, ...] | None:
        names: tuple[str, ...] | None
        names = getattr(self.autoencoder_.preprocessor_.spec, "names", None)
        return names

    @each_once()
    def drift(self, X: Any, *, level: float = 0.05) -> Drift:
        """Compare the columns and scores of rows with those of the rows of ``fit``.

        Numbers are compared by the largest gap between the two distributions, categories, flags
        and gaps by Fisher's exact test, anomaly scores with those of the calibration rows, which
        also shows columns that no longer go together. Of dates only the gaps are compared. Rows
        count as independent, and copies of one observation once.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``. For images only the scores are compared.
        level : float, default=0.05
            Chance of any false alarm over all columns and scores, at most, in (0, 1). More finds
            smaller changes.

        Returns
        -------
        Drift
            A line for each column and one for the scores: kind and size of its largest change and
            its p-value, adjusted for the number of lines. ``print`` lists the drifted ones.

        Raises
        ------
        DataError
            If the rows cannot be used.

        Examples
        --------
        >>> import numpy as np
        >>> X = np.random.default_rng(0).normal(size=(400, 3))
        >>> detector = AnomalyDetector(random_state=0).fit(X[:200])
        >>> detector.drift(X[200:]).drifted
        False
        >>> [entry.column for entry in detector.drift(X[200:] + [9, 0, 0]) if entry.drifted]
        ['x0', 'anomaly score']
        """
        check_fitted(self)
        limits = {"level": [Interval(Real, 0, 1, closed="neither")]}
        check_parameters(limits, {"level": level}, "drift")
        tally = DriftTally(self)

        def scored(rows: Any) -> np.ndarray:
            scores = self.score_.rows(self.autoencoder_, rows)
            tally.add(rows, scores)
            return scores

        by_pieces(X, scored)
        return tally.result(level)

    def summary(self) -> str:
        """Describe the fitted detector in a few lines.

        Returns
        -------
        str
            The autoencoder and the threshold rule.
        """
        check_fitted(self)
        return f"{self.autoencoder_.summary()}\n{type(self).__name__} {self.threshold_}"

    @each_once()
    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Follow a slow drift: learn from the new rows that do not look like anomalies.

        The first call is ``fit``. Later calls add the scores of the new rows to the calibration,
        copies of a row once. Beyond 500 scores, or those of ``fit`` if they are more, as many old
        scores are removed. The threshold follows its rule. A neighbor autoencoder scores new rows
        after storing them, each left out, and a network scores them before the update. Flagged rows
        are not used for training. With a ``FalseAlarmRate``, only rows flagged at a tenth of the
        rate are left out, because most others are normal.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            The next rows.
        y : array-like of shape (n_samples,) or None, default=None
            Labels, as in ``fit``. Known anomalies are neither learnt nor join the calibration.

        Returns
        -------
        self
            The detector, a little newer.

        Raises
        ------
        ParameterError
            If the autoencoder cannot learn step by step.
        DataError
            If the rows cannot be used.
        DivergenceError
            If training diverged three times.
        """
        if not self.__sklearn_is_fitted__():
            return self.fit(X, y)
        data = read_input(
            copy.copy(self), X, reset=False, fitted_on=fitted_of(self.autoencoder_).container
        )
        labels = read_labels(y, len(data), strict=self.rule_.reads_labels)
        unlabelled = np.ones(len(data), bool) if labels is None else ~labels.anomalies
        scores = self._anomaly_scores(X)
        normal = np.flatnonzero(unlabelled & (scores <= self._limit()))
        if len(normal):
            # Use a copy, because the autoencoder may belong to the user.
            self.autoencoder_ = copy.deepcopy(self.autoencoder_).partial_fit(_rows(data, normal))
            preprocessor, reference = self.autoencoder_.preprocessor_, self._reference()
            if reference is not None and isinstance(preprocessor, TablePreprocessor):
                self.reference_ = reference.extended(preprocessor, take_rows(data, normal))
            if tags_of(self.autoencoder_).judges_own_rows:
                scores = self._anomaly_scores(
                    X
                )  # the cut is for the new memory, not for the old one
        if unlabelled.any():
            once = Repeats.of(take_rows(data, np.flatnonzero(unlabelled))).firsts
            clipped = self.calibration_.clipped(scores[unlabelled][once])
            self.calibration_ = _renewed(self.calibration_, clipped)
            for name in ("fit_scores_", "least_fit_scores_"):
                own: Calibration | None = getattr(self, name, None)
                if own is not None:
                    setattr(self, name, _renewed(own, clipped))
        both = labels if labels is not None and labels.of_both_kinds() else None
        if both is None and self.rule_.needs_labels:
            return self  # its cut stays
        return self._cut(self.rule_, X, both)

    def _check_consistent(self) -> None:
        super()._check_consistent()
        check_parameters({"rule_": [HasMethods("choose")]}, {"rule_": self.rule_}, "The model")
        self.rule_.check()
        self.score_.check_consistent(self.autoencoder_)
        layout = self.autoencoder_.preprocessor_.layout
        if self.offset_ != -self.threshold_.cut:
            raise DataError("The model's offset_ is not minus the cut of its threshold_.")
        if (self.repairs_ is None) != (len(layout.shape) > 1):
            raise DataError("The model's repairs_ belong to tables, and to no images.")
        if self.repairs_ is not None:
            self.repairs_.check_fits(layout)
        reference, preprocessor = self._reference(), self.autoencoder_.preprocessor_
        if reference is not None:
            if not isinstance(preprocessor, TablePreprocessor):
                raise DataError("The model's reference_ belongs to tables, and to no images.")
            reference.check_fits(preprocessor)

    def _limit(self) -> float:
        """Return the score up to which new rows are learnt.

        Of rows flagged at a rate of false alarms most may be normal. Without them the model would
        lose its tail, and the rate would rise with every call.
        """
        if self.rule_.reads_rows:
            return self.threshold_.cut
        rate = _UNLEARNT * getattr(self.rule_, "rate", _DEFAULT_RATE)
        return self.calibration_.cut_for_rate(max(rate, self.calibration_.smallest_rate))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "threshold_")

    def stream(self, *, window: int = 2_000) -> ScoreStream:
        """Return a scorer for rows that come one by one.

        Parameters
        ----------
        window : int, default=2,000
            Latest normal scores by which the running calibration goes. More is steadier and
            follows drift more slowly.

        Returns
        -------
        ScoreStream
            Its ``score`` takes a row and answers with score, p-value and whether it is flagged.
        """
        check_fitted(self)
        return ScoreStream(self, window)


def _n_rows(X: Any) -> int:
    return int(X.n_rows) if hasattr(X, "n_rows") else len(X)


class _Normal(NamedTuple):
    """Rows to learn from, which of them are copies of each other, and where they were."""

    rows: Any
    units: np.ndarray
    places: np.ndarray


def _without_anomalies(data: Any, labels: Labels | None) -> Any:
    """Return the rows that are not known to be anomalies."""
    if labels is None or not labels.anomalies.any():
        return data
    n_left = int((~labels.anomalies).sum())
    if n_left < MIN_ROWS:
        raise DataError(
            f"At least {MIN_ROWS} rows must not be labelled as anomalies, got {n_left} of "
            f"{len(data):,}. Give more normal rows."
        )
    return take_rows(data, np.flatnonzero(~labels.anomalies))


def _rows(data: Any, places: np.ndarray) -> Any:
    """Return some of the rows, of the user's kind."""
    taken = take_rows(data, places)
    return taken.to_native() if isinstance(taken, nw.DataFrame) else taken


def _renewed(calibration: Calibration, scores: np.ndarray) -> Calibration:
    """Add new scores, and drop as many old ones, which are of a model of the past.

    Few scores are all kept. Of thirty, thirty new ones would leave only the largest to cut by.
    """
    old, new = calibration.scores, scores[:MAX_CALIBRATION_ROWS]
    room = max(len(old), _LEAST_CALIBRATION) - len(new)
    n_kept = min(max(room, 0), len(old))
    # Mid-points of equal shares of the sorted scores keep the distribution.
    kept = ((np.arange(n_kept) + 0.5) * len(old) / max(n_kept, 1)).astype(np.intp)
    return Calibration.of(np.concatenate([old[kept], new]))


def _is_fitted(estimator: Any) -> bool:
    return bool(estimator.__sklearn_is_fitted__())
