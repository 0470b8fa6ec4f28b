"""The manifests of deploy/k8s: what the schemas of Kubernetes say, and that they run what the compose file runs."""

import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.deployment import ROOT, compose, compose_secrets

FOLDER = ROOT / "deploy" / "k8s"
DOCUMENTS = [
    (path.name, document) for path in sorted(FOLDER.glob("*.yaml")) for document in yaml.safe_load_all(path.read_text())
]
# Of programs that are no part of Kubernetes; their schemas are not in the checker.
FOREIGN = {"Kustomization", "ScaledObject"}
SERVICES = compose(APG_ADMIN_EMAIL="admin@example.com")
IMAGE = "apg-workflow-orchestration"


def of_kind(*kinds: str) -> list[Any]:
    return [document for _, document in DOCUMENTS if document["kind"] in kinds]


def pods() -> Iterator[tuple[str, Any]]:
    """The pods that run the platform: the name of their service, and their spec."""
    for workload in of_kind("Deployment", "Job"):
        yield workload["metadata"]["name"].removeprefix("apg-"), workload["spec"]["template"]["spec"]


def container(spec: Any) -> Any:
    (only,) = spec["containers"]
    return only


def environment(each: Any) -> dict[str, str]:
    """What a container's process gets."""
    (config,) = of_kind("ConfigMap")
    assert each["envFrom"] == [{"configMapRef": {"name": config["metadata"]["name"]}}]
    return {**config["data"], **{item["name"]: item["value"] for item in each.get("env", [])}}


@pytest.mark.parametrize(
    ("name", "document"),
    [each for each in DOCUMENTS if each[1]["kind"] not in FOREIGN],
    ids=lambda each: each if isinstance(each, str) else each["kind"],
)
def test_it_is_what_kubernetes_takes(name: str, document: Any) -> None:
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_the_kustomization_names_every_file_but_samples_and_the_other_autoscaler() -> None:
    (kustomization,) = of_kind("Kustomization")
    files = {name for name, _ in DOCUMENTS} - {"kustomization.yaml", "autoscaling-hpa.yaml"}
    assert set(kustomization["resources"]) == {name for name in files if not name.endswith(".sample.yaml")}
    assert [image["name"] for image in kustomization["images"]] == [IMAGE]


def test_every_service_of_ours_in_the_compose_file_has_its_workload_with_the_same_command() -> None:
    ours = {name: service.command for name, service in SERVICES.items() if name not in {"postgres", "valkey"}}
    assert {name: container(spec)["command"] for name, spec in pods()} == ours


