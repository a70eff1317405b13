/* Podium's pages, live. The server renders each page; this module keeps it equal to the Workspace object
   that the event stream brings. All text goes in by textContent. */

// By the page's own link, whose address changes with the content, so that old and new never meet in a cache.
const module = (name) => import(document.querySelector(`link[data-module=${name}]`).href);
const { cluster, face, stretch, view } = await module('view');
const {
  ELSEWHERE, all, announce, api, find, follow, leaveWithSession, live, meta, notice, patience, pause, reachable,
  write, writeNote,
} = await module('wire');

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
  Object.assign(find('#main').dataset, { phase: shown.phase, line: shown.waiting ? 'yes' : 'no' });
  for (const button of all('[data-action=hand]')) button.setAttribute('aria-pressed', shown.hand);
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

/** What an instructor says to everybody, until it is read or taken back. */
function renderMessage({ message }) {
  const element = find('#message');
  if (!element) return;
  element.hidden = !message || sessionStorage.getItem('message-read') === message.at;
  element.dataset.at = message?.at ?? '';
  write(find('[data-message-by]', element), message ? `${message.by || 'The instructor'}:` : '');
  write(find('[data-message-text]', element), message?.text ?? '');
}

/* ---- What people do ---- */

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
  for (let attempts = 0; ; attempts += 1) {
    try {
      // However often it is asked for, one workspace comes of it.
      const { metadata: { name }, status: { phase } } = await api('POST', '/api/workspaces', { spec: { profile } });
      if (phase === 'Ready') { // it was started ahead of time
        location.assign(`/workspaces/${name}/open`);
        return;
      }
      const page = `/workspaces/${name}?launched=1`;
      await reachable(page);
      location.assign(page);
      return;
    } catch (error) {
      if (error.code || !ELSEWHERE.includes(error.status) || attempts === 4) throw error;
      await pause(patience(attempts));
    }
  }
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
  const look = () => api('GET', '/api/profiles').catch(() => {}).then(() => true); // leads to the sign-in page, if need be
  live();
  startNetworkCheck(() => follow('/api/events', { room: renderMessage }, look, () => true));
}

/** Say before the click whether a notebook will work here; `goOn` where the browser takes cookies. */
async function startNetworkCheck(goOn) {
  const [place, { greet, judge, measure }] = [find('#network'), await module('check')];
  const say = (state, text, troubles = []) => {
    place.dataset.state = state;
    write(find('[data-network]', place), text);
    fillList(find('[data-troubles]', place), troubles, 'li', (item, [sentence, advice]) => {
      item.className = 'note';
      fillList(item, [sentence, advice], 'span', write);
    });
  };
  say('trying', 'Trying your connection…');
  const greeting = await greet().catch(() => null);
  if (greeting?.cookies !== false) goOn();
  try {
    const troubles = judge(await measure(greeting));
    if (troubles.length) say('trouble', 'Your connection may get in the way:', troubles);
    else say('good', 'Your connection is good: notebooks will work here.');
  } catch {
    say('trouble', 'Your connection could not be tried. Reload the page to try again.');
  }
}

