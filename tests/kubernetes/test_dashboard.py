"""The Grafana dashboard asks for what a hub tells, and for all of it; after real launches, by real parts."""

from __future__ import annotations

from collections import defaultdict

from prometheus_client.parser import text_string_to_metric_families

from hub.parts import run_web
from tests.dashboard import TARGET, asked, parse, queries
from tests.kubernetes.parts import running


async def told(pages):
    """Every series that was told: its name, and its labels."""
    labels = defaultdict(set)
    for page in pages:
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                labels[sample.name] |= set(sample.labels)
    return labels


async def test_it_shows_what_there_is_and_all_of_it(hub):
    controller = await hub.start()
    name = await hub.launch()
    await hub.ready(name)
    async with running(run_web, hub, hub.cluster.kubeconfig) as web:
        await hub.until("web is ready", lambda: web.is_("/readyz", 200))
        assert await web.serves("GET", "/api/workspaces") == 200
        pages = [(await web.asks("/metrics"))[1], (await controller.figures.page()).decode()]
    labels = await told(pages)

    on_it = set()
    for query in queries():
        for series, wanted in asked(parse(query)):
            on_it.add(series)
            assert series in labels, f"nobody tells {series}"
            assert wanted <= labels[series] | TARGET, f"{series} has no labels {wanted - labels[series]}"

    ours = {series for series in labels if series.startswith("podium_") and not series.endswith("_created")}
    parts = ("_bucket", "_sum", "_count")
    missing = {series for series in ours - on_it if not series.endswith(parts)}
    histograms = {series.removesuffix("_bucket") for series in ours if series.endswith("_bucket")}
    missing |= {series for series in histograms if f"{series}_bucket" not in on_it}
    assert not missing, "these are told, and not shown"
