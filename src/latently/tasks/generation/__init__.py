"""Samplers of new rows: from the code of an autoencoder, and of tables column by column.

Comes in: a way to draw rows. What compares drawn rows with real ones is in
``latently.inspection``.
"""
