"""Anomaly scores of rows, with and without labels.

Comes in: a way to combine the errors of a row into one number, and what such a score learns from
labelled rows. It knows no threshold and no detector.
"""
