"""Trials in scenes: a served bucket, a mount of it, and the harm that is done while it is read.

All of a trial happens in a name space of its own with processes that end with it, and below one directory: nothing is left,
however it ends. The program is target/debug/ossmount, or OSSMOUNT_TEST_BINARY.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BINARY = Path(os.environ.get("OSSMOUNT_TEST_BINARY", Path(__file__).parents[2] / "target/debug/ossmount")).resolve()
MIB = 1 << 20
# How long a thing may take to happen.
PATIENCE_S = 60
# Where a trial lies that runs in its own name space.
FOLDER = "OSSMOUNT_TRIAL_FOLDER"


class Wrong(Exception):
    """What must not be."""


def run(*command, check=True, **more):
    ended = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=PATIENCE_S, **more)
    if check and ended.returncode != 0:
        raise Wrong(f"{command}: {ended.stdout}{ended.stderr}")
    return ended


def until(what, condition):
    end = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        if time.monotonic() > end:
            raise Wrong(f"did not happen within {PATIENCE_S} s: {what}")
        time.sleep(0.02)
    return found


class Served:
    """A bucket of files, served by the emulator, and a mount of it."""

    def __init__(self, folder, faults=(), shape=()):
        self.folder, self.mounted, self.bucket = folder, folder / "mnt", folder / "root/bucket"
        for made in (self.mounted, self.bucket):
            made.mkdir(parents=True)
        faults = [word for fault in faults for word in ("--fault", fault)]
        command = [BINARY, "emulator", "--root", folder / "root", *faults, *shape]
        self.emulator = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.env = os.environ | {
            "OSS_ACCESS_KEY_ID": "EmulatorAccessKeyId",
            "OSS_ACCESS_KEY_SECRET": "EmulatorAccessKeySecretForTestsOnly",
            "OSSMOUNT_ENDPOINT": re.search(r"http://[0-9.:]+", self.emulator.stdout.readline())[0],
            "OSSMOUNT_REGION": "cn-hangzhou",
        }

    def mount(self, *options):
        files = ["--pid-file", self.folder / "pid", "--log-file", self.folder / "log"]
        run(BINARY, "mount", "oss://bucket", self.mounted, *files, *options, env=self.env)

    def unmount(self):
        run(BINARY, "umount", self.mounted)

    def kill(self):
        pid = int((self.folder / "pid").read_text())
        os.kill(pid, signal.SIGKILL)
        run("umount", "-l", self.mounted, check=False)
        # Its parent has ended, and this is the first process of the name space.
        os.waitpid(pid, 0)

    def metrics(self):
        return json.loads(run(BINARY, "status", "--json", self.mounted).stdout)["metrics"]

    def log(self):
        return (self.folder / "log").read_text()

    def close(self):
        run("umount", "-l", self.mounted, check=False)
        self.emulator.terminate()
        self.emulator.wait()


def play(name, bench, scene, rounds):
    """Plays a scene so many times; says how that ended."""
    done = 0
    try:
        outcome = None
        for _ in range(rounds):
            outcome = scene(bench)
            done += 1
        print(f"right  {name}: {rounds} rounds; the last: {outcome}", flush=True)
        return True
    except (Wrong, OSError, subprocess.TimeoutExpired) as error:
        print(f"wrong  {name}, round {done + 1}: {error}", flush=True)
        return False
    finally:
        bench.close()


def options_of(description, scenes, *more):
    """The words of the command line, of which `more` are for one trial; seeds what is random."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each scene (default: 3)")
    parser.add_argument("--seed", type=int, default=None, help="for what is random")
    for flag, settings in more:
        parser.add_argument(flag, **settings)
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help=f"of {', '.join(scenes)} (default: all)")
    options = parser.parse_args()
    if unknown := [name for name in options.scenes if name not in scenes]:
        parser.error(f"no such scene: {', '.join(unknown)}; there are {', '.join(scenes)}")
    seed = options.seed if options.seed is not None else random.getrandbits(32)
    random.seed(seed)
    print(f"seed {seed}", flush=True)
    return options


def within_a_name_space(main):
    """Runs the program once more, where mounts and processes end with it, and `main` with a folder there."""
    if FOLDER in os.environ:
        sys.exit(main(Path(os.environ[FOLDER])))
    folder = tempfile.mkdtemp(prefix="ossmount-trial-")
    try:
        inside = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command = [*inside, sys.executable, os.path.abspath(sys.argv[0]), *sys.argv[1:]]
        sys.exit(subprocess.run(command, env=os.environ | {FOLDER: folder}, check=False).returncode)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
