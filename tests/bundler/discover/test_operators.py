"""NVIDIA's operators: the images are exactly those that they will ask for, with either reader."""

from __future__ import annotations

from typing import Any

import pytest

from bundle.errors import UsageError
from bundler.spec import Nodes
from fixtures import gpu_operator, network_operator
from tests.bundler.discover.reading import KERNELS, NODES, OS, READERS, carried, left, read

NGC = "nvcr.io/nvidia"
CLOUD = f"{NGC}/cloud-native"
MELLANOX = f"{NGC}/mellanox"
PLUMBING = "ghcr.io/k8snetworkplumbingwg"
UBUNTU, RHEL = OS

GPU = [
    f"{CLOUD}/gpu-operator-validator:v25.3.0",
    f"{CLOUD}/k8s-driver-manager:v0.8.0",
    f"{CLOUD}/k8s-mig-manager:v0.12.1-ubuntu20.04",
    f"{CLOUD}/vgpu-device-manager:v0.3.0",
    f"{NGC}/cuda:12.8.1-base-ubi9",
    f"{NGC}/gpu-operator:v25.3.0",
    f"{NGC}/k8s-device-plugin:v0.17.1",
    f"{NGC}/k8s/container-toolkit:v1.17.5-ubuntu20.04",
    f"{NGC}/k8s/dcgm-exporter:4.1.1-4.0.4-ubuntu22.04",
    f"{NGC}/kubevirt-gpu-device-plugin:v1.3.1",
    "registry.k8s.io/nfd/node-feature-discovery:v0.17.2",
]
DRIVER = f"{NGC}/driver:570.124.06"
BY_OS = [f"{DRIVER}-{RHEL}", f"{DRIVER}-{UBUNTU}"]
GPU_OFF = [
    f"{CLOUD}/dcgm:4.1.1-2-ubuntu22.04",
    f"{CLOUD}/gdrdrv:v2.4.4-{RHEL}",
    f"{CLOUD}/gdrdrv:v2.4.4-{UBUNTU}",
    f"{CLOUD}/k8s-cc-manager:v0.1.1",
    f"{CLOUD}/k8s-kata-manager:v0.2.3",
    f"{CLOUD}/kata-gpu-artifacts:ubuntu22.04-535.54.03",
    f"{CLOUD}/nvidia-fs:2.20.5-{RHEL}",
    f"{CLOUD}/nvidia-fs:2.20.5-{UBUNTU}",
]
GDS = "values.yaml: gds.{repository,image,version}"


@pytest.mark.parametrize("reader", READERS)
def test_the_gpu_operator_needs_exactly_these(reader: str) -> None:
    found = read(gpu_operator.archive(), reader)
    assert carried(found) == sorted([*GPU, *BY_OS])
    assert left(found) == sorted(GPU_OFF)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("crd", [False, True], ids=["ClusterPolicy", "NVIDIADriver"])
def test_precompiled_drivers_are_for_each_kernel_and_os(reader: str, *, crd: bool) -> None:
    driver = {"usePrecompiled": True, "version": "570", "nvidiaDriverCRD": {"enabled": crd}}
    found = read(gpu_operator.archive(), reader, values={"driver": driver})
    drivers = [f"{NGC}/driver:570-{kernel}-{os}" for kernel in KERNELS for os in OS]
    assert carried(found) == sorted([*GPU, *drivers])
    assert left(found) == sorted(GPU_OFF)


@pytest.mark.parametrize("reader", READERS)
def test_a_driver_pinned_by_digest_is_left_alone(reader: str) -> None:
    values = {"driver": {"version": gpu_operator.DIGEST}}
    found = read(gpu_operator.archive(), reader, Nodes(), values=values)
    assert carried(found) == sorted([*GPU, f"{NGC}/driver@{gpu_operator.DIGEST}"])


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("values", "more"),
    [
        ({"gds": {"enabled": True}}, [f"{CLOUD}/nvidia-fs:2.20.5-{os}" for os in OS]),
        ({"gdrcopy": {"enabled": True}}, [f"{CLOUD}/gdrdrv:v2.4.4-{os}" for os in OS]),
        ({"dcgm": {"enabled": True}}, [f"{CLOUD}/dcgm:4.1.1-2-ubuntu22.04"]),
        ({"nodeStatusExporter": {"enabled": True}}, []),
        (
            {"vgpuManager": {"enabled": True, "repository": "reg.example/v", "version": "570.1"}},
            [f"reg.example/v/vgpu-manager:570.1-{os}" for os in OS],
        ),
        (
            {"kataManager": {"enabled": True}},
            [
                f"{CLOUD}/k8s-kata-manager:v0.2.3",
                f"{CLOUD}/kata-gpu-artifacts:ubuntu22.04-535.54.03",
            ],
        ),
    ],
    ids=["gds", "gdrcopy", "dcgm", "nodeStatusExporter", "vgpuManager", "kataManager"],
)
def test_what_the_values_switch_on_comes_along(
    reader: str, values: dict[str, Any], more: list[str]
) -> None:
    found = read(gpu_operator.archive(), reader, values=values)
    assert carried(found) == sorted([*GPU, *BY_OS, *more])


