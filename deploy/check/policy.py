"""What must hold of everything that deploys redflag, beyond being readable.

usage: policy.py dockerfile FILE < STAGES     policy.py compose < PROJECT
       policy.py kubernetes < MANIFESTS       policy.py context FOLDER       policy.py passwords FILE...
Reads what `check` prints. Prints what is wrong, one a line, and `# pass`, the number of things that were looked at.
"""

import json
import re
import sys
from pathlib import Path

looked = 0
mistakes = []


def expect(truth, what):
    global looked
    looked += 1
    if not truth:
        mistakes.append(what)


def is_root(user):
    return user.split(":")[0] in ("", "0", "root")


def dockerfile(path, stages):
    last = stages[-1]
    expect(not is_root(last["user"]), f"{path}: the image runs as root")
    expect(last["healthcheck"], f"{path}: no HEALTHCHECK")
    text = Path(path).read_text()
    for name, tag in re.findall(r"^ARG \w+=([\w./-]+):([\w.-]+)$", text, re.M):
        expect(tag != "latest", f"{path}: {name} is not pinned")
    expect("curl" not in text, f"{path}: wants curl")
    expect(not re.search(r"npm (i|install)\b", text), f"{path}: npm install does not keep to the lock")
    for cargo in re.findall(r"cargo (?:build|install)[^\n&]*", text):
        expect("--locked" in cargo, f"{path}: {cargo}: not --locked")
    if path == "Dockerfile":
        names = {key for key, _ in last["labels"]}
        for name in ("title", "description", "licenses", "version", "revision"):
            expect(f"org.opencontainers.image.{name}" in names, f"{path}: no label {name}")


def compose(project):
    published = {}
    for name, service in project["services"].items():
        one_shot = (service.get("healthcheck") or {}).get("disable", False)
        expect(one_shot or service.get("healthcheck", {}).get("test"), f"{name}: no healthcheck")
        expect(service.get("restart") == "unless-stopped" or one_shot, f"{name}: it is not restarted")
        expect(service.get("cap_drop") == ["ALL"], f"{name}: it keeps capabilities")
        expect("no-new-privileges:true" in service.get("security_opt", []), f"{name}: it may gain rights")
        limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
        expect({"cpus", "memory", "pids"} <= limits.keys(), f"{name}: its resources are not limited")
        expect(not service.get("privileged") and not service.get("network_mode"), f"{name}: it is not contained")
        expect(not re.search(r":latest$|^[^:@]+$", service["image"]), f"{name}: the image {service['image']} is not pinned")
        expect("build" in service or re.search(r":v?\d+\.\d+", service["image"]), f"{name}: {service['image']} is no version")
        compose_relations(name, service, project)
        for port in service.get("ports") or []:
            published[name] = port.get("host_ip")
    expect(published == {"redflag": "127.0.0.1", "grafana": "127.0.0.1"}, f"published is {published}")
    expect(project["networks"]["data"].get("internal"), "the network `data` has a way out")


def compose_relations(name, service, project):
    """What names other parts of the project: dependencies, secrets, variables, volumes."""
    for other, dependency in (service.get("depends_on") or {}).items():
        disabled = (project["services"][other].get("healthcheck") or {}).get("disable")
        wanted = "service_completed_successfully" if disabled else "service_healthy"
        expect(dependency["condition"] == wanted, f"{name}: waits for {other} to be {dependency['condition']}")
    given = {secret["source"] for secret in service.get("secrets") or []}
    for variable, value in (service.get("environment") or {}).items():
        used = re.findall(r"/run/secrets/(\w+)", value or "")
        expect(set(used) <= given, f"{name}: {variable} is in a secret that it does not get")
        # airflow's *_CMD, redflag's and others' *_FILE, a path; else it is the secret itself.
        secret = re.search(r"PASSWORD|SECRET|TOKEN|_KEY", variable) and not re.search(r"_FILE$|_CMD$", variable)
        secret = secret and not (value or "").startswith("/run/secrets/")
        expect(not secret, f"{name}: {variable} is a secret in the environment")
        expect(not re.search(r"://[^/@\s]*:[^/@\s]+@", value or ""), f"{name}: {variable} holds a password")
    for volume in service.get("volumes") or []:
        expect(volume["type"] == "volume" or volume.get("read_only"), f"{name}: {volume['target']} of the host may be written")


def pods(document):
    """The specification of the pods of a document, if it makes some."""
    kind, spec = document["kind"], document.get("spec") or {}
    if kind == "Pod":
        return [spec]
    return [spec["template"]["spec"]] if kind in ("Deployment", "StatefulSet", "Job") else []


