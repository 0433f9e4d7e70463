"""Data sets made on the spot, with a known truth to measure against."""

from latently.datasets._transactions import Transactions, make_transactions

__all__ = ["make_transactions", "Transactions"]
