"""What `run_pipeline` says when a pass goes wrong."""

import pytest
from xdsl.dialects.builtin import ModuleOp, bf16, f32

from dialects import ttir
from dialects.errors import ForgeError
from passes.pipeline import require_valid


def test_an_invalid_module_is_refused_without_the_module_around_it() -> None:
    left, right = ttir.FullOp((2, 2), 1.0, bf16), ttir.FullOp((2, 2), 1.0, f32)
    module = ModuleOp([left, right, ttir.AddOp(left, right)])
    with pytest.raises(ForgeError, match="fault of forge") as caught:
        require_valid(module)
    assert "element types differ: bf16, f32" in str(caught.value.value)
    assert len(str(caught.value).splitlines()) == 3
