"""Several training processes and workers: each sample once an epoch; what is read belongs to the reader alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

from pdeml.data import Dataset, Stream, Writer, open_source
from pdeml.errors import InputError

from .making import ATTRS, expected, sample, small_schema, write

SAMPLES, WORLD = 23, 2

PROCESS = """
import json, sys
import torch
from pdeml.data import Dataset, Stream
rank, world, path, store = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
dataset = Dataset(path, range(23), dtype=None)
for drop in (False, True):
    stream = Stream(dataset, 4, seed=3, drop_last=drop)
    for epoch in range(2):
        batches = [batch["nu"].tolist() for batch in stream]
        counts = [None] * world
        torch.distributed.all_gather_object(counts, len(batches))
        print(json.dumps({"drop": drop, "epoch": epoch, "counts": counts, "batches": batches}))
torch.distributed.destroy_process_group()
"""


def unfinished(path: Path) -> Path:
    with Writer(path, small_schema(), 2 * SAMPLES, ATTRS) as writer:
        for number in range(SAMPLES):
            writer.append(sample(small_schema(), number))
    return writer.part


@pytest.mark.parametrize("kind", ["part", pytest.param("finished", marks=pytest.mark.slow)])
def test_processes_of_torch_share_an_epoch(tmp_path: Path, kind: str) -> None:
    make = {"part": unfinished, "finished": lambda path: write(path, small_schema(), SAMPLES)}[kind]
    path = make(tmp_path / "a.h5")
    command = [sys.executable, "-c", PROCESS]
    places = [str(WORLD), str(path), str(tmp_path / "store")]
    started = [
        subprocess.Popen([*command, str(rank), *places], stdout=subprocess.PIPE, text=True) for rank in range(WORLD)
    ]
    said = [process.communicate(timeout=100)[0].splitlines() for process in started]
    assert [process.returncode for process in started] == [0] * WORLD
    wanted = np.sort(expected(small_schema(), "nu", range(SAMPLES)))
    seen = set()
    for rows in zip(*said, strict=True):
        ranks = [json.loads(row) for row in rows]
        counts, batches = ranks[0]["counts"], [batch for rank in ranks for batch in rank["batches"]]
        values = np.sort(np.concatenate(batches))
        assert len(np.unique(values)) == len(values)
        assert np.isin(values, wanted).all()
        if ranks[0]["drop"]:
            assert counts == [SAMPLES // WORLD // 4] * WORLD
            assert {len(batch) for batch in batches} == {4}
        else:
            np.testing.assert_array_equal(values, wanted)
        seen.add(json.dumps(batches))
    assert len(seen) == 4, "no two epochs are alike"


def test_processes_do_not_divide_what_grows(tmp_path: Path) -> None:
    part = unfinished(tmp_path / "a.h5")
    assert len(Stream(Dataset(part), 4)) == 6
    with pytest.raises(InputError, match=r"is unfinished: .* such as part=range\(23\)"):
        Stream(Dataset(part), 4, rank=0, world=2)


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_of_a_loader_read_each_sample_once(tmp_path: Path, workers: int) -> None:
    dataset = Dataset(write(tmp_path / "a.h5", small_schema(), SAMPLES), dtype=None)
    dataset[0]  # the file is open already when the workers begin
    loader = torch.utils.data.DataLoader(dataset, batch_size=4, num_workers=workers)
    found = np.concatenate([batch["u"].numpy() for batch in loader])
    np.testing.assert_array_equal(found, expected(small_schema(), "u", range(SAMPLES)))


@pytest.mark.parametrize("ending", ["npy", "npz", "compressed.npz", "pt", "mat", "compressed.mat", "h5"])
def test_what_is_read_is_the_callers_own(tmp_path: Path, ending: str) -> None:
    path, values = tmp_path / f"a.{ending}", np.arange(48.0).reshape(6, 8)
    if ending == "npy":
        np.save(path, values)
    elif ending.endswith("npz"):
        (np.savez_compressed if ending.startswith("compressed") else np.savez)(path, a=values)
    elif ending.endswith("mat"):
        scipy.io.savemat(path, {"a": values}, do_compression=ending.startswith("compressed"))
    elif ending == "h5":
        path = write(path, small_schema(), 6)
    else:
        torch.save({"a": torch.from_numpy(values)}, path)
    with open_source(path) as source:
        array = source.read("a", slice(0, 3))
        array += 1
        np.testing.assert_allclose(source.read("a", slice(0, 3)), array - 1, rtol=0, atol=1e-6)


def test_a_small_spread_around_a_large_mean_survives_normalisation(tmp_path: Path) -> None:
    schema, values = small_schema(), {}
    with Writer(tmp_path / "a.h5", schema, 5, ATTRS) as writer:
        for number in range(5):
            values[number] = {**sample(schema, number), "u": 1e8 + sample(schema, number)["u"]}
            writer.append(values[number])
        writer.finish()
    dataset = Dataset(tmp_path / "a.h5", normalise=["u"], dtype=torch.float32)
    u = np.stack([values[number]["u"] for number in range(5)])
    found = torch.stack([dataset[number]["u"] for number in range(5)]).numpy()
    np.testing.assert_allclose(found, (u - u.mean()) / u.std(), rtol=0, atol=1e-5)


def test_renamed_arrays_keep_statistics_and_threads(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", small_schema(), SAMPLES)
    with open_source(path) as own, open_source(path, inputs={"b": "a"}, outputs={"w": "u"}) as renamed:
        assert renamed.statistics == {"b": own.statistics["a"], "w": own.statistics["u"], "nu": own.statistics["nu"]}
        assert renamed.concurrent == own.concurrent
        assert renamed.chunk_samples("w") == own.chunk_samples("u") > 1
