// What the proxy does beside finding the way: no cookie of the hub reaches a notebook, in which anything may run;
// and a page of a notebook is opened only by a browser that has the notebook's own cookie, which its owner alone
// gets. Else somebody could be lured to a page that acts in their name. Who has none is led to the hub. And until it
// was told where the hub is, as just after a crash, it says "try again" of every address, and not "there is no such".
// Loaded before configurable-http-proxy: node --import=guard.mjs …
import { ConfigurableProxy } from "configurable-http-proxy/lib/configproxy.js";

const HUB = new Set(["podium-session", "podium-xsrf", "podium-oidc"]);
const NOTEBOOK = "podium-notebook";

const targetForReq = ConfigurableProxy.prototype.targetForReq;

ConfigurableProxy.prototype.targetForReq = async function (req) {
  const match = await targetForReq.call(this, req);
  if (!match || match.prefix === "/") return match;
  const cookies = (req.headers.cookie ?? "").split(";").map((cookie) => cookie.trim()).filter(Boolean);
  const name = (cookie) => cookie.split("=", 1)[0];
  if (opensPage(req.headers) && !cookies.some((cookie) => name(cookie) === NOTEBOOK)) {
    const web = await this._routes.getTarget("/");
    return web && { prefix: web.prefix, target: web.data.target };
  }
  const kept = cookies.filter((cookie) => !HUB.has(name(cookie)));
  if (kept.length) req.headers.cookie = kept.join("; ");
  else delete req.headers.cookie;
  return match;
};

const handleProxyError = ConfigurableProxy.prototype.handleProxyError;

ConfigurableProxy.prototype.handleProxyError = function (code, ...about) {
  handleProxyError.call(this, code === 404 ? 503 : code, ...about);
};

/** Whether a browser would show the answer. Source: Fetch Metadata Request Headers, section 2.3. */
function opensPage(headers) {
  const mode = headers["sec-fetch-mode"];
  return mode ? mode === "navigate" : (headers.accept ?? "").includes("text/html");
}
