"""Mounts for the tests: made with the command line, taken down whatever happens."""

import json
import os
import pathlib
import subprocess

import alibabacloud_oss_v2 as oss
import pytest

from oss_client import client_of


def is_mounted(directory: pathlib.Path) -> bool:
    """Whether the kernel lists a mount at exactly this path."""
    escaped = str(directory).replace("\\", "\\134").replace(" ", "\\040")
    return any(line.split()[1] == escaped for line in pathlib.Path("/proc/self/mounts").read_text().splitlines())


class Mount:
    """A bucket or a prefix of it, mounted in the background by `ossmount mount`."""

    def __init__(self, binary, server, url: str, directory: pathlib.Path, *options: str):
        self.binary, self.url, self.path = binary, url, directory
        directory.mkdir(parents=True)
        self.environment = {
            **os.environ,
            "OSS_ACCESS_KEY_ID": server.access_key_id,
            "OSS_ACCESS_KEY_SECRET": server.access_key_secret,
        }
        if server.security_token:
            self.environment["OSS_SESSION_TOKEN"] = server.security_token
        log = directory.with_name(directory.name + ".log")
        words = ",".join([f"endpoint={server.endpoint}", f"region={server.region}", f"log-file={log}", *options])
        began = self.run("mount", url, directory, "-o", words)
        assert began.returncode == 0, f"{began.stdout}{began.stderr}{log.read_text() if log.exists() else ''}"
        assert is_mounted(directory), "`ossmount mount` returned without a mount"

    def run(self, *arguments) -> subprocess.CompletedProcess:
        return subprocess.run(
            [self.binary, *arguments], env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )

    @property
    def figures(self) -> str:
        """The address of its figures, where `metrics-listen` was given."""
        return json.loads(self.run("control", self.path, '{"op":"health"}').stdout)["metrics"]

    def end(self) -> None:
        """Unmounts the way a user does; what is left after that is taken down by force, and is a failure."""
        try:
            ended = self.run("umount", self.path)
            complaint = "" if ended.returncode == 0 else f"ossmount umount: {ended.stdout}{ended.stderr}"
        except subprocess.TimeoutExpired as late:
            complaint = str(late)
        if is_mounted(self.path):
            complaint += " still mounted afterwards"
            subprocess.run(["umount", "-l", self.path], check=False, timeout=30)
        if complaint:
            pytest.fail(complaint)


def upload_tree(server, bucket: str, source: pathlib.Path, prefix: str = "") -> None:
    """Puts every file below `source` into the bucket with the official client, large ones in parts. A directory without
    entries becomes a marker, an empty object whose key ends in a slash."""
    client = client_of(server)
    client.put_bucket(oss.PutBucketRequest(bucket=bucket))
    uploader = client.uploader(part_size=8 << 20, parallel_num=2)
    for path in sorted(source.rglob("*")):
        key = prefix + path.relative_to(source).as_posix()
        if path.is_file():
            uploader.upload_file(oss.PutObjectRequest(bucket=bucket, key=key), filepath=str(path))
        elif not any(path.iterdir()):
            client.put_object(oss.PutObjectRequest(bucket=bucket, key=key + "/", body=b""))
