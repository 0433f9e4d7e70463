"""Tables of many files or larger than memory: ``TableDataset`` and all that it needs.

Modules here may import every other folder of ``io``, and of its base all but ``_read``.
Whatever finds, agrees on, stages or streams parts of a table belongs here.
"""
