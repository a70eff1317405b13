/* The room page, live. The event stream brings Workspace objects, at most some times a second; each tile is kept equal
   to its own, and only what differs is written, so that two hundred of them cost a frame next to nothing. All text
   goes in by textContent. */

const module = (name) => import(document.querySelector(`link[data-module=${name}]`).href);
const { all, announce, api, find, follow, live, meta, write, writeNote } = await module('wire');
const { WORDS, counts, found, roughly, sorted, tile, who } = await module('room-view');
const { jobs } = await module('room-jobs');
const { dialogs } = await module('room-dialogs');

const TITLES = Object.fromEntries(all('.frame').map(({ dataset }) => [dataset.framework, dataset.title]));
const SHORT = { dask: 'Dask', ipyparallel: 'IPy', spark: 'Spark' };
const SETTLED = 1000; // milliseconds between two looks at order and numbers
const RESTLESS = 4000; // for which nothing moves under a pointer that moved
const TICK = 5000;

const arrived = performance.timeOrigin + (performance.getEntriesByType('navigation')[0]?.responseStart ?? 0);
const now = () => Date.now() + Date.parse(meta('now')) - arrived;
const ago = (milliseconds) => (milliseconds < 60000 ? 'just now' : `${roughly(milliseconds / 1000)} ago`);
const floor = find('#tiles');
const workspaces = new Map(); // by name
const tiles = new Map(); // by name: {element, parts, view}
const dirty = new Set();
const selected = new Set();
const show = { kind: 'all', search: '', order: 'name' };
let [shown, current, anchor, arranged, moved, frame, room, about] = [[], null, null, 0, -RESTLESS, 0, null, null];

const dialog = dialogs({ api, now, room: () => room, changed: (news) => listeners.room(news) });

/* ---- Tiles ---- */

function part(element, name, tag = 'span') {
  const made = document.createElement(tag);
  made.className = name;
  element.append(made);
  return made;
}

function makeTile(name) {
  const element = document.createElement('div');
  Object.assign(element, { className: 'tile', id: name, role: 'option', ariaSelected: 'false' });
  part(element, 'mark', 'i').dataset.toggle = '';
  const names = ['who', 'hand', 'says', 'meters', 'activity', 'time'];
  const parts = Object.fromEntries(names.map((each) => [each, part(element, each)]));
  return { element, parts, view: null };
}

function paintMeters(box, meters) {
  box.classList.toggle('wide', meters.some(({ wanted }) => wanted > 99));
  while (box.children.length > meters.length) box.lastElementChild.remove();
  meters.forEach(({ framework, wanted, ready, full, busy }, index) => {
    const meter = box.children[index] ?? part(box, 'meter');
    write(meter, `${SHORT[framework] ?? framework} ${ready === wanted ? ready : `${ready}/${wanted}`}`);
    meter.style.setProperty('--full', `${100 * full}%`);
    meter.style.setProperty('--busy', `${100 * busy}%`);
  });
}

function showHand(box, since) {
  box.replaceChildren();
  if (!since) return;
  const [icon, use] = ['svg', 'use'].map((name) => document.createElementNS('http://www.w3.org/2000/svg', name));
  icon.setAttribute('class', 'icon');
  icon.setAttribute('role', 'img');
  icon.setAttribute('aria-label', 'Hand up for');
  use.setAttribute('href', '#i-hand');
  icon.append(use);
  box.append(icon, ` ${since}`);
}

