"""`alibabacloud-oss-v2` against the emulator: its file objects, transfers in parts, copier and paginators."""

import dataclasses
import hashlib
import io

import alibabacloud_oss_v2 as oss
import pytest

from conftest import ODD_KEYS, noise
from oss_client import body_of, client_of, put, refusal

MIB = 1 << 20


@pytest.fixture
def client(emulator):
    return client_of(emulator)


@pytest.fixture
def bucket(client, bucket_name):
    client.put_bucket(oss.PutBucketRequest(bucket=bucket_name))
    return bucket_name


@pytest.fixture(params=[False, True], ids=["serial", "prefetch"])
def file_options(request):
    """The client's read-only file in both of its ways; the thresholds are small so that prefetch really begins."""
    if not request.param:
        return {}
    return {"enable_prefetch": True, "prefetch_num": 3, "chunk_size": MIB, "prefetch_threshold": MIB}


def test_read_only_file(client, bucket, file_options):
    content = noise(9 * MIB + 12345)
    put(client, bucket, "big", content)
    with client.open_file(bucket, "big", **file_options) as file:
        assert file.read() == content
        assert file.read(10) == b""
        assert file.seek(-5, io.SEEK_END) == len(content) - 5
        assert file.read(100) == content[-5:]
        file.seek(0)
        digest = hashlib.sha256()
        while piece := file.read(700_001):
            digest.update(piece)
        assert digest.digest() == hashlib.sha256(content).digest()
        for offset, size in [(3, 10), (8 * MIB, 2 * MIB), (MIB - 1, 2), (5, 3 * MIB), (len(content) - 1, 1)]:
            file.seek(offset)
            assert file.read(size) == content[offset : offset + size]
        into = bytearray(MIB)
        file.seek(4 * MIB + 1)
        assert file.readinto(into) == MIB
        assert into == content[4 * MIB + 1 : 5 * MIB + 1]


def test_read_only_file_sees_a_change(client, bucket, file_options):
    put(client, bucket, "changing", noise(4 * MIB, 1))
    with client.open_file(bucket, "changing", **file_options) as file:
        assert len(file.read(100)) == 100
        put(client, bucket, "changing", noise(4 * MIB, 2))
        file.seek(3 * MIB)
        with pytest.raises(Exception, match="changed"):
            file.read(100)


def test_file_of_a_version(client, bucket):
    keep = oss.VersioningConfiguration(status="Enabled")
    client.put_bucket_versioning(oss.PutBucketVersioningRequest(bucket=bucket, versioning_configuration=keep))
    old = put(client, bucket, "doc", b"first version").version_id
    put(client, bucket, "doc", b"second")
    with client.open_file(bucket, "doc", version_id=old) as file:
        assert file.read() == b"first version"


def tags_of(client, bucket, key):
    read = client.get_object_tagging(oss.GetObjectTaggingRequest(bucket=bucket, key=key))
    return {t.key: t.value for t in (read.tag_set.tags or [])}


@pytest.mark.parametrize(
    ("way", "options"),
    [
        ("one call", {}),
        ("shallow", {"multipart_copy_threshold": MIB}),
        ("parts", {"multipart_copy_threshold": MIB, "part_size": MIB, "disable_shallow_copy": True}),
    ],
)
def test_copier(client, bucket, way, options):
    content = noise(5 * MIB + 77)
    put(
        client, bucket, "from ü", content, content_type="text/x-source", metadata={"kind": "model"},
        tagging="stage=prod&team=one",
    )
    source = client.head_object(oss.HeadObjectRequest(bucket=bucket, key="from ü"))
    copier = client.copier()
    result = copier.copy(oss.CopyObjectRequest(bucket=bucket, key="to ü", source_key="from ü"), **options)
    assert bool(result.upload_id) == (way == "parts")
    target = client.head_object(oss.HeadObjectRequest(bucket=bucket, key="to ü"))
    assert target.hash_crc64 == source.hash_crc64 == result.hash_crc64
    assert (target.content_type, dict(target.metadata)) == ("text/x-source", {"kind": "model"})
    assert target.object_type == ("Multipart" if way == "parts" else "Normal")
    assert tags_of(client, bucket, "to ü") == {"stage": "prod", "team": "one"}
    assert body_of(client, bucket, "to ü") == content

    copier.copy(
        oss.CopyObjectRequest(
            bucket=bucket, key="replaced", source_key="from ü", metadata={"kind": "other"}, content_type="text/new",
            metadata_directive="REPLACE", tagging_directive="Replace", tagging="fresh=yes",
        ),
        **options,
    )
    target = client.head_object(oss.HeadObjectRequest(bucket=bucket, key="replaced"))
    assert (target.content_type, dict(target.metadata)) == ("text/new", {"kind": "other"})
    assert tags_of(client, bucket, "replaced") == {"fresh": "yes"}


