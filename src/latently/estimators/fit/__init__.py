"""From the rows of the user to a trained module: preparation, split, baselines, training run.

These modules know no estimator class. They may import from the packages below
``latently.estimators`` and from each other, but nothing else of ``latently.estimators``.
"""
