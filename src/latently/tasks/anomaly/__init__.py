"""The anomaly detector: fitting, explanations, repairs, drift and streams.

Comes in: what needs a fitted ``AnomalyDetector``. Scores of rows are in ``scores``, thresholds and
calibration in ``thresholds``. Nothing else in ``tasks`` imports this package.
"""
