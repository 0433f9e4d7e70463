"""The imputer, its report and its intervals, and the pooling of several imputations.

Comes in: what fills missing cells or states how sure a fill is. Imputation models themselves are in
``latently.nn.masked``.
"""
