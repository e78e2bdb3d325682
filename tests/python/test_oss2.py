"""`oss2`, the older official client, against the emulator: its own signers, iterators, transfers and checksum checks."""

import oss2
import pytest

from conftest import ODD_KEYS, noise

MIB = 1 << 20


@pytest.fixture(params=["v1", "v4"])
def service_of(request, emulator):
    """Makes a bucket handle, signed in one of the two ways."""
    keys = emulator.access_key_id, emulator.access_key_secret
    if request.param == "v1":
        auth = oss2.Auth(*keys)
    else:
        auth = oss2.AuthV4(*keys)

    def make(name):
        return oss2.Bucket(auth, emulator.endpoint, name, region=emulator.region)

    make.service = oss2.Service(auth, emulator.endpoint, region=emulator.region)
    return make


@pytest.fixture
def bucket(service_of, bucket_name):
    handle = service_of(bucket_name)
    handle.create_bucket()
    return handle


def test_object_life(bucket):
    content = noise(200_000)
    # The client compares its checksum of what it sent and received with the server's, and raises when they differ.
    written = bucket.put_object("dir/a", content, headers={"x-oss-meta-colour": "blue", "Content-Type": "text/x-test"})
    assert written.status == 200 and written.crc
    got = bucket.get_object("dir/a")
    assert got.read() == content
    assert (got.client_crc, got.content_type, got.headers["x-oss-meta-colour"]) == (got.server_crc, "text/x-test", "blue")
    assert bucket.get_object("dir/a", byte_range=(100, 299)).read() == content[100:300]
    assert bucket.get_object("dir/a", byte_range=(None, 10)).read() == content[-10:]
    assert bucket.get_object("dir/a", byte_range=(199_990, None)).read() == content[-10:]
    head = bucket.head_object("dir/a")
    assert (head.content_length, head.etag, head.object_type) == (200_000, written.etag, "Normal")
    assert bucket.get_object_meta("dir/a").content_length == 200_000
    assert bucket.object_exists("dir/a")
    bucket.delete_object("dir/a")
    assert not bucket.object_exists("dir/a")
    with pytest.raises(oss2.exceptions.NoSuchKey):
        bucket.get_object("dir/a")
    with pytest.raises(oss2.exceptions.NotFound):
        bucket.head_object("dir/a")


@pytest.mark.parametrize("key", ODD_KEYS, ids=ascii)
def test_odd_key(bucket, key):
    bucket.put_object(key, key.encode())
    assert bucket.get_object(key).read() == key.encode()
    assert [o.key for o in oss2.ObjectIterator(bucket, prefix=key)] == [key]
    assert bucket.batch_delete_objects([key]).deleted_keys == [key]
    assert not bucket.object_exists(key)


def test_iterators(bucket):
    keys = sorted({f"d{n // 10}/f{n:03}" for n in range(35)} | {"top", "über"}, key=str.encode)
    for key in keys:
        bucket.put_object(key, b"x")
    assert [o.key for o in oss2.ObjectIterator(bucket, max_keys=4)] == keys
    assert [o.key for o in oss2.ObjectIteratorV2(bucket, max_keys=4)] == keys
    top = list(oss2.ObjectIteratorV2(bucket, delimiter="/", max_keys=2))
    assert [(o.key, o.is_prefix()) for o in top] == [(f"d{n}/", True) for n in range(4)] + [("top", False), ("über", False)]
    assert [o.key for o in oss2.ObjectIteratorV2(bucket, start_after="d2/f029")] == keys[30:]


def test_resumable_upload_and_download(bucket, tmp_path):
    content = noise(2 * MIB + 345)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(content)
    store = oss2.ResumableStore(root=str(tmp_path))
    oss2.resumable_upload(
        bucket, "big", str(source), store=store, multipart_threshold=MIB, part_size=512 * 1024, num_threads=2
    )
    assert bucket.head_object("big").object_type == "Multipart"
    download_store = oss2.ResumableDownloadStore(root=str(tmp_path))
    oss2.resumable_download(
        bucket, "big", str(target), store=download_store, multiget_threshold=MIB, part_size=300_000, num_threads=2
    )
    assert target.read_bytes() == content


def test_multipart_by_hand(bucket):
    upload = bucket.init_multipart_upload("parts").upload_id
    pieces = [noise(200_000, n) for n in range(3)]
    parts = []
    for number, piece in enumerate(pieces, 1):
        sent = bucket.upload_part("parts", upload, number, piece)
        parts.append(oss2.models.PartInfo(number, sent.etag, size=len(piece), part_crc=sent.crc))
    assert [p.part_number for p in oss2.PartIterator(bucket, "parts", upload, max_parts=2)] == [1, 2, 3]
    assert [u.key for u in oss2.MultipartUploadIterator(bucket)] == ["parts"]
    # The client combines the checksums of the parts and compares.
    bucket.complete_multipart_upload("parts", upload, parts)
    assert bucket.get_object("parts").read() == b"".join(pieces)
    aborted = bucket.init_multipart_upload("other").upload_id
    bucket.abort_multipart_upload("other", aborted)
    with pytest.raises(oss2.exceptions.NoSuchUpload):
        bucket.upload_part("other", aborted, 1, b"x")


