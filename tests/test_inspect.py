"""`forge inspect`: every view, as text and as JSON, and without heavy imports."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from forge.cli import main

NETLISTS = Path(__file__).parent / "netlists"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A compiled folder: netlist and manifest."""
    shutil.copy(NETLISTS / "norm_matmul.mlir", tmp_path / "netlist.mlir")
    manifest = {"name": "tiny", "cycles": {"norm_mm": 12345}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


def shown(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main(["inspect", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main(["inspect", *map(str, arguments)]) in (1, 2)
    return capsys.readouterr().err


def test_table_of_programs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, folder)
    assert "netlist @norm_matmul for n150" in text
    assert "L1 peak 230 KiB of 1,363 KiB on a core (@norm_mm)" in text
    assert "norm_mm" in text
    assert "12,345" in text
    (row,) = json.loads(shown(capsys, folder, "--json"))["programs"]
    assert row["program"] == "norm_mm"
    assert (row["cores"], row["grid"], row["runs"]) == (16, "8x2", 1)
    assert row["cycles"] == 12345
    # x by two masters, g by 16 cores, w by eight column masters; y once.
    assert row["read KiB"] == 2 * (2 * 18 + 16 * 18 + 18 * 30)
    assert row["written KiB"] == 2 * 2 * 30


def test_a_netlist_file_will_do(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, NETLISTS / "elementwise.mlir")
    assert "silu_add" in text
    assert "cycles" not in text


def test_one_program(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, folder, "--program", "norm_mm")
    assert text.startswith("// 8x2 cores, 1 run, L1 230 KiB")
    assert "12,345 cycles" in text
    assert "matmul_block %h, %b [m, n] sum [k] -> dst[0]" in text
    assert text.rstrip().endswith("run @norm_mm (@x, @g, @w, @y)")
    data = json.loads(shown(capsys, folder, "--program", "norm_mm", "--json"))
    assert data["text"] + "\n" == text
    assert data["cores"] == 16


def test_one_core(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, folder, "--program", "norm_mm", "--core", "7,1")
    for line in (
        "@norm_mm on core (7,1) (NoC 0: x 9, y 2)",
        "  n 28..29 of 30",
        "  0x019400  %a               18 pages bf16          36 KiB  of %x",
        "  (0,1): pages of %a by multicast %row",
        "  (7,0): pages of %b by multicast %col",
        "  3 times:",
        "  cb_reserve_back %a, 18",
    ):
        assert line in text
    data = json.loads(
        shown(capsys, folder, "--program", "norm_mm", "--core=7,1", "--json")
    )
    assert data["ranges"] == {"m": [1, 2], "n": [28, 30], "k": [0, 18]}
    assert data["tells"] == ["(0,1): %row.ready + 1", "(7,0): %col.ready + 1"]


def test_a_master(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, folder, "--program", "norm_mm", "--core", "0,0")
    assert "(0,0) to (7,0), 7 cores: pages of %a, multicast on noc 0" in text
    assert "(3,0): that it has room" in text
    assert "noc_async_read %b <- %w[0..5, 0..3] ... %w[12..17, 0..3] noc 0" in text


@pytest.mark.parametrize("name", sorted(p.stem for p in NETLISTS.glob("*.mlir")))
def test_every_core_of_every_program(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = NETLISTS / f"{name}.mlir"
    for row in json.loads(shown(capsys, path, "--json"))["programs"]:
        for core in ("0,0", "1,1", "4,0"):
            arguments = [path, "--program", row["program"], "--core", core]
            if main(["inspect", *map(str, arguments)]) == 0:
                assert f"on core ({core})" in capsys.readouterr().out
            else:
                assert "takes no part" in capsys.readouterr().err


def test_a_core_in_all_programs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "m 1..1, n 0..3, k 0..17" in shown(capsys, folder, "--core", "0,1")
    assert "idle" in shown(capsys, folder, "--core", "0,7")


def test_l1_map(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, folder, "--l1", "3,1")
    assert "L1 of core (3,1) in @norm_mm" in text
    rows = json.loads(shown(capsys, folder, "--l1", "3,1", "--json"))
    assert [r["name"] for r in rows if r["what"] == "circular buffer"] == [
        "%a", "%gamma", "%one", "%sq", "%r", "%h", "%b", "%c",
    ]  # fmt: skip
    assert sum(r["bytes"] for r in rows) == 1464 * 1024
    idle = json.loads(shown(capsys, folder, "--l1", "3,5", "--json"))
    assert [r["what"] for r in idle] == ["reserved", "free"]


def test_weights_and_sources(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(shown(capsys, folder, "--weights", "--json"))
    assert [(r["buffer"], r["recipe"], r["format"]) for r in rows] == [
        ("@g", "g", "bf16"),
        ("@w", "w", "bf16"),
    ]
    assert "576x960" in shown(capsys, folder, "--weights")
    (source,) = json.loads(shown(capsys, folder, "--sources", "--json"))
    assert (source["source"], source["fused"]) == ("", [])
    assert source["weights"] == "@g, @w"


def test_what_was_fused_from_where(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stated = (
        "layers.0: rms_norm(input_layernorm), linear(self_attn.{q,k,v}_proj), add "
        "at llama.py:60-63,244"
    )
    path = folder / "netlist.mlir"
    head = "dst fp32"
    text = path.read_text()
    assert text.count(head) == 1
    path.write_text(text.replace(head, f'{head} source "{stated}"'))
    assert f"norm_mm: from {stated}" in " ".join(shown(capsys, folder).split())
    assert "rms_norm(input_layernorm)" in shown(capsys, folder, "--program", "norm_mm")
    (row,) = json.loads(shown(capsys, folder, "--json"))["programs"]
    fused = [(part["operation"], part["module"]) for part in row["fused"]]
    assert fused == [
        ("rms_norm", "layers.0.input_layernorm"),
        ("linear", "layers.0.self_attn.q_proj"),
        ("linear", "layers.0.self_attn.k_proj"),
        ("linear", "layers.0.self_attn.v_proj"),
        ("add", "layers.0"),
    ]
    assert row["lines"] == ["llama.py:60-63,244"]
    (source,) = json.loads(shown(capsys, folder, "--sources", "--json"))
    assert source["fused"] == row["fused"]
    table = shown(capsys, folder, "--sources")
    assert "layers.0.self_attn.v_proj" in table
    assert "llama.py:60-63,244" in table


def test_what_does_not_exist(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "there are norm_mm" in refused(capsys, folder, "--program", "norm")
    text = refused(capsys, folder, "--program", "norm_mm", "--core", "0,5")
    assert "core (0,5) takes no part in @norm_mm" in text
    assert "its 16 cores are (0,0) to (7,1)" in text
    assert "n150 has no core (9,9)" in refused(capsys, folder, "--core", "9,9")
    assert "holds no netlist" in refused(capsys, tmp_path / "nowhere")
    (folder / "manifest.json").write_text("{")
    assert "is damaged" in refused(capsys, folder)


def test_a_program_that_nobody_runs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "netlist.mlir"
    path.write_text(path.read_text().replace("  run @norm_mm(@x, @g, @w, @y)\n", ""))
    shown(capsys, folder)
    text = refused(capsys, folder, "--program", "norm_mm", "--core", "0,0")
    assert "no run binds buffers to @norm_mm" in text


def test_an_unsound_netlist_is_not_shown(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "netlist.mlir"
    path.write_text(path.read_text().replace("over x 8", "over x 9"))
    text = refused(capsys, folder)
    assert "spread off the chip's grid" in text
    assert "netlist.mlir:" in text


def test_nothing_heavy_is_imported(folder: Path) -> None:
    code = (
        "import sys; from forge.cli import main\n"
        f"main(['inspect', {str(folder)!r}])\n"
        f"main(['inspect', {str(folder)!r}, '--program', 'norm_mm', '--core', '0,0'])\n"
        "print([m for m in ('torch', 'numba', 'networkx') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
