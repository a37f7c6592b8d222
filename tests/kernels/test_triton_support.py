"""Triton kernels without a GPU: the choice of blocks, machine code for Hopper, and what compilers see."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

pytest.importorskip("triton")

from pdeml_kernels import report, triton_products, triton_support
from pdeml_kernels.triton_support import Blocks


def test_tuned_blocks_are_kept_in_a_file(tmp_path):
    path, blocks = tmp_path / "new" / "table.json", Blocks(64, 32, 16, 8, 2)
    assert triton_support.read_table(path) == {}
    assert triton_support.keep(path, "a", blocks) == blocks
    assert triton_support.keep(path, "b", blocks._replace(m=16)) == blocks._replace(m=16)
    assert triton_support.keep(path, "a", blocks._replace(m=128)) == blocks  # another process was first
    assert triton_support.read_table(path) == {"a": blocks, "b": blocks._replace(m=16)}
    path.write_text("{broken")
    assert triton_support.read_table(path) == {}
    assert triton_support.keep(path / "below", "a", blocks) == blocks  # no folder can be made there


KEEP = """
import sys
from pathlib import Path
from pdeml_kernels.triton_support import keep

for number in range(100):
    keep(Path(sys.argv[1]), f"{sys.argv[2]} {number}", (number,))
"""


def test_processes_that_write_at_the_same_time_lose_nothing(tmp_path):
    path = tmp_path / "table.json"
    running = [subprocess.Popen([sys.executable, "-c", KEEP, path, name]) for name in "ab"]
    assert [process.wait() for process in running] == [0, 0]
    assert len(triton_support.read_table(path)) == 200


def test_tuning_takes_the_fastest_and_measures_once(tmp_path, monkeypatch):
    x, y = torch.zeros(1, 64, 64), torch.zeros(1, 64, 64)
    plan = triton_products.transform_plan(x, (0, 0, 64, 1), x[0], y, (0, 0, 64, 1), (1, 1, 64), "ieee")
    measured = []

    def seconds(run, **_):
        measured.append(run)
        return abs(len(measured) - 3)

    monkeypatch.setattr(triton_support, "_table", lambda _, known={}: known)
    monkeypatch.setenv("PDEML_TUNE_FOLDER", str(tmp_path))
    monkeypatch.setattr(triton_support.triton.testing, "do_bench", seconds)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a device/1")
    device = torch.device("cuda")
    assert triton_support.tuned(plan, device, measure=False) == plan.candidates[0]
    assert triton_support.tuned(plan, device, measure=True) == plan.candidates[2]
    assert triton_support.tuned(plan, device, measure=True) == plan.candidates[2]
    assert len(measured) == len(plan.candidates)
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.setenv("PDEML_TUNE", "0")
    monkeypatch.setattr(triton_support, "_table", lambda _, known={}: known)  # as in a new process
    assert triton_support.tuned(plan, device, measure=False) == plan.candidates[2]
    assert triton_support.tuned(plan._replace(key=("other",)), device, measure=True) == plan.candidates[0]
    assert len(measured) == len(plan.candidates)
    other = plan._replace(candidates=plan.candidates[:2])
    assert triton_support.tuned(other, device, measure=True) == plan.candidates[0]


def compiled_elsewhere(tmp_path, *command):
    """Run a program that compiles kernels instead of interpreting them."""
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    result = subprocess.run([sys.executable, *command], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


@pytest.mark.parametrize("module", report.modules())
@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_every_kernel_compiles_for_hopper_and_fits(dtype, module, tmp_path):
    if report.ptxas() is None:
        pytest.skip("triton brings no ptxas here")
    lines = compiled_elsewhere(tmp_path, "-m", "pdeml_kernels.report", "--json", "--dtype", dtype, "--modules", module)
    assert lines
    for found in map(json.loads, lines):
        usage = found["usage"]
        # Numbers of double precision take two registers each.
        assert usage["spilled"] <= (0 if dtype == "float32" else 512), usage
        # 227 KiB of shared memory for each multiprocessor of an H100 or H200.
        assert usage["shared"] <= 227 << 10, usage
        assert usage["tensor_cores"] == bool(found["precision"]), usage


TRACED = """
import torch, triton
from torch._dynamo.backends.common import aot_autograd
from triton.backends.compiler import GPUTarget
from pdeml_kernels import triton_layer, triton_spectral

class Driver:
    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)

triton.runtime.driver.set_active(Driver())

def compiler(graph, _):
    names = [str(node.target) for node in graph.graph.nodes if node.op == "call_function"]
    kernels = [node for node in graph.graph.nodes if str(node.target) == "triton_kernel_wrapper_functional"]
    print(len(kernels), *{name for node in kernels for name in node.kwargs["tensors_to_clone"]})
    outputs = graph.graph.output_node().args[0]
    def run(arguments):
        return [None if node is None else torch.zeros(node.meta["val"].shape) for node in outputs]
    run._boxed_call = True
    return run

def program(v, weight, skip, bias):
    v = triton_spectral._conv(v, weight, bias, [8, 5], [16, 16], "tf32x3")[0]
    return triton_layer._layer(v, weight, skip, bias, [8, 5], True, "tf32x3")[0]

shapes = (2, 8, 16, 16), (8, 8, 8, 5, 2), (8, 8), (8,)
given = [torch.zeros(shape, requires_grad=True) for shape in shapes]
backend = aot_autograd(fw_compiler=compiler, bw_compiler=compiler)
torch.compile(program, fullgraph=True, backend=backend)(*given).sum().backward()
"""


def test_compilers_see_the_kernels_and_what_they_write(tmp_path):
    """No GPU: the graphs are taken and never run. Forward 2·5 kernels, backward 6 and 9 (with the skip's)."""
    path = tmp_path / "traced.py"
    path.write_text(TRACED)
    assert compiled_elsewhere(tmp_path, str(path)) == ["10 y", "15 y"]
