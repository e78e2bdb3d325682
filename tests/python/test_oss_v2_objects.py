"""`alibabacloud-oss-v2` against the emulator: objects, ranges, conditions, tags, links, appends, archives, versions."""

import dataclasses
import datetime

import alibabacloud_oss_v2 as oss
import pytest
import requests

from conftest import ODD_KEYS, noise
from oss_client import body_of, client_of, get, put, refusal


@pytest.fixture(params=["v4", "v1"])
def client(request, emulator):
    return client_of(emulator, signature_version=request.param)


@pytest.fixture
def bucket(client, bucket_name):
    client.put_bucket(oss.PutBucketRequest(bucket=bucket_name))
    return bucket_name


def test_object_life(client, bucket):
    content = noise(300_000)
    written = put(
        client, bucket, "dir/file.bin", content, content_type="text/x-test", metadata={"colour": "blue", "n": "7"},
        cache_control="no-store",
    )
    head = client.head_object(oss.HeadObjectRequest(bucket=bucket, key="dir/file.bin"))
    assert (head.content_length, head.content_type, head.cache_control) == (300_000, "text/x-test", "no-store")
    assert dict(head.metadata) == {"colour": "blue", "n": "7"}
    assert (head.etag, head.hash_crc64) == (written.etag, written.hash_crc64)
    assert (head.object_type, head.storage_class) == ("Normal", "Standard")
    assert head.etag == head.etag.upper() and head.etag[0] == head.etag[-1] == '"'

    meta = client.get_object_meta(oss.GetObjectMetaRequest(bucket=bucket, key="dir/file.bin"))
    assert (meta.content_length, meta.etag, meta.hash_crc64) == (300_000, written.etag, written.hash_crc64)
    assert body_of(client, bucket, "dir/file.bin") == content
    assert client.is_object_exist(bucket, "dir/file.bin")

    client.delete_object(oss.DeleteObjectRequest(bucket=bucket, key="dir/file.bin"))
    client.delete_object(oss.DeleteObjectRequest(bucket=bucket, key="dir/file.bin"))
    assert not client.is_object_exist(bucket, "dir/file.bin")
    gone = refusal(get, client, bucket, "dir/file.bin")
    assert (gone.status_code, gone.code) == (404, "NoSuchKey")
    assert gone.request_id and gone.ec
    # An answer to HEAD has no body: the same facts come in a header.
    gone = refusal(client.head_object, oss.HeadObjectRequest(bucket=bucket, key="dir/file.bin"))
    assert (gone.status_code, gone.code) == (404, "NoSuchKey")


@pytest.mark.parametrize("key", ODD_KEYS, ids=ascii)
def test_odd_key(client, bucket, key):
    content = key.encode() * 3
    put(client, bucket, key, content)
    assert body_of(client, bucket, key) == content
    listed = client.list_objects_v2(oss.ListObjectsV2Request(bucket=bucket, prefix=key))
    assert [(o.key, o.size) for o in listed.contents] == [(key, len(content))]
    copied = client.copy_object(oss.CopyObjectRequest(bucket=bucket, key="copy of " + key[:50], source_key=key))
    assert copied.etag
    assert body_of(client, bucket, "copy of " + key[:50]) == content
    client.delete_object(oss.DeleteObjectRequest(bucket=bucket, key=key))
    assert not client.is_object_exist(bucket, key)


@pytest.mark.parametrize(
    ("wanted", "plain", "standard"),
    [
        # The 200s of the middle column are the traps: the service sends the whole object, not what was asked for.
        ("bytes=0-499", (206, 0, 500), (206, 0, 500)),
        ("bytes=500-", (206, 500, 1000), (206, 500, 1000)),
        ("bytes=-500", (206, 500, 1000), (206, 500, 1000)),
        ("bytes=999-999", (206, 999, 1000), (206, 999, 1000)),
        ("byte=0-499", (200, 0, 1000), (200, 0, 1000)),
        ("bytes=0-1000", (200, 0, 1000), (206, 0, 1000)),
        ("bytes=500-2000", (200, 0, 1000), (206, 500, 1000)),
        ("bytes=1000-2000", (200, 0, 1000), 416),
        ("bytes=1000-", (200, 0, 1000), 416),
    ],
)
def test_ranges(client, bucket, wanted, plain, standard):
    content = noise(1000)
    crc = put(client, bucket, "thousand", content).hash_crc64
    for behaviour, expected in ((None, plain), ("standard", standard)):
        ask = lambda: get(client, bucket, "thousand", range_header=wanted, range_behavior=behaviour)
        if expected == 416:
            error = refusal(ask)
            assert (error.status_code, error.code) == (416, "InvalidRange")
            continue
        status, start, end = expected
        answer = ask()
        assert answer.status_code == status
        assert answer.content_range == (f"bytes {start}-{end - 1}/1000" if status == 206 else None)
        # The checksum of a range is that of the whole object.
        assert answer.hash_crc64 == crc
        assert answer.body.content == content[start:end]


