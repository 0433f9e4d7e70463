"""Generated data sets with known anomalies and known values of missing cells."""

from latently.datasets._transactions import Transactions, make_transactions

__all__ = ["make_transactions", "Transactions"]
