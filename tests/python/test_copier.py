"""`ossmount cp` beside the copier of `alibabacloud-oss-v2`: the same copy by both, and what the service holds and was
asked for afterwards is the same. Where the client is known to be wrong, `ossmount` is right."""

import dataclasses
import json
import os
import subprocess
import tempfile
import time

import alibabacloud_oss_v2 as oss
import pytest
import requests

from conftest import noise, start_emulator, stop
from oss_client import body_of, client_of

MIB = 1 << 20

METADATA = {
    "content_type": "text/x-copied",
    "cache_control": "max-age=60",
    "content_disposition": 'attachment; filename="a b"',
    "content_encoding": "identity",
    "content_language": "de",
    "expires": "Thu, 29 Feb 2024 12:34:56 GMT",
    "metadata": {"owner": "alice", "n": "7"},
}

# Small enough to be quick, with parts all the same.
SIZES = {"part_size": 1 * MIB, "multipart_copy_threshold": 2 * MIB, "parallel_num": 3}
FLAGS = ["--copy-part-size=1MiB", "--copy-threshold=2MiB", "--copy-parallel=3"]


@pytest.fixture(scope="module")
def server(binary, tmp_path_factory):
    """An emulator of these tests' own, whose counters no other test changes."""
    process, server = start_emulator(binary, tmp_path_factory.mktemp("copier"))
    yield server
    stop(process)