def test_conditions(client, bucket):
    etag = put(client, bucket, "pinned", b"first").etag
    assert body_of(client, bucket, "pinned", if_match=etag) == b"first"
    assert refusal(get, client, bucket, "pinned", if_match='"0123"').status_code == 412
    assert refusal(get, client, bucket, "pinned", if_none_match=etag).status_code == 304
    put(client, bucket, "pinned", b"second")
    changed = refusal(get, client, bucket, "pinned", if_match=etag, range_header="bytes=0-1")
    assert (changed.status_code, changed.code) == (412, "PreconditionFailed")
    long_ago = "Thu, 01 Jan 2015 00:00:00 GMT"
    assert refusal(get, client, bucket, "pinned", if_unmodified_since=long_ago).status_code == 412
    assert body_of(client, bucket, "pinned", if_modified_since=long_ago) == b"second"


def test_tags(client, bucket):
    put(client, bucket, "tagged", b"x", tagging="team=a%20b&stage=one")
    read = client.get_object_tagging(oss.GetObjectTaggingRequest(bucket=bucket, key="tagged"))
    assert {t.key: t.value for t in read.tag_set.tags} == {"team": "a b", "stage": "one"}
    tags = oss.Tagging(tag_set=oss.TagSet(tags=[oss.Tag(key="k+1", value="v=/:.")]))
    client.put_object_tagging(oss.PutObjectTaggingRequest(bucket=bucket, key="tagged", tagging=tags))
    head = client.head_object(oss.HeadObjectRequest(bucket=bucket, key="tagged"))
    assert head.tagging_count == 1
    read = client.get_object_tagging(oss.GetObjectTaggingRequest(bucket=bucket, key="tagged"))
    assert {t.key: t.value for t in read.tag_set.tags} == {"k+1": "v=/:."}
    client.delete_object_tagging(oss.DeleteObjectTaggingRequest(bucket=bucket, key="tagged"))
    read = client.get_object_tagging(oss.GetObjectTaggingRequest(bucket=bucket, key="tagged"))
    assert not (read.tag_set.tags or [])


def test_symlink(client, bucket):
    put(client, bucket, "real ü+name", b"the target", content_type="text/plain")
    # The caller encodes the target; the client sends and hands on what it was given.
    target = requests.utils.quote("real ü+name")
    client.put_symlink(oss.PutSymlinkRequest(bucket=bucket, key="link", symlink_target=target))
    assert body_of(client, bucket, "link") == b"the target"
    link = client.get_symlink(oss.GetSymlinkRequest(bucket=bucket, key="link"))
    assert requests.utils.unquote(link.target) == "real ü+name"
    listed = client.list_objects_v2(oss.ListObjectsV2Request(bucket=bucket, prefix="link"))
    assert [o.object_type for o in listed.contents] == ["Symlink"]
    client.put_symlink(oss.PutSymlinkRequest(bucket=bucket, key="broken", symlink_target="nowhere"))
    broken = refusal(client.head_object, oss.HeadObjectRequest(bucket=bucket, key="broken"))
    assert (broken.status_code, broken.code) == (404, "SymlinkTargetNotExist")
    ordinary = refusal(client.get_symlink, oss.GetSymlinkRequest(bucket=bucket, key="real ü+name"))
    assert (ordinary.status_code, ordinary.code) == (400, "NotSymlink")


def test_append(client, bucket):
    first = client.append_object(oss.AppendObjectRequest(bucket=bucket, key="log", position=0, body=b"one "))
    assert first.next_position == 4
    client.append_object(oss.AppendObjectRequest(bucket=bucket, key="log", position=4, body=b"two "))
    wrong = refusal(client.append_object, oss.AppendObjectRequest(bucket=bucket, key="log", position=0, body=b"!"))
    assert (wrong.status_code, wrong.code) == (409, "PositionNotEqualToLength")
    # The client's own file object: it asks for the type and length first, and checks the running checksum.
    with client.append_file(bucket, "log") as file:
        assert file.tell() == 8
        file.write(b"three")
    assert body_of(client, bucket, "log") == b"one two three"
    head = client.head_object(oss.HeadObjectRequest(bucket=bucket, key="log"))
    assert (head.object_type, int(head.next_append_position)) == ("Appendable", 13)
    put(client, bucket, "normal", b"x")
    refused = refusal(client.append_object, oss.AppendObjectRequest(bucket=bucket, key="normal", position=1, body=b"!"))
    assert (refused.status_code, refused.code) == (409, "ObjectNotAppendable")


