"""Training in several processes: the worker protocol, sharding, serialization, torchrun and Ray.

Import from the files, as ``latently.training`` does: its core needs the protocol and the shards
before the engines of this folder can be defined. An engine that starts or joins processes belongs
here.
"""