function startWorkspacePage(workspace) {
  const { name } = workspace.metadata;
  const address = `/api/workspaces/${name}`;
  const arrived = performance.timeOrigin + (performance.getEntriesByType('navigation')[0]?.responseStart ?? 0);
  const now = () => Date.now() + Date.parse(meta('now')) - arrived;
  const starting = () => ['Queued', 'Starting'].includes(face(workspace));
  const own = find('#main').dataset.own !== 'no';
  let openWhenReady = own && find('#main').dataset.page === 'workspace' && (starting() || /\blaunched=1\b/.test(location.search));
  let [leaving, opening, news] = [false, false, null];

  const stopIt = async () => changed(await api('DELETE', address));
  const patch = async (spec) => changed(await api('PATCH', address, { spec }));
  const cardOf = (element) => element.closest('[data-framework]');
  const scales = new Map(all('.scale').map((element) => {
    const card = cardOf(element);
    const { framework } = card.dataset;
    const send = (workers, field) => attempt(field, () => patch({ clusters: { [framework]: { workers } } }));
    return [card, scaleControl(card, send, () => cluster(workspace.spec, workspace.status, framework).wanted ?? 0)];
  }));

  function show() {
    const shown = view(workspace, now(), own);
    render({ ...shown, text: { ...shown.text, origin: location.origin } }, scales);
    const latest = `${shown.text.headline}. ${shown.text['warning.soon']}`;
    if (news !== null && news !== latest) announce(latest);
    news = latest;
    document.title = `${shown.text.headline} · ${name} · Podium`;
    return shown.phase;
  }

  async function leave(where) {
    leaving = true;
    await reachable(where);
    location.replace(where);
  }

  /** Go to the notebook once it answers there; its own API tells, with the cookie that the door gives. */
  async function openNotebook() {
    const [door, proof] = [`/workspaces/${name}/open`, `/${name}/api`];
    for (let attempts = 0; openWhenReady && !leaving; attempts += 1) {
      const answer = await reachable(`${door}?next=${proof}`, () => openWhenReady && !leaving);
      if (answer?.ok && new URL(answer.url).pathname === proof) {
        leaving = true;
        location.replace(door);
        return;
      }
      await pause(patience(attempts));
    }
  }

  function changed(next) {
    const [was, is] = [workspace.metadata, next.metadata];
    // Overtaken by a newer answer, or told by a program that has yet to hear of it.
    if (leaving || (was.uid === is.uid && Number(is.resourceVersion) < Number(was.resourceVersion))) return;
    workspace = next;
    const phase = show();
    if (phase === 'Failed' || phase === 'Stopping') openWhenReady = false;
    if (phase !== 'Ready' || !openWhenReady || opening) return;
    opening = true;
    write(find('[data-text=message]'), 'Opening the notebook…');
    openNotebook().finally(() => { opening = false; });
  }

  function gone() {
    if (!leaving) leave('/');
  }

  const actions = {
    copy,
    hand: () => patch({ helpWanted: workspace.spec.helpWanted ? null : new Date(now()).toISOString() }),
    async extend() {
      await patch({ expires: new Date(now() + workspace.spec.settings.wallTime * 1000).toISOString() });
      find('#time').focus(); // the banner, and the button in it, may be gone
    },
    async add(button) {
      const card = cardOf(button);
      await patch({ clusters: { [card.dataset.framework]: {} } });
      find('input[type=range]', card).focus();
    },
    async remove(button) {
      const { framework, title } = cardOf(button).dataset;
      write(find('[data-what]'), title);
      if (!await confirmed(find('#remove-dialog'))) return;
      await patch({ clusters: { [framework]: null } });
      find('[data-action=add]', cardOf(button)).focus();
    },
    async stop() {
      if (await confirmed(find('#stop-dialog'))) await stopIt();
    },
    dismiss: stopIt,
    async retry() {
      leaving = true; // the failed workspace goes then, and that must not lead to the home page
      await launchProfile(workspace.spec.profile).catch((error) => { leaving = false; throw error; });
    },
  };
  document.addEventListener('click', ({ target }) => {
    const button = target.closest('[data-action]');
    if (button && !button.hasAttribute('aria-busy')) attempt(button, () => actions[button.dataset.action](button));
  });

  function tick() {
    if (!leaving && !opening) show();
    setTimeout(tick, starting() && !workspace.status.queue ? 100 : 1000);
  }
  changed(workspace);
  tick();
  live();
  const end = () => { gone(); return 'end'; };
  const look = async () => {
    try {
      changed(await api('GET', address));
    } catch (error) {
      if (error.code !== 'not-found') return true;
      gone();
      return false;
    }
    return true;
  };
  follow(`${address}/events`, { workspace: changed, gone: end, room: renderMessage }, look, () => workspace.status.phase === 'Ready');
}

// A page that the browser kept for its Back button shows a state long past.
addEventListener('pageshow', async (event) => {
  if (event.persisted && await reachable(location.href)) location.reload();
});
if (find('.person')) leaveWithSession();
find('[data-dismiss]')?.addEventListener('click', ({ target }) => {
  const message = target.closest('#message');
  message.hidden = true;
  sessionStorage.setItem('message-read', message.dataset.at);
});
for (const time of all('time')) {
  write(time, new Date(time.dateTime).toLocaleString([], { weekday: 'long', day: 'numeric', month: 'long', hour: 'numeric', minute: '2-digit' }));
}
if (!find('#notice').hidden) notice(find('#notice').textContent);
if (find('#workspace')) startWorkspacePage(JSON.parse(find('#workspace').textContent));
if (find('#launch')) startLaunchPage(find('#launch'));