def test_archived_object(client, bucket):
    put(client, bucket, "frozen", b"ice", storage_class="Archive")
    refused = refusal(get, client, bucket, "frozen")
    assert (refused.status_code, refused.code) == (403, "InvalidObjectState")
    head = client.head_object(oss.HeadObjectRequest(bucket=bucket, key="frozen"))
    assert (head.storage_class, head.content_length) == ("Archive", 3)
    restored = client.restore_object(oss.RestoreObjectRequest(bucket=bucket, key="frozen"))
    assert restored.status_code == 202
    head = client.head_object(oss.HeadObjectRequest(bucket=bucket, key="frozen"))
    assert head.restore.startswith("ongoing-request=")
    put(client, bucket, "warm", b"x")
    needless = refusal(client.restore_object, oss.RestoreObjectRequest(bucket=bucket, key="warm"))
    assert (needless.status_code, needless.code) == (400, "OperationNotSupported")


def test_versions(client, bucket):
    keep = oss.VersioningConfiguration(status="Enabled")
    client.put_bucket_versioning(oss.PutBucketVersioningRequest(bucket=bucket, versioning_configuration=keep))
    state = client.get_bucket_versioning(oss.GetBucketVersioningRequest(bucket=bucket))
    assert state.version_status == "Enabled"
    old = put(client, bucket, "doc", b"old").version_id
    new = put(client, bucket, "doc", b"new").version_id
    assert old and new and old != new
    assert body_of(client, bucket, "doc") == b"new"
    assert body_of(client, bucket, "doc", version_id=old) == b"old"
    marker = client.delete_object(oss.DeleteObjectRequest(bucket=bucket, key="doc"))
    assert marker.delete_marker and marker.version_id
    gone = refusal(get, client, bucket, "doc")
    assert (gone.status_code, gone.code) == (404, "NoSuchKey")
    assert refusal(get, client, bucket, "doc", version_id=marker.version_id).status_code == 405
    assert body_of(client, bucket, "doc", version_id=new) == b"new"

    pages = client.list_object_versions_paginator(limit=1).iter_page(oss.ListObjectVersionsRequest(bucket=bucket))
    seen = [v for page in pages for v in (page.version or []) + (page.delete_marker or [])]
    assert [(v.version_id, v.is_latest) for v in seen] == [(marker.version_id, True), (new, False), (old, False)]

    client.delete_object(oss.DeleteObjectRequest(bucket=bucket, key="doc", version_id=marker.version_id))
    assert body_of(client, bucket, "doc") == b"new"
    missing = refusal(get, client, bucket, "doc", version_id="CAEQ0000000000000")
    assert (missing.status_code, missing.code) == (404, "NoSuchVersion")


def test_delete_many(client, bucket):
    keys = [k for k in ODD_KEYS]
    for key in keys:
        put(client, bucket, key, b"x")
    objects = [oss.DeleteObject(key=key) for key in keys + ["never there"]]
    deleted = client.delete_multiple_objects(
        oss.DeleteMultipleObjectsRequest(bucket=bucket, objects=objects, encoding_type="url")
    )
    assert {d.key for d in deleted.deleted_objects} == set(keys) | {"never there"}
    assert not client.list_objects_v2(oss.ListObjectsV2Request(bucket=bucket)).contents


def test_bucket_facts(client, bucket):
    put(client, bucket, "a", b"12345")
    put(client, bucket, "b", b"1234567")
    info = client.get_bucket_info(oss.GetBucketInfoRequest(bucket=bucket)).bucket_info
    assert (info.name, info.location, info.storage_class) == (bucket, "oss-cn-hangzhou", "Standard")
    location = client.get_bucket_location(oss.GetBucketLocationRequest(bucket=bucket))
    assert location.location == "oss-cn-hangzhou"
    stat = client.get_bucket_stat(oss.GetBucketStatRequest(bucket=bucket))
    assert (stat.object_count, stat.storage) == (2, 12)
    assert client.is_bucket_exist(bucket)
    assert not client.is_bucket_exist("no-such-bucket-here")
    absent = refusal(client.list_objects_v2, oss.ListObjectsV2Request(bucket="no-such-bucket-here"))
    assert (absent.status_code, absent.code) == (404, "NoSuchBucket")


