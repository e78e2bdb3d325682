"""`osstorchconnector`: its compiled core (C++, its own HTTP, signing and listing) lists, reads and writes on the emulator."""

import hashlib
import json
import os
import pathlib
import subprocess
import sys

import alibabacloud_oss_v2 as oss
import pytest

from conftest import noise
from oss_client import body_of, client_of, put

DOMAIN = "oss-emulator.test"


@pytest.fixture
def bucket(emulator, bucket_name):
    client = client_of(emulator)
    client.put_bucket(oss.PutBucketRequest(bucket=bucket_name))
    return bucket_name


def in_hosts_namespace(names, hosts: pathlib.Path, command):
    """Runs a command that sees the given names on loopback: a copy of /etc/hosts is mounted over the real one in a mount
    namespace of its own, so the machine's file stays as it is."""
    lines = pathlib.Path("/etc/hosts").read_text() + "".join(f"127.0.0.1 {name}\n" for name in names)
    hosts.write_text(lines)
    unshare = ["unshare", "--mount", "--propagation", "private"]
    if os.geteuid() != 0:
        unshare[1:1] = ["--user", "--map-root-user"]
    script = 'mount --bind "$0" /etc/hosts && exec "$@"'
    return subprocess.run(
        [*unshare, "sh", "-c", script, hosts, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )


def test_compiled_core(emulator, bucket, tmp_path):
    client = client_of(emulator)
    large = noise(12_345_678)
    objects = {f"data/small/{n:04}.bin": noise(1000 + n, n) for n in range(1, 51)}
    objects |= {"data/odd name+ü%41": b"odd", "data/large": large}
    # More than one page.
    objects |= {f"data/many/{n:05}": b"x" for n in range(1200)}
    objects |= {"data/empty": b"", "elsewhere": b"not below the prefix"}
    for key, body in objects.items():
        put(client, bucket, key, body)

    credentials = tmp_path / "credentials.json"
    credentials.write_text(
        json.dumps({"AccessKeyId": emulator.access_key_id, "AccessKeySecret": emulator.access_key_secret})
    )
    configuration = tmp_path / "configuration.json"
    configuration.write_text(json.dumps({"logLevel": 1, "logPath": str(tmp_path / "connector.log")}))
    session = pathlib.Path(__file__).with_name("connector_session.py")
    endpoint = f"http://{DOMAIN}:{emulator.port}"
    ran = in_hosts_namespace(
        [DOMAIN, f"{bucket}.{DOMAIN}"],
        tmp_path / "hosts",
        [sys.executable, session, endpoint, emulator.region, bucket, credentials, configuration],
    )
    logs = "".join(path.read_text(errors="replace") for path in tmp_path.glob("connector.log*"))
    assert ran.returncode == 0, f"{ran.stdout}{ran.stderr}{logs}"
    seen = json.loads(ran.stdout.splitlines()[-1])

    below = sorted(key for key, body in objects.items() if key.startswith("data/") and body)
    # It names objects by bucket and key, and leaves empty ones out (as directory markers are).
    assert sorted(seen["listed"]) == [[f"/{bucket}/{key}", len(objects[key])] for key in below]
    digest = lambda data: hashlib.sha256(data).hexdigest()
    assert sorted(seen["preloaded"]) == [[f"/{bucket}/{k}", digest(v)] for k, v in sorted(objects.items()) if k.startswith("data/small/")]
    assert seen["size"] == len(large)
    assert seen["whole"] == seen["mapped"] == digest(large)
    assert seen["slice"] == digest(large[1_000_003:1_500_003])
    assert seen["stat"] == 7
    assert body_of(client, bucket, "written/renamed ü") == b"one two"
    assert not client.is_object_exist(bucket, "written/by connector")
    assert not client.is_object_exist(bucket, "data/large")
