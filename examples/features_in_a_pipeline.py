"""
Features for a classifier in a Pipeline
=======================================

``FeatureExtractor`` learns from all rows without their labels. Its features help a linear model
when few rows have labels.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from latently import FeatureExtractor

X, y = load_digits(return_X_y=True)
train, test = slice(0, 1200), slice(1200, None)
features = FeatureExtractor(effort="fast", random_state=0).fit(X[train])

# %%
# The extractor is a transformer. ``FrozenEstimator`` keeps it as it was fitted without labels, so
# that the pipeline fits only the classifier on the labelled rows.


def classifier(*steps):
    """Return a logistic regression behind the steps given."""
    return make_pipeline(*steps, StandardScaler(), LogisticRegression(C=0.3, max_iter=500))


counts = [30, 100, 300]
accuracy = {"pixels": [], "features": []}
for n_labels in counts:
    for name, steps in {"pixels": [], "features": [FrozenEstimator(features)]}.items():
        pipeline = classifier(*steps).fit(X[:n_labels], y[:n_labels])
        accuracy[name].append(pipeline.score(X[test], y[test]))
    print(f"{n_labels} labels:", {name: f"{found[-1]:.3f}" for name, found in accuracy.items()})

# %%
# The accuracy on unseen digits, by the number of labelled rows.

curves, axes = plt.subplots(figsize=(8, 4), layout="constrained")
for name, values in accuracy.items():
    axes.plot(counts, values, marker="o", label=name)
axes.set(xscale="log", xlabel="labelled rows", ylabel="accuracy on unseen digits")
axes.set_xticks(counts, [str(count) for count in counts], minor=False)
axes.minorticks_off()
_ = axes.legend()
