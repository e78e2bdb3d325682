"""Versions as the official clients list them, and a bucket as it stood: what `ossmount` shows is what they say."""

import datetime
import json
import os
import random
import subprocess
import time

import alibabacloud_oss_v2 as oss
import boto3
import pytest
import requests
from botocore.config import Config

from mounting import Mount
from oss_client import body_of, client_of, put

KEYS = [f"dir-{n % 3}/file {n % 7}+{n}.txt" for n in range(12)]


@pytest.fixture
def history(emulator, bucket_name):
    """A bucket whose keys were written and deleted in an order of chance, and a time in the middle of that."""
    client = client_of(emulator)
    client.put_bucket(oss.PutBucketRequest(bucket=bucket_name))
    keep = oss.VersioningConfiguration(status="Enabled")
    client.put_bucket_versioning(oss.PutBucketVersioningRequest(bucket=bucket_name, versioning_configuration=keep))
    dice = random.Random(7)
    middle = None
    for step in range(80):
        key = dice.choice(KEYS)
        if dice.random() < 0.25:
            client.delete_object(oss.DeleteObjectRequest(bucket=bucket_name, key=key))
        else:
            put(client, bucket_name, key, f"step {step} of {key}".encode())
        if step == 40:
            # Times are told in whole seconds: the next step belongs to another one.
            middle = int(time.time())
            while int(time.time()) == middle:
                time.sleep(0.01)
    return client, bucket_name, middle


def versions_by_oss(client, bucket, limit):
    """Every version and delete marker, as the official client pages through them."""
    pages = client.list_object_versions_paginator(limit=limit).iter_page(oss.ListObjectVersionsRequest(bucket=bucket))
    found = []
    for page in pages:
        found += [(v.key, v.version_id, v.last_modified, v.is_latest, False) for v in page.version or []]
        found += [(v.key, v.version_id, v.last_modified, v.is_latest, True) for v in page.delete_marker or []]
    return found


def versions_by_boto3(server, bucket, limit):
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key_id,
        aws_secret_access_key=server.access_key_secret,
        region_name=server.region,
        config=Config(s3={"addressing_style": "path"}),
    )
    pages = client.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": limit})
    found = []
    for page in pages:
        found += [(v["Key"], v["VersionId"], v["LastModified"], v["IsLatest"], False) for v in page.get("Versions", [])]
        found += [(v["Key"], v["VersionId"], v["LastModified"], v["IsLatest"], True) for v in page.get("DeleteMarkers", [])]
    return found


def ossmount(binary, server, *arguments):
    environment = {
        **os.environ,
        "OSS_ACCESS_KEY_ID": server.access_key_id,
        "OSS_ACCESS_KEY_SECRET": server.access_key_secret,
        "AWS_ACCESS_KEY_ID": server.access_key_id,
        "AWS_SECRET_ACCESS_KEY": server.access_key_secret,
        "OSSMOUNT_ENDPOINT": server.endpoint,
        "OSSMOUNT_REGION": server.region,
    }
    ran = subprocess.run([binary, *arguments], env=environment, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_log_prints_what_the_official_clients_list(binary, emulator, history):
    client, bucket, _ = history
    by_oss = versions_by_oss(client, bucket, 3)
    by_boto3 = versions_by_boto3(emulator, bucket, 5)
    assert {v[:2] + v[3:] for v in by_oss} == {v[:2] + v[3:] for v in by_boto3}
    for scheme in ("oss", "s3"):
        logged = ossmount(binary, emulator, "log", "--json", f"{scheme}://{bucket}")
        told = {(v["key"], v["version_id"], v["is_latest"], v["is_delete_marker"]) for v in logged}
        assert told == {v[:2] + v[3:] for v in by_oss}
        assert len(logged) == len(by_oss)


def test_a_past_listing_and_mount_show_what_the_versions_say(binary, emulator, history, tmp_path):
    client, bucket, middle = history
    # The emulator's clock goes on; the time must lie a minute back.
    at = datetime.datetime.fromtimestamp(middle, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    def clock(seconds):
        answer = requests.post(f"{emulator.endpoint}/-/clock", json={"offset_seconds": seconds}, timeout=10)
        assert answer.ok, answer.text

    stood = {}
    by_key = {}
    for key, version, modified, _, deleted in versions_by_boto3_in_order(emulator, bucket):
        by_key.setdefault(key, []).append((version, modified, deleted))
    for key, versions in by_key.items():
        old_enough = [v for v in versions if v[1].timestamp() <= middle]
        if old_enough and not old_enough[0][2]:
            stood[key] = old_enough[0][0]
    assert 3 < len(stood) < len(KEYS) + 1
    clock(120)
    try:
        for scheme in ("oss", "s3"):
            shown = ossmount(binary, emulator, "ls", "-r", "--json", "--at", at, f"{scheme}://{bucket}")
            assert {v["key"]: v["version_id"] for v in shown} == stood
        mount = Mount(binary, emulator, f"oss://{bucket}", tmp_path / "mnt", f"at={at}")
        try:
            found = {p.relative_to(mount.path).as_posix(): p.read_bytes() for p in mount.path.rglob("*") if p.is_file()}
            assert found == {key: body_of(client, bucket, key, version_id=version) for key, version in stood.items()}
        finally:
            mount.end()
    finally:
        clock(0)


def versions_by_boto3_in_order(server, bucket):
    """The same in the order of the history: one line in a page, so that markers and versions are not put apart."""
    return versions_by_boto3(server, bucket, 1)