@pytest.mark.parametrize("version", ["v4", "v1"])
@pytest.mark.parametrize("key", ["dir/plain", "a b+c%25/ü?#&="], ids=ascii)
def test_presigned_urls(emulator, bucket_name, version, key):
    client = client_of(emulator, signature_version=version)
    client.put_bucket(oss.PutBucketRequest(bucket=bucket_name))
    upload = client.presign(
        oss.PutObjectRequest(bucket=bucket_name, key=key, content_type="text/x-test", metadata={"who": "me"})
    )
    sent = requests.request(upload.method, upload.url, data=b"by hand", headers=upload.signed_headers)
    assert sent.status_code == 200, sent.text
    download = client.presign(
        oss.GetObjectRequest(bucket=bucket_name, key=key, response_content_type="text/other"),
        expires=datetime.timedelta(minutes=5),
    )
    got = requests.get(download.url)
    assert (got.status_code, got.content, got.headers["Content-Type"]) == (200, b"by hand", "text/other")
    assert got.headers["x-oss-meta-who"] == "me"
    # Any change to what was signed is noticed.
    assert requests.get(download.url.replace("text%2Fother", "text%2Fhtml")).status_code == 403
    assert requests.put(download.url, data=b"!").status_code == 403


@pytest.mark.parametrize("version", ["v4", "v1"])
def test_expired_url(emulator, bucket_name, version):
    client = client_of(emulator, signature_version=version)
    client.put_bucket(oss.PutBucketRequest(bucket=bucket_name))
    put(client, bucket_name, "k", b"x")
    past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=1)
    url = client.presign(oss.GetObjectRequest(bucket=bucket_name, key="k"), expiration=past).url
    answer = requests.get(url)
    assert answer.status_code in (400, 403) and b"<Code>" in answer.content


def test_wrong_secret(client, emulator, bucket, request):
    version = request.node.callspec.params["client"]
    stranger = client_of(emulator, secret="not-the-secret", signature_version=version)
    error = refusal(put, stranger, bucket, "k", b"x")
    assert (error.status_code, error.code) == (403, "SignatureDoesNotMatch")
    assert error.ec and error.request_id


def test_unknown_key_id(emulator, bucket_name):
    config = oss.config.load_default()
    config.credentials_provider = oss.credentials.StaticCredentialsProvider("NobodyKnowsMe", "secret")
    config.region, config.endpoint = emulator.region, emulator.endpoint
    error = refusal(oss.Client(config).put_bucket, oss.PutBucketRequest(bucket=bucket_name))
    assert (error.status_code, error.code) == (403, "InvalidAccessKeyId")


def test_anonymous_is_refused(emulator, client, bucket):
    put(client, bucket, "k", b"x")
    config = oss.config.load_default()
    config.credentials_provider = oss.credentials.AnonymousCredentialsProvider()
    config.region, config.endpoint = emulator.region, emulator.endpoint
    error = refusal(get, oss.Client(config), bucket, "k")
    assert (error.status_code, error.code) == (403, "AccessDenied")


def test_wrong_region(emulator, bucket_name):
    elsewhere = client_of(emulator)
    elsewhere.put_bucket(oss.PutBucketRequest(bucket=bucket_name))
    config = oss.config.load_default()
    config.credentials_provider = oss.credentials.StaticCredentialsProvider(
        emulator.access_key_id, emulator.access_key_secret
    )
    config.region, config.endpoint = "cn-shanghai", emulator.endpoint
    error = refusal(get, oss.Client(config), bucket_name, "k")
    assert error.status_code in (400, 403)


def test_clock_skew(emulator, bucket_name):
    client = client_of(emulator, retry_max_attempts=1)
    client.put_bucket(oss.PutBucketRequest(bucket=bucket_name))
    put(client, bucket_name, "k", b"x")
    late = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=16)
    stamp = late.strftime("%a, %d %b %Y %H:%M:%S GMT")
    error = refusal(get, client, bucket_name, "k", headers={"x-oss-date": stamp})
    assert (error.status_code, error.code) == (403, "RequestTimeTooSkewed")
    near = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=14)
    stamp = near.strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert body_of(client, bucket_name, "k", headers={"x-oss-date": stamp}) == b"x"


@pytest.mark.parametrize("version", ["v4", "v1"])
def test_temporary_credentials(emulator, temporary, bucket_name, version):
    client = client_of(temporary, signature_version=version)
    client.put_bucket(oss.PutBucketRequest(bucket=bucket_name))
    put(client, bucket_name, "k", b"by token")
    assert body_of(client, bucket_name, "k") == b"by token"
    assert body_of(client_of(emulator), bucket_name, "k") == b"by token"
    url = client.presign(oss.GetObjectRequest(bucket=bucket_name, key="k")).url
    assert requests.get(url).content == b"by token"

    without = dataclasses.replace(temporary, security_token=None)
    assert refusal(get, client_of(without, signature_version=version), bucket_name, "k").status_code == 403
    other = client_of(temporary, token="another token", signature_version=version)
    assert refusal(get, other, bucket_name, "k").status_code == 403


def test_foreign_token_is_refused(client, emulator, bucket, request):
    version = request.node.callspec.params["client"]
    stranger = client_of(emulator, token="no-such-token", signature_version=version)
    error = refusal(get, stranger, bucket, "k")
    assert error.status_code == 403 and error.code != "NoSuchKey"
