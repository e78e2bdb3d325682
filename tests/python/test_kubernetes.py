"""What is for Kubernetes is what its API takes: every object is checked against the published schemas of the API, strictly,
so that a field that does not exist, or stands in the wrong place, is found without a cluster."""

import kubernetes_validate
import pytest
import yaml

from conftest import ROOT
from test_chart import MOUNT, NEAR, rendered

SAMPLES = sorted((ROOT / "packaging/kubernetes").glob("*.yaml")) + [ROOT / "packaging/near/kubernetes.yaml"]
NEWEST = kubernetes_validate.latest_version()
# With the first one that has containers which start before others and stay (sidecar.yaml).
FOR_SAMPLES = ["1.29", NEWEST]
FOR_CHART = [yaml.safe_load((ROOT / "packaging/helm/ossmount/Chart.yaml").read_text())["kubeVersion"][2:6], NEWEST]
# Objects of Fluid are not Kubernetes' own.
FLUID = "data.fluid.io/"


def problems(parts: list[dict], version: str) -> list[str]:
    found = []
    for part in parts:
        try:
            kubernetes_validate.validate(part, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"{part['kind']} {part['metadata']['name']}: {error.message}")
    return found


@pytest.mark.parametrize("version", FOR_SAMPLES)
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.parent.name}/{sample.name}")
def test_samples_are_what_the_api_takes(sample, version):
    parts = [part for part in yaml.safe_load_all(sample.read_text()) if not part["apiVersion"].startswith(FLUID)]
    assert problems(parts, version) == []


@pytest.mark.parametrize("version", FOR_CHART)
@pytest.mark.parametrize("values", [{"mounts": [MOUNT]}, {"mounts": [MOUNT], "near": NEAR}], ids=["mounts", "near"])
def test_the_chart_makes_what_the_api_takes(values, version):
    assert problems(list(rendered(**values).values()), version) == []


def test_a_field_that_does_not_exist_is_found():
    [part] = [part for (kind, _), part in rendered(mounts=[MOUNT]).items() if kind == "DaemonSet"]
    part["spec"]["template"]["spec"]["hostNetworks"] = True
    assert problems([part], NEWEST)