def kubernetes(documents):
    for document in documents:
        name = f"{document['kind']} {document['metadata']['name']}"
        expect(document["metadata"].get("labels"), f"{name}: no labels")
        for pod in pods(document):
            check_pod(name, pod)
    for policy in (document for document in documents if document["kind"] == "NetworkPolicy"):
        expect(set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}, "the network policy leaves a direction open")
        rules = policy["spec"]["ingress"] + policy["spec"]["egress"]
        expect(all(rule.get("ports") and (rule.get("from") or rule.get("to")) for rule in rules), "a rule allows everybody")
    check_names(documents)


def check_pod(name, pod):
    security = pod.get("securityContext", {})
    expect(pod.get("automountServiceAccountToken") is False, f"{name}: it gets a token of Kubernetes")
    expect(security.get("runAsNonRoot") and security.get("runAsUser", 0) > 0, f"{name}: it may be root")
    expect(security.get("seccompProfile", {}).get("type") == "RuntimeDefault", f"{name}: no seccomp profile")
    for container in pod["containers"]:
        security = container.get("securityContext", {})
        expect(security.get("readOnlyRootFilesystem"), f"{name}: it may write to its image")
        expect(security.get("allowPrivilegeEscalation") is False, f"{name}: it may gain rights")
        expect(security.get("capabilities", {}).get("drop") == ["ALL"], f"{name}: it keeps capabilities")
        resources = container.get("resources", {})
        expect(resources.get("requests") and resources.get("limits", {}).get("memory"), f"{name}: its resources are not said")
        expect(not container["image"].endswith(":latest"), f"{name}: the image is not pinned")
        if container["name"] == "redflag":
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                expect(container.get(probe), f"{name}: no {probe}")


def check_names(documents):
    """Selectors find the pods; what pods name is there."""
    workload = next(document for document in documents if document["kind"] in ("Deployment", "StatefulSet"))
    labels = workload["spec"]["template"]["metadata"]["labels"].items()
    for document in documents:
        spec = document.get("spec") or {}
        selector = spec.get("podSelector") or spec.get("selector") or {}
        selector = selector.get("matchLabels", selector)
        if document["kind"] in ("Service", "NetworkPolicy", "PodDisruptionBudget", "Deployment", "StatefulSet"):
            expect(selector.items() <= labels, f"{document['kind']}: its selector finds no pod")
    names = {(document["kind"], document["metadata"]["name"]) for document in documents}
    pod = workload["spec"]["template"]["spec"]
    expect(("ServiceAccount", pod["serviceAccountName"]) in names, "the pods' service account is not made")
    for source in pod["containers"][0]["envFrom"]:
        if "configMapRef" in source:
            expect(("ConfigMap", source["configMapRef"]["name"]) in names, "the pods' settings are not made")
    others = {document["metadata"]["labels"]["app.kubernetes.io/name"] for document in documents if document["kind"] in ("Job", "Pod")}
    expect(dict(labels)["app.kubernetes.io/name"] not in others, "a service would send payments to a job")


def context(folder):
    """Whatever the sources include at compile time is in the build's context."""
    for source in Path(folder).glob("crates/*/src/**/*.rs"):
        for name in re.findall(r'include_(?:str|bytes)!\(\s*"([^"]+)"', source.read_text()):
            expect((source.parent / name).resolve().is_file(), f"{source}: {name} is not in the context")


# A literal where a secret belongs: `password: x`, `SECRET_KEY=x`, user:x@host. Not: a reference, a path, a name, nothing.
LITERAL = re.compile(
    r"""(?ix) (?:password|passwd|secret|token|(?:api|access|card|fernet|private)_?key) \w* ["']? \s* [:=] \s* ["']?
        (?! \s* (?:$|["'}\]#%]|\$|/run/|/etc/|cat\s|\{|\[|secrets?/|deploy/|string|true|false|redflag-) )
        ([^\s"'#,]{3,}) | ://\w*:(?!%s|\$|password@)([^\s@/'"]{3,})@""")


def passwords(files):
    """No file that is committed holds a password, be it one that everybody knows."""
    for file in files:
        for number, line in enumerate(Path(file).read_text(errors="replace").splitlines(), 1):
            expect(not LITERAL.search(line), f"{file}:{number}: is that a password? {line.strip()}")
            expect(not re.search(r"(?i)\b(admin:admin|changeme|minioadmin|postgres:postgres|hunter2)\b", line),
                   f"{file}:{number}: a default password: {line.strip()}")


def main(command, *words):
    lines = () if command in ("context", "passwords") else sys.stdin.read()
    if command == "dockerfile":
        dockerfile(words[0], json.loads(lines))
    elif command == "compose":
        compose(json.loads(lines))
    elif command == "kubernetes":
        kubernetes([json.loads(line) for line in lines.splitlines()])
    elif command == "context":
        context(words[0])
    elif command == "passwords":
        passwords(words)
    for mistake in mistakes:
        print(f"FAILED: {mistake}")
    print(f"ok: {command} {' '.join(words[:1])}: {looked} looked at" if not mistakes else f"# fail {len(mistakes)}")
    sys.exit(bool(mistakes))


main(*sys.argv[1:])
