"""The output layer a chunk of places at a time: its logits, their memory, and what goes back through them.

A chunk is as many places as make one product with the vocabulary worth it. The arithmetic on its logits is in
float32 and band by band: a few places at a time, which on a CPU stay in the cache from the first operation to the
last.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

# So many logits at once: 32 MiB of bfloat16.
CHUNK_LOGITS = 1 << 24
LEAST_ROWS = 32
# So many of them at once in float32 on a CPU: 4 MiB.
BAND_LOGITS = 1 << 20


class Room:
    """Memory for the logits of one chunk, taken once: fresh pages for each chunk cost as much as its arithmetic."""

    def __init__(
        self, count: int, weight: torch.Tensor, bias: torch.Tensor | None, softcap: float | None
    ) -> None:
        self._weight, self._bias, self._softcap, self._count = weight, bias, softcap, count
        vocabulary = weight.shape[0]
        self._rows = max(LEAST_ROWS, CHUNK_LOGITS // vocabulary)
        self._logits = weight.new_empty(min(self._rows, count), vocabulary)
        self._band = max(1, BAND_LOGITS // vocabulary) if weight.device.type == "cpu" else self._rows
        self._wide = self._logits
        if weight.dtype != torch.float32:
            shape = (min(self._band, self._rows, count), vocabulary)
            self._wide = torch.empty(shape, dtype=torch.float32, device=weight.device)

    def chunks(self, hidden: torch.Tensor) -> Iterator[slice]:
        """Places of ``hidden``, chunk by chunk, once the room holds their logits."""
        for start in range(0, self._count, self._rows):
            part = slice(start, min(start + self._rows, self._count))
            logits = torch.mm(hidden[part], self._weight.T, out=self._logits[: part.stop - start])
            if self._bias is not None:
                logits += self._bias
            yield part

    def bands(self, part: slice) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor | None]]:
        """The chunk's places, its logits as float32 and, where they are bounded, the slope of the bound.

        What is left in the logits when the next band is asked for is what :meth:`slopes` gives.
        """
        for start in range(part.start, part.stop, self._band):
            band = slice(start, min(start + self._band, part.stop))
            narrow = self._logits[band.start - part.start : band.stop - part.start]
            wide = narrow if self._wide is self._logits else self._wide[: len(narrow)].copy_(narrow)
            yield band, wide, self._bound(wide)
            if wide is not narrow:
                narrow.copy_(wide)

    def _bound(self, logits: torch.Tensor) -> torch.Tensor | None:
        """``logits`` become ``softcap x tanh(logits / softcap)`` (Gemma 2)."""
        if not self._softcap:
            return None
        logits.div_(self._softcap).tanh_()
        slope = 1 - logits * logits
        logits.mul_(self._softcap)
        return slope

    def slopes(self, part: slice) -> torch.Tensor:
        """What the bands of ``part`` were left as, in the weight's number type."""
        return self._logits[: part.stop - part.start]


class HeadGradients:
    """Gradients of the hidden states, the weight and the bias, each where it is wanted, gathered chunk by chunk."""

    def __init__(
        self, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, wanted: tuple[bool, ...]
    ) -> None:
        self._given = (hidden, weight, bias)
        self.is_wanted = any(wanted)
        self._hidden = torch.empty_like(hidden) if wanted[0] else None
        self._weight = torch.zeros_like(weight, dtype=torch.float32) if wanted[1] else None
        self._bias = torch.zeros_like(bias, dtype=torch.float32) if wanted[2] and bias is not None else None

    def add(self, part: slice, slopes: torch.Tensor) -> None:
        """``slopes``: the gradient of the logits of ``part``, in the weight's number type."""
        hidden, weight, _ = self._given
        if self._hidden is not None:
            torch.mm(slopes, weight, out=self._hidden[part])
        if self._weight is not None:
            self._weight += (slopes.T @ hidden[part]).float()
        if self._bias is not None:
            self._bias += slopes.sum(0, dtype=torch.float32)

    def taken(self) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
        """The gradients, in the number types of what they are of."""
        _, weight, bias = self._given
        return (
            self._hidden,
            None if self._weight is None else self._weight.to(weight.dtype),
            None if self._bias is None or bias is None else self._bias.to(bias.dtype),
        )
