"""The samples for Kubernetes: they are YAML, what they tell ossmount it understands, and what they start mounts.

No cluster is needed: each container's command is run here as the cluster would run it, with the sample's bucket on the
emulator and the sample's directory replaced by one of the test.
"""

import json
import os
import pathlib
import subprocess
import time

import pytest
import yaml

from conftest import ROOT, stop
from mounting import is_mounted, upload_tree

SAMPLES = ROOT / "packaging/kubernetes"


def documents(name: str) -> dict:
    """What a sample holds, by kind."""
    parts = list(yaml.safe_load_all((SAMPLES / name).read_text()))
    assert all(part["apiVersion"] and part["metadata"]["name"] for part in parts)
    return {part["kind"]: part for part in parts}


@pytest.fixture
def bucket(emulator, bucket_name, tmp_path):
    """A bucket whose `models/` holds one file, and the URL of that."""
    (tmp_path / "tree/models").mkdir(parents=True)
    (tmp_path / "tree/models/config.json").write_text("{}\n")
    upload_tree(emulator, bucket_name, tmp_path / "tree")
    return f"oss://{bucket_name}/models"


@pytest.fixture
def start(binary, tmp_path):
    """Starts a command with nothing but these variables, and ends it with the test."""
    started = []

    def start(command, **variables) -> subprocess.Popen:
        path = f"{binary.resolve().parent}:{os.environ['PATH']}"
        environment = {"PATH": path, "HOME": str(tmp_path), **variables}
        started.append(subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        stop(process)
        process.stderr.close()


def comes_up(process: subprocess.Popen, directory: pathlib.Path) -> None:
    """Waits for the mount as the drivers do, and looks into it."""
    end = time.monotonic() + 30
    while not is_mounted(directory):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end, "it neither mounts nor ends"
        time.sleep(0.05)
    assert (directory / "config.json").read_text() == "{}\n"
    stop(process)
    assert process.returncode == 0 and not is_mounted(directory)


def daemon_set() -> dict:
    return documents("daemonset.yaml")["DaemonSet"]["spec"]["template"]["spec"]["containers"][0]


def sidecar() -> dict:
    spec = documents("sidecar.yaml")["Pod"]["spec"]
    [container] = spec["initContainers"]
    assert container["restartPolicy"] == "Always"
    shared = {mount["name"] for part in (container, *spec["containers"]) for mount in part["volumeMounts"]}
    assert shared == {volume["name"] for volume in spec["volumes"]}
    return container


@pytest.mark.parametrize("sample", [daemon_set, sidecar])
def test_the_daemon_in_a_container_mounts(sample, emulator, bucket, start, tmp_path):
    container = sample()
    [place] = [word for word in container["command"] if word.startswith("/mnt/")]
    assert place.startswith(container["volumeMounts"][0]["mountPath"])
    for probe in ("startupProbe", "livenessProbe"):
        assert container[probe]["exec"]["command"] == ["ossmount", "status", place]

    directory = tmp_path / "mnt/models"
    # The emulator is no endpoint of a region.
    args = [word for word in container["args"] if word != "--internal"] + [f"--endpoint={emulator.endpoint}"]
    command = [word.replace("oss://my-bucket/models", bucket).replace(place, str(directory)) for word in container["command"]]
    keys = {"OSS_ACCESS_KEY_ID": emulator.access_key_id, "OSS_ACCESS_KEY_SECRET": emulator.access_key_secret}
    assert {variable["name"] for variable in container["env"]} == set(keys)
    comes_up(start(command + args, **keys), directory)


def fluid_request(dataset: dict, tmp_path: pathlib.Path, target: pathlib.Path, **changes) -> pathlib.Path:
    """The file that Fluid would write for a dataset; what is secret lies in files beside it."""
    mount = dataset["spec"]["mounts"][0]
    options = {name: value for name, value in mount["options"].items() if name != "internal"}
    for option in mount["encryptOptions"]:
        (tmp_path / option["name"]).write_text(changes.pop(option["name"]))
        options[option["name"]] = str(tmp_path / option["name"])
    request = {
        "mounts": [{"mountPoint": changes.pop("mountPoint"), "options": {**options, **changes}}],
        "targetPath": str(target),
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(request))
    return path


def test_fluids_request_is_mounted(emulator, bucket, start, tmp_path):
    parts = documents("fluid.yaml")
    assert parts["ThinRuntime"]["spec"]["profileName"] == parts["ThinRuntimeProfile"]["metadata"]["name"]
    assert parts["ThinRuntime"]["metadata"]["name"] == parts["Dataset"]["metadata"]["name"]
    [entrypoint] = parts["ThinRuntimeProfile"]["spec"]["fuse"]["command"]
    changes = {
        "mountPoint": bucket,
        "endpoint": emulator.endpoint,
        "access-key-id": emulator.access_key_id,
        "access-key-secret": emulator.access_key_secret,
    }
    target = tmp_path / "runtime-mnt/thin"
    request = fluid_request(parts["Dataset"], tmp_path, target, **changes)
    program = SAMPLES / pathlib.Path(entrypoint).name
    comes_up(start([program], FLUID_CONFIG=str(request)), target)

    request = fluid_request(parts["Dataset"], tmp_path, target, **changes, colour="green")
    ended = start([program], FLUID_CONFIG=str(request))
    assert ended.wait(30) != 0 and 'unknown key "colour"' in ended.stderr.read()


def test_the_csi_drivers_request_is_mounted(emulator, bucket, start, tmp_path):
    parts = documents("csi.yaml")
    csi = parts["PersistentVolume"]["spec"]["csi"]
    assert csi["nodePublishSecretRef"]["name"] == parts["Secret"]["metadata"]["name"]
    # What the driver keeps for itself is no variable.
    variables = {name: value for name, value in csi["volumeAttributes"].items() if name != "fuseType"}
    assert set(parts["Secret"]["stringData"]) == {"accessKeyId", "accessKeySecret"}
    variables |= {"accessKeyId": emulator.access_key_id, "accessKeySecret": emulator.access_key_secret}
    variables |= {"url": emulator.endpoint, "readOnly": "true"}
    variables["otherOpts"] += ",region=cn-hangzhou"
    bucket_name = bucket.removeprefix("oss://").split("/")[0]
    for source in ({"source": bucket}, {"source": f"{bucket_name}:/models"}, {"source": "", "bucket": bucket_name, "path": "/models"}):
        directory = tmp_path / f"pv{len(list(tmp_path.iterdir()))}"
        directory.mkdir()
        comes_up(start([SAMPLES / "csi-entrypoint"], mountpoint=str(directory), **{**variables, **source}), directory)

    refused = start([SAMPLES / "csi-entrypoint"], mountpoint=str(directory), **{**variables, "source": bucket, "accessKeySecret": "x"})
    assert refused.wait(30) == 1
    assert "the access key secret is wrong" in refused.stderr.read()
