"""Fitted models as ONNX files, which run without torch."""

from latently.export._check import OnnxCheck
from latently.export._export import export_onnx

__all__ = ["OnnxCheck", "export_onnx"]
