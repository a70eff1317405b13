"""A real HorizontalPodAutoscaler owns the number of workers, by a metric that it is given."""

from __future__ import annotations

import contextlib
import ssl

import pytest
from aiohttp import web

from tests.cluster.certificates import Authority

GROUP, VERSION = "external.metrics.k8s.io", "v1beta1"
AT_ONCE = {
    "scaleUp": {"policies": [{"type": "Pods", "value": 100, "periodSeconds": 1}]},
    "scaleDown": {
        "stabilizationWindowSeconds": 0,
        "policies": [{"type": "Pods", "value": 100, "periodSeconds": 1}],
    },
}


class Metric:
    """An API of metrics, which the API server passes requests on to."""

    def __init__(self):
        self.value = 1

    async def groups(self, request):
        """What the API server asks to see whether there is anybody."""
        resource = {
            "name": "waiting",
            "kind": "ExternalMetricValueList",
            "namespaced": True,
            "verbs": ["get"],
        }
        said = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{VERSION}"}
        return web.json_response({**said, "resources": [{**resource, "singularName": ""}]})

    async def values(self, request):
        """The metric."""
        item = {"metricName": "waiting", "metricLabels": {}, "timestamp": "2026-01-01T00:00:00Z"}
        said = {"kind": "ExternalMetricValueList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {}}
        return web.json_response({**said, "items": [{**item, "value": str(self.value)}]})


@pytest.fixture
async def metric(impatient_hub, tmp_path):
    """A metric that autoscalers can ask for."""
    hub, metric = impatient_hub, Metric()
    certificate = Authority(tmp_path, "metrics").issue("server", "server", hosts=["localhost"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    app = web.Application()
    app.router.add_get(f"/apis/{GROUP}/{VERSION}", metric.groups)
    app.router.add_get(f"/apis/{GROUP}/{VERSION}/namespaces/{{namespace}}/waiting", metric.values)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    port = runner.addresses[0][1]
    here = {"name": "metrics", "namespace": hub.namespace}
    service = {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}
    name = f"{VERSION}.{GROUP}"
    await hub.create(
        {"apiVersion": "v1", "kind": "Service", "metadata": here, "spec": service},
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": name},
            "spec": {
                **{"group": GROUP, "version": VERSION, "service": {**here, "port": port}},
                **{"groupPriorityMinimum": 100, "versionPriority": 100, "insecureSkipTLSVerify": True},
            },
        },
    )
    await hub.kubectl("wait", "--for=condition=Available", f"apiservice/{name}", "--timeout=30s")
    yield metric
    await hub.kubectl("delete", "apiservice", name)
    with contextlib.suppress(Exception):
        await runner.cleanup()


async def test_an_autoscaler_owns_the_number(impatient_hub, metric):
    hub = impatient_hub
    await hub.start()
    name = await hub.launch(workers=1)
    await hub.ready(name, workers=1)
    waiting = {"metric": {"name": "waiting"}, "target": {"type": "AverageValue", "averageValue": "1"}}
    target = {"apiVersion": "podium.hub/v1", "kind": "Workspace", "name": name}
    await hub.create(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": name, "namespace": hub.namespace},
            "spec": {
                **{"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 8, "behavior": AT_ONCE},
                "metrics": [{"type": "External", "external": waiting}],
            },
        }
    )
    metric.value = 5
    await hub.ready(name, workers=5)
    metric.value = 50
    await hub.ready(name, workers=8)
    metric.value = 2
    await hub.ready(name, workers=2)
    assert (await hub.get(name)).spec.workers == 2

    async def seen():
        return (await hub.see("hpa", name, "-n", hub.namespace))["status"]["currentReplicas"] == 2

    await hub.until("the autoscaler sees what became of it", seen)
    assert len([one for one in hub.fake.asked if one[0] == name]) == 6
