"""Element-wise functions of the vector unit.

On the chip these are kernels of many instructions: polynomials, tables and Newton steps
compiled by the vendor. forge computes the *mathematical* function in fp32 and stores it
by the vector unit's rule, so the last bit of a result may differ from the vendor's.
Operands are Dst values; a bf16 Dst datum is an exact fp32 number.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from dialects.errors import ForgeError
from dialects.formats import DstMode
from runtime.arithmetic import function_kernels as kernels
from runtime.arithmetic.formats import Values, store_from_sfpu
from runtime.arithmetic.matrix_kernels import jit

Function: TypeAlias = Callable[[Values], Values]

_ONE = np.float32(1.0)
_HALF = np.float32(0.5)
_SQRT_HALF = np.float32(math.sqrt(0.5))


@jit
def _exp(source, target):
    for i in range(source.size):
        target[i] = kernels.exp(source[i])


@jit
def _sigmoid(source, target):
    for i in range(source.size):
        target[i] = kernels.sigmoid(source[i])


@jit
def _silu(source, target):
    for i in range(source.size):
        target[i] = kernels.silu(source[i])


@jit
def _erf(source, target):
    for i in range(source.size):
        target[i] = np.float32(math.erf(source[i]))


def _lanes(loop: Callable[..., None], x: Values) -> Values:
    """A compiled loop over all lanes."""
    out = np.empty(x.shape, dtype=np.float32)
    loop(np.ascontiguousarray(x).reshape(-1), out.reshape(-1))
    return out


def exp(x: Values) -> Values:
    """e^x."""
    return _lanes(_exp, x)


def erf(x: Values) -> Values:
    """The error function."""
    return _lanes(_erf, x)


def reciprocal(x: Values) -> Values:
    """1 / x."""
    return np.reciprocal(x)


def rsqrt(x: Values) -> Values:
    """1 / sqrt(x)."""
    return np.reciprocal(np.sqrt(x))


def sigmoid(x: Values) -> Values:
    """1 / (1 + exp(-x))."""
    return _lanes(_sigmoid, x)


def silu(x: Values) -> Values:
    """x * sigmoid(x)."""
    return _lanes(_silu, x)


def gelu(x: Values) -> Values:
    """x * (1 + erf(x / sqrt(2))) / 2."""
    return np.multiply(x * _HALF, erf(x * _SQRT_HALF) + _ONE)


FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {
        "cos": np.cos,
        "erf": erf,
        "exp": exp,
        "gelu": gelu,
        "log": np.log,
        "reciprocal": reciprocal,
        "rsqrt": rsqrt,
        "sigmoid": sigmoid,
        "silu": silu,
        "sin": np.sin,
        "sqrt": np.sqrt,
        "tanh": np.tanh,
    }
)
"""Name of the function, as in `ttir`, to the function on fp32 arrays."""


def evaluate(
    name: str, values: Values, *, dst: DstMode, rounded: bool = True
) -> Values:
    """Dst values of the function called `name` on Dst values.

    `rounded` says whether the kernel rounds to bf16 before it stores to a 16-bit Dst,
    as the vendor's kernels of today do; without it the store truncates.
    """
    function = FUNCTIONS.get(name)
    if function is None:
        raise ForgeError(
            f"the vector unit has no function {name!r}", limit=", ".join(FUNCTIONS)
        )
    with np.errstate(all="ignore"):
        result = function(np.asarray(values, dtype=np.float32))
    return store_from_sfpu(result, dst, rounded=rounded)
