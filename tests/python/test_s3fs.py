"""`s3fs` on the S3 side of the emulator, and the same tests on a Ceph gateway."""

import pytest
import s3fs

from conftest import noise

MIB = 1 << 20


@pytest.fixture(scope="module", params=["emulator", "radosgw"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def files(server):
    return s3fs.S3FileSystem(
        key=server.access_key_id, secret=server.access_key_secret, skip_instance_cache=True,
        client_kwargs={"endpoint_url": server.endpoint, "region_name": server.region},
        config_kwargs={"s3": {"addressing_style": "path"}}, use_listings_cache=False,
    )


@pytest.fixture
def bucket(files, bucket_name):
    files.mkdir(bucket_name)
    return bucket_name


def test_tree(files, bucket):
    paths = ["top.txt", "a/one.txt", "a/two words.txt", "a/b/deep ü.txt", "a/b/c/d", "z+plus/file"]
    for path in paths:
        files.pipe(f"{bucket}/{path}", path.encode())
    assert sorted(files.ls(bucket, detail=False)) == [f"{bucket}/{n}" for n in ("a", "top.txt", "z+plus")]
    listed = {e["name"]: (e["type"], e["size"]) for e in files.ls(f"{bucket}/a", detail=True)}
    assert listed == {
        f"{bucket}/a/one.txt": ("file", 9),
        f"{bucket}/a/two words.txt": ("file", 15),
        f"{bucket}/a/b": ("directory", 0),
    }
    assert files.find(bucket) == sorted(f"{bucket}/{p}" for p in paths)
    assert [d for d, _, _ in files.walk(bucket)] == [bucket] + [f"{bucket}/{d}" for d in ("a", "a/b", "a/b/c", "z+plus")]
    assert files.glob(f"{bucket}/a/*.txt") == [f"{bucket}/a/one.txt", f"{bucket}/a/two words.txt"]
    assert files.isdir(f"{bucket}/a/b") and files.isfile(f"{bucket}/a/b/deep ü.txt")
    assert not files.exists(f"{bucket}/nothing")
    assert files.du(bucket) == sum(len(p.encode()) for p in paths)
    files.rm(f"{bucket}/a", recursive=True)
    assert files.find(bucket) == [f"{bucket}/top.txt", f"{bucket}/z+plus/file"]


def test_file_reading(files, bucket):
    content = noise(12 * MIB + 17)
    with files.open(f"{bucket}/big", "wb", block_size=5 * MIB) as file:
        file.write(content)
    assert files.size(f"{bucket}/big") == len(content)
    with files.open(f"{bucket}/big", "rb", block_size=MIB) as file:
        for offset, size in [(0, 10), (5 * MIB - 3, 7), (11 * MIB, 2 * MIB), (len(content) - 1, 10)]:
            file.seek(offset)
            assert file.read(size) == content[offset : offset + size]
        file.seek(0)
        assert file.read() == content
    assert files.cat_file(f"{bucket}/big", start=100, end=200) == content[100:200]
    assert files.cat_ranges([f"{bucket}/big"] * 2, [0, MIB], [5, MIB + 5]) == [content[:5], content[MIB : MIB + 5]]
    assert files.tail(f"{bucket}/big", 9) == content[-9:]


def test_copy_and_move(files, bucket):
    files.pipe(f"{bucket}/from a", b"data")
    files.copy(f"{bucket}/from a", f"{bucket}/to/b")
    files.mv(f"{bucket}/to/b", f"{bucket}/to/c")
    assert files.find(bucket) == [f"{bucket}/from a", f"{bucket}/to/c"]
    assert files.cat(f"{bucket}/to/c") == b"data"
    with pytest.raises(FileNotFoundError):
        files.cat(f"{bucket}/to/b")


def test_metadata(files, bucket):
    files.pipe_file(f"{bucket}/k", b"data", Metadata={"kind": "model"})
    assert files.metadata(f"{bucket}/k") == {"kind": "model"}
    info = files.info(f"{bucket}/k")
    assert (info["type"], info["size"]) == ("file", 4) and info["ETag"]
    url = files.sign(f"{bucket}/k", expiration=60)
    assert "X-Amz-Signature=" in url or "Signature=" in url
