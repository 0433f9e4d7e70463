"""The demonstration of ``latently demo``: data, models, pictures and its page.

Comes in: what the demonstration alone shows. Its pictures are those of ``latently.report``.
"""
