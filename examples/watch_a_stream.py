"""
Watch a stream of rows
======================

``AnomalyDetector.stream`` scores rows as they come and returns a p-value for each. Its threshold
follows the latest scores.
"""

import matplotlib.pyplot as plt
import numpy as np

from latently import AnomalyDetector, FalseAlarmRate

rng = np.random.default_rng(0)


def readings(n_rows):
    """Return the temperature, pressure and flow of a pump: one load drives all three."""
    load = rng.normal(size=n_rows)
    noise = rng.normal(scale=0.2, size=(n_rows, 3))
    return np.stack([60 + 5 * load, 2 + 0.3 * load, 10 - load], axis=1) + noise * [5, 0.3, 1]


detector = AnomalyDetector(threshold=FalseAlarmRate(0.005), random_state=0).fit(readings(3000))
stream = detector.stream()

# %%
# A leak starts at row 2,000: the pressure no longer follows the load. Each column alone stays
# within its usual range.

today = readings(2200)
today[2000:, 1] = rng.permutation(today[2000:, 1])

answers = [stream.score(row) for row in today]
p_values = np.array([answer.p_value for answer in answers])
alarms = np.array([answer.is_anomaly for answer in answers])
print(f"alarms before the leak: {alarms[:2000].mean():.1%} of rows")
print(f"alarms after it: {alarms[2000:].mean():.1%} of rows")

# %%
# The p-value of each row, with alarms in red.

timeline, axes = plt.subplots(figsize=(8, 4), layout="constrained")
axes.scatter(np.arange(len(today)), p_values, s=8, c=np.where(alarms, "#D55E00", "#0072B2"))
axes.axvline(2000, color="#666666", linestyle="--", label="the leak starts")
axes.set(yscale="log", xlabel="row", ylabel="p-value", title="Alarms in a stream of readings")
_ = axes.legend()

# %%
# The test of drift compares the rows of the stream with those of the calibration.

print(stream.drift())
