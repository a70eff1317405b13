"use strict";
// Asks for the engines again and again; each answer is held until there is something new.

const REST = 2000; // milliseconds before asking again when nobody answered
const byInstance = new Intl.Collator("en", { numeric: true });
let shown = { engines: [] };

const put = (id, text) => { document.getElementById(id).textContent = text; };
const total = (key) => shown.engines.reduce((sum, engine) => sum + engine[key], 0);
const among = (state) => shown.engines.filter((engine) => engine.state === state).length;

function ago(since) {
  const minutes = Math.max(0, Math.floor((Date.now() / 1000 - since) / 60));
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min ago`;
}

function row(engine) {
  const line = document.createElement("tr");
  const cell = (kind, text, name) => {
    const element = document.createElement(kind);
    element.textContent = text;
    element.className = name;
    line.append(element);
    return element;
  };
  cell("td", engine.number, "number");
  cell("th", engine.instance, "").scope = "row";
  cell("td", engine.host, "");
  cell("td", engine.state, engine.state);
  cell("td", engine.queue, "number");
  cell("td", engine.done, "number");
  cell("td", ago(engine.since), "");
  return line;
}

function show() {
  put("engines", shown.engines.length);
  put("busy", among("busy"));
  put("idle", among("idle"));
  put("queue", total("queue"));
  put("waiting", shown.waiting);
  put("done", total("done"));
  const engines = [...shown.engines].sort((one, other) => byInstance.compare(one.instance, other.instance));
  document.getElementById("rows").replaceChildren(...engines.map(row));
  document.getElementById("none").hidden = engines.length > 0;
}

const pause = (milliseconds) => new Promise((go) => { setTimeout(go, milliseconds); });
const seen = () => document.hidden
  ? new Promise((go) => { document.addEventListener("visibilitychange", go, { once: true }); })
  : Promise.resolve();

async function follow() {
  for (;;) {
    await seen();
    try {
      const answer = await fetch(`podium/engines?since=${shown.version ?? ""}`, { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.statusText);
      shown = await answer.json();
      show();
      put("notice", "");
    } catch {
      put("notice", "The cluster does not answer. This page tries again until it does.");
      await pause(REST);
    }
  }
}

follow();
