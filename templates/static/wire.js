/* How the pages talk to Podium, through every kind of lost connection, and what they say while it does not answer.
   Nothing here may know what a workspace is. */

export const find = (selector, within = document) => within.querySelector(selector);
export const all = (selector, within = document) => [...within.querySelectorAll(selector)];
export const meta = (name) => find(`meta[name=${name}]`).content;
export const announce = (text) => write(find('#announcer'), text);

/** Show the controls that do nothing without their script, once it listens to them. */
export const live = () => document.documentElement.classList.add('live');

/** Write only what differs, so that live regions speak once. */
export function write(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

/** Text that is hidden while it is empty. */
export function writeNote(element, text) {
  write(element, text);
  if (element) element.hidden = !text;
}

const NO_ANSWER = { status: 0, message: 'Podium does not answer.', hint: 'It may be restarting; try again in a moment.' };
export const ELSEWHERE = [0, 502, 503, 504]; // what a proxy says while the program behind it is away

const LONGEST_SILENCE = 15000; // until the other end says how often it says something
const LASTED = 5000;
const HIDDEN_LOOK = 5000;
const LONGEST_WAIT = 45000; // for what Podium does, which itself may wait for the cluster

export const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

/** Milliseconds to wait before the nth attempt: longer each time, and for each page another, so that a hundred
    pages that lost the same program do not come back as one. */
export const patience = (attempts) => Math.min(500 * 2 ** attempts, 8000) * (0.5 + Math.random());

let signIn = () => location.assign(`/sign-in?next=${encodeURIComponent(location.pathname)}`);

/** Do this in place of leaving for the sign-in page when the session is over. */
export function whenSignedOut(act) {
  signIn = act;
}

/** One request to the API. Throws `{status, code, message, hint}`; the code is there when Podium itself said it. */
export async function api(method, path, body) {
  const headers = { 'X-XSRFToken': meta('xsrf'), ...(body && { 'Content-Type': 'application/json' }) };
  let answer;
  try {
    const signal = AbortSignal.timeout(LONGEST_WAIT);
    answer = await fetch(path, { method, headers, signal, body: body && JSON.stringify(body) });
  } catch {
    throw NO_ANSWER;
  }
  const content = await answer.json().catch(() => ({}));
  if (answer.ok) return content;
  if (answer.status === 401) signIn();
  throw { ...NO_ANSWER, status: answer.status, ...content.error };
}

/** Wait until a page is there, for as long as it is wanted: nobody is sent to where nothing answers. */
export async function reachable(address, wanted = () => true) {
  for (let attempts = 0; wanted(); attempts += 1) {
    const signal = AbortSignal.timeout(LONGEST_SILENCE / 2);
    const answer = await fetch(address, { signal, headers: { Accept: 'text/html, */*' } }).catch(() => null);
    answer?.body?.cancel().catch(() => {});
    if (answer && !ELSEWHERE.includes(answer.status)) {
      if (attempts) connection(true);
      return answer;
    }
    connection(false);
    await pause(patience(attempts));
  }
  return null;
}

let lost = null;

/** Say quietly that the connection is lost, unless it is back within a moment. */
function connection(well) {
  if (!well) {
    lost ??= setTimeout(() => write(find('#connection'), 'Reconnecting…'), 2000);
    return;
  }
  clearTimeout(lost);
  lost = null;
  write(find('#connection'), '');
}

/** Tell what everybody should know, and let what has to wait not be touched meanwhile. */
export function notice(text) {
  const element = find('#notice');
  if (!element) return; // a page that is not ours
  write(element, text);
  element.hidden = !text;
  const controls = all('[data-action]:not([data-action=copy]), .scale input, #launch button, dialog button[value=yes]');
  for (const control of controls) {
    if (text && !control.disabled) Object.assign(control, { disabled: true }).dataset.waits = '';
    else if (!text && 'waits' in control.dataset) {
      control.disabled = false;
      delete control.dataset.waits;
    }
  }
  if (!text) all('[data-error]').forEach((problem) => writeNote(problem, ''));
}

/** Leave at once when another tab signs out: what is shown here is nobody's any more. */
export function leaveWithSession() {
  new BroadcastChannel('podium').addEventListener('message', ({ data }) => {
    if (data?.type === 'signed-out') location.assign(`/sign-in?next=${encodeURIComponent(location.pathname)}`);
  });
}

/** Follow server-sent events through every kind of lost connection: one that ends, one that is refused, one that
    falls silent, and a laptop that slept. `listeners` are by kind of event; `look` is asked after a refusal, and
    returns whether to go on. Browsers allow few connections to one host, and hidden tabs would use them up: those
    let go, and `mayRest` says whether nothing is under way, so that they need not even look now and then. */
export function follow(address, listeners, look, mayRest) {
  let [source, timer, attempts, opened, heard, silence, over] = [null, null, 0, 0, 0, LONGEST_SILENCE, false];
  const hear = () => { heard = Date.now(); };
  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const end = () => {
    over = true;
    close();
  };
  const later = () => {
    close();
    connection(false);
    if (opened && Date.now() - opened > LASTED) attempts = 0; // what is cut at once again and again is not well
    opened = 0;
    timer = setTimeout(connect, patience(attempts));
    attempts += 1;
  };
  const refused = async (by) => {
    const goOn = await look();
    if (source !== by) return; // begun anew meanwhile
    if (goOn) later();
    else end();
  };
  const rest = () => {
    close();
    if (!mayRest()) timer = setTimeout(async () => { if (await look() && document.hidden) rest(); }, HIDDEN_LOOK);
  };
  const connect = () => {
    if (document.hidden) { rest(); return; }
    close();
    hear();
    silence = LONGEST_SILENCE;
    source = new EventSource(address);
    source.onopen = () => {
      hear();
      opened = heard;
      connection(true);
    };
    source.onerror = ({ target }) => {
      if (target !== source) return;
      // The browser gives up at an answer that is an error, such as a proxy's 503; else it would try for ever.
      if (target.readyState === EventSource.CLOSED) refused(target);
      else later();
    };
    source.addEventListener('alive', ({ data }) => {
      hear();
      silence = 3000 * Number(data); // at the latest in so many seconds there is more
    });
    source.addEventListener('notice', ({ data }) => notice(JSON.parse(data)));
    for (const [kind, listener] of Object.entries(listeners)) {
      source.addEventListener(kind, ({ data }) => {
        hear();
        if (listener(JSON.parse(data)) === 'end') end();
      });
    }
  };
  const now = () => {
    if (over) return;
    attempts = 0;
    connect();
  };
  // A connection to a machine that is gone just falls silent.
  setInterval(() => { if (source && Date.now() - heard > silence) later(); }, 1000);
  addEventListener('online', now);
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) rest();
    else if (!document.hidden && (!source || source.readyState !== EventSource.OPEN)) now();
  });
  connect();
}