def test_every_variable_is_known_and_as_in_the_compose_file() -> None:
    known = set(re.findall(r"^#?([A-Z][A-Z_0-9]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    for name, spec in pods():
        given = environment(container(spec))
        for variable, value in given.items():
            assert variable in known or variable.removesuffix("_FILE") in known, variable
            if variable.endswith("_FILE"):
                assert SERVICES[name].environment.get(variable, value) == value
        secret = {key for key, value in given.items() if value.startswith("/run/secrets/")}
        assert secret == {key for key, value in SERVICES[name].environment.items() if value.startswith("/run/secrets/")}


def test_every_secret_that_is_named_is_mounted_and_in_the_sample() -> None:
    (sample,) = of_kind("Secret")
    assert set(sample["stringData"]) == set(compose_secrets())
    for _, spec in pods():
        (volume,) = [each["secret"] for each in spec["volumes"] if each["name"] == "secrets"]
        assert volume["secretName"] == sample["metadata"]["name"]
        mounted = {f"/run/secrets/{item['path']}" for item in volume["items"]}
        named = {value for value in environment(container(spec)).values() if value.startswith("/run/secrets/")}
        assert named == mounted
        assert {item["key"] for item in volume["items"]} <= set(sample["stringData"])


def test_every_pod_is_as_restricted_as_pods_can_be() -> None:
    for name, spec in pods():
        assert spec["automountServiceAccountToken"] is False
        whole = spec["securityContext"]
        assert (whole["runAsNonRoot"], whole["runAsUser"]) == (True, 10001)
        assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
        for each in [*spec["containers"], *spec.get("initContainers", [])]:
            assert each["image"] == IMAGE
            own = each["securityContext"]
            assert own["capabilities"] == {"drop": ["ALL"]}, name
            assert own["readOnlyRootFilesystem"] is True
            assert own["allowPrivilegeEscalation"] is False
            assert each["resources"]["requests"].keys() == {"cpu", "memory"}
            assert each["resources"]["limits"].keys() == {"memory"}
        mounts = {mount["mountPath"] for mount in container(spec)["volumeMounts"]}
        assert mounts == {"/run/secrets", "/data", "/tmp"}


def test_new_code_waits_for_the_new_schema() -> None:
    for name, spec in pods():
        commands = [each["command"] for each in spec.get("initContainers", [])]
        assert commands == ([] if name == "prepare" else [["python", "manage.py", "migrate", "--check"]])


def test_workloads_drain_are_replaced_one_after_another_and_are_not_all_evicted() -> None:
    for deployment in of_kind("Deployment"):
        name = deployment["metadata"]["name"].removeprefix("apg-")
        spec = deployment["spec"]["template"]["spec"]
        assert spec["terminationGracePeriodSeconds"] >= SERVICES[name].stop_grace_seconds
        if name.startswith("worker"):
            # APG_DRAIN_SECONDS, two seconds until what does not let go is killed, and the goodbyes.
            assert spec["terminationGracePeriodSeconds"] >= 30 + 2 + 15
        assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
        assert (
            spec["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"].items() <= labels(deployment).items()
        )
        budget = [each for each in of_kind("PodDisruptionBudget") if each["metadata"]["name"] == f"apg-{name}"]
        assert [each["spec"]["selector"] for each in budget] == [deployment["spec"]["selector"]]
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels(deployment).items()


def labels(workload: Any) -> dict[str, str]:
    found: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return found


def test_probes_ask_no_server_but_the_process_itself() -> None:
    for name, spec in pods():
        each = container(spec)
        if name == "web":
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                assert each[probe]["httpGet"] == {"path": "/healthz", "port": "http"}
        elif name != "prepare":
            assert each["livenessProbe"]["exec"]["command"] == SERVICES[name].check
            assert environment(each)["APG_ALIVE_FILE"] == SERVICES[name].environment["APG_ALIVE_FILE"]


def test_the_service_and_the_ingress_lead_to_the_web_server() -> None:
    (service,), (ingress,) = of_kind("Service"), of_kind("Ingress")
    (web,) = [each for each in of_kind("Deployment") if each["metadata"]["name"] == "apg-web"]
    assert service["spec"]["selector"].items() <= labels(web).items()
    (port,) = container(web["spec"]["template"]["spec"])["ports"]
    assert service["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": port["name"]}]
    (rule,) = ingress["spec"]["rules"]
    assert rule["http"]["paths"][0]["backend"]["service"]["name"] == service["metadata"]["name"]
    (config,) = of_kind("ConfigMap")
    assert config["data"]["APG_ALLOWED_HOSTS"] == rule["host"]


def test_the_workers_of_each_queue_are_scaled_by_what_waits_in_it() -> None:
    queues = {}
    for name, spec in pods():
        command = container(spec)["command"]
        if "-Q" in command:
            queues[f"apg-{name}"] = command[command.index("-Q") + 1]
    assert set(queues.values()) == {"default", "io", "script"}
    scaled, hpas = of_kind("ScaledObject"), of_kind("HorizontalPodAutoscaler")
    for each in scaled:
        (trigger,) = each["spec"]["triggers"]
        queue = queues[each["spec"]["scaleTargetRef"]["name"]]
        assert trigger["type"] == "prometheus"
        assert f'apg_queue_depth{{queue="{queue}"}}' in trigger["metadata"]["query"]
        assert int(trigger["metadata"]["threshold"]) > 0
        assert each["spec"]["minReplicaCount"] == 1
    for each in hpas:
        (metric,) = each["spec"]["metrics"]
        queue = queues[each["spec"]["scaleTargetRef"]["name"]]
        assert metric["external"]["metric"] == {
            "name": "apg_queue_depth",
            "selector": {"matchLabels": {"queue": queue}},
        }
    assert len(scaled) == len(hpas) == 3
    # A number beside an autoscaler would undo what it does at each apply.
    assert {each["metadata"]["name"] for each in of_kind("Deployment") if "replicas" not in each["spec"]} == set(queues)


def test_commands_of_kubectl_name_what_the_manifests_make() -> None:
    made = {
        f"{document['kind'].lower()}/{document['metadata']['name']}"
        for _, document in DOCUMENTS
        if "metadata" in document
    }
    page = (ROOT / "docs" / "operations" / "upgrade.md").read_text()
    (text,) = re.findall(r"```sh\n(kubectl.*?)```", page, re.DOTALL)
    named = set(re.findall(r"\b(?:job|deployment)[/ ]apg-\w+", text))
    assert {each.replace(" ", "/") for each in named} == {"job/apg-prepare", "deployment/apg-web"} <= made
    assert set(re.findall(r"--namespace (\w+)", text)) == {each["metadata"]["name"] for each in of_kind("Namespace")}
    assert re.findall(r"--kustomize (\S+)", text) == [str(FOLDER.relative_to(ROOT))]
