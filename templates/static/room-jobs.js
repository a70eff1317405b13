/* What was done on the room page, told where it can be seen: progress, failures with their reasons, a second try, and
   the way back. Nothing here may know how tiles look. */

const module = (name) => import(document.querySelector(`link[data-module=${name}]`).href);
const { announce, api, find, pause, write, writeNote } = await module('wire');
const { open, requests, reversed, work } = await module('room-work');

const COUNTDOWN = 5; // seconds in which a stop can be called back
const MOST = 3; // are shown at once
const LINGERS = 30000; // milliseconds for which what went well can be undone

const people = (count) => (count === 1 ? '1 workspace' : `${count} workspaces`);
const NOTHING = {
  scale: 'All have that many workers.', add: 'All have it.', extend: 'All have as much time as their profile allows.',
  restart: 'No notebook runs there.', stop: 'There is nothing to stop.', lower: 'No hand is up.', first: 'Nobody there waits.',
};
const TITLE = {
  scale: ({ title, workers }) => `${title} to ${workers === 1 ? '1 worker' : `${workers} workers`}`,
  add: ({ title }) => `Add ${title}`,
  extend: () => 'More time',
  restart: () => 'Restart the notebook',
  stop: () => 'Stop',
  lower: () => 'Lower the hand',
  first: () => 'Move to the front',
};
const GRAVE = {
  stop: ['Stop', 'Notebooks and clusters end, and what is in their memory is lost.'],
  restart: ['Restart', 'Notebooks start anew: variables and running work are lost, files and clusters stay.'],
};

/** One thing that is done, on the page. */
function card() {
  const box = document.createElement('article');
  box.className = 'job';
  const add = (tag, properties = {}, to = box) => {
    const made = Object.assign(document.createElement(tag), properties);
    to.append(made);
    return made;
  };
  const title = add('p', { className: 'job-title' });
  const progress = add('progress', { hidden: true });
  progress.setAttribute('aria-label', 'Progress');
  const failures = add('details', { hidden: true });
  const summary = add('summary', {}, failures);
  const list = add('ul', { className: 'plain' }, failures);
  const row = add('p', { className: 'row tight' });
  const button = (text, work) => {
    const made = add('button', { type: 'button', className: 'button small', textContent: text }, row);
    made.addEventListener('click', work);
    return made;
  };
  const jobs = find('#jobs');
  jobs.prepend(box);
  while (jobs.children.length > MOST) jobs.lastElementChild.remove();
  return {
    button,
    remove: () => box.remove(),
    clear: () => row.replaceChildren(),
    say: (text) => write(title, text),
    progress(count, of) {
      progress.hidden = count >= of;
      Object.assign(progress, { max: of, value: count });
    },
    failed(all) {
      failures.hidden = !all.length;
      write(summary, all.length === 1 ? '1 failed' : `${all.length} failed`);
      list.replaceChildren(...all.map(({ who, reason }) => {
        const item = document.createElement('li');
        const name = document.createElement('b');
        name.textContent = who;
        item.append(name, ` ${reason}`);
        return item;
      }));
      failures.open = all.length > 0 && all.length < 4;
    },
  };
}

/** Count down on a card; true when nobody called it back. */
function counted(shown, text) {
  return new Promise((resolve) => {
    let left = COUNTDOWN;
    const end = (is) => {
      clearInterval(timer);
      shown.clear();
      resolve(is);
    };
    const say = () => shown.say(`${text} in ${left} s`);
    const timer = setInterval(() => {
      left -= 1;
      if (left) say();
      else end(true);
    }, 1000);
    say();
    shown.button('Do not', () => end(false)).focus();
    announce(`${text} in ${COUNTDOWN} seconds.`);
  });
}

/** Everything that can be done; `changed` is told each new object. */
export function jobs({ workspaces, changed, soon }) {
  const patch = async ({ name, spec }) => {
    const answer = await api('PATCH', `/api/workspaces/${name}`, { spec });
    changed(answer);
    soon();
    return answer;
  };
  const end = async ({ name }) => {
    try {
      changed(await api('DELETE', `/api/workspaces/${name}`));
      soon();
    } catch (error) {
      if (error.code !== 'not-found') throw error; // else it is gone, as was wished
    }
  };

  /** Send all, tell how it goes, and offer what can be done then. */
  async function run(shown, title, all, send, back) {
    shown.clear();
    const tell = ({ done, failed }) => {
      shown.progress(done.length + failed.length, all.length);
      const so = done.length === all.length ? people(all.length) : `${done.length} of ${people(all.length)}`;
      shown.say(`${title}: ${so}`);
    };
    tell({ done: [], failed: [] });
    const { done, failed } = await work(all, send, pause, tell);
    shown.failed(failed);
    announce(`${title}: ${done.length} done${failed.length ? `, ${failed.length} failed` : ''}.`);
    if (failed.length) shown.button('Try again', () => run(shown, title, failed, send, null));
    if (back && done.some((request) => request.back)) shown.button('Undo', () => back(done));
    shown.button('Close', shown.remove);
    if (!failed.length) setTimeout(shown.remove, LINGERS);
  }

  function undo(shown, title, done) {
    const all = reversed(done, (name) => workspaces.get(name));
    shown.failed([]);
    if (all.length) return run(shown, `Undone: ${title}`, all, patch, null);
    shown.clear();
    shown.say(`${title}: nothing to undo, all were changed since.`);
    return shown.button('Close', shown.remove);
  }

  async function start(action, choice, some, asks) {
    const all = action === 'stop'
      ? some.filter((one) => !one.metadata.deletionTimestamp)
        .map((one) => ({ name: one.metadata.name, who: one.spec.displayName || one.spec.owner }))
      : requests(action, choice, some);
    const title = TITLE[action](choice);
    const shut = some.filter((one) => !open(action, one)).length;
    if (!all.length) {
      const shown = card();
      shown.say(shut === some.length ? `${title}: not while it is ending or has failed.` : `${title}: ${NOTHING[action]}`);
      shown.button('Close', shown.remove);
      setTimeout(shown.remove, LINGERS / 3);
      return;
    }
    if (GRAVE[action]) {
      const [verb, what] = GRAVE[action];
      if (all.length > 1 && !await asks(`${verb} ${people(all.length)}?`, what, verb)) return;
      const [shown, origin] = [card(), document.activeElement];
      const whom = all.length === 1 ? all[0].who : people(all.length);
      if (await counted(shown, `${verb}: ${whom}`)) await run(shown, title, all, action === 'stop' ? end : patch, null);
      else shown.remove();
      if (document.activeElement === document.body) origin.focus();
      return;
    }
    const shown = card();
    await run(shown, title, all, patch, (done) => undo(shown, title, done));
  }

  function refused(error) {
    writeNote(find('#problem'), [error.message, error.hint].filter(Boolean).join(' '));
  }

  /** Say something to everybody, or nothing any more. True when it was taken. */
  async function say(text, before) {
    try {
      await api('PATCH', '/api/room', { spec: { message: text && { text } } });
    } catch (error) {
      refused(error);
      return false;
    }
    writeNote(find('#problem'), '');
    const shown = card();
    shown.say(text ? `Sent to everybody: ${text}` : 'The message is taken back.');
    announce(text ? 'Sent to everybody.' : 'The message is taken back.');
    shown.button('Undo', () => {
      shown.remove();
      say(before, text);
    });
    shown.button('Close', shown.remove);
    setTimeout(shown.remove, LINGERS);
    return true;
  }

  return { start, say, refused };
}
