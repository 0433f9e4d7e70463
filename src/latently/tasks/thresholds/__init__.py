"""Rules that choose a threshold, and the calibration by which they choose.

Comes in: a rule, or what turns scores into p-values. It works on arrays of scores and knows no
model.
"""
