"""The Helm chart as it is rendered: mounts alone, and with a fleet of near caches, by one file of values."""

import os
import subprocess
import tarfile

import pytest
import yaml

from conftest import ROOT
from gotemplate import Chart
from near_config import nginx_takes

FOLDER = ROOT / "packaging/helm/ossmount"
MOUNT = {"name": "models", "url": "oss://my-bucket/models", "options": {"region": "cn-hangzhou", "internal": "on"}}
NEAR = {
    "enabled": True,
    "endpoint": "oss-cn-hangzhou-internal.aliyuncs.com:443",
    "hosts": r"my-bucket\.oss-cn-hangzhou-internal\.aliyuncs\.com",
    "tokenSecret": "near",
}


def rendered(**values) -> dict[tuple[str, str], dict]:
    parts = Chart(FOLDER, values, "ml").documents()
    return {(part["kind"], part["metadata"]["name"]): part for part in parts}


def container(part: dict) -> dict:
    [one] = part["spec"]["template"]["spec"]["containers"]
    return one


def test_without_a_fleet_there_is_none():
    parts = rendered(mounts=[MOUNT])
    assert {kind for kind, _ in parts} == {"DaemonSet", "ServiceAccount"}
    assert not [one for one in container(parts["DaemonSet", "models"])["args"] if "near" in one]


@pytest.mark.parametrize("missing", ["endpoint", "hosts", "tokenSecret"])
def test_what_a_fleet_needs_is_asked_for(missing):
    with pytest.raises(ValueError, match=f"near.{missing} is missing"):
        rendered(mounts=[MOUNT], near=NEAR | {missing: ""})


def test_one_file_of_values_gives_mounts_that_find_their_fleet(binary, tmp_path):
    parts = rendered(mounts=[MOUNT], near=NEAR)
    mounts, fleet = parts["DaemonSet", "models"], parts["DaemonSet", "models-near"]
    service, policy = parts["Service", "models-near"], parts["NetworkPolicy", "models-near"]
    labels = fleet["spec"]["template"]["metadata"]["labels"]
    assert fleet["spec"]["selector"]["matchLabels"] == labels
    assert service["spec"]["selector"] == labels == policy["spec"]["podSelector"]["matchLabels"]
    [rule] = policy["spec"]["ingress"]
    [reader] = rule["from"]
    assert reader["podSelector"]["matchLabels"] == mounts["spec"]["template"]["metadata"]["labels"] != labels
    [port] = container(fleet)["ports"]
    assert rule["ports"] == [{"port": port["containerPort"]}] and service["spec"]["ports"][0]["targetPort"] == port["name"]

    # The mounts' options are right, and name that service.
    args = container(mounts)["args"]
    assert f"--near=dns:models-near.ml.svc:{port['containerPort']}" in args
    token = next(one for one in args if one.startswith("--near-token-file="))
    [place] = [one for one in container(mounts)["volumeMounts"] if one["name"] == "near-token"]
    assert token == f"--near-token-file={place['mountPath']}/token"
    [secret] = [one for one in mounts["spec"]["template"]["spec"]["volumes"] if one["name"] == "near-token"]
    assert secret["secret"]["secretName"] == NEAR["tokenSecret"]
    keys = {"OSS_ACCESS_KEY_ID": "id", "OSS_ACCESS_KEY_SECRET": "secret"}
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **keys}
    own = [one for one in args if not one.startswith(("--metrics-listen", "--log-format"))]
    shown = subprocess.run(
        [binary, "config", MOUNT["url"], *own], env=environment, capture_output=True, text=True, timeout=30
    )
    assert shown.returncode == 0, shown.stderr
    assert "dns:models-near.ml.svc:8080" in shown.stdout


def test_nginx_takes_the_configuration_of_the_chart(tmp_path):
    parts = rendered(mounts=[MOUNT], near=NEAR)
    nginx = container(parts["DaemonSet", "models-near"])
    config = parts["ConfigMap", "models-near"]["data"]["nginx.conf.template"]
    assert config.strip() == (ROOT / "packaging/near/nginx.conf").read_text().strip()
    variables = {variable["name"]: variable.get("value", "secret") for variable in nginx["env"]}
    assert variables["NEAR_HOSTS"] == NEAR["hosts"]
    nginx_takes(config, variables, tmp_path)


def test_the_packed_chart_has_the_configuration_itself(tmp_path):
    packed = tmp_path / "chart.tar"
    line = next(line for line in (ROOT / "packaging/release").read_text().splitlines() if "-C packaging/helm" in line)
    assert "--dereference" in line
    command = ["tar", "--dereference", "-C", str(ROOT / "packaging/helm"), "-cf", str(packed), "ossmount"]
    subprocess.run(command, check=True, timeout=60)
    with tarfile.open(packed) as chart:
        member = chart.getmember("ossmount/files/nginx.conf")
        assert member.isfile()
        assert chart.extractfile(member).read() == (ROOT / "packaging/near/nginx.conf").read_bytes()
    assert yaml.safe_load((FOLDER / "values.yaml").read_text())["near"]["enabled"] is False