/** Write what of a tile is another than before. */
function paint(one, view) {
  const { element, parts, view: was } = one;
  if (was?.face !== view.face) element.dataset.face = view.face;
  if (was?.hand !== view.hand) {
    element.classList.toggle('raised', Boolean(view.hand));
    showHand(parts.hand, view.hand);
  }
  if (was?.troubled !== view.troubled) element.classList.toggle('troubled', view.troubled);
  if (was?.ending !== view.ending) element.classList.toggle('ending', view.ending);
  write(parts.who, view.who);
  const says = view.face === 'ready' && !view.troubled ? '' : view.says;
  write(parts.says, says);
  const meters = says ? [] : view.meters;
  if (!was || JSON.stringify(meters) !== one.meters) {
    one.meters = JSON.stringify(meters);
    paintMeters(parts.meters, meters);
  }
  write(parts.activity, view.activity);
  write(parts.time, view.time);
  if (was && !was.raised && view.raised) announce(`${view.who} raised a hand.`);
  one.view = view;
}

/** Put the tiles in order and show those that are looked for; only what is elsewhere moves. */
function arrange() {
  arranged = performance.now();
  const views = [...tiles.values()].map((one) => one.view);
  const numbers = counts(views);
  for (const chip of all('[data-kind]')) {
    write(find('b', chip), String(numbers[chip.dataset.kind]));
    chip.classList.toggle('some', numbers[chip.dataset.kind] > 0);
  }
  document.title = `${numbers.help ? `(${numbers.help}) ` : ''}Room · Podium`;
  shown = sorted(found(views, show.kind, show.search), show.order).map(({ name }) => name);
  const visible = new Set(shown);
  for (const [name, { element }] of tiles) element.hidden = !visible.has(name);
  let next = floor.firstElementChild;
  for (const name of shown) {
    const { element } = tiles.get(name);
    if (element === next) next = next.nextElementSibling;
    else floor.insertBefore(element, next);
    while (next?.hidden) next = next.nextElementSibling;
  }
  const empty = views.length ? 'Nobody is like that at the moment.' : 'Nobody is here yet. Share the invitation.';
  writeNote(find('#empty'), shown.length ? '' : empty);
  if (!visible.has(current)) setCurrent(null);
  showTarget();
}

function draw() {
  frame = 0;
  const moment = now();
  for (const name of dirty) {
    const workspace = workspaces.get(name);
    if (workspace) paint(tiles.get(name), tile(workspace, moment));
  }
  dirty.clear();
  const age = performance.now();
  if (age - arranged > SETTLED && age - moved > RESTLESS) arrange();
}

/** Draw in the next frame, however much is new. */
function soon() {
  frame ||= requestAnimationFrame(draw);
}

function put(workspace) {
  const { name, uid, resourceVersion } = workspace.metadata;
  const was = workspaces.get(name)?.metadata;
  if (was?.uid === uid && Number(was.resourceVersion) > Number(resourceVersion)) return;
  workspaces.set(name, workspace);
  if (!tiles.has(name)) {
    const one = makeTile(name);
    paint(one, tile(workspace, now()));
    tiles.set(name, one);
    floor.append(one.element);
  }
  dirty.add(name);
}

function drop(name) {
  tiles.get(name)?.element.remove();
  for (const known of [tiles, workspaces, dirty, selected]) known.delete(name);
}

const listeners = {
  workspaces({ items }) {
    const there = new Set(items.map(({ metadata }) => metadata.name));
    [...tiles.keys()].filter((name) => !there.has(name)).forEach(drop);
    items.forEach(put);
    draw();
    arrange();
  },
  changes({ items, gone }) {
    gone.forEach(drop);
    items.forEach(put);
    if (gone.length) arrange();
    soon();
  },
  room(news) {
    if (Number(room?.room.metadata.resourceVersion) > Number(news.room.metadata.resourceVersion)) return;
    room = news;
    const { message } = news.room.spec;
    find('#said').hidden = !message;
    write(find('#said q'), message?.text ?? '');
    write(find('#said [data-when]'), message ? ago(now() - Date.parse(message.at)) : '');
    dialog.show(news);
  },
};

/* ---- Whom it is about ---- */

/** The workspaces that actions are for: those selected, else all that are shown. */
const targets = () => (selected.size ? shown.filter((name) => selected.has(name)) : shown).map((name) => workspaces.get(name));

