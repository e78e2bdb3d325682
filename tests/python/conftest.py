"""The emulator for the tests of this folder: started once, on a free loopback port, ended by its process id; and a mount."""

import dataclasses
import itertools
import json
import os
import pathlib
import random
import re
import select
import socket
import subprocess
import time

import alibabacloud_oss_v2 as oss
import pytest

from mounting import Mount
from oss_client import client_of, put

ROOT = pathlib.Path(__file__).resolve().parents[2]

# What `ossmount emulator` accepts when told nothing else; it protects nothing, the server is on loopback.
ACCESS_KEY_ID = "EmulatorAccessKeyId"
ACCESS_KEY_SECRET = "EmulatorAccessKeySecretForTestsOnly"
REGION = "cn-hangzhou"

# Temporary credentials, as an STS service hands them out; the emulator is told of them.
TEMPORARY = {
    "AccessKeyId": "STS.TemporaryKeyId",
    "AccessKeySecret": "TemporarySecretForTestsOnly",
    "SecurityToken": "CAIS+token/with=what%must&be encoded",
}


@dataclasses.dataclass
class Server:
    """A running object server and who may call it."""

    endpoint: str
    access_key_id: str
    access_key_secret: str
    region: str
    security_token: str | None = None
    log: pathlib.Path | None = None

    @property
    def port(self) -> int:
        return int(self.endpoint.rsplit(":", 1)[1])


@pytest.fixture(scope="session")
def binary() -> pathlib.Path:
    """The program under test: OSSMOUNT_TEST_BINARY, else the newest build."""
    named = os.environ.get("OSSMOUNT_TEST_BINARY")
    if named:
        path = pathlib.Path(named)
        assert path.is_file(), f"OSSMOUNT_TEST_BINARY names {path}, which does not exist"
        return path
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = [p for p in (target / "release/ossmount", target / "debug/ossmount") if p.is_file()]
    assert built, "no ossmount binary: run `cargo build --release` first"
    return max(built, key=lambda p: p.stat().st_mtime)


def wait_for_line(process: subprocess.Popen, pattern: str, seconds: float) -> re.Match:
    """Reads the process's stdout (a pipe) until a line matches; fails when it ends, or the time does."""
    end = time.monotonic() + seconds
    seen = b""
    while True:
        found = re.search(pattern, seen.decode(errors="replace"))
        if found:
            return found
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, end - time.monotonic()))
        chunk = os.read(process.stdout.fileno(), 65536) if ready else b""
        if not chunk:
            pytest.fail(f"{process.args} printed no {pattern!r} but {seen!r}; status {process.poll()}")
        seen += chunk


def stop(process: subprocess.Popen) -> None:
    """Asks a process to end, and insists after ten seconds."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def start_emulator(binary: pathlib.Path, directory: pathlib.Path, *options) -> tuple[subprocess.Popen, Server]:
    """Starts an emulator whose log lies in `directory`. Without `--root` the buckets made in it live in memory."""
    log = directory / "emulator.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [binary, "emulator", "--listen", "127.0.0.1:0", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=sink,
        )
    try:
        endpoint = wait_for_line(process, r"http://127\.0\.0\.1:\d+", 30).group()
    except BaseException:
        stop(process)
        print(log.read_text(errors="replace"))
        raise
    return process, Server(endpoint, ACCESS_KEY_ID, ACCESS_KEY_SECRET, REGION, log=log)


@pytest.fixture(scope="session")
def emulator(binary, tmp_path_factory):
    """The emulator that the tests share; each test makes a bucket of its own."""
    directory = tmp_path_factory.mktemp("emulator")
    (directory / "account.json").write_text(json.dumps(TEMPORARY))
    process, server = start_emulator(binary, directory, "--account", directory / "account.json")
    yield server
    assert process.poll() is None, f"the emulator ended by itself: {server.log.read_text(errors='replace')}"
    stop(process)


@pytest.fixture(scope="session")
def temporary(emulator) -> Server:
    """The same emulator, called with temporary credentials."""
    return dataclasses.replace(
        emulator,
        access_key_id=TEMPORARY["AccessKeyId"],
        access_key_secret=TEMPORARY["AccessKeySecret"],
        security_token=TEMPORARY["SecurityToken"],
    )


@pytest.fixture(scope="session")
def radosgw(tmp_path_factory):
    """A Ceph gateway: what it says about S3 is not our reading of S3."""
    directory = tmp_path_factory.mktemp("ceph") / "cluster"
    script = ROOT / "tests/servers/radosgw"
    up = subprocess.run(
        [script, "up", directory, "0", str(os.getpid())], stdout=subprocess.PIPE, text=True, timeout=170
    )
    assert up.returncode == 0, "the Ceph gateway did not start, see above"
    facts = dict(word.split("=", 1) for word in up.stdout.split())
    yield Server(facts["endpoint"], facts["access-key"], facts["secret-key"], facts["region"])
    subprocess.run([script, "down", directory], check=True, timeout=60)


@pytest.fixture
def local_names(monkeypatch) -> str:
    """A domain whose every name leads to loopback, in this process, for clients that put the bucket in the host."""
    domain = "oss-emulator.test"
    system = socket.getaddrinfo

    def resolve(host, *arguments, **named):
        name = host.decode() if isinstance(host, bytes) else host
        if name and (name == domain or name.endswith("." + domain)):
            host = "127.0.0.1"
        return system(host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return domain


_numbers = itertools.count(1)


@pytest.fixture
def bucket_name(request) -> str:
    """A name that no other test uses, made from that of the test."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40].strip("-")
    return f"{words}-{next(_numbers)}"


MIB = 1 << 20


@pytest.fixture
def mount(binary, emulator, bucket_name, tmp_path):
    """A mount of the bucket `bucket_name`, with one object of 3 MiB, that serves its figures."""
    client = client_of(emulator)
    client.put_bucket(oss.PutBucketRequest(bucket=bucket_name))
    put(client, bucket_name, "models/a.bin", noise(3 * MIB))
    mount = Mount(binary, emulator, f"oss://{bucket_name}", tmp_path / "mnt", "metrics-listen=127.0.0.1:0")
    yield mount
    mount.end()


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that do not compress and that are the same in every run."""
    return random.Random(seed).randbytes(size)


# Keys that clients, signers and listings get wrong when they try to be helpful. What the HTTP stack of a client rewrites
# (`.` and `..` as whole segments) is not here: those keys cannot be sent by it.
ODD_KEYS = [
    "plain",
    "with space",
    "plus+plus",
    "percent%41%2Fnot-decoded",
    "a//double",
    "trailing/",
    "ünï-码-🦀",
    "tab\tnewline\nbell\x07",
    "q?uestion#hash&amp;<tag>\"quote'",
    "~tilde-_.!*()",
    "dots..in.name/...three",
    "key=value&other",
    "back\\slash",
    "x" * 900,
]
