"""Operators of each kind of model.

Comes in: a function that adds the operators of a network, a code or a score to a graph. Columns,
likelihoods and the file are in ``latently.export``.
"""