function span(numbers) {
  const [least, most] = [Math.min(...numbers), Math.max(...numbers)];
  return least === most ? `${least}` : `${least} to ${most}`;
}

function showOne(workspace) {
  const box = find('#one');
  box.hidden = !workspace;
  if (!workspace) return;
  const { metadata, spec, status } = workspace;
  const view = tiles.get(metadata.name).view;
  const waits = view.face === 'queued' ? status.queue?.message : '';
  write(find('[data-says]', box), [view.says || `${WORDS[view.face]}.`, waits].filter(Boolean).join(': '));
  const boards = Object.entries(status.clusters).filter(([, { dashboard }]) => dashboard);
  const links = find('[data-links]', box);
  if (links.dataset.of !== JSON.stringify(boards.map(([name, { dashboard }]) => [name, dashboard]))) {
    links.dataset.of = JSON.stringify(boards.map(([name, { dashboard }]) => [name, dashboard]));
    links.replaceChildren(...boards.map(([name, { dashboard }]) => {
      const link = Object.assign(document.createElement('a'), { href: dashboard, target: '_blank', rel: 'noopener' });
      link.textContent = `${TITLES[name] ?? name} dashboard`;
      return link;
    }));
  }
  const time = (moment) => new Date(moment).toLocaleTimeString([], { timeStyle: 'short' });
  const facts = [
    ['Workspace', metadata.name], ['Profile', spec.profile], ['Launched', time(metadata.creationTimestamp)],
    ['Ends', `${time(spec.expires)}, in ${roughly(view.left)}`], ['Hand', view.hand && `up for ${view.hand}`],
    ['Ready', view.face === 'queued' ? `in ${view.time || 'a while that nobody knows'}` : ''],
  ].filter(([, value]) => value);
  const list = find('[data-facts]', box);
  while (list.children.length > facts.length) list.lastElementChild.remove();
  facts.forEach(([name, value], index) => {
    if (!list.children[index]) list.append(document.createElement('div'));
    const row = list.children[index];
    if (!row.children.length) row.append(document.createElement('dt'), document.createElement('dd'));
    write(row.children[0], name);
    write(row.children[1], value);
  });
  const log = find('[data-log]', box);
  log.hidden = !status.log.length;
  write(find('pre', log), status.log.join('\n'));
}

/** What the side says of those that actions are for. */
function showTarget() {
  const some = targets();
  const key = selected.size ? [...selected].join() : show.kind;
  const anew = some.length > 0 && key !== about;
  if (anew) about = key;
  const [one, count] = [selected.size === 1 ? some[0] : null, some.length];
  const everybody = show.kind === 'all' && !show.search;
  const title = one ? who(one) : selected.size ? `${count} selected` : everybody ? `Everybody (${count})` : `All ${count} shown`;
  write(find('#target'), title);
  find('[data-clear]').hidden = !selected.size;
  find('#controls').hidden = !count;
  find('#nobody').hidden = Boolean(count);
  showOne(one);
  for (const frameOf of all('.frame')) {
    const { framework } = frameOf.dataset;
    const able = some.filter(({ spec }) => spec.settings.frameworks.includes(framework));
    const having = able.filter(({ spec }) => spec.clusters[framework]);
    frameOf.hidden = !able.length;
    const numbers = having.map(({ spec }) => spec.clusters[framework].workers ?? spec.workers);
    const where = count === 1 ? '' : ` on ${having.length === count ? 'all' : having.length}`;
    write(find('[data-now]', frameOf), having.length ? ` ${span(numbers)}${where}` : ' not there');
    const most = Math.max(0, ...able.map(({ spec }) => spec.settings.maxWorkers));
    const field = find('input', frameOf);
    Object.assign(field, { max: most, disabled: !having.length });
    if (anew && having.length) field.value = Math.max(...numbers);
    find('[data-action=scale]', frameOf).hidden = !having.length;
    find('[data-action=add]', frameOf).hidden = having.length === able.length;
  }
  const hands = some.filter(({ spec }) => spec.helpWanted).length;
  find('[data-action=lower]').hidden = !hands;
  write(find('[data-action=lower]'), hands > 1 ? `Lower ${hands} hands` : 'Lower the hand');
  find('[data-action=first]').hidden = !selected.size || !some.some(({ status }) => status.phase === 'Queued');
}

