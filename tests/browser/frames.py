"""How long a page takes for its frames, by a trace: processor time, which a busy machine does not change."""

from __future__ import annotations

import json

FRAME, MAIN = "ProxyMain::BeginMainFrame", "CrRendererMain"
CATEGORIES = ["cc", "toplevel", "devtools.timeline"]


def frames(trace: bytes) -> list[float]:
    """Milliseconds of processor time that the page's main thread took for each frame, shortest first.

    A frame is what is between two pictures: scripts, styles, layout, painting.
    """
    events = json.loads(trace)["traceEvents"]
    threads = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    return sorted(
        event["tdur"] / 1000
        for event in events
        if event["name"] == FRAME and event.get("ph") == "X" and threads[event["pid"], event["tid"]] == MAIN
    )


def said(times: list[float]) -> str:
    """Them in a line."""
    parts = {"median": 0.5, "95th percentile": 0.95, "longest": 1.0}
    figures = (f"{name} {times[int((len(times) - 1) * part)]:.1f} ms" for name, part in parts.items())
    return f"{len(times)} frames: {', '.join(figures)}"
