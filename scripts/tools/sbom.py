"""Writes a CycloneDX document from the output of `cargo metadata` and from Cargo.lock.

The result depends only on these two, so that two builds of one commit have the same document.
"""

import json
import sys
import tomllib
import uuid

PROGRAMS = ["psp-dashboard", "psp-jobs"]


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        metadata = json.load(file)
    with open(sys.argv[2], "rb") as file:
        locked = tomllib.load(file)["package"]
    checksums = {
        (package["name"], package["version"]): package.get("checksum")
        for package in locked
    }
    packages = {package["id"]: package for package in metadata["packages"]}
    dependencies = {
        node["id"]: built_with(node) for node in metadata["resolve"]["nodes"]
    }
    roots = [
        id
        for id, package in packages.items()
        if package["name"] in PROGRAMS and package["source"] is None
    ]
    used = reachable(roots, dependencies)
    components = [component(packages[id], checksums) for id in used]
    relations = [
        {
            "ref": reference(packages[id]),
            "dependsOn": sorted(
                reference(packages[other]) for other in dependencies[id]
            ),
        }
        for id in used
    ]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "name": "psp-dashboard",
                "bom-ref": "psp-dashboard",
            }
        },
        "components": sorted(components, key=lambda it: it["bom-ref"]),
        "dependencies": sorted(relations, key=lambda it: it["ref"]),
    }
    document["serialNumber"] = uuid.uuid5(
        uuid.NAMESPACE_OID, json.dumps(document, sort_keys=True)
    ).urn
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")


def built_with(node: dict) -> list[str]:
    """The dependencies of a package, without those of its tests."""
    kinds = {
        dependency["pkg"]: [kind["kind"] for kind in dependency["dep_kinds"]]
        for dependency in node["deps"]
    }
    return [id for id, of in kinds.items() if any(kind != "dev" for kind in of)]


def reachable(roots: list[str], dependencies: dict[str, list[str]]) -> set[str]:
    found: set[str] = set()
    open_ids = list(roots)
    while open_ids:
        id = open_ids.pop()
        if id not in found:
            found.add(id)
            open_ids.extend(dependencies[id])
    return found


def reference(package: dict) -> str:
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package: dict, checksums: dict) -> dict:
    described = {
        "type": "library" if package["source"] else "application",
        "bom-ref": reference(package),
        "name": package["name"],
        "version": package["version"],
        "purl": reference(package),
    }
    if package["source"] and package["license"]:
        described["licenses"] = [
            {"expression": package["license"].replace("/", " OR ")}
        ]
    checksum = checksums.get((package["name"], package["version"]))
    if checksum:
        described["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return described


main()
