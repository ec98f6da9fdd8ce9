"""Validates deploy/kubernetes against the schemas of Kubernetes, and checks what the schemas do not say.

kubernetes-validate ships the schemas, so that this needs no network and no cluster.
"""

import sys
from pathlib import Path

import kubernetes_validate
import yaml

# The oldest release whose features are used (preStop.sleep), and the newest whose schemas are there.
VERSIONS = ("1.30", kubernetes_validate.latest_version())
# Seconds between the end of the grace period of a process and its SIGKILL.
CLOSING_TIME = 5


def main() -> int:
    root = Path(__file__).parent.parent.parent
    problems: list[str] = []
    documents = []
    for path in sorted((root / "deploy/kubernetes").glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            documents.append(
                (
                    f"{path.name}: {document['kind']} {document['metadata']['name']}",
                    document,
                )
            )
    for name, document in documents:
        problems += [f"{name}: {problem}" for problem in validate(document)]
    settings = next(d for _, d in documents if d["kind"] == "ConfigMap")["data"]
    problems += unknown_settings(root, settings)
    kinds = {}
    for name, document in documents:
        kinds.setdefault(document["kind"], set()).add(document["metadata"]["name"])
        if document["kind"] in ("Deployment", "Job"):
            grace = int(settings["SHUTDOWN_GRACE_SECONDS"]) + CLOSING_TIME
            problems += [
                f"{name}: {problem}"
                for problem in check_pod(document["spec"]["template"]["spec"], grace)
            ]
    for deployment in kinds["Deployment"] - kinds["PodDisruptionBudget"]:
        problems.append(f"{deployment} has no PodDisruptionBudget")
    problems += unlike_procfile(root, documents)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def validate(document: dict) -> list[str]:
    problems = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(str(part) for part in error.path)
            problems.append(f"Kubernetes {version}: {path}: {error.message}")
    return problems


def unknown_settings(root: Path, settings: dict) -> list[str]:
    known = (root / ".env.example").read_text()
    return [
        f"{name} is not in .env.example" for name in settings if f"{name}=" not in known
    ]


def check_pod(pod: dict, grace: int) -> list[str]:
    problems = []
    if pod["terminationGracePeriodSeconds"] < grace:
        problems.append(f"terminationGracePeriodSeconds must be at least {grace}")
    if (
        not pod["securityContext"].get("runAsNonRoot")
        or pod.get("automountServiceAccountToken") is not False
    ):
        problems.append("runs as root, or may use the API of Kubernetes")
    for container in pod["containers"]:
        security = container["securityContext"]
        if (
            not security["readOnlyRootFilesystem"]
            or security["allowPrivilegeEscalation"]
        ):
            problems.append("its file system is not read-only, or it may become root")
        if "ALL" not in security["capabilities"]["drop"]:
            problems.append("keeps capabilities")
        if (
            not {"cpu", "memory"} <= set(container["resources"]["requests"])
            or not container["resources"]["limits"]
        ):
            problems.append("has no resources")
        if container["image"].endswith(":latest") or ":" not in container["image"]:
            problems.append("its image has no version")
    return problems


def unlike_procfile(root: Path, documents: list) -> list[str]:
    """Each line of the Procfile is the command of one workload."""
    lines = (root / "Procfile").read_text().splitlines()
    expected = {line.split(":", 1)[1].strip() for line in lines if line.strip()}
    workloads = [d for _, d in documents if d["kind"] in ("Deployment", "Job")]
    commands = {
        " ".join(c["command"])
        for d in workloads
        for c in d["spec"]["template"]["spec"]["containers"]
    }
    return (
        []
        if commands == expected
        else [f"the commands {commands} differ from the Procfile: {expected}"]
    )


if __name__ == "__main__":
    sys.exit(main())
