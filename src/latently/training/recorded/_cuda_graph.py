"""A recorded step as a CUDA graph, which launches all operations at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from latently.training.recorded._script import Script

#: Number of runs before the capture, in which CUDA libraries initialise themselves.
_WARM_UP = 3


class CapturedScript:
    """A script captured as a CUDA graph [1]_.

    A graph reads and writes the memory of its capture. Inputs that vary are therefore copied there
    in every call, and outputs are valid until the next call.

    Parameters
    ----------
    run : Script
        Function to capture.
    tensors : sequence of Tensor
        Inputs on the GPU. Inputs outside ``varying`` must keep their memory.
    varying : slice
        Positions of the inputs that vary between calls.

    Raises
    ------
    RuntimeError
        If the function cannot be captured.

    References
    ----------
    .. [1] Gray (2019), Getting started with CUDA graphs.
    """

    def __init__(self, run: Script, tensors: Sequence[Tensor], varying: slice) -> None:
        self._varying = varying
        self._held = [tensor.clone() for tensor in tensors[varying]]
        inputs = list(tensors)
        inputs[varying] = self._held
        # Tensors that the runs change, such as moments of batch normalisation, are restored.
        fixed = [tensor for tensor, one in zip(tensors, inputs, strict=True) if tensor is one]
        before = [tensor.clone() for tensor in fixed]
        # The tensors need not be on the current device.
        device = tensors[0].device
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        here = torch.cuda.current_stream(device)
        stream.wait_stream(here)
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                run(*inputs)
        here.wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        # A thread that prefetches rows may use the GPU during the capture.
        with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
            self._answers = run(*inputs)
        torch._foreach_copy_(fixed, before)

    def __call__(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Replay the graph on other values of the same shapes."""
        torch._foreach_copy_(self._held, list(tensors[self._varying]))
        self._graph.replay()
        return self._answers