def peak_kib(pid):
    """The memory of a process at its highest so far. The figure of `wait4` includes the process that started it."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            lines = [line for line in status if line.startswith("VmHWM:")]
    except ProcessLookupError:
        lines = []
    return int(lines[0].split()[1]) if lines else 0


@dataclasses.dataclass
class Side:
    """One way to copy: the client, and the requests that the service received."""

    client: oss.Client
    server: object
    binary: os.PathLike
    # The memory of the last `cp` at its highest.
    peak_kib: int = 0

    def counted(self, call):
        """The requests that a call makes, by operation, and what it returns."""
        requests.post(f"{self.server.endpoint}/-/counters/reset", timeout=10).raise_for_status()
        outcome = call()
        counters = requests.get(f"{self.server.endpoint}/-/counters", timeout=10).json()
        return counters["requests"], outcome

    def sdk(self, request, **options):
        return self.counted(lambda: self.client.copier().copy(request, **(SIZES | options)))

    def cp(self, *arguments, status=0, sizes=FLAGS):
        """Runs `ossmount cp --json`, and returns what it said last."""
        environment = {
            **os.environ,
            "OSS_ACCESS_KEY_ID": self.server.access_key_id,
            "OSS_ACCESS_KEY_SECRET": self.server.access_key_secret,
        }
        where = [f"--endpoint={self.server.endpoint}", f"--region={self.server.region}"]
        command = [self.binary, "cp", "--json", *arguments, *sizes, *where]

        def run():
            with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
                process = subprocess.Popen(command, env=environment, stdout=out, stderr=err)
                self.peak_kib = 0
                while process.poll() is None:
                    self.peak_kib = max(self.peak_kib, peak_kib(process.pid))
                    time.sleep(0.01)
                out.seek(0)
                err.seek(0)
                said = err.read()
                assert process.returncode == status, said
                lines = out.read().splitlines()
            return json.loads(lines[-1]) if lines else None, said

        return self.counted(run)

    def facts(self, bucket, key):
        """Everything that the service tells of an object but its times and its tag."""
        head = self.client.head_object(oss.HeadObjectRequest(bucket=bucket, key=key))
        tags = self.client.get_object_tagging(oss.GetObjectTaggingRequest(bucket=bucket, key=key)).tag_set.tags
        return {
            "size": head.content_length,
            "crc64": head.hash_crc64,
            "type": head.object_type,
            "class": head.storage_class,
            "content_type": head.content_type,
            "cache_control": head.cache_control,
            "content_disposition": head.content_disposition,
            "content_encoding": head.content_encoding,
            "content_language": head.headers.get("content-language"),
            "expires": head.expires,
            "metadata": dict(head.metadata or {}),
            "tags": sorted((tag.key, tag.value) for tag in tags or []),
        }


@pytest.fixture
def side(server, binary):
    return Side(client_of(server), server, binary)


@pytest.fixture
def buckets(side, bucket_name):
    for name in (bucket_name, f"{bucket_name}-to"):
        side.client.put_bucket(oss.PutBucketRequest(bucket=name))
    return bucket_name, f"{bucket_name}-to"


def put(side, bucket, size, tagging="team=blue&n=7"):
    content = noise(size)
    side.client.put_object(
        oss.PutObjectRequest(bucket=bucket, key="from", body=content, tagging=tagging, **METADATA)
    )
    return content


def request(source, target, key, **fields):
    return oss.CopyObjectRequest(bucket=target, key=key, source_bucket=source, source_key="from", **fields)


@pytest.mark.parametrize("size", [0, 2 * MIB, 2 * MIB + 1, 11 * MIB - 7], ids=str)
@pytest.mark.parametrize("place", ["same-bucket", "other-bucket"])
def test_the_same_copy_by_the_same_requests(side, buckets, size, place):
    source, target = buckets if place == "other-bucket" else (buckets[0], buckets[0])
    content = put(side, source, size)
    theirs, result = side.sdk(request(source, target, "sdk"))
    ours, (told, _) = side.cp(f"oss://{source}/from", f"oss://{target}/ours")
    assert ours == theirs
    assert side.facts(target, "ours") == side.facts(target, "sdk")
    assert body_of(side.client, target, "ours") == content
    assert told["state"] == "done"
    assert told["bytes"] == {"done": size, "total": size}
    there = side.client.head_object(oss.HeadObjectRequest(bucket=target, key="ours"))
    assert told["result"]["crc64"] == str(there.hash_crc64) == str(result.hash_crc64)
    assert told["result"]["etag"] == there.etag.strip('"')


@pytest.mark.parametrize("size", [1000, 11 * MIB], ids=str)
def test_what_is_replaced_is_replaced_alike(side, buckets, size):
    source, target = buckets
    put(side, source, size)
    fields = {
        "metadata_directive": "REPLACE",
        "content_type": "text/x-new",
        "metadata": {"new": "1"},
        "tagging_directive": "Replace",
        "tagging": "only=one",
        "storage_class": "IA",
    }
    theirs, _ = side.sdk(request(source, target, "sdk", **fields))
    flags = [
        "--metadata-directive=replace", "--content-type=text/x-new", "--metadata=new=1", "--tagging-directive=replace",
        "--tagging=only=one", "--storage-class=IA",
    ]  # fmt: skip
    ours, _ = side.cp(f"oss://{source}/from", f"oss://{target}/ours", *flags)
    assert ours == theirs
    facts = side.facts(target, "ours")
    assert facts == side.facts(target, "sdk")
    assert (facts["metadata"], facts["tags"], facts["class"]) == ({"new": "1"}, [("only", "one")], "IA")


def test_tags_survive_parts_whatever_they_hold(side, buckets):
    source, target = buckets
    put(side, source, 11 * MIB, tagging="a%20b=x%2By%3D1%3A%2F&empty=")
    side.cp(f"oss://{source}/from", f"oss://{target}/ours")
    assert side.facts(target, "ours") == side.facts(source, "from") | {"type": "Multipart"}
    # The client sends tags as they are: `+` becomes a blank, and `=` ends a name.
    side.sdk(request(source, target, "sdk"))
    assert side.facts(target, "sdk")["tags"] != side.facts(source, "from")["tags"]


def test_directives_that_do_not_exist_are_refused(side, buckets):
    source, target = buckets
    put(side, source, 1000)
    for flag in ("--metadata-directive=move", "--tagging-directive=none"):
        asked, (_, said) = side.cp(f"oss://{source}/from", f"oss://{target}/ours", flag, status=2)
        assert asked == {} and "copy or replace" in said


def test_an_object_of_200_gib_is_copied_in_little_memory(binary, tmp_path):
    process, server = start_emulator(binary, tmp_path, "--generate", "huge=flat:1:200GiB")
    try:
        side = Side(client_of(server), server, binary)
        side.client.put_bucket(oss.PutBucketRequest(bucket="huge-copy"))
        [entry] = side.client.list_objects_v2(oss.ListObjectsV2Request(bucket="huge")).contents
        asked, (told, _) = side.cp(f"oss://huge/{entry.key}", "oss://huge-copy/", sizes=["--copy-part-size=256MiB"])
        assert told["state"] == "done" and told["bytes"]["done"] == 200 << 30
        assert asked["UploadPartCopy"] == told["parts"]["total"] == 800
        assert 0 < side.peak_kib < 100 << 10
        source = side.client.head_object(oss.HeadObjectRequest(bucket="huge", key=entry.key))
        assert told["result"]["crc64"] == str(source.hash_crc64)
    finally:
        stop(process)
