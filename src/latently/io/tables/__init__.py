"""Typed files that are read into memory: Parquet, Arrow, Feather, npy and npz.

Modules here import each other and the base modules of ``io``. They import no other folder of
``io``. Code that reads or writes one typed file format belongs here.
"""
