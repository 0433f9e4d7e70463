"""Tables of many files or larger than memory: ``TableDataset`` and its parts.

Modules here may import every other module of ``io`` except ``_read``. Code that finds the files
of a table, unifies their types, stages text or writes in pieces belongs here.
"""
