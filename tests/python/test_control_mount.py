"""Control requests to a live mount, as Python programs make them: with nothing but `fcntl.ioctl`."""

import errno
import fcntl
import json
import os
import pathlib
import re
import subprocess
import sys

import alibabacloud_oss_v2 as oss
import pytest

from conftest import MIB, ROOT, noise
from oss_client import client_of

NUMBER = 0xE000F501


def readme_snippet() -> str:
    """The README's Python, which must work as it stands there."""
    found = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert found, "the README has a Python snippet"
    return found.group(1)


def run_snippet(tmp_path: pathlib.Path, *arguments) -> subprocess.CompletedProcess:
    script = tmp_path / "snippet.py"
    script.write_text(readme_snippet())
    return subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, timeout=60)


def test_the_readmes_snippet_copies_and_follows(mount, emulator, bucket_name, tmp_path):
    path, client = mount.path, client_of(emulator)
    ran = run_snippet(tmp_path, path, "models/a.bin", "models/copied/b.bin")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == f"done {3 * MIB} of {3 * MIB} bytes"
    assert (path / "models/copied/b.bin").read_bytes() == noise(3 * MIB), "there at once"
    keys = ("models/a.bin", "models/copied/b.bin")
    source, copy = (client.head_object(oss.HeadObjectRequest(bucket=bucket_name, key=key)) for key in keys)
    assert (copy.hash_crc64, copy.content_length) == (source.hash_crc64, source.content_length)

    ran = run_snippet(tmp_path, path, "models/none", "models/x")
    assert ran.returncode == 1 and "models/none: No such file" in ran.stderr


def test_a_refusal_has_a_number_and_a_sentence(mount):
    path = mount.path
    for where in (path, path / "models", path / "models/a.bin"):
        message = bytearray(b'{"op":"fly"}'.ljust(8192, b"\0"))
        descriptor = os.open(where, os.O_RDONLY)
        try:
            with pytest.raises(OSError) as caught:
                fcntl.ioctl(descriptor, NUMBER, message)
        finally:
            os.close(descriptor)
        assert caught.value.errno == errno.EINVAL
        answer = json.loads(message.rstrip(b"\0"))
        assert answer["error"] == "EINVAL" and "fly" in answer["message"]