function select(names, keep) {
  const wanted = new Set(keep ? [...selected, ...names] : names);
  for (const name of new Set([...selected, ...wanted])) {
    const is = wanted.has(name);
    if (is === selected.has(name)) continue;
    if (is) selected.add(name);
    else selected.delete(name);
    tiles.get(name).element.ariaSelected = String(is);
  }
  showTarget();
}

function setCurrent(name) {
  tiles.get(current)?.element.classList.remove('current');
  current = name;
  if (!name) {
    floor.removeAttribute('aria-activedescendant');
    return;
  }
  const { element } = tiles.get(name);
  element.classList.add('current');
  element.scrollIntoView({ block: 'nearest' });
  floor.setAttribute('aria-activedescendant', name);
}

function range(from, to) {
  const [a, b] = [shown.indexOf(from), shown.indexOf(to)];
  return a < 0 || b < 0 ? [to] : shown.slice(Math.min(a, b), Math.max(a, b) + 1);
}

function toggle(name) {
  anchor = name;
  select(selected.has(name) ? [...selected].filter((other) => other !== name) : [name], !selected.has(name));
}

/* ---- Hands on the tiles ---- */

floor.addEventListener('pointermove', () => { moved = performance.now(); }, { passive: true });
floor.addEventListener('pointerleave', () => { moved = -RESTLESS; });
floor.addEventListener('click', ({ target, shiftKey, ctrlKey, metaKey, pointerType }) => {
  const element = target.closest('.tile');
  if (!element) return;
  const name = element.id;
  setCurrent(name);
  if (shiftKey) select(range(anchor ?? name, name), ctrlKey || metaKey);
  else if (ctrlKey || metaKey || 'toggle' in target.dataset || pointerType === 'touch') toggle(name);
  else if (selected.size === 1 && selected.has(name)) select([]);
  else {
    anchor = name;
    select([name]);
  }
});

function columns() {
  return getComputedStyle(floor).gridTemplateColumns.split(' ').length;
}

function go(step, extend) {
  if (!shown.length) return;
  const from = current;
  const index = shown.indexOf(current) + (current ? step : Math.sign(step) > 0 ? 1 : 0);
  setCurrent(shown[Math.max(0, Math.min(shown.length - 1, index))]);
  if (extend) select(range(anchor ??= from ?? current, current));
}

const KEYS = {
  ArrowRight: ({ shiftKey }) => go(1, shiftKey),
  ArrowLeft: ({ shiftKey }) => go(-1, shiftKey),
  ArrowDown: ({ shiftKey }) => go(columns(), shiftKey),
  ArrowUp: ({ shiftKey }) => go(-columns(), shiftKey),
  Home: ({ shiftKey }) => go(-shown.length, shiftKey),
  End: ({ shiftKey }) => go(shown.length, shiftKey),
  ' ': () => current && toggle(current),
  Enter: () => {
    if (current && !selected.size) select([current]);
    unfold(true);
    const first = find('#controls input:not(:disabled), #controls button:not([hidden])');
    first?.focus();
    first?.select?.();
  },
  a: (event) => (event.ctrlKey || event.metaKey) && select(shown),
  l: () => act('lower', {}, selected.size ? targets() : [workspaces.get(current)].filter(Boolean)),
};
floor.addEventListener('keydown', (event) => {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (!KEYS[key] || event.altKey || ((event.ctrlKey || event.metaKey) && key !== 'a') || (key === 'a' && !event.ctrlKey && !event.metaKey)) return;
  event.preventDefault();
  moved = performance.now();
  KEYS[key](event);
});
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || find('dialog[open]')) return;
  const typing = event.target.matches('input, select, textarea');
  if (event.key === 'Escape') {
    if (typing && event.target.id === 'search' && event.target.value) setSearch('');
    else if (typing || event.target.closest('#side')) floor.focus();
    else select([]);
    return;
  }
  const where = { '/': '#search', m: '#say-text', '?': '[data-opens=keys]' }[event.key];
  if (typing || !where) return;
  event.preventDefault();
  find(where).focus();
  if (event.key === '?') find(where).click();
});

