"""Functions of the vector unit for one fp32 lane, compiled into the loops around them.

Each is one fixed sequence of IEEE operations, never fused or reordered, so that what
comes out does not depend on the place in an array or on the engine that asks.
"""

import numpy as np

from runtime.arithmetic.matrix_kernels import i32, inlined

f32 = np.float32

_LOG2_E = f32(1.44269504088896341)
_LN2_HIGH = f32(0.693359375)
_LN2_LOW = f32(-2.12194440e-4)
_ROUNDER = f32(12582912.0)
"""1.5 * 2^23: adding and subtracting it rounds to an integer."""

_LEAST, _GREATEST = f32(-104.0), f32(89.0)
"""Beyond these the exponential is zero and infinity."""

_P0, _P1, _P2 = f32(1.9875691500e-4), f32(1.3981999507e-3), f32(8.3334519073e-3)
_P3, _P4, _P5 = f32(4.1665795894e-2), f32(1.6666665459e-1), f32(5.0000001201e-1)
_ZERO, _ONE = f32(0.0), f32(1.0)


@inlined
def _power_of_two(exponent):
    return i32(i32(exponent + i32(127)) << i32(23)).view(np.float32)


@inlined
def exp(x):
    """e^x within two units of the last place (the polynomial is Cephes' expf).

    What is masked becomes zero by a factor of zero: a CPU takes a hundred cycles for a
    product too small for its format.
    """
    is_zero = x <= _LEAST
    x = _LEAST if x < _LEAST else x
    x = _GREATEST if x > _GREATEST else x
    n = f32(f32(x * _LOG2_E + _ROUNDER) - _ROUNDER)
    r = f32(f32(x - n * _LN2_HIGH) - n * _LN2_LOW)
    p = f32(f32(_P0 * r + _P1) * r + _P2)
    p = f32(f32(p * r + _P3) * r + _P4)
    p = f32(f32(f32(p * r + _P5) * f32(r * r) + r) + _ONE)
    whole = i32(n)
    half = i32(whole >> i32(1))
    rest = _ZERO if is_zero else _power_of_two(i32(whole - half))
    return f32(f32(p * _power_of_two(half)) * rest)


@inlined
def sigmoid(x):
    """1 / (1 + exp(-x))."""
    return f32(_ONE / f32(_ONE + exp(f32(-x))))


@inlined
def silu(x):
    """x * sigmoid(x)."""
    return f32(x / f32(_ONE + exp(f32(-x))))


@inlined
def reciprocal(x):
    """1 / x."""
    return f32(_ONE / x)


@inlined
def sqrt(x):
    """The square root."""
    return f32(np.sqrt(x))


@inlined
def rsqrt(x):
    """1 / sqrt(x)."""
    return f32(_ONE / f32(np.sqrt(x)))


@inlined
def negative(x):
    """The other sign."""
    return f32(-x)


@inlined
def absolute(x):
    """The magnitude."""
    return f32(abs(x))


@inlined
def square(x):
    """x * x."""
    return f32(x * x)


@inlined
def maximum(x, y):
    """The greater one; no number if one is none."""
    return x if x > y or x != x else y


@inlined
def minimum(x, y):
    """The smaller one; no number if one is none."""
    return x if x < y or x != x else y


@inlined
def relu(x):
    """Zero for what is negative."""
    return maximum(x, _ZERO)


@inlined
def add(x, y):
    """x + y."""
    return f32(x + y)


@inlined
def subtract(x, y):
    """x - y."""
    return f32(x - y)


@inlined
def multiply(x, y):
    """x * y."""
    return f32(x * y)


@inlined
def divide(x, y):
    """x / y."""
    return f32(x / y)
