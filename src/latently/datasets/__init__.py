"""Generated data sets with known anomalies and known values of missing cells.

Modules here import each other and ``exceptions`` only. A new generator is a function
``make_...`` in a module of its own.
"""

from latently.datasets._transactions import Transactions, make_transactions

__all__ = ["make_transactions", "Transactions"]
