/* Podium's pages, live. The server renders each page; this module keeps it equal to the Workspace object
   that the event stream brings. `view` and what it calls are pure; all text goes in by textContent. */

const STEPS = ['', 'Preparing', 'StartingNotebook', 'FetchingContent', 'OpeningRoute'];
const HEADLINES = {
  Queued: 'Starting your workspace', Starting: 'Starting your workspace', Ready: 'Your workspace is ready',
  Restarting: 'The notebook is restarting', Stopping: 'Stopping your workspace', Failed: 'The launch failed',
};
const WELCOME = 'Open the notebook: your clusters are found there without any configuration.';
const MOST_CELLS = 40;
const SOON = 10 * 60;
const URGENT = 2 * 60;

/* ---- Pure: from a Workspace object and the time in milliseconds to what is shown ---- */

const two = (number) => String(Math.floor(number)).padStart(2, '0');

/** Seconds as a countdown: 9:05, 1:09:05, 2 d 3 h. */
export function countdown(seconds) {
  const left = Math.max(0, Math.floor(seconds));
  const [days, hours, minutes] = [Math.floor(left / 86400), Math.floor(left / 3600) % 24, Math.floor(left / 60) % 60];
  if (days) return `${days} d ${hours} h`;
  return hours ? `${hours}:${two(minutes)}:${two(left % 60)}` : `${minutes}:${two(left % 60)}`;
}

