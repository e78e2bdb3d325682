"""The page at `/` in a browser without a window: it is drawn, and neither loads nor runs anything."""

import re
import subprocess

from conftest import MIB, noise


def test_a_browser_shows_the_page(mount, tmp_path):
    assert (mount.path / "models/a.bin").read_bytes() == noise(3 * MIB)
    picture = tmp_path / "page.png"
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile", "--enable-logging=stderr"]
    url = f"http://{mount.figures}/"
    shown = subprocess.run([*command, "--dump-dom", url], capture_output=True, text=True, timeout=120)
    assert shown.returncode == 0, shown.stderr
    assert f"<h1>{mount.url} on {mount.path}</h1>" in shown.stdout
    assert shown.stdout.count("<svg") == 5 and "<script" not in shown.stdout
    # Names of objects are for those who may read the mount; inode numbers stand for them.
    assert "a.bin" not in shown.stdout
    assert re.search(r"<td>\d+</td><td>[0-9.]+[KMG]?i?B/s</td><td>3\.0MiB</td><td>3\.0MiB</td>", shown.stdout), shown.stdout
    assert "CONSOLE" not in shown.stderr, shown.stderr
    drawn = subprocess.run([*command, f"--screenshot={picture}", url], capture_output=True, text=True, timeout=120)
    assert drawn.returncode == 0 and picture.stat().st_size > 10_000, drawn.stderr