def test_part_copy(bucket):
    content = noise(400_000)
    bucket.put_object("source +ü", content)
    upload = bucket.init_multipart_upload("target").upload_id
    parts = []
    for number, (start, end) in enumerate([(0, 199_999), (200_000, 399_999)], 1):
        sent = bucket.upload_part_copy(bucket.bucket_name, "source +ü", (start, end), "target", upload, number)
        parts.append(oss2.models.PartInfo(number, sent.etag))
    bucket.complete_multipart_upload("target", upload, parts)
    assert bucket.get_object("target").read() == content
    assert bucket.head_object("target").headers["x-oss-hash-crc64ecma"] == (
        bucket.head_object("source +ü").headers["x-oss-hash-crc64ecma"]
    )


def test_append(bucket):
    first = bucket.append_object("log", 0, b"one ")
    second = bucket.append_object("log", first.next_position, b"two", init_crc=first.crc)
    assert second.next_position == 7
    assert bucket.get_object("log").read() == b"one two"
    with pytest.raises(oss2.exceptions.PositionNotEqualToLength):
        bucket.append_object("log", 1, b"!")


def test_symlink_and_tags(bucket):
    bucket.put_object("target", b"data")
    bucket.put_symlink("target", "link")
    assert bucket.get_symlink("link").target_key == "target"
    assert bucket.get_object("link").read() == b"data"
    rule = oss2.models.TaggingRule()
    rule.add("team", "a b")
    bucket.put_object_tagging("target", oss2.models.Tagging(rule))
    assert bucket.get_object_tagging("target").tag_set.tagging_rule == {"team": "a b"}


def test_restore(bucket):
    bucket.put_object("frozen", b"ice", headers={"x-oss-storage-class": "Archive"})
    with pytest.raises(oss2.exceptions.ServerError) as caught:
        bucket.get_object("frozen")
    assert (caught.value.status, caught.value.code) == (403, "InvalidObjectState")
    assert bucket.restore_object("frozen").status == 202


def test_signed_url(bucket):
    import requests

    bucket.put_object("a b/ü+", b"signed")
    url = bucket.sign_url("GET", "a b/ü+", 60, slash_safe=True)
    assert requests.get(url).content == b"signed"


def test_bucket_facts(bucket, service_of):
    bucket.put_object("a", b"12345")
    info = bucket.get_bucket_info()
    assert (info.name, info.location) == (bucket.bucket_name, "oss-cn-hangzhou")
    assert bucket.get_bucket_location().location == "oss-cn-hangzhou"
    stat = bucket.get_bucket_stat()
    assert (stat.object_count, stat.storage_size_in_bytes) == (1, 5)
    assert bucket.bucket_name in [b.name for b in oss2.BucketIterator(service_of.service)]


def test_versions(bucket):
    bucket.put_bucket_versioning(oss2.models.BucketVersioningConfig(oss2.BUCKET_VERSIONING_ENABLE))
    old = bucket.put_object("doc", b"old").versionid
    bucket.put_object("doc", b"new")
    bucket.delete_object("doc")
    assert bucket.get_object("doc", params={"versionId": old}).read() == b"old"
    listed = bucket.list_object_versions()
    assert (len(listed.versions), len(listed.delete_marker)) == (2, 1)


def test_temporary_credentials(emulator, temporary, bucket):
    kind = oss2.StsAuth(
        temporary.access_key_id, temporary.access_key_secret, temporary.security_token,
        auth_version="v4" if isinstance(bucket.auth, oss2.AuthV4) else "v1",
    )
    handle = oss2.Bucket(kind, emulator.endpoint, bucket.bucket_name, region=emulator.region)
    handle.put_object("k", b"by token")
    assert bucket.get_object("k").read() == b"by token"
    assert handle.get_object("k").read() == b"by token"


def test_wrong_secret(emulator, bucket):
    auth = oss2.AuthV4(emulator.access_key_id, "wrong") if isinstance(bucket.auth, oss2.AuthV4) else oss2.Auth(
        emulator.access_key_id, "wrong"
    )
    stranger = oss2.Bucket(auth, emulator.endpoint, bucket.bucket_name, region=emulator.region)
    with pytest.raises(oss2.exceptions.SignatureDoesNotMatch):
        stranger.get_object("k")
