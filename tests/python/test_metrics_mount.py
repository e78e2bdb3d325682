"""Figures and health of a live mount over HTTP, read by the parser that the Prometheus client ships."""

import http.client
import subprocess

from prometheus_client.parser import text_string_to_metric_families

from conftest import MIB, noise

SOURCES = ("buffer", "under-way", "store")


def get(address: str, path: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.headers["Content-Type"], answer.read().decode()


def test_all_figures_are_understood(mount):
    assert (mount.path / "models/a.bin").read_bytes() == noise(3 * MIB)
    status, kind, text = get(mount.figures, "/metrics")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert len(families) > 40 and all(name.startswith("ossmount_") for name in families)
    for name, family in families.items():
        assert family.type in ("counter", "gauge", "histogram"), name
        assert family.documentation.endswith((".", "1.")), name

    samples = [sample for family in families.values() for sample in family.samples]

    def value(name: str, **labels: str) -> float:
        found = [sample for sample in samples if sample.name == name and sample.labels == labels]
        assert len(found) == 1, (name, labels, found)
        return found[0].value

    assert value("ossmount_read_bytes_total") == value("ossmount_fetched_bytes_total") == 3 * MIB
    assert value("ossmount_checksums_total", result="match") == 1
    printed = subprocess.run([mount.binary, "--version"], capture_output=True, text=True, check=True).stdout
    assert value("ossmount_info", source=mount.url, directory=str(mount.path), version=printed.split()[1]) == 1
    for source in SOURCES:
        buckets = [s for s in samples if s.name == "ossmount_read_duration_seconds_bucket" and s.labels["source"] == source]
        counts = [bucket.value for bucket in buckets]
        assert buckets[-1].labels["le"] == "+Inf" and counts == sorted(counts)
        assert counts[-1] == value("ossmount_read_duration_seconds_count", source=source)
    assert sum(value("ossmount_read_size_bytes_sum", source=source) for source in SOURCES) == 3 * MIB


def test_the_command_and_the_door_say_the_same(mount):
    def names(text: str) -> list[str]:
        return [family.name for family in text_string_to_metric_families(text)]

    assert names(mount.run("status", mount.path, "--prometheus").stdout) == names(get(mount.figures, "/metrics")[2])
    assert [get(mount.figures, path)[0] for path in ("/healthz", "/readyz", "/", "/x")] == [200, 200, 200, 404]