@pytest.mark.parametrize("reader", READERS)
def test_what_the_values_switch_off_stays_behind(reader: str) -> None:
    values = {"nfd": {"enabled": False}, "driver": {"enabled": False}}
    found = read(gpu_operator.archive(), reader, values=values)
    gone = {"registry.k8s.io/nfd/node-feature-discovery:v0.17.2"}
    # The driver manager is vfio-manager's as well.
    assert carried(found) == sorted(set(GPU) - gone)
    assert set(left(found)) == {*GPU_OFF, *BY_OS}


@pytest.mark.parametrize("reader", READERS)
def test_an_answer_carries_a_part_that_is_switched_off(reader: str) -> None:
    found = read(gpu_operator.archive(), reader, answers={GDS: "carry"})
    more = [f"{CLOUD}/nvidia-fs:2.20.5-{os}" for os in OS]
    assert carried(found) == sorted([*GPU, *BY_OS, *more])


def test_an_answer_leaves_one_expanded_image_behind() -> None:
    found = read(gpu_operator.archive(), answers={BY_OS[0]: "skip"})
    assert carried(found) == sorted([*GPU, BY_OS[1]])


def test_every_image_says_why() -> None:
    found = {image.reference: image for image in read(gpu_operator.archive())}
    driver = found[BY_OS[1]]
    assert driver.why == "values.yaml: driver.{repository,image,version}"
    assert driver.expanded_from == DRIVER
    policy = "templates/clusterpolicy.yaml: ClusterPolicy/cluster-policy spec.driver."
    assert f"{policy}{{repository,image,version}}" in driver.places
    operator = found[f"{NGC}/gpu-operator:v25.3.0"]
    assert operator.why == "values.yaml: operator.{repository,image}"
    container = "spec.template.spec.containers[0].image"
    assert f"templates/operator.yaml: Deployment/gpu-operator {container}" in operator.places
    nfd = found["registry.k8s.io/nfd/node-feature-discovery:v0.17.2"]
    assert nfd.why == "charts/node-feature-discovery/values.yaml: image.repository"


@pytest.mark.server
def test_both_readers_give_the_same_places() -> None:
    for archive in (gpu_operator.archive(), network_operator.archive()):
        assert read(archive, "built-in") == read(archive, "helm")


def test_nodes_that_nobody_named_are_asked_for() -> None:
    with pytest.raises(UsageError) as caught:
        read(gpu_operator.archive(), nodes=Nodes())
    assert f"driver.{{repository,image,version}}: {DRIVER} needs nodes.os" in caught.value.message
    with pytest.raises(UsageError, match=r"needs nodes\.kernels"):
        read(
            gpu_operator.archive(),
            nodes=Nodes(OS),
            values={"driver": {"usePrecompiled": True, "version": "570"}},
        )
    with pytest.raises(UsageError, match="needs platforms"):
        read(network_operator.archive(), nodes=NODES, architectures=[])


NETWORK = [
    f"{PLUMBING}/multus-cni:v4.1.0",
    f"{PLUMBING}/plugins:v1.5.0",
    f"{PLUMBING}/whereabouts:v0.7.0",
    "ghcr.io/mellanox/k8s-rdma-shared-dev-plugin:v1.5.2",
    "ghcr.io/mellanox/network-operator-init-container:v0.0.3",
    "ghcr.io/mellanox/nvidia-k8s-ipam:v0.3.7",
    f"{CLOUD}/network-operator:v25.1.0",
    f"{MELLANOX}/node-feature-discovery:network-operator-25.1.0",
]
OFED = f"{MELLANOX}/doca-driver:25.01-0.6.0.0-0"
NETWORK_OFF = [
    f"{PLUMBING}/sriov-network-device-plugin:v3.9.0",
    "ghcr.io/mellanox/ib-kubernetes:v1.1.0",
    "ghcr.io/mellanox/ipoib-cni:v1.2.1",
    "ghcr.io/mellanox/maintenance-operator:v0.1.1",
    *network_operator.sriov_images().values(),
]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("deploy_cr", [True, False])
def test_the_network_operator_needs_exactly_these(reader: str, *, deploy_cr: bool) -> None:
    found = read(
        network_operator.archive(deploy_cr=deploy_cr), reader, architectures=["amd64", "arm64"]
    )
    drivers = [f"{OFED}-{os}-{machine}" for os in OS for machine in ("amd64", "arm64")]
    assert carried(found) == sorted([*NETWORK, *drivers])
    assert left(found) == sorted(NETWORK_OFF)


@pytest.mark.parametrize("reader", READERS)
def test_the_network_operators_sub_charts_come_along_when_switched_on(reader: str) -> None:
    values = {
        "sriovNetworkOperator": {"enabled": True},
        "maintenanceOperator": {"enabled": True},
        "ofedDriver": {"forcePrecompiled": True},
    }
    found = read(network_operator.archive(), reader, values=values)
    drivers = [f"{OFED}-{kernel}-{os}-amd64" for kernel in KERNELS for os in OS]
    more = [
        *network_operator.sriov_images().values(),
        "ghcr.io/mellanox/maintenance-operator:v0.1.1",
    ]
    assert carried(found) == sorted([*NETWORK, *drivers, *more])