/* ---- What is looked for ---- */

function setSearch(text) {
  show.search = text;
  if (find('#search').value !== text) find('#search').value = text;
  arrange();
}
find('#search').addEventListener('input', ({ target }) => setSearch(target.value));
find('#search').addEventListener('keydown', ({ key }) => { if (key === 'Enter') floor.focus(); });
find('#order').addEventListener('change', ({ target }) => {
  show.order = target.value;
  arrange();
});
for (const chip of all('[data-kind]')) {
  chip.addEventListener('click', () => {
    show.kind = show.kind === chip.dataset.kind ? 'all' : chip.dataset.kind;
    for (const other of all('[data-kind]')) other.ariaPressed = String(other.dataset.kind === show.kind);
    arrange();
  });
}

/* ---- What is done ---- */

const work = jobs({ workspaces, changed: put, soon });

async function act(action, choice, some) {
  if (some.length) await work.start(action, choice, some, dialog.asks);
}

function choiceOf(button) {
  const { action, seconds } = button.dataset;
  const { framework } = button.closest('.frame')?.dataset ?? {};
  const title = TITLES[framework];
  if (action === 'scale') {
    const field = find('input', button.closest('.frame'));
    return field.reportValidity() && field.value !== '' ? { framework, title, workers: Number(field.value) } : null;
  }
  if (action === 'extend') return { seconds: Number(seconds), now: now() };
  if (action === 'first') {
    const waiting = [...workspaces.values()].filter(({ status }) => status.phase === 'Queued');
    const since = ({ metadata, spec }) => Date.parse(spec.queuedAt ?? metadata.creationTimestamp);
    const line = targets().filter(({ status }) => status.phase === 'Queued')
      .sort((a, b) => (a.status.queue?.position ?? 0) - (b.status.queue?.position ?? 0) || since(a) - since(b));
    return { before: Math.min(...waiting.map(since)), line: line.map(({ metadata }) => metadata.name) };
  }
  return { framework, title, now: now() };
}
find('#controls').addEventListener('click', ({ target }) => {
  const button = target.closest('[data-action]');
  const choice = button && choiceOf(button);
  if (choice) act(button.dataset.action, choice, targets());
});
for (const field of all('.frame input')) {
  field.addEventListener('keydown', ({ key }) => { if (key === 'Enter') find('[data-action=scale]', field.closest('.frame')).click(); });
}
find('[data-clear]').addEventListener('click', () => select([]));

function unfold(is) {
  find('#side').classList.toggle('open', is);
  find('.unfold').ariaExpanded = String(is);
  write(find('.unfold'), is ? 'Done' : 'Actions');
}
find('.unfold').addEventListener('click', () => unfold(!find('#side').classList.contains('open')));

find('#say').addEventListener('submit', async (event) => {
  event.preventDefault();
  const field = find('#say-text');
  const text = field.value.trim();
  if (text && await work.say(text, room?.room.spec.message?.text ?? null)) field.value = '';
});
find('[data-take-back]').addEventListener('click', () => work.say(null, room.room.spec.message.text));

setInterval(() => {
  for (const name of tiles.keys()) dirty.add(name);
  if (room) listeners.room(room);
  soon();
}, TICK);
setInterval(soon, SETTLED);
live();
const look = () => api('GET', '/api/room').catch(() => {}).then(() => true); // leads to the sign-in page, if need be
follow('/api/room/events', listeners, look, () => true);
