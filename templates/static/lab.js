/* Podium inside JupyterLab: what the instructor says, warnings before the end, and a hand to raise. The workspace's
   own extension loads it, with JupyterLab's parts and with what `/workspaces/<name>/lab` says. */

const LONGEST_TOAST = 120; // JupyterLab cuts what is longer than 140
const READ = 'podium-message-read';
const HAND = 'M7 13V6.5a1.5 1.5 0 0 1 3 0V11M10 11V4.5a1.5 1.5 0 0 1 3 0V11M13 11V5.5a1.5 1.5 0 0 1 3 0V12M16 8.5a1.5 1.5 '
  + '0 0 1 3 0V15a6.5 6.5 0 0 1-6.5 6.5c-3 0-4.5-1.5-6-4L4.3 14a1.6 1.6 0 0 1 2.7-1.7';

/** Notifications of one kind, of which there is one at most, told from others by a key. */
function single(Notification) {
  let [shown, key] = [null, null];
  return (next, kind, text, options) => {
    if (next === key) return;
    if (shown) Notification.dismiss(shown);
    key = next;
    shown = next && Notification.emit(text, kind, { autoClose: false, ...options });
  };
}

/** Something in the top bar. */
function inTopBar({ app, widgets }, id, element, rank) {
  const node = document.createElement('div');
  node.append(element);
  const widget = new widgets.Widget({ node });
  Object.assign(widget, { id: `podium-${id}` });
  app.shell.add(widget, 'top', { rank });
}

function make(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}

function handIcon() {
  const icon = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  icon.setAttribute('viewBox', '0 0 24 24');
  icon.setAttribute('aria-hidden', 'true');
  icon.append(document.createElementNS('http://www.w3.org/2000/svg', 'path'));
  icon.firstChild.setAttribute('d', HAND);
  return icon;
}

/** The button in the top bar; what is returned shows whether the hand is up. */
function handButton(parts, toggle) {
  const label = make('span', {});
  const button = make('button', { type: 'button' });
  button.append(handIcon(), label);
  button.addEventListener('click', toggle);
  inTopBar(parts, 'hand', button, 900);
  return ({ hand, text }) => {
    label.textContent = text.hand;
    button.setAttribute('aria-pressed', hand);
  };
}

export async function start(parts, told) {
  const { Notification, showDialog, Dialog } = parts.apputils;
  document.head.append(
    make('meta', { name: 'xsrf', content: told.xsrf }), make('link', { rel: 'stylesheet', href: told.style }),
  );
  const [{ face, view }, { api, follow, leaveWithSession, whenSignedOut }] = await Promise.all([
    import(told.modules.view), import(told.modules.wire),
  ]);
  const arrived = Date.now();
  const now = () => Date.now() - arrived + Date.parse(told.now);
  let { workspace } = told;
  const { name } = workspace.metadata;
  const [address, page] = [`/api/workspaces/${name}`, `/workspaces/${name}`];

  const attempt = (work) => async () => {
    try {
      await work();
    } catch (error) {
      Notification.error([error.message, error.hint].filter(Boolean).join(' '), { autoClose: 8000 });
    }
  };
  const patch = async (spec) => changed(await api('PATCH', address, { spec }));
  const raise = attempt(() => patch({ helpWanted: workspace.spec.helpWanted ? null : new Date(now()).toISOString() }));
  const extend = attempt(async () => {
    await patch({ expires: new Date(now() + workspace.spec.settings.wallTime * 1000).toISOString() });
    Notification.success(`This workspace goes on ${view(workspace, now()).text['wall.until']}.`, { autoClose: 5000 });
  });
  const read = (title, body) => () => {
    showDialog({ title, body, buttons: [Dialog.okButton({ label: 'Got it' })] });
  };
  const go = (label, where) => [{ label, displayType: 'accent', callback: () => { location.assign(where); } }];

  const [message, end, session] = [single(Notification), single(Notification), single(Notification)];
  whenSignedOut(() => { // nobody is torn from a notebook that may not be saved
    const actions = go('Sign in', `/sign-in?next=${encodeURIComponent(location.pathname)}`);
    session('over', 'warning', 'Podium has forgotten who you are. Save your work, then sign in again.', { actions });
  });
  const showHand = told.inClass ? handButton(parts, raise) : () => {};
  inTopBar(parts, 'page', make('a', { href: page, target: '_blank', textContent: 'Clusters and time' }), 910);

  function show() {
    const shown = view(workspace, now());
    showHand(shown);
    if (shown.phase === 'Stopping') {
      end('stopping', 'error', `This workspace is being stopped. ${shown.text.message}`);
    } else if (shown.warn) {
      const { cause, urgent } = shown.warn;
      const actions = told.mayExtend ? [{ label: 'Extend', displayType: 'accent', callback: extend }] : [];
      end(`${cause} ${urgent}`, urgent ? 'error' : 'warning', shown.text['warning.soon'] || shown.text['warning.urgent'], { actions });
    } else {
      end(null);
    }
  }

  function changed(next) {
    if (next.metadata.uid === workspace.metadata.uid
        && Number(next.metadata.resourceVersion) < Number(workspace.metadata.resourceVersion)) return;
    workspace = next;
    show();
  }

  function said({ message: news }) {
    if (!news) {
      message(null);
    } else {
      // After a reload it is to be found with all notifications, and does not pop up again.
      const autoClose = sessionStorage.getItem(READ) === news.at ? 0 : false;
      sessionStorage.setItem(READ, news.at);
      const title = news.by || 'The instructor';
      const [text, isLong] = [`${title}: ${news.text}`, news.text.length > LONGEST_TOAST];
      const actions = isLong ? [{ label: 'Read it all', callback: read(title, news.text) }] : [];
      message(news.at, 'info', text, { actions, autoClose });
    }
  }

  function gone() {
    const actions = go('Go to Podium', '/');
    end('gone', 'error', 'This workspace has ended. Podium says what is kept of your files.', { actions });
    return 'end';
  }

  async function look() {
    try {
      changed(await api('GET', address));
    } catch (error) {
      if (error.code !== 'not-found') return true;
      gone();
      return false;
    }
    return true;
  }

  leaveWithSession();
  show();
  setInterval(() => { if (face(workspace) !== 'Stopping') show(); }, 1000);
  follow(`${address}/events`, { workspace: changed, gone, room: said }, look, () => true);
}
