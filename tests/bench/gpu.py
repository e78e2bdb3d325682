#!/usr/bin/env python3
"""Models loaded to a GPU from a mount, cold, beside the same files on tmpfs.

  PYTHON tests/bench/gpu.py [--device cuda] [--shards 8] [--mib 1024] [--runs 3] [--ttfb 20ms] [--conn-bandwidth 100MB]
                            [--option MOUNT-OPTION ...]

Shards of random tensors of 16 MiB lie in a folder of /dev/shm, which the emulator serves, by default as fast as it can.
In each run, every way of loading goes once through the files themselves and once through a mount of its own, which is
new. The clock runs until all tensors are on the device; then they are compared. The table has medians in GB/s, their
ratio, the processor time of the daemon for a GB, and the bytes that were fetched for each that was loaded.

Needs root, /dev/fuse, the packages torch, numpy and safetensors, memory for the shards twice, and the binary:
target/release/ossmount, or OSSMOUNT_TEST_BINARY. `--device cpu` copies to memory, for a trial without a GPU.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from safetensors.torch import load

ROOT = Path(__file__).parents[2]
os.environ.setdefault("OSSMOUNT_TEST_BINARY", str(ROOT / "target/release/ossmount"))
sys.path.insert(0, str(ROOT / "tests/suites"))
from scenes import MIB, Served  # noqa: E402 (it looks for the binary at once)


def by_mapping(path, device):
    """As `safetensors.torch.load_file` does, one tensor after the other."""
    with safe_open(path, "pt", device=device) as file:
        # On the CPU they are views of the mapping.
        return {name: file.get_tensor(name).to(device, copy=device == "cpu") for name in file.keys()}


def by_reading(path, device):
    """All of a file at first, then its tensors."""
    return {name: tensor.to(device) for name, tensor in load(Path(path).read_bytes()).items()}


WAYS = {
    "mapped, one thread": (by_mapping, 1),
    "mapped, four threads": (by_mapping, 4),
    "read whole, one thread": (by_reading, 1),
    "read whole, four threads": (by_reading, 4),
}


def loaded(way, folder, device):
    """How long it takes to have all shards of a folder on the device, and a checksum of each tensor."""
    function, threads = WAYS[way]
    paths = sorted(str(path) for path in Path(folder).glob("*.safetensors"))
    began = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        shards = list(pool.map(lambda path: function(path, device), paths))
    if device != "cpu":
        torch.cuda.synchronize()
    seconds = time.monotonic() - began
    sums = {name: int(tensor.view(torch.int32).sum()) for shard in shards for name, tensor in shard.items()}
    return seconds, sums


def on_a_mount(served, options, way, device):
    """The same through a mount: with the processor time of the daemon, in seconds, and the bytes fetched."""
    served.mount(*options)
    try:
        seconds, sums = loaded(way, served.mounted, device)
        pid = (served.folder / "pid").read_text().strip()
        words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        time_used = (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
        return seconds, sums, time_used, served.metrics()["bytes_fetched"]
    finally:
        served.unmount()


def make(folder, shards, mib):
    """Writes the shards, and returns their bytes."""
    dice = numpy.random.default_rng(1)
    for shard in range(shards):
        names = [f"shard{shard}.layer{layer}" for layer in range(max(mib // 16, 1))]
        tensors = {name: dice.integers(0, 1 << 31, 4 * MIB, dtype=numpy.int32) for name in names}
        save_file(tensors, folder / f"model-{shard + 1:05}-of-{shards:05}.safetensors")
    return sum(path.stat().st_size for path in folder.iterdir())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--mib", type=int, default=1024, help="the size of a shard")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--ttfb")
    parser.add_argument("--conn-bandwidth")
    parser.add_argument("--option", action="append", default=[], help="an option of the mount, as in bridge=off")
    arguments = parser.parse_args()
    if arguments.device != "cpu" and not torch.cuda.is_available():
        sys.exit("tests/bench/gpu.py: no GPU is seen by torch; --device cpu copies to memory")
    shape = [f"--{name}={value}" for name in ["ttfb", "conn-bandwidth"] if (value := getattr(arguments, name.replace("-", "_")))]
    options = [word for option in arguments.option for word in ["-o", option]]
    work = Path(tempfile.mkdtemp(dir="/dev/shm"))
    served, wrong = None, 0
    try:
        served = Served(work, shape=shape)
        models = served.bucket
        size = make(models, arguments.shards, arguments.mib)
        name = torch.cuda.get_device_name() if arguments.device != "cpu" else "memory"
        print(f"{size / 1e9:.1f} GB in {arguments.shards} shards to {name}, {os.cpu_count()} processors, kernel"
              f" {os.uname().release}, torch {torch.__version__}, medians of {arguments.runs}, server {shape or 'as fast as it can'},"
              f" options {arguments.option or 'none'}")
        print(f"{'GB/s':26}   tmpfs   mount   ratio  CPU s/GB  fetched")
        # What is loaded first pays for what it brings up.
        loaded(next(iter(WAYS)), models, arguments.device)
        for way in WAYS:
            here, there, times, fetched = [], [], [], []
            for _ in range(arguments.runs):
                seconds, expected = loaded(way, models, arguments.device)
                here.append(size / 1e9 / seconds)
                seconds, sums, time_used, bytes_fetched = on_a_mount(served, options, way, arguments.device)
                there.append(size / 1e9 / seconds)
                times.append(time_used / size * 1e9)
                fetched.append(bytes_fetched / size)
                wrong += sums != expected
            local, mounted = statistics.median(here), statistics.median(there)
            print(f"{way:26} {local:7.2f} {mounted:7.2f} {mounted / local:7.2f} {statistics.median(times):9.2f}"
                  f" {statistics.median(fetched):8.2f}", flush=True)
    finally:
        if served:
            served.close()
        shutil.rmtree(work)
    if wrong:
        sys.exit(f"{wrong} loads through a mount brought other tensors")


if __name__ == "__main__":
    main()