def test_copy_conditions(client, bucket):
    etag = put(client, bucket, "a", b"aaa").etag
    put(client, bucket, "b", b"bbb")
    stale = oss.CopyObjectRequest(bucket=bucket, key="c", source_key="a", if_match='"0000"')
    assert refusal(client.copy_object, stale).status_code == 412
    keep = oss.CopyObjectRequest(bucket=bucket, key="b", source_key="a", if_match=etag, forbid_overwrite=True)
    kept = refusal(client.copy_object, keep)
    assert (kept.status_code, kept.code) == (409, "FileAlreadyExists")
    assert body_of(client, bucket, "b") == b"bbb"


def test_copy_between_buckets(client, bucket):
    other = bucket + "-other"
    client.put_bucket(oss.PutBucketRequest(bucket=other))
    put(client, other, "x/y", b"over there")
    client.copy_object(oss.CopyObjectRequest(bucket=bucket, key="here", source_bucket=other, source_key="x/y"))
    assert body_of(client, bucket, "here") == b"over there"


def test_transfers_in_parts(client, bucket, tmp_path):
    content = noise(3 * MIB + 5)
    source = tmp_path / "source"
    source.write_bytes(content)
    uploader = client.uploader(part_size=MIB, parallel_num=3)
    up = uploader.upload_file(oss.PutObjectRequest(bucket=bucket, key="parts"), filepath=str(source))
    assert up.upload_id
    head = client.head_object(oss.HeadObjectRequest(bucket=bucket, key="parts"))
    assert (head.object_type, head.content_length, head.hash_crc64) == ("Multipart", len(content), up.hash_crc64)
    down = client.downloader(part_size=MIB, parallel_num=3)
    target = tmp_path / "target"
    down.download_file(oss.GetObjectRequest(bucket=bucket, key="parts"), filepath=str(target))
    assert target.read_bytes() == content
    down.download_file(
        oss.GetObjectRequest(bucket=bucket, key="parts", range_header=f"bytes=0-{2 * MIB + 9}"),
        filepath=str(target),
    )
    assert target.read_bytes() == content[: 2 * MIB + 10]
    whole = tmp_path / "whole"
    client.get_object_to_file(oss.GetObjectRequest(bucket=bucket, key="parts"), str(whole))
    assert whole.read_bytes() == content


def test_multipart_by_hand(client, bucket):
    key = "dir/by hand ü"
    begin = lambda: client.initiate_multipart_upload(oss.InitiateMultipartUploadRequest(bucket=bucket, key=key)).upload_id
    upload = begin()
    pieces = [noise(200_000, 1), noise(150_000, 2), b"tail"]
    parts = []
    for number, piece in zip((1, 3, 9), pieces):
        sent = client.upload_part(
            oss.UploadPartRequest(bucket=bucket, key=key, upload_id=upload, part_number=number, body=piece)
        )
        parts.append(oss.UploadPart(part_number=number, etag=sent.etag))

    pages = client.list_parts_paginator(limit=2).iter_page(
        oss.ListPartsRequest(bucket=bucket, key=key, upload_id=upload)
    )
    listed = [(p.part_number, p.size) for page in pages for p in page.parts]
    assert listed == [(1, 200_000), (3, 150_000), (9, 4)]
    uploads = client.list_multipart_uploads(oss.ListMultipartUploadsRequest(bucket=bucket))
    assert [(u.key, u.upload_id) for u in uploads.uploads] == [(key, upload)]

    def complete(upload, parts):
        return client.complete_multipart_upload(
            oss.CompleteMultipartUploadRequest(
                bucket=bucket, key=key, upload_id=upload,
                complete_multipart_upload=oss.CompleteMultipartUpload(parts=parts),
            )
        )

    assert refusal(complete, upload, parts[::-1]).code == "InvalidPartOrder"
    wrong = [parts[0], oss.UploadPart(part_number=3, etag='"00000000000000000000000000000000"')]
    assert refusal(complete, upload, wrong).code == "InvalidPart"
    complete(upload, parts)
    assert body_of(client, bucket, key) == b"".join(pieces)
    assert refusal(complete, upload, parts).code == "NoSuchUpload"

    dropped = begin()
    client.abort_multipart_upload(oss.AbortMultipartUploadRequest(bucket=bucket, key=key, upload_id=dropped))
    late = refusal(
        client.upload_part,
        oss.UploadPartRequest(bucket=bucket, key=key, upload_id=dropped, part_number=1, body=b"late"),
    )
    assert (late.status_code, late.code) == (404, "NoSuchUpload")
    assert not client.list_multipart_uploads(oss.ListMultipartUploadsRequest(bucket=bucket)).uploads


def test_part_too_small(client, bucket):
    upload = client.initiate_multipart_upload(oss.InitiateMultipartUploadRequest(bucket=bucket, key="k")).upload_id
    parts = []
    for number in (1, 2):
        sent = client.upload_part(
            oss.UploadPartRequest(bucket=bucket, key="k", upload_id=upload, part_number=number, body=b"tiny")
        )
        parts.append(oss.UploadPart(part_number=number, etag=sent.etag))
    request = oss.CompleteMultipartUploadRequest(
        bucket=bucket, key="k", upload_id=upload, complete_multipart_upload=oss.CompleteMultipartUpload(parts=parts)
    )
    small = refusal(client.complete_multipart_upload, request)
    assert (small.status_code, small.code) == (400, "EntityTooSmall")


