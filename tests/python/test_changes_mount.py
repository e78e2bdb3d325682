"""A mounted bucket that changes under its readers, and what is known of its files."""

import errno
import os
import subprocess

import alibabacloud_oss_v2 as oss
import pytest

from conftest import noise
from mounting import Mount
from oss_client import client_of, put

MIB = 1 << 20


@pytest.fixture
def client(emulator):
    return client_of(emulator)


@pytest.fixture
def bucket(client, bucket_name):
    client.put_bucket(oss.PutBucketRequest(bucket=bucket_name))
    return bucket_name


@pytest.fixture
def mounted(binary, emulator, bucket, tmp_path):
    """Mounts the test's bucket, once it is filled, with the given options; unmounts at the end."""
    mounts = []

    def mount(*options):
        mounts.append(Mount(binary, emulator, f"oss://{bucket}", tmp_path / f"mnt{len(mounts)}", *options))
        return mounts[-1].path

    yield mount
    for made in mounts:
        made.end()


@pytest.mark.parametrize("bridge, error", [("off", errno.ESTALE), ("auto", errno.EIO)])
def test_a_changed_object_is_stale_and_then_new(client, bucket, mounted, bridge, error):
    old, new = noise(24 * MIB, 1), noise(20 * MIB, 2)
    put(client, bucket, "changing", old)
    path = mounted("metadata-ttl=0", f"bridge={bridge}") / "changing"
    file = os.open(path, os.O_RDONLY)
    try:
        assert os.pread(file, 1000, 0) == old[:1000]
        put(client, bucket, "changing", new)
        # What was read before the change may be answered from memory; bytes never fetched cannot.
        with pytest.raises(OSError) as stale:
            for offset in range(20 * MIB, 24 * MIB, 4096):
                assert os.pread(file, 4096, offset) == old[offset : offset + 4096]
        assert stale.value.errno == error
    finally:
        os.close(file)
    assert path.stat().st_size == len(new)
    assert path.read_bytes() == new


def test_new_and_deleted_objects_are_seen_at_once_without_ttl(client, bucket, mounted):
    put(client, bucket, "dir/one", b"1")
    root = mounted("metadata-ttl=0", "negative-ttl=0")
    assert os.listdir(root / "dir") == ["one"]
    assert not (root / "dir/two").exists()
    put(client, bucket, "dir/two", b"22")
    assert (root / "dir/two").read_bytes() == b"22"
    client.delete_object(oss.DeleteObjectRequest(bucket=bucket, key="dir/one"))
    assert os.listdir(root / "dir") == ["two"]
    assert not (root / "dir/one").exists()


def test_a_frozen_view(client, bucket, mounted):
    put(client, bucket, "dir/one", b"1")
    root = mounted("metadata-ttl=indefinite")
    assert os.listdir(root / "dir") == ["one"]
    put(client, bucket, "dir/two", b"22")
    assert os.listdir(root / "dir") == ["one"]
    assert (root / "dir/one").read_bytes() == b"1"


def test_old_versions_are_read_by_name(client, bucket, mounted):
    keep = oss.VersioningConfiguration(status="Enabled")
    client.put_bucket_versioning(oss.PutBucketVersioningRequest(bucket=bucket, versioning_configuration=keep))
    old = put(client, bucket, "doc.txt", b"first version").version_id
    put(client, bucket, "doc.txt", b"second")
    root = mounted()
    assert (root / "doc.txt").read_bytes() == b"second"
    assert (root / f"doc.txt?versionId={old}").read_bytes() == b"first version"
    assert os.listdir(root) == ["doc.txt"]


def test_getfattr_shows_what_is_known(client, bucket, mounted):
    written = put(client, bucket, "dir/model.bin", b"123456789", content_type="text/x-model", metadata={"kind": "model"})
    root = mounted()
    shown = subprocess.run(
        ["getfattr", "--absolute-names", "-d", root / "dir/model.bin"], capture_output=True, text=True, check=True
    ).stdout
    facts = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    assert facts["user.oss.key"] == '"dir/model.bin"'
    assert facts["user.oss.size"] == '"9"'
    assert facts["user.oss.etag"].strip('"\\').replace("\\", "") == written.etag.strip('"')
    asked = lambda name: os.getxattr(root / "dir/model.bin", name).decode()
    assert asked("user.oss.crc64") == "11051210869376104954"
    assert asked("user.oss.content-type") == "text/x-model"
    assert asked("user.oss.meta.kind") == "model"
    with pytest.raises(OSError) as unknown:
        asked("user.oss.no-such-fact")
    assert unknown.value.errno == errno.ENODATA


def test_archived_object_is_refused_with_a_word_in_the_log(client, bucket, mounted):
    put(client, bucket, "frozen", b"ice", storage_class="Archive")
    root = mounted()
    assert (root / "frozen").stat().st_size == 3
    with pytest.raises(PermissionError):
        (root / "frozen").read_bytes()
    log = root.with_name(root.name + ".log").read_text()
    assert "frozen" in log and "restore" in log.lower()


def test_mount_with_temporary_credentials(binary, emulator, temporary, client, bucket, tmp_path):
    put(client, bucket, "k", b"by token")
    mount = Mount(binary, temporary, f"oss://{bucket}", tmp_path / "mnt")
    try:
        assert (mount.path / "k").read_bytes() == b"by token"
    finally:
        mount.end()
