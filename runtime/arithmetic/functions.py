"""Vector-unit functions (temporary)."""
import numpy as np
FUNCTIONS = {
 "exp": np.exp, "reciprocal": lambda x: 1/x, "rsqrt": lambda x: 1/np.sqrt(x), "sqrt": np.sqrt,
 "sigmoid": lambda x: 1/(1+np.exp(-x)), "silu": lambda x: x/(1+np.exp(-x)), "tanh": np.tanh, "log": np.log, "sin": np.sin, "cos": np.cos,
}
