"""Programs of other projects, reading a mounted bucket."""

import errno
import fcntl
import hashlib
import io
import mmap
import os
import pathlib
import random
import shutil
import socket
import sqlite3
import subprocess
import threading

import pytest

from conftest import noise
from mounting import Mount, upload_tree

MIB = 1 << 20
LARGE = 40 * MIB + 4321


def run(*command, **options) -> str:
    """Runs a program that must succeed, and returns what it printed."""
    done = subprocess.run(
        [str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, **options
    )
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> pathlib.Path:
    """A folder with what the programs below want to see."""
    root = tmp_path_factory.mktemp("original") / "tree"
    for n in range(120):
        path = root / f"small/d{n % 7}/file {n:03}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"line of file {n}\n".encode() * n)
    (root / "ünï-码/deep/er").mkdir(parents=True)
    (root / "ünï-码/deep/er/naïve+name%41.txt").write_text("odd name")
    (root / "large.bin").write_bytes(noise(LARGE))
    # Sizes around those of pages, requests and parts.
    for size in (1, 4095, 4096, 4097, 131_071, 131_073, MIB, 8 * MIB - 1, 8 * MIB + 1):
        (root / f"size-{size}").write_bytes(noise(size, size))

    with sqlite3.connect(root / "table.db") as database:
        database.execute("create table t(n integer primary key, word text)")
        database.executemany("insert into t values (?, ?)", ((n, f"word {n * 7919 % 10007}") for n in range(50_000)))
        database.execute("create index by_word on t(word)")
    database.close()

    work = root.parent / "work"
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
    run("git", "init", "-q", "-b", "main", work)
    for n in range(5):
        (work / f"source{n}.txt").write_bytes(noise(50_000, n))
        run("git", "-C", work, "add", ".")
        run("git", "-C", work, *identity, "commit", "-q", "-m", f"commit {n}")
    run("git", "clone", "-q", "--bare", work, root / "repository.git")
    assert not any((root / "repository.git/refs/heads").iterdir()), "git wants an empty directory to survive"
    return root


@pytest.fixture(scope="module")
def mount(binary, emulator, original, tmp_path_factory):
    upload_tree(emulator, "programs", original, "data/")
    mount = Mount(binary, emulator, "oss://programs/data", tmp_path_factory.mktemp("programs") / "mnt")
    yield mount
    mount.end()


@pytest.fixture(scope="module")
def mounted(mount) -> pathlib.Path:
    return mount.path


def files_below(root) -> dict:
    return {p.relative_to(root).as_posix(): p.stat().st_size for p in pathlib.Path(root).rglob("*") if p.is_file()}


def assert_same_files(found, original):
    """Equal names, sizes and bytes."""
    assert files_below(found) == files_below(original)
    for name in files_below(original):
        assert (found / name).read_bytes() == (original / name).read_bytes(), name


def test_find(mounted, original):
    printed = run("find", mounted, "-type", "f", "-printf", r"%P\t%s\n")
    found = dict(line.split("\t") for line in printed.splitlines())
    assert found == {name: str(size) for name, size in files_below(original).items()}
    directories = run("find", mounted, "-mindepth", "1", "-type", "d", "-printf", r"%P\n").splitlines()
    wanted = [p.relative_to(original).as_posix() for p in original.rglob("*") if p.is_dir()]
    assert sorted(directories) == sorted(wanted)
    assert run("find", mounted, "-name", "*.db", "-printf", "%P") == "table.db"


def test_ls_shows_read_only_files(mounted):
    assert run("stat", "-c", "%a %F", mounted / "table.db") == "444 regular file\n"
    assert run("stat", "-c", "%a %F", mounted / "small") == "555 directory\n"
    assert len(run("ls", "-la", mounted / "small/d0").splitlines()) == 3 + 18


def test_cp_archive(mounted, original, tmp_path):
    run("cp", "-a", mounted, tmp_path / "copy")
    assert_same_files(tmp_path / "copy", original)
    copied, source = (tmp_path / "copy/table.db").stat(), (mounted / "table.db").stat()
    assert (copied.st_mtime, copied.st_mode) == (source.st_mtime, source.st_mode)
    run("chmod", "-R", "u+w", tmp_path / "copy")


def test_tar(mounted, original, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    run("tar", "-C", mounted, "-cf", tmp_path / "tree.tar", ".")
    run("tar", "-C", out, "-xf", tmp_path / "tree.tar", "--no-same-permissions", "--mode=u+w")
    assert_same_files(out, original)


def test_rsync(mounted, original, tmp_path):
    run("rsync", "-rt", "--chmod=u+w", f"{mounted}/", tmp_path / "copy/")
    assert_same_files(tmp_path / "copy", original)
    # With equal times and sizes a second run has nothing to do; with checksums it reads everything again.
    assert run("rsync", "-rti", "--omit-dir-times", "--chmod=u+w", f"{mounted}/", tmp_path / "copy/") == ""
    assert run("rsync", "-rci", "--omit-dir-times", "--chmod=u+w", f"{mounted}/", f"{original}/", "--dry-run") == ""


def test_md5sum(mounted, original):
    names = sorted(files_below(original))
    sums = "".join(f"{hashlib.md5((original / n).read_bytes()).hexdigest()}  {n}\n" for n in names)
    checked = subprocess.run(["md5sum", "--quiet", "-c", "-"], cwd=mounted, input=sums, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout) == (0, ""), checked.stderr


def test_diff_and_grep(mounted, original):
    run("diff", "-r", original, mounted)
    assert run("grep", "-rlx", "line of file 119", mounted / "small") == f"{mounted}/small/d0/file 119.txt\n"
    assert run("wc", "-c", mounted / "large.bin").split()[0] == str(LARGE)


def test_dd_in_odd_pieces(mounted, original):
    with (mounted / "large.bin").open("rb") as file, (original / "large.bin").open("rb") as same:
        dd = subprocess.run(
            ["dd", f"if={mounted}/large.bin", "bs=777777", "status=none"], stdout=subprocess.PIPE, timeout=120, check=True
        )
        assert hashlib.sha256(dd.stdout).digest() == hashlib.file_digest(same, "sha256").digest()
        file.seek(12_345_678)
        same.seek(12_345_678)
        assert file.read(3_000_000) == same.read(3_000_000)


def test_sqlite(mounted, original):
    ask = "pragma integrity_check; select count(*), sum(length(word)), max(word) from t; select n from t where word='word 7919';"
    answers = [run("sqlite3", f"file:{place}/table.db?mode=ro&immutable=1", ask) for place in (mounted, original)]
    assert answers[0] == answers[1] and answers[0].startswith("ok\n50000|")


def test_git_clone(mounted, original, tmp_path):
    trust = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    run("git", "clone", "-q", f"file://{mounted}/repository.git", tmp_path / "clone", env={**os.environ, **trust})
    run("git", "-C", tmp_path / "clone", "fsck", "--full", "--strict")
    head = lambda place: run("git", "-C", place, "rev-parse", "HEAD", env={**os.environ, **trust})
    assert head(tmp_path / "clone") == head(original / "repository.git")
    assert (tmp_path / "clone/source4.txt").read_bytes() == noise(50_000, 4)
    # Without the file:// git hard-links or copies the objects itself.
    run("git", "clone", "-q", mounted / "repository.git", tmp_path / "local", env={**os.environ, **trust})
    run("git", "-C", tmp_path / "local", "fsck")


def test_mmap(mounted, original):
    content = (original / "large.bin").read_bytes()
    with (mounted / "large.bin").open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
        assert len(view) == LARGE
        chance = random.Random(5)
        for _ in range(200):
            offset = chance.randrange(LARGE)
            assert view[offset : offset + 5000] == content[offset : offset + 5000]
        assert view[LARGE - 3 :] == content[-3:]
        assert hashlib.sha256(view).digest() == hashlib.sha256(content).digest()


def test_direct_reads(mounted, original):
    content = (original / "large.bin").read_bytes()
    file = os.open(mounted / "large.bin", os.O_RDONLY | os.O_DIRECT)
    try:
        # An anonymous mapping is aligned as O_DIRECT asks for.
        with mmap.mmap(-1, MIB) as buffer:
            for offset in (0, 4096, 8 * MIB - 4096, 17 * MIB):
                assert os.preadv(file, [buffer], offset) == MIB
                assert buffer[:] == content[offset : offset + MIB]
            tail = LARGE // 4096 * 4096
            assert os.preadv(file, [buffer], tail) == LARGE - tail
            assert buffer[: LARGE - tail] == content[tail:]
            assert os.preadv(file, [buffer], tail + MIB) == 0
    finally:
        os.close(file)


def test_sendfile_and_splice(mounted, original, tmp_path):
    content = (original / "large.bin").read_bytes()
    with (mounted / "large.bin").open("rb") as source, (tmp_path / "sent").open("w+b") as target:
        sent = 0
        while count := os.sendfile(target.fileno(), source.fileno(), sent, LARGE):
            sent += count
        assert sent == LARGE
        target.seek(0)
        assert target.read() == content

    near, far = socket.socketpair()
    received = io.BytesIO()
    reader = threading.Thread(target=lambda: shutil.copyfileobj(far.makefile("rb"), received))
    reader.start()
    with near, (mounted / "size-8388609").open("rb") as source:
        near.sendfile(source)
    reader.join(60)
    assert received.getvalue() == (original / "size-8388609").read_bytes()

    pipe_out, pipe_in = os.pipe()
    with (mounted / "large.bin").open("rb") as source, os.fdopen(pipe_out, "rb") as out:
        moved = os.splice(source.fileno(), pipe_in, 60_000, offset_src=10 * MIB)
        os.close(pipe_in)
        assert moved > 0 and out.read() == content[10 * MIB : 10 * MIB + moved]


def test_seek_data_and_hole(mounted):
    file = os.open(mounted / "large.bin", os.O_RDONLY)
    try:
        assert os.lseek(file, 5 * MIB, os.SEEK_DATA) == 5 * MIB
        assert os.lseek(file, 5 * MIB, os.SEEK_HOLE) == LARGE
        with pytest.raises(OSError) as beyond:
            os.lseek(file, LARGE, os.SEEK_DATA)
        assert beyond.value.errno == errno.ENXIO
    finally:
        os.close(file)


def test_eight_readers_of_one_file(mounted, original):
    expected = hashlib.sha256((original / "large.bin").read_bytes()).hexdigest()
    readers = [
        subprocess.Popen(["sha256sum", mounted / "large.bin"], stdout=subprocess.PIPE, text=True) for _ in range(8)
    ]
    assert [reader.communicate(timeout=120)[0].split()[0] for reader in readers] == [expected] * 8


def test_random_reads(mounted, original):
    content = (original / "large.bin").read_bytes()
    chance = random.Random(11)
    file = os.open(mounted / "large.bin", os.O_RDONLY)
    try:
        for _ in range(300):
            offset, size = chance.randrange(LARGE), chance.choice([1, 100, 4096, 70_000])
            assert os.pread(file, size, offset) == content[offset : offset + size]
        assert os.pread(file, 100, LARGE) == b""
    finally:
        os.close(file)


WRITES = {
    "create": lambda root: (root / "new").open("w"),
    "append": lambda root: (root / "table.db").open("ab"),
    "truncate": lambda root: os.truncate(root / "table.db", 0),
    "mkdir": lambda root: (root / "new").mkdir(),
    "unlink": lambda root: (root / "table.db").unlink(),
    "rmdir": lambda root: (root / "small").rmdir(),
    "rename": lambda root: (root / "table.db").rename(root / "other"),
    "link": lambda root: os.link(root / "table.db", root / "other"),
    "symlink": lambda root: os.symlink("table.db", root / "other"),
    "chmod": lambda root: (root / "table.db").chmod(0o600),
    "utime": lambda root: os.utime(root / "table.db", (0, 0)),
    "setxattr": lambda root: os.setxattr(root / "table.db", "user.colour", b"blue"),
}


@pytest.mark.parametrize("write", WRITES)
def test_writes_are_refused(mounted, write):
    with pytest.raises(OSError) as refused:
        WRITES[write](mounted)
    assert refused.value.errno == errno.EROFS


def test_locks_and_facts(mounted):
    with (mounted / "table.db").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        fcntl.flock(file, fcntl.LOCK_UN)
    facts = os.statvfs(mounted)
    assert facts.f_bsize > 0 and facts.f_namemax == 255
    run("df", mounted)
    assert not (mounted / "nothing").exists()
    with pytest.raises(NotADirectoryError):
        (mounted / "table.db/below").stat()


def test_nothing_is_missing_after_all_this(mount):
    """The daemon has not ended and still answers."""
    assert (mount.path / "size-1").read_bytes() == noise(1, 1)
