"""The samples for fleets of near caches: what they set up is a configuration that nginx takes, and mounts find the fleet.

No cluster is needed: what the images do with the samples is done here.
"""

import json
import os
import pathlib
import subprocess

import pytest
import yaml

from conftest import ROOT
from near_config import nginx_takes

NEAR = ROOT / "packaging/near"
PORT = "8080"


def documents(name: str) -> dict:
    parts = list(yaml.safe_load_all((NEAR / name).read_text()))
    assert all(part["apiVersion"] and part["metadata"]["name"] for part in parts)
    return {part["kind"]: part for part in parts}


def daemon_set() -> dict:
    return documents("kubernetes.yaml")["DaemonSet"]["spec"]["template"]


def fluid_worker() -> dict:
    return documents("fluid.yaml")["CacheRuntimeClass"]["topology"]["worker"]["template"]


@pytest.mark.parametrize("template", [daemon_set, fluid_worker])
def test_nginx_takes_the_configuration_that_the_image_makes(template, tmp_path):
    spec = template()["spec"]
    [container] = spec["containers"]
    variables = {variable["name"]: variable.get("value", "secret") for variable in container["env"]}
    config = (NEAR / "nginx.conf").read_text()
    assert variables["NEAR_LISTEN"] == PORT and container["readinessProbe"]["httpGet"]["path"] == "/near/health"

    nginx_takes(config, variables, tmp_path)


def test_the_fleet_is_what_the_service_and_the_policy_select():
    parts = documents("kubernetes.yaml")
    labels = parts["DaemonSet"]["spec"]["template"]["metadata"]["labels"]
    assert parts["Service"]["spec"]["selector"] == labels and parts["Service"]["spec"]["clusterIP"] == "None"
    assert parts["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    assert parts["NetworkPolicy"]["spec"]["ingress"][0]["ports"] == [{"port": int(PORT)}]
    kustomization = yaml.safe_load((NEAR / "kustomization.yaml").read_text())
    [generated] = kustomization["configMapGenerator"]
    [volume] = [volume for volume in daemon_set()["spec"]["volumes"] if "configMap" in volume]
    assert volume["configMap"]["name"] == generated["name"]
    assert all((NEAR / name).exists() for name in kustomization["resources"])


def test_fluids_objects_have_no_fields_but_those_of_its_api():
    """Of the API of June 2026: Kubernetes would drop others without a word, or refuse them."""
    parts = documents("fluid.yaml")
    for component in parts["CacheRuntimeClass"]["topology"].values():
        assert component.keys() <= {"dependencies", "executionEntries", "options", "service", "template"}
        assert component["dependencies"].keys() <= {"extraResources", "secretMount"}
    script = parts["DataProcess"]["spec"]["processor"]["script"]
    assert all(isinstance(script[name], str) for name in ("image", "imageTag", "source"))
    # Fluid reads the options of a master that the class does not have, unless it is disabled.
    assert "master" in parts["CacheRuntimeClass"]["topology"] or parts["CacheRuntime"]["spec"]["master"]["disabled"]
    # The keys of the bucket are mounted into workers by default.
    secrets = {name: part["dependencies"]["secretMount"]["enabled"] for name, part in parts["CacheRuntimeClass"]["topology"].items()}
    assert secrets == {"worker": False, "client": True}


def test_fluids_client_mounts_through_the_fleet(binary, tmp_path):
    parts = documents("fluid.yaml")
    assert parts["CacheRuntime"]["spec"]["runtimeClassName"] == parts["CacheRuntimeClass"]["metadata"]["name"]
    mount = parts["Dataset"]["spec"]["mounts"][0]
    # As Fluid writes it.
    config = {
        "mounts": [
            {
                "mountPoint": mount["mountPoint"],
                "options": mount["options"],
                "encryptOptions": {option["name"]: f"/secrets/{option['name']}" for option in mount["encryptOptions"]},
            }
        ],
        "targetPath": "/runtime-mnt/models",
        "worker": {"service": {"name": "svc-models-worker"}},
        "client": {"options": parts["CacheRuntime"]["spec"]["client"]["options"]},
    }
    (tmp_path / "runtime.json").write_text(json.dumps(config))
    (tmp_path / "fluid-client").write_bytes((NEAR / "fluid-client").read_bytes())
    (tmp_path / "fluid-entrypoint").write_text('#!/bin/sh\ncat "$FLUID_CONFIG"\n')
    for name in ("fluid-client", "fluid-entrypoint"):
        (tmp_path / name).chmod(0o755)
    variables = {"FLUID_RUNTIME_CONFIG_PATH": str(tmp_path / "runtime.json"), "FLUID_DATASET_NAMESPACE": "default"}
    command = [tmp_path / "fluid-client"]
    asked = subprocess.run(command, env=os.environ | variables, check=True, capture_output=True, text=True, timeout=30)
    [request] = json.loads(asked.stdout)["mounts"]
    options = request["options"]
    assert options["near"] == f"dns:svc-models-worker.default.svc:{PORT}"
    assert options["access-key-id"] == "/secrets/access-key-id" and options["region"] == "cn-hangzhou"

    # Every option is one of ossmount's, and right.
    settings = {name: value for name, value in options.items() if not name.startswith("access-key-")}
    file = pathlib.Path(tmp_path / "config.json")
    file.write_text(json.dumps(settings))
    keys = {"OSS_ACCESS_KEY_ID": "id", "OSS_ACCESS_KEY_SECRET": "secret"}
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **keys}
    command = [binary, "config", "--config", file, request["mountPoint"], "--json"]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert shown.returncode == 0, shown.stderr
    assert options["near"] in shown.stdout


def test_fluids_warming_up_is_a_command_of_the_program(binary):
    parts = documents("fluid.yaml")
    data = parts["DataProcess"]["spec"]
    script = data["processor"]["script"]
    client = parts["CacheRuntimeClass"]["topology"]["client"]["template"]["spec"]["containers"][0]["image"]
    assert client == f"{script['image']}:{script['imageTag']}"
    program, *arguments = script["source"].split()
    assert program == "ossmount" and arguments[-1] == data["dataset"]["mountPath"]
    asked = subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=30)
    # There is no mount here, which is another failure than one of the command line.
    assert asked.returncode == 1 and "mount" in asked.stderr, asked.stderr
