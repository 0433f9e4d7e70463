"""Typed files that are read whole: Parquet, Arrow, Feather, npy and npz.

Modules here import each other and the base modules of ``io``. They import no other folder of
``io``. Whatever reads or writes one typed file format belongs here.
"""
