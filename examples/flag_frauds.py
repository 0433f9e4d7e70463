"""
Flag anomalies and name the columns
===================================

``AnomalyDetector`` learns from past transactions, flags unusual ones of today at a false alarm
rate that you choose, and names the columns that caused each alarm.
"""

from latently import AnomalyDetector, FalseAlarmRate, plot_anomalies, plot_explanation
from latently.datasets import make_transactions

past = make_transactions(3000, fraud_fraction=0.0, random_state=0)
today = make_transactions(1000, fraud_fraction=0.02, random_state=1)

detector = AnomalyDetector(threshold=FalseAlarmRate(0.01), random_state=0).fit(past.data)
print(detector.threshold_)

# %%
# ``predict`` returns -1 for an anomaly and 1 for a normal row, as in scikit-learn.

flags = detector.predict(today.data)
found = (flags == -1) & today.is_fraud
print(f"{found.sum()} of {today.is_fraud.sum()} planted frauds are flagged")
print(f"{(flags == -1).sum() - found.sum()} of {(~today.is_fraud).sum()} other rows are flagged")

scores = plot_anomalies(detector, today.data, today.is_fraud)

# %%
# For each flagged row: the columns that are to blame, their value and the expected range. This
# is the row of the highest score.

flagged = today.data.filter((flags == -1).tolist())
reasons = detector.explain(flagged)
print(reasons[reasons.scores.argmax()])

why = plot_explanation(reasons)