/** Seconds as a stretch of time: 3.2 s, 1 min 05 s. */
export function stretch(seconds) {
  if (seconds < 60) return `${Math.max(0, seconds).toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
}

/** The phase, or Restarting when a notebook that was ready before starts again. */
export function face({ phase, history }) {
  return phase === 'Starting' && history.some((entry) => entry.phase === 'Ready') ? 'Restarting' : phase;
}

/** The launch: each step with its state and seconds, whether it is over, and the seconds in all. */
export function launch(history, now) {
  const end = history.findIndex((entry) => entry.phase === 'Ready' || entry.phase === 'Failed');
  const path = end < 0 ? history : history.slice(0, end);
  const at = (index) => (index < history.length ? Date.parse(history[index].at) : now);
  const seconds = {};
  path.forEach(({ reason }, index) => {
    seconds[reason] = (seconds[reason] ?? 0) + (at(index + 1) - at(index)) / 1000;
  });
  const current = STEPS.indexOf(path.at(-1)?.reason ?? '');
  const ready = history[end]?.phase === 'Ready';
  const here = history[end]?.phase === 'Failed' ? 'failed' : 'now';
  const steps = STEPS.map((reason, index) => ({
    reason,
    state: ready || index < current ? 'done' : index === current ? here : 'todo',
    seconds: seconds[reason],
  }));
  return { steps, ready, total: path.length ? (at(path.length) - at(0)) / 1000 : 0 };
}

/** One cluster: its numbers, one sentence, and the state of each cell of its picture. */
export function cluster(spec, status, framework) {
  const asked = spec.clusters[framework];
  if (!asked) return { running: false };
  const wanted = asked.workers ?? spec.workers;
  const { ready = 0, busy = 0, dashboard = '', message = '' } = status.clusters[framework] ?? {};
  const total = Math.max(wanted, ready);
  const shown = Math.min(total, MOST_CELLS);
  const cells = Array.from({ length: shown }, (_, index) => {
    const worker = (index * total) / shown;
    if (worker >= wanted) return 'leaving';
    return worker < busy ? 'busy' : worker < ready ? 'ready' : 'pending';
  });
  const workers = (count) => (count === 1 ? '1 worker' : `${count} workers`);
  let sentence = ready === wanted ? `${workers(ready)} ready` : `${ready} of ${workers(wanted)} ready`;
  if (ready > wanted) sentence = `${workers(ready)}, going down to ${wanted}`;
  if (total === 0) sentence = 'No workers';
  if (busy) sentence += `, ${busy} busy`;
  return { running: true, wanted, ready, cells, sentence, dashboard, message };
}

/** What to warn of when the end is near: the cause, the seconds left and whether it is urgent; else null. */
export function warning(phase, wall, idle, idleTime) {
  if (phase !== 'Ready' && phase !== 'Restarting') return null;
  const idleSoon = Math.min(SOON, idleTime / 2); // a short idle time would else be warned of all the time
  if (idle < wall && idle < idleSoon) return { cause: 'Nothing runs here', left: idle, urgent: idle < URGENT };
  return wall < SOON ? { cause: 'Time is almost up', left: wall, urgent: wall < URGENT } : null;
}

/** Everything that the page shows of a workspace. */
export function view({ spec, status }, now) {
  const phase = face(status);
  const until = (moment) => (moment ? (Date.parse(moment) - now) / 1000 : Infinity);
  const [wall, idle] = [until(spec.expires), until(status.idleDeadline)];
  const warn = warning(phase, wall, idle, spec.settings.idleTime);
  const threat = warn && `${warn.cause}: this workspace stops in less than ${warn.urgent ? 2 : 10} minutes, and what is in memory is lost.`;
  const started = launch(status.history, now);
  const clock = wall > 72000 ? { dateStyle: 'medium', timeStyle: 'short' } : { timeStyle: 'short' };
  return {
    phase, warn, launch: started, warnings: status.warnings, log: status.log,
    clusters: Object.fromEntries(spec.settings.frameworks.map((name) => [name, cluster(spec, status, name)])),
    text: {
      phase,
      headline: HEADLINES[phase],
      message: status.message || (phase === 'Ready' ? WELCOME : ''),
      notebook: phase.toLowerCase(),
      launchedIn: phase === 'Ready' ? ` · started in ${stretch(started.total)}` : '',
      total: stretch(started.total),
      'wall.left': countdown(wall),
      'wall.until': `until ${new Date(spec.expires).toLocaleString([], clock)}`,
      'idle.left': Number.isFinite(idle) ? countdown(idle) : 'no limit now',
      'warning.soon': warn && !warn.urgent ? threat : '',
      'warning.urgent': warn?.urgent ? threat : '',
      'warning.left': warn ? countdown(warn.left) : '',
    },
  };
}

/* ---- The page ---- */

const find = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const meta = (name) => find(`meta[name=${name}]`).content;
const announce = (text) => write(find('#announcer'), text);

/** Write only what differs, so that live regions speak once. */
function write(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

/** Text that is hidden while it is empty. */
function writeNote(element, text) {
  write(element, text);
  if (element) element.hidden = !text;
}

/** As many children as items, each filled from its own. */
function fillList(list, items, tag, fill) {
  while (list.children.length > items.length) list.lastElementChild.remove();
  while (list.children.length < items.length) list.append(document.createElement(tag));
  items.forEach((item, index) => fill(list.children[index], item));
}

function renderLaunch({ steps, ready }) {
  for (const { reason, state, seconds } of steps) {
    const row = find(`[data-step="${reason}"]`);
    row.dataset.state = state;
    if (reason === 'FetchingContent') row.hidden = seconds === undefined;
    write(find('[data-seconds]', row), seconds === undefined ? '' : stretch(seconds));
    write(find('[data-spoken]', row), { done: ' (done)', now: ' (now)', failed: ' (failed)', todo: '' }[state]);
  }
  find('[data-step=Ready]').dataset.state = ready ? 'done' : 'todo';
}

function renderCluster(card, shown, scale) {
  card.dataset.running = shown.running ? 'yes' : 'no';
  if (!shown.running) return;
  write(find('[data-sentence]', card), shown.sentence);
  writeNote(find('[data-message]', card), shown.message);
  fillList(find('[data-cells]', card), shown.cells, 'i', (cell, state) => { cell.dataset.state = state; });
  const dashboard = find('[data-dashboard]', card);
  if (dashboard) Object.assign(dashboard, { href: shown.dashboard, hidden: !shown.dashboard });
  scale?.show(shown);
}

function render(shown, scales) {
  find('#main').dataset.phase = shown.phase;
  for (const element of all('[data-text]')) write(element, shown.text[element.dataset.text]);
  for (const card of all('[data-framework]')) {
    renderCluster(card, shown.clusters[card.dataset.framework], scales.get(card));
  }
  const [banner, warnings, log] = [find('#warning'), find('#warnings'), find('#log')];
  if (!banner) return; // the home page has no more than this
  renderLaunch(shown.launch);
  banner.hidden = !shown.warn;
  banner.classList.toggle('urgent', Boolean(shown.warn?.urgent));
  warnings.hidden = !shown.warnings.length;
  fillList(warnings, shown.warnings, 'li', (item, text) => { item.className = 'note'; write(item, text); });
  log.hidden = !shown.log.length;
  write(find('pre', log), shown.log.join('\n'));
}

/* ---- Talking to Podium ---- */

/** One request to the API. Throws `{status, message, hint}`. */
async function api(method, path, body) {
  const headers = { 'X-XSRFToken': meta('xsrf'), ...(body && { 'Content-Type': 'application/json' }) };
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  } catch {
    throw { status: 0, message: 'Podium does not answer.', hint: 'It may be restarting; try again in a moment.' };
  }
  const content = await answer.json().catch(() => ({}));
  if (answer.ok) return content;
  if (answer.status === 401) location.assign(`/sign-in?next=${encodeURIComponent(location.pathname)}`);
  throw { status: answer.status, message: `Podium could not do this (${answer.status}).`, ...content.error };
}

/** Work for a button or a field: marks it busy, and tells next to it what goes wrong. True when all went well. */
async function attempt(origin, work) {
  const problem = find('[data-error]', origin.closest('[data-framework]') ?? find('#main'));
  writeNote(problem, '');
  origin.setAttribute('aria-busy', 'true');
  try {
    await work();
    return true;
  } catch (error) {
    writeNote(problem, [error.message, error.hint].filter(Boolean).join(' '));
    return false;
  } finally {
    origin.removeAttribute('aria-busy');
  }
}

/** Follow a workspace by server-sent events, through every kind of lost connection. */
function follow(address, changed, gone, mayRest) {
  let [wait, timer, source] = [500];
  const connect = () => {
    source = new EventSource(`${address}/events`);
    source.onopen = () => { wait = 500; write(find('#connection'), ''); };
    source.addEventListener('workspace', (event) => changed(JSON.parse(event.data)));
    source.addEventListener('gone', () => { source.close(); gone(); });
    source.onerror = () => {
      write(find('#connection'), 'Reconnecting…');
      // The browser tries again by itself, but gives up when the answer is an error, such as a proxy's 503.
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(again, wait);
    };
  };
  const again = async () => {
    clearTimeout(timer);
    wait = Math.min(wait * 2, 10000);
    try {
      changed(await api('GET', address));
    } catch (error) {
      if (error.status === 404) return gone();
    }
    connect();
  };
  connect();
  // Browsers allow few connections to one host: a hidden tab with nothing under way lets its own go.
  document.addEventListener('visibilitychange', () => {
    if (document.hidden && mayRest()) source.close();
    else if (!document.hidden && source.readyState === EventSource.CLOSED) again();
  });
}

/* ---- What people do ---- */

/** Slider and number field of one cluster; live updates never move what a hand is on. */
function scaleControl(card, send, current) {
  const [slider, field] = [find('input[type=range]', card), find('input[type=number]', card)];
  let [edits, held, awaited, timer] = [0, false, false];
  const set = (value) => {
    slider.style.setProperty('--fill', `${(100 * value) / Math.max(slider.max, 1)}%`);
    for (const input of [slider, field]) if (input.value !== String(value)) input.value = value;
  };
  const release = async () => {
    const edit = edits;
    awaited = await send(Number(slider.value), field);
    if (edit !== edits) return; // moved again meanwhile
    held = false;
    set(current());
  };
  const hold = (value, delay) => {
    [held, edits] = [true, edits + 1];
    set(value);
    clearTimeout(timer);
    timer = setTimeout(release, delay);
  };
  slider.addEventListener('input', () => hold(Number(slider.value), 300));
  field.addEventListener('input', ({ inputType = '' }) => {
    held = true;
    clearTimeout(timer);
    if (!/^\d+$/.test(field.value)) return;
    // Someone who types 12 should not lose workers in the pause after the 1.
    hold(Math.min(Number(field.value), Number(field.max)), /^(insertText|delete)/.test(inputType) ? 900 : 300);
  });
  field.addEventListener('blur', () => {
    if (!/^\d+$/.test(field.value)) { held = false; set(current()); }
  });
  return {
    show({ wanted, ready, sentence }) {
      if (!held && !slider.matches(':active')) set(wanted);
      if (held || !awaited || ready !== wanted) return;
      awaited = false;
      announce(`${card.dataset.title}: ${sentence}`);
    },
  };
}

/** Ask with a dialog; true when the answer is yes. */
function confirmed(dialog) {
  return new Promise((resolve) => {
    dialog.returnValue = '';
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
    dialog.showModal();
  });
}

async function copy(button) {
  const code = find('code', button.parentElement);
  getSelection().selectAllChildren(code);
  await navigator.clipboard?.writeText(code.textContent);
  announce('Copied.');
  button.classList.add('copied');
  setTimeout(() => button.classList.remove('copied'), 1500);
}

async function launchProfile(profile) {
  const made = await api('POST', '/api/workspaces', { spec: { profile } });
  location.assign(`/workspaces/${made.metadata.name}?launched=1`);
}

function startLaunchPage(form) {
  const [button, label] = [find('button', form), find('[data-label]', form)];
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (button.hasAttribute('aria-busy')) return;
    write(label, 'Launching…');
    const launched = await attempt(button, () => launchProfile(new FormData(form).get('profile')));
    if (launched) button.setAttribute('aria-busy', 'true');
    else write(label, 'Launch cluster');
  });
}

function startWorkspacePage(workspace) {
  const { name } = workspace.metadata;
  const address = `/api/workspaces/${name}`;
  const arrived = performance.timeOrigin + (performance.getEntriesByType('navigation')[0]?.responseStart ?? 0);
  const now = () => Date.now() + Date.parse(meta('now')) - arrived;
  const starting = () => ['Queued', 'Starting'].includes(face(workspace.status));
  let openWhenReady = find('#main').dataset.page === 'workspace' && (starting() || /\blaunched=1\b/.test(location.search));
  let [leaving, news] = [false, null];

  const patch = async (spec) => changed(await api('PATCH', address, { spec }));
  const cardOf = (element) => element.closest('[data-framework]');
  const scales = new Map(all('.scale').map((element) => {
    const card = cardOf(element);
    const { framework } = card.dataset;
    const send = (workers, field) => attempt(field, () => patch({ clusters: { [framework]: { workers } } }));
    return [card, scaleControl(card, send, () => cluster(workspace.spec, workspace.status, framework).wanted ?? 0)];
  }));

  function show() {
    const shown = view(workspace, now());
    render({ ...shown, text: { ...shown.text, origin: location.origin } }, scales);
    const latest = `${shown.text.headline}. ${shown.text['warning.soon']}`;
    if (news !== null && news !== latest) announce(latest);
    news = latest;
    document.title = `${shown.text.headline} · ${name} · Podium`;
    return shown.phase;
  }

  function leave(where) {
    leaving = true;
    location.replace(where);
  }

  function changed(next) {
    if (leaving || next.metadata.generation < workspace.metadata.generation) return; // overtaken by a newer answer
    workspace = next;
    const phase = show();
    if (phase === 'Failed' || phase === 'Stopping') openWhenReady = false;
    if (phase !== 'Ready' || !openWhenReady) return;
    write(find('[data-text=message]'), 'Opening the notebook…');
    leave(`/workspaces/${name}/open`);
  }

  function gone() {
    if (!leaving) leave('/');
  }

  const actions = {
    copy,
    extend: () => patch({ expires: new Date(now() + workspace.spec.settings.wallTime * 1000).toISOString() }),
    add: (button) => patch({ clusters: { [cardOf(button).dataset.framework]: {} } }),
    async remove(button) {
      const { framework, title } = cardOf(button).dataset;
      write(find('[data-what]'), title);
      if (await confirmed(find('#remove-dialog'))) await patch({ clusters: { [framework]: null } });
    },
    async stop() {
      if (await confirmed(find('#stop-dialog'))) await api('DELETE', address);
    },
    dismiss: () => api('DELETE', address),
    async retry() {
      leaving = true; // the old workspace's end must not lead to the home page
      try {
        await api('DELETE', address);
        await launchProfile(workspace.spec.profile);
      } catch (error) {
        leaving = false;
        throw error;
      }
    },
  };
  document.addEventListener('click', ({ target }) => {
    const button = target.closest('[data-action]');
    if (button && !button.hasAttribute('aria-busy')) attempt(button, () => actions[button.dataset.action](button));
  });

  function tick() {
    if (!leaving) show();
    setTimeout(tick, starting() ? 100 : 1000);
  }
  changed(workspace);
  tick();
  follow(address, changed, gone, () => workspace.status.phase === 'Ready');
}

if (globalThis.document) {
  // A page that the browser kept for its Back button shows a state long past.
  addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });
  const embedded = find('#workspace');
  if (embedded) startWorkspacePage(JSON.parse(embedded.textContent));
  else if (find('#launch')) startLaunchPage(find('#launch'));
}
