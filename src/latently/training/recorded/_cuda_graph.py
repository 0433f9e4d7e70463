"""A recorded step as one graph of the GPU: nothing is launched operation by operation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from latently.training.recorded._script import Script

#: Times that a step is taken before it is captured, so that libraries have set themselves up.
_WARM_UP = 3


class CapturedScript:
    """A script captured as a CUDA graph [1]_.

    A graph reads and writes where it did when it was captured: what varies from call to call is
    copied there, and answers are good until the next call.

    Parameters
    ----------
    run : Script
        What to capture.
    tensors : sequence of Tensor
        Its inputs, on the GPU. All but those that vary must stay where they are.
    varying : slice
        Which of them are others in every call.

    Raises
    ------
    RuntimeError
        If the GPU cannot capture it.

    References
    ----------
    .. [1] Gray (2019), Getting started with CUDA graphs.
    """

    def __init__(self, run: Script, tensors: Sequence[Tensor], varying: slice) -> None:
        self._varying = varying
        self._held = [tensor.clone() for tensor in tensors[varying]]
        inputs = list(tensors)
        inputs[varying] = self._held
        # What is written on the way, such as the moments of a batch normalisation, is put back.
        fixed = [tensor for tensor, one in zip(tensors, inputs, strict=True) if tensor is one]
        before = [tensor.clone() for tensor in fixed]
        # That of the tensors, which need not be the GPU that is used without a name.
        device = tensors[0].device
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        here = torch.cuda.current_stream(device)
        stream.wait_stream(here)
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                run(*inputs)
        here.wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        # A thread that reads rows ahead may use the GPU meanwhile.
        with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
            self._answers = run(*inputs)
        torch._foreach_copy_(fixed, before)

    def __call__(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Replay it on other numbers of the same shapes."""
        torch._foreach_copy_(self._held, list(tensors[self._varying]))
        self._graph.replay()
        return self._answers
