/* The preflight page, live: asks by the room's API, and shows the answers as they come by the room's events.
   All text goes in by textContent. */

const module = (name) => import(document.querySelector(`link[data-module=${name}]`).href);
const { api, find, follow, live, write, writeNote } = await module('wire');

const STATES = { ok: 'All is well', warning: 'A note', failed: 'To be done', running: 'Checking', skipped: 'Not needed' };
const FIRST = ['failed', 'warning', 'ok', 'skipped'];
const SILENT = 15000; // after which nobody seems to look

let room = JSON.parse(find('#state').textContent);
const rows = new Map();
const form = find('#ask');
const titles = Object.fromEntries([...form.profile.options].map(({ value, text }) => [value, text]));

/* ---- The question ---- */

/** A time as the field for it wants it: in the zone of whoever looks, without seconds. */
function forField(moment) {
  const local = new Date(moment.getTime() - moment.getTimezoneOffset() * 60000);
  return local.toISOString().slice(0, 16);
}

function nine() {
  const moment = new Date();
  if (moment.getHours() >= 9) moment.setDate(moment.getDate() + 1);
  moment.setHours(9, 0, 0, 0);
  return moment;
}

const asked = room.spec.preflight;
form.start.value = forField(asked ? new Date(asked.start) : nine());

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const button = find('[type=submit]', form);
  if (button.hasAttribute('aria-busy')) return;
  const problem = find('[data-error]');
  writeNote(problem, '');
  button.setAttribute('aria-busy', 'true');
  try {
    const preflight = {
      seats: Number(form.seats.value),
      profile: form.profile.value,
      start: new Date(form.start.value).toISOString(),
      hours: Number(form.hours.value),
    };
    show((await api('PATCH', '/api/room', { spec: { preflight } })).room);
  } catch (error) {
    writeNote(problem, [error.message, error.hint].filter(Boolean).join(' '));
  } finally {
    button.removeAttribute('aria-busy');
  }
});

/* ---- The answer ---- */

const clock = (moment) => moment.toLocaleTimeString([], { timeStyle: 'short' });
const day = (moment) => moment.toLocaleDateString([], { weekday: 'long', day: 'numeric', month: 'long' });
const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;

function verdict(report, start) {
  if (!report || report.running) return ['running', `Checking for ${clock(start)}…`];
  const failed = report.checks.filter(({ state }) => state === 'failed').length;
  if (failed) return ['not', `Not ready for ${clock(start)}`];
  return ['ready', `Ready for ${clock(start)}`];
}

function about(order, report) {
  const [start, end] = [new Date(order.start), new Date(Date.parse(order.start) + order.hours * 3600000)];
  const what = `${count(order.seats, 'seat', 'seats')} of ${titles[order.profile] ?? order.profile}, `
    + `${day(start)}, ${clock(start)} to ${clock(end)}.`;
  if (!report) {
    const late = Date.now() - Date.parse(order.at) > SILENT;
    return late ? `${what} Nobody has begun to look: does the controller run?` : what;
  }
  const of = (state) => report.checks.filter((each) => each.state === state).length;
  const [failed, notes, left] = [of('failed'), of('warning'), of('running')];
  const told = [
    left && report.running && `${count(left, 'check is', 'checks are')} still going on`,
    failed && count(failed, 'thing to do first', 'things to do first'),
    notes && count(notes, 'note', 'notes'),
  ].filter(Boolean).join(', ');
  const when = report.running ? '' : ` Checked at ${clock(new Date(order.at))}.`;
  return `${what}${told ? ` ${told[0].toUpperCase()}${told.slice(1)}.` : ''}${when}`;
}

/** What to do, and the command in it, if there is one. */
function parts(hint) {
  const lines = hint.split('\n');
  return {
    text: lines.filter((line) => !line.startsWith('$ ')).join(' '),
    command: lines.filter((line) => line.startsWith('$ ')).map((line) => line.slice(2)).join('\n'),
  };
}

function rowOf(name) {
  if (!rows.has(name)) {
    const row = find('#check').content.firstElementChild.cloneNode(true);
    row.dataset.check = name;
    rows.set(name, row);
  }
  return rows.get(name);
}

function fill(row, { title, state, message, hint }) {
  const { text, command } = parts(hint);
  row.dataset.state = state;
  find('use', row).setAttribute('href', `#i-${state}`);
  write(find('[data-state]', row), `${STATES[state]}: `);
  write(find('h3', row), title);
  write(find('[data-message]', row), message || (state === 'running' ? '…' : ''));
  writeNote(find('[data-hint]', row), text);
  write(find('[data-command] code', row), command);
  find('[data-command]', row).hidden = !command;
}

/** In the order in which they are made while they come; then what is to be done first. */
function arrange({ checks, running }) {
  const order = running ? checks : [...checks].sort((a, b) => FIRST.indexOf(a.state) - FIRST.indexOf(b.state));
  const wanted = order.map(({ name }) => rowOf(name));
  const list = find('#checks');
  if (wanted.some((row, index) => list.children[index] !== row) || list.children.length !== wanted.length) {
    list.replaceChildren(...wanted);
  }
}

function show(next) {
  room = next;
  const order = room.spec.preflight;
  const told = room.status.preflight;
  const report = order && told?.at === order.at ? told : null;
  const answer = find('#answer');
  answer.hidden = !order;
  if (!order) return;
  const [kind, words] = verdict(report, new Date(order.start));
  answer.dataset.answer = kind;
  find('.badge use').setAttribute('href', `#i-${{ running: 'running', ready: 'ok', not: 'failed' }[kind]}`);
  write(find('#verdict'), words);
  write(find('#about'), about(order, report));
  find('#cost').hidden = !report?.cost;
  write(find('#cost b'), report?.cost ?? '');
  for (const each of report?.checks ?? []) fill(rowOf(each.name), each);
  arrange(report ?? { checks: [], running: true });
}

find('#checks').addEventListener('click', async ({ target }) => {
  const button = target.closest('[data-copy]');
  if (!button) return;
  const code = find('code', button.parentElement);
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.classList.add('copied');
    setTimeout(() => button.classList.remove('copied'), 1500);
  } catch {
    getSelection().selectAllChildren(code); // without https there is no clipboard; then Ctrl-C does it
  }
});

show(room);
live();
setInterval(() => show(room), 5000);
const look = () => api('GET', '/api/room').then(({ room: now }) => show(now), () => {}).then(() => true);
follow('/api/room/events', { room: ({ room: now }) => show(now) }, look, () => true);
