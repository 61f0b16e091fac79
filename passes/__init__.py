"""The rewrites, one per file, and the table by which tools find them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xdsl.passes import ModulePass


def _loader(module: str, name: str) -> Callable[[], type[ModulePass]]:
    def load() -> type[ModulePass]:
        return getattr(import_module(f"passes.{module}"), name)

    return load


PASSES: dict[str, Callable[[], type[ModulePass]]] = {
    "decompose": _loader("decompose", "DecomposePass"),
    "simplify": _loader("simplify", "SimplifyPass"),
    "recognize-rms-norm": _loader("recognize_rms_norm", "RecognizeRmsNormPass"),
    "normalize-fewer-rows": _loader("normalize_fewer_rows", "NormalizeFewerRowsPass"),
    "recognize-rotary": _loader("recognize_rotary", "RecognizeRotaryPass"),
    "recognize-attention": _loader("recognize_attention", "RecognizeAttentionPass"),
    "recognize-silu": _loader("recognize_silu", "RecognizeSiluPass"),
    "fold-constants": _loader("fold_constants", "FoldConstantsPass"),
    "hoist-permutes": _loader("hoist_permutes", "HoistPermutesPass"),
    "merge-projections": _loader("merge_projections", "MergeProjectionsPass"),
    "place-decode": _loader("place_decode", "PlaceDecodePass"),
    "move-inside-tiles": _loader("move_inside_tiles", "MoveInsideTilesPass"),
    "check-coverage": _loader("coverage", "CheckCoveragePass"),
    "split-heads": _loader("split_heads", "SplitHeadsPass"),
    "form-programs": _loader("form_programs", "FormProgramsPass"),
    "sink-row-scale": _loader("sink_row_scale", "SinkRowScalePass"),
    "insert-padding": _loader("insert_padding", "InsertPaddingPass"),
    "form-stages": _loader("form_stages", "FormStagesPass"),
    "choose-formats": _loader("choose_formats", "ChooseFormatsPass"),
    "choose-fidelity": _loader("choose_fidelity", "ChooseFidelityPass"),
    "shard-weights": _loader("shard_weights", "ShardWeightsPass"),
    "choose-grid": _loader("choose_grid", "ChooseGridPass"),
    "insert-multicast": _loader("insert_multicast", "InsertMulticastPass"),
    "align-grids": _loader("align_grids", "AlignGridsPass"),
}
"""Pipeline name -> what loads the pass; it imports late, so that tools start fast."""
