"""From what was seen of a cluster to what is well, what is not, and what to do. Nothing here may do I/O.

Every function takes facts and returns findings; where a fact could not be had, that is what the finding says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hub.doctor.rights import Right
from hub.profiles import Profile

Level = Literal["good", "bad", "unknown"]
OLDEST = (1, 29)
"""Since then the rules that the Workspace type has between its fields are generally available, and pods are
told of a disruption, by which a lost machine's pods are known. Source: Kubernetes' feature gates
CustomResourceValidationExpressions and PodDisruptionConditions."""
UNKNOWN = "could not be told: "


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Args:
        level: good, bad, or unknown when the check could not be made.
        title: what was looked at.
        message: what was found, a sentence without its subject.
        hint: what to do about it; empty when it is good.
    """

    level: Level
    title: str
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Reached:
    """What the probe's visitor says.

    Args:
        resolved: the address that the Service's name stands for; empty when there was none.
        why: what the resolver said instead.
        service: whether the Service leads to the pod.
        open: whether the port that the policies allow was reached at the pod's own address.
        ingress: whether the port was reached that may not be entered.
        egress: whether the port was reached that may not be left for.
    """

    resolved: str = ""
    why: str = ""
    service: bool = False
    open: bool = False
    ingress: bool = False
    egress: bool = False


def version(found: str) -> Finding:
    """Whether the API server is new enough.

    Args:
        found: such as `v1.34.4-gke.100`.
    """
    title, oldest = "API server", ".".join(map(str, OLDEST))
    numbers = re.match(r"v?(\d+)\.(\d+)", found)
    if numbers is None:
        return Finding("unknown", title, f"{UNKNOWN}it calls its version {found!r}.")
    if (int(numbers[1]), int(numbers[2])) < OLDEST:
        return Finding("bad", title, f"is Kubernetes {found}.", f"Upgrade it to {oldest} or newer.")
    return Finding("good", title, f"answers, and is Kubernetes {found}.")


def rights(missing: Sequence[Right], total: int) -> Finding:
    """Whether we may do what the controller does.

    Args:
        missing: what we may not.
        total: how much was asked for.
    """
    if not missing:
        return Finding("good", "Rights", f"all {total} that the controller needs.")
    told: dict[str, list[str]] = {}
    for right in missing:
        where = f" in {right.namespace}" if right.namespace else ""
        told.setdefault(f"{right.resource}{where}", []).append(right.verb)
    text = "; ".join(f"{', '.join(verbs)} {resource}" for resource, verbs in told.items())
    return Finding(
        "bad",
        "Rights",
        f"{len(missing)} of {total} are missing: {text}.",
        "Apply helm/files/rights/controller.yaml, and run the doctor as the controller's service account.",
    )


def custom_resource(found: Mapping[str, Any] | None, ours: Mapping[str, Any]) -> Finding:
    """Whether Workspaces are known to the cluster, in the form that this version writes.

    Args:
        found: the definition as the server has it, or None when there is none.
        ours: the definition of this version, as JSON.
    """
    title, hint = "Workspaces", "kubectl apply --server-side -f helm/files/crd.yaml"
    if found is None:
        return Finding("bad", title, "are not known to the cluster.", hint)
    conditions = found.get("status", {}).get("conditions", [])
    if not any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
        said = "; ".join(c.get("message", "") for c in conditions if c["status"] == "False")
        return Finding("bad", title, f"are not served: {said or 'nobody says why'}.", hint)
    if _plain(found["spec"]["versions"]) != _plain(ours["spec"]["versions"]):
        return Finding("bad", title, "are defined by another version of Podium.", hint)
    return Finding("good", title, "are known to the cluster, as this version defines them.")


def release_namespace(name: str, exists: bool) -> Finding:
    """Whether there is the namespace that Podium itself lives in."""
    if exists:
        return Finding("good", "Namespace", f"{name} is there.")
    hint = f"kubectl create namespace {name}; or name another one by --namespace."
    return Finding("bad", "Namespace", f"there is no {name}, where the Workspace objects are to be.", hint)


def claimed(menu: Sequence[Profile]) -> dict[str, str]:
    """The storage classes that profiles claim from, empty for the default, and the name of one that does."""
    wanted: dict[str, str] = {}
    for profile in menu:
        own = profile.kubernetes
        claims = [own.home, *(volume.claim for volume in own.shared)]
        wanted |= {claim.storage_class or "": profile.name for claim in claims if claim is not None}
    return wanted


