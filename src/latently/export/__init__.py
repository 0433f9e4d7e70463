"""Fitted models as ONNX files, which run without torch."""

from latently.export._check import OnnxCheck, check_onnx
from latently.export._export import export_onnx

__all__ = ["OnnxCheck", "check_onnx", "export_onnx"]