def utf8_order(keys):
    return sorted(keys, key=lambda key: key.encode())


@pytest.fixture
def listed_bucket(client, bucket):
    keys = utf8_order({f"d{n // 10}/f{n:03}" for n in range(45)} | set(ODD_KEYS))
    for key in keys:
        put(client, bucket, key, key.encode())
    return bucket, keys


PAGINATORS = {
    "v2": lambda client, limit: (client.list_objects_v2_paginator(limit=limit), oss.ListObjectsV2Request),
    "v1": lambda client, limit: (client.list_objects_paginator(limit=limit), oss.ListObjectsRequest),
}


@pytest.mark.parametrize("form", PAGINATORS)
@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_paginator(client, listed_bucket, form, limit):
    bucket, keys = listed_bucket
    paginator, request = PAGINATORS[form](client, limit)
    pages = list(paginator.iter_page(request(bucket=bucket)))
    objects = [o for page in pages for o in page.contents]
    assert [o.key for o in objects] == keys
    assert [o.size for o in objects] == [len(k.encode()) for k in keys]
    assert all(len(page.contents) == limit for page in pages[:-1])

    pages = list(paginator.iter_page(request(bucket=bucket, delimiter="/")))
    tops = {k.split("/", 1)[0] + "/" for k in keys if "/" in k}
    assert [p.prefix for page in pages for p in (page.common_prefixes or [])] == utf8_order(tops)
    assert [o.key for page in pages for o in (page.contents or [])] == [k for k in keys if "/" not in k]
    assert all(len(page.contents or []) + len(page.common_prefixes or []) <= limit for page in pages)

    pages = list(paginator.iter_page(request(bucket=bucket, prefix="d2/", delimiter="/")))
    assert [o.key for page in pages for o in page.contents] == [f"d2/f{n:03}" for n in range(20, 30)]


def test_listing_bounds(client, listed_bucket):
    bucket, keys = listed_bucket
    after = client.list_objects_v2(oss.ListObjectsV2Request(bucket=bucket, start_after="d3/f03", max_keys=3))
    expected = [k for k in keys if k.encode() > b"d3/f03"][:3]
    assert [o.key for o in after.contents] == expected
    assert (after.key_count, after.max_keys, after.is_truncated) == (3, 3, True)
    marker = client.list_objects(oss.ListObjectsRequest(bucket=bucket, marker="d3/f035", max_keys=2))
    assert [o.key for o in marker.contents] == [k for k in keys if k.encode() > b"d3/f035"][:2]
    default = client.list_objects_v2(oss.ListObjectsV2Request(bucket=bucket))
    assert default.max_keys == 100
    owned = client.list_objects_v2(oss.ListObjectsV2Request(bucket=bucket, fetch_owner=True, max_keys=1))
    assert owned.contents[0].owner.id
    many = refusal(client.list_objects_v2, oss.ListObjectsV2Request(bucket=bucket, max_keys=1001))
    assert (many.status_code, many.code) == (400, "InvalidArgument")


def test_list_buckets(client, bucket):
    names = [f"{bucket}-{n}" for n in range(5)]
    for name in names:
        client.put_bucket(oss.PutBucketRequest(bucket=name))
    pages = list(client.list_buckets_paginator(limit=2).iter_page(oss.ListBucketsRequest(prefix=bucket + "-")))
    assert [b.name for page in pages for b in page.buckets] == names
    assert len(pages) == 3
    client.delete_bucket(oss.DeleteBucketRequest(bucket=names[0]))
    left = client.list_buckets(oss.ListBucketsRequest(prefix=bucket + "-"))
    assert [b.name for b in left.buckets] == names[1:]
    put(client, names[1], "k", b"x")
    full = refusal(client.delete_bucket, oss.DeleteBucketRequest(bucket=names[1]))
    assert (full.status_code, full.code) == (409, "BucketNotEmpty")


def test_virtual_host_style(emulator, client, bucket, local_names):
    """The service's own addressing: the bucket in the host name, as the client does it for every endpoint but an IP."""
    put(client, bucket, "dir/k ü", b"by host name")
    named = dataclasses.replace(emulator, endpoint=f"http://{local_names}:{emulator.port}")
    for version in ("v4", "v1"):
        virtual = client_of(named, signature_version=version)
        assert body_of(virtual, bucket, "dir/k ü") == b"by host name"
        assert [o.key for o in virtual.list_objects_v2(oss.ListObjectsV2Request(bucket=bucket)).contents] == ["dir/k ü"]
        assert bucket in [b.name for page in virtual.list_buckets_paginator(limit=1000).iter_page(
            oss.ListBucketsRequest()) for b in page.buckets]
