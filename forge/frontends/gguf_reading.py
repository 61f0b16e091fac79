"""Makes transformers read a GGUF file once and in silence.

transformers 5.23 parses the same file four times for one model (config, tokenizer,
config again, weights), and builds the table of tensor names once for each submodule:
some 20 s for a small model. It offers no other way to share them, nor to switch its
progress bar off.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from importlib import import_module
from typing import Any


@contextmanager
def gguf_read_once() -> Iterator[None]:
    """While this is entered, each GGUF file is parsed once."""
    import gguf

    reading: Any = import_module("transformers.modeling_gguf_pytorch_utils")
    kept = gguf.GGUFReader, gguf.get_tensor_name_map, reading.tqdm
    gguf.GGUFReader = lru_cache(gguf.GGUFReader)
    gguf.get_tensor_name_map = lru_cache(gguf.get_tensor_name_map)
    reading.tqdm = partial(reading.tqdm, disable=True)
    try:
        yield
    finally:
        gguf.GGUFReader, gguf.get_tensor_name_map, reading.tqdm = kept
