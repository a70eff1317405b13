/* The room page's dialogs: the invitation, what is held ready, and questions. Nothing here may touch a workspace. */

const module = (name) => import(document.querySelector(`link[data-module=${name}]`).href);
const { all, announce, find, write, writeNote } = await module('wire');

/** What a person is sent, to come in by a click. */
export const link = (invitation) => (invitation ? `${location.origin}/join#${invitation.secret}` : `${location.origin}/`);

/** Show an invitation in a part of a page that has places for it. */
export function showInvitation(box, { room, invitation }) {
  const picture = find('[data-qr]', box);
  const address = `/room/invitation.svg?origin=${encodeURIComponent(location.origin)}&code=${room.spec.code}`;
  if (picture.getAttribute('src') !== address) picture.src = address;
  write(find('[data-address]', box), location.host + (invitation ? '/join' : ''));
  write(find('[data-code]', box), invitation?.code ?? '');
  for (const element of all('[data-code-part]', box)) element.hidden = !invitation;
}

function state(pool, order) {
  if (!pool && !order) return '';
  const { wanted = order?.size ?? 0, ready = 0, starting = 0, message = '' } = pool ?? {};
  const time = order?.until && new Date(order.until).toLocaleTimeString([], { timeStyle: 'short' });
  const until = time ? ` until ${time}` : '';
  return [`${ready} of ${wanted} ready${until}${starting ? `, ${starting} starting` : ''}.`, message].filter(Boolean).join(' ');
}

/** The dialogs, live. `room` gives the last news of the room. */
export function dialogs({ api, room, changed, now }) {
  const [invite, pool, question] = [find('#invite'), find('#pool'), find('#ask')];
  let [touched, poolTouched] = [false, new Set()];

  for (const button of all('[data-opens]')) {
    button.addEventListener('click', () => {
      poolTouched = new Set();
      all('[data-error]').forEach((problem) => writeNote(problem, ''));
      if (room()) show(room());
      find(`#${button.dataset.opens}`).showModal();
    });
  }

  /** Change the room, and say next to it what goes wrong. */
  async function patch(box, spec) {
    const problem = find('[data-error]', box);
    writeNote(problem, '');
    try {
      changed(await api('PATCH', '/api/room', { spec }));
      return true;
    } catch (error) {
      writeNote(problem, [error.message, error.hint].filter(Boolean).join(' '));
      return false;
    }
  }

  function asks(title, text, verb) {
    write(find('#ask-title'), title);
    write(find('[data-text]', question), text);
    write(find('[data-yes]', question), verb);
    return new Promise((resolve) => {
      question.returnValue = '';
      question.addEventListener('close', () => resolve(question.returnValue === 'yes'), { once: true });
      question.showModal();
    });
  }

  find('[data-copy-link]').addEventListener('click', async () => {
    await navigator.clipboard?.writeText(link(room()?.invitation));
    announce('Copied.');
    write(find('[data-copy-link]'), 'Copied');
    setTimeout(() => write(find('[data-copy-link]'), 'Copy the link'), 2000);
  });
  find('[data-new-code]').addEventListener('click', async () => {
    const text = 'The present code and link let nobody in any more. Who is in the room stays.';
    if (await asks('Make a new code?', text, 'New code')) await patch(invite, { code: 'new' });
  });
  find('#open-room').addEventListener('change', async ({ target }) => {
    touched = true;
    await patch(invite, { open: target.checked });
    touched = false;
    show(room());
  });
  for (const row of all('.pool')) {
    const { profile } = row.dataset;
    const [size, hours] = [find('input', row), find('select', row)];
    size.addEventListener('input', () => poolTouched.add(profile));
    const hold = async () => {
      if (!size.reportValidity() || size.value === '') return;
      const until = hours.value && new Date(now() + Number(hours.value) * 3600000).toISOString();
      await patch(pool, { pool: { [profile]: { size: Number(size.value), ...(until && { until }) } } });
      poolTouched.delete(profile);
    };
    find('[data-pool=set]', row).addEventListener('click', hold);
    find('[data-pool=drop]', row).addEventListener('click', () => {
      poolTouched.delete(profile);
      patch(pool, { pool: { [profile]: null } });
    });
    size.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter') return;
      event.preventDefault(); // which else would close the dialog
      hold();
    });
  }

  /** Show the room as it is; what a hand is on stays. */
  function show(news) {
    const { spec, status } = news.room;
    showInvitation(invite, news);
    if (!touched) find('#open-room').checked = spec.open;
    const pools = Object.values(status.pool);
    const sum = (name) => pools.reduce((total, one) => total + one[name], 0);
    write(find('#pool-title'), pools.some(({ wanted }) => wanted) ? `Pool ${sum('ready')}/${sum('wanted')}` : 'Pool');
    for (const row of all('.pool')) {
      const { profile } = row.dataset;
      const [there, order] = [status.pool[profile], spec.pool[profile]];
      const size = find('input', row);
      if (!poolTouched.has(profile) && document.activeElement !== size) size.value = order?.size ?? there?.wanted ?? 0;
      find('[data-pool=drop]', row).hidden = !order;
      write(find('[data-state]', row), state(there, order));
    }
  }

  return { asks, show };
}
