"""Sources of new rows: growing files, folders, queries and pipes.

Comes in: a source that returns rows with the position after them. What is done with the rows is in
``latently.monitoring``.
"""