def storage(classes: Mapping[str, bool], wanted: Mapping[str, str]) -> Finding:
    """Whether every claim of a profile can be met.

    Args:
        classes: the name of each storage class, and whether it is the default.
        wanted: as `claimed` found it.
    """
    title = "Storage"
    if not wanted:
        return Finding("good", title, "no profile claims any; homes go with their pods.")
    for name, profile_name in wanted.items():
        if not name and not any(classes.values()):
            hint = "Annotate one with storageclass.kubernetes.io/is-default-class=true, or name one there."
            return Finding(
                "bad", title, f"the profile {profile_name} wants the default class; there is none.", hint
            )
        if name and name not in classes:
            there = f"There are: {', '.join(sorted(classes))}." if classes else "There is none at all."
            return Finding(
                "bad", title, f"there is no class {name}, which the profile {profile_name} wants.", there
            )
    names = ", ".join(sorted(name or "the default" for name in wanted))
    return Finding("good", title, f"every claim of a profile finds its class ({names}).")


def restricted(refusal: str) -> Finding:
    """Whether a namespace keeps out what it says it does.

    Args:
        refusal: what was said of a privileged pod; empty when it would have been taken.
    """
    title = "Pod security"
    if "violates PodSecurity" in refusal:
        return Finding("good", title, "privileged pods are refused.")
    if refusal:
        return Finding(
            "unknown", title, f"{UNKNOWN}a privileged pod is refused for something else: {refusal}"
        )
    hint = "Enable the admission plugin PodSecurity of the API server, which is on by default."
    return Finding("bad", title, "a privileged pod would be accepted in a workspace.", hint)


def accepted(profile: str, refusals: Mapping[str, str]) -> Finding:
    """Whether the API server would take everything that a workspace consists of.

    Args:
        profile: the profile's name.
        refusals: object to what was said of it.
    """
    title = "Admission"
    if not refusals:
        return Finding("good", title, f"everything of a workspace of the profile {profile} is accepted.")
    what, said = next(iter(refusals.items()))
    if "does not support dry run" in said:
        return Finding("unknown", title, f"{UNKNOWN}{said}")
    more = f" ({len(refusals) - 1} more)" if len(refusals) > 1 else ""
    hint = f"Correct the profile {profile}, or the policy of the cluster that says so."
    return Finding("bad", title, f"{what} is refused: {said}{more}", hint)


def network(reached: Reached, service: str) -> list[Finding]:
    """What the probe's visitor found.

    Args:
        reached: what it says.
        service: the name that it looked up.
    """
    findings = []
    if reached.resolved:
        findings.append(Finding("good", "DNS", f"the name of a Service, {service}, is {reached.resolved}."))
    else:
        hint = (
            "Look at the cluster's DNS: it has to run as pods, or at private addresses or 169.254.20.10, "
            "on port 53 or 5353."
        )
        findings.append(Finding("bad", "DNS", f"the name of a Service cannot be found: {reached.why}", hint))
    if not reached.open:
        hint = "Look at the network plugin: pods have to reach each other where a policy lets them."
        return [*findings, Finding("bad", "Pods", "one cannot reach another that it may reach.", hint)]
    if reached.resolved and not reached.service:
        hint = "Look at kube-proxy, or what stands for it."
        findings.append(Finding("bad", "Services", "a Service does not lead to its pod.", hint))
    elif reached.resolved:
        findings.append(Finding("good", "Services", "a Service leads to its pod."))
    open_ways = [
        way for way, passed in (("incoming", reached.ingress), ("outgoing", reached.egress)) if passed
    ]
    if not open_ways:
        return [*findings, Finding("good", "Network policies", "are enforced, incoming and outgoing.")]
    hint = (
        "Install a network plugin that enforces them, such as Calico or Cilium: "
        "till then workspaces can reach each other, and whatever the cluster can reach."
    )
    text = f"are not enforced for {' and '.join(open_ways)} connections."
    return [*findings, Finding("bad", "Network policies", text, hint)]


def _plain(versions: Any) -> Any:
    """The versions of a definition without what the server leaves out of what it was given."""
    return [
        version
        | {
            "additionalPrinterColumns": [
                {name: value for name, value in column.items() if value != 0}
                for column in version.get("additionalPrinterColumns", [])
            ]
        }
        for version in versions
    ]
