"""`ossmount status DIR` on a terminal, which is a pseudo-terminal here: it moves, it ends, and it gives the terminal back."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import alibabacloud_oss_v2 as oss
import pytest

from conftest import MIB, noise
from mounting import Mount
from oss_client import client_of

class View:
    """The live view on a terminal of 300 columns and 30 rows."""

    def __init__(self, mount):
        self.keyboard, self.screen = pty.openpty()
        fcntl.ioctl(self.screen, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 300, 0, 0))
        self.before = termios.tcgetattr(self.screen)
        self.process = subprocess.Popen(
            [mount.binary, "status", mount.path],
            env={**mount.environment, "TERM": "xterm"},
            stdin=self.screen,
            stdout=self.screen,
            stderr=self.screen,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self.shown = ""

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + 60
        while text not in self.shown:
            ready, _, _ = select.select([self.keyboard], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"{text!r} was not shown: {self.shown[-2000:]!r}"
            self.shown += os.read(self.keyboard, 65536).decode(errors="replace")

    def type(self, keys: bytes) -> None:
        os.write(self.keyboard, keys)

    def is_as_it_was(self) -> bool:
        self.wait_for("\x1b[?1049l")
        return termios.tcgetattr(self.screen) == self.before

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.keyboard)
        os.close(self.screen)


@pytest.fixture
def view(mount):
    view = View(mount)
    yield view
    view.close()


def test_the_view_moves_and_q_ends_it(mount, view):
    view.wait_for(f"on {mount.path}")
    view.wait_for("q ends")
    assert (mount.path / "models/a.bin").read_bytes() == noise(3 * MIB)
    view.wait_for("models/a.bin")
    assert "\x1b[?1049h" in view.shown
    view.type(b"x")
    view.type(b"q")
    assert view.process.wait(timeout=60) == 0
    assert view.is_as_it_was()


@pytest.mark.parametrize("how", ["ctrl-c", "terminate"])
def test_signals_end_it_and_give_the_terminal_back(view, how):
    view.wait_for("q ends")
    if how == "ctrl-c":
        view.type(b"\x03")
    else:
        view.process.send_signal(signal.SIGTERM)
    assert view.process.wait(timeout=60) == 0
    assert view.is_as_it_was()


def test_it_ends_with_the_mount(binary, emulator, bucket_name, tmp_path):
    client_of(emulator).put_bucket(oss.PutBucketRequest(bucket=bucket_name))
    mount = Mount(binary, emulator, f"oss://{bucket_name}", tmp_path / "mnt")
    view = View(mount)
    try:
        view.wait_for("q ends")
        mount.end()
        assert view.process.wait(timeout=60) == 1
        assert view.is_as_it_was()
        view.wait_for("ossmount: ")
    finally:
        view.close()


def test_into_a_pipe_it_prints_once(mount):
    summary = mount.run("status", mount.path)
    assert summary.returncode == 0 and "\x1b" not in summary.stdout
    assert summary.stdout.splitlines()[1].startswith("state     ok, ")
    printed = mount.run("status", "--all", mount.path)
    assert any(line.startswith("metrics.reads ") for line in printed.stdout.splitlines())
