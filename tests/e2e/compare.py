"""How far two results are from each other, in the three numbers we report."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Closeness:
    """PCC hides trouble on tiny or constant tensors; the other two do not."""

    pcc: float
    relative_l2: float
    max_error: float

    def __str__(self) -> str:
        return (
            f"PCC {self.pcc:.6f}, relative L2 {self.relative_l2:.4f}, "
            f"maximum error {self.max_error:.3f}"
        )


def compare(ours: np.ndarray, reference: np.ndarray) -> Closeness:
    """Our values against a reference of as many elements."""
    a, b = (np.asarray(x, np.float64).reshape(-1) for x in (ours, reference))
    return Closeness(
        pcc=float(np.corrcoef(a, b)[0, 1]),
        relative_l2=float(np.linalg.norm(a - b) / np.linalg.norm(b)),
        max_error=float(np.abs(a - b).max()),
    )


def bf16_ulp(value: float) -> float:
    """The distance to the next bf16 number: 8 significant bits."""
    return float(2.0 ** (np.floor(np.log2(abs(value))) - 7))
