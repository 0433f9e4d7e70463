"""The named autoencoders, one family a file.

A new model goes here. These modules may import from everything in ``latently.estimators``, whose
other modules import nothing from here.
"""
