/* Podium inside JupyterLab: what the instructor says, warnings before the end, and a hand to raise. The workspace's
   own extension loads it, with JupyterLab's parts and with what `/workspaces/<name>/lab` says. */

const LONGEST_TOAST = 120; // JupyterLab cuts what is longer than 140
const READ = 'podium-message-read';

/** Notifications of one kind, of which there is one at most. */
function single(Notification, onRead = () => {}) {
  let [shown, key] = [null, null];
  Notification.manager.changed.connect((_, { type, notification }) => {
    if (type !== 'removed' || notification.id !== shown) return;
    onRead(key);
    shown = null;
  });
  return {
    show(next, kind, text, options) {
      if (next === key) return;
      const before = shown;
      [shown, key] = [null, next];
      if (before) Notification.dismiss(before);
      if (next !== null) shown = Notification.emit(text, kind, { autoClose: false, ...options });
    },
  };
}

/** The button in the top bar. */
function handButton({ app, widgets }, toggle) {
  const node = document.createElement('div');
  const button = node.appendChild(document.createElement('button'));
  button.type = 'button';
  button.addEventListener('click', toggle);
  const widget = new widgets.Widget({ node });
  widget.id = 'podium-hand';
  app.shell.add(widget, 'top', { rank: 900 });
  return (up) => {
    button.textContent = up ? '✋ Lower my hand' : '✋ Raise my hand';
    button.setAttribute('aria-pressed', up);
  };
}

/** A link in the top bar to what JupyterLab cannot do. */
function pageLink({ app, widgets }, page) {
  const node = document.createElement('div');
  const link = node.appendChild(Object.assign(document.createElement('a'), { href: page, textContent: 'Clusters and time' }));
  link.target = '_blank';
  const widget = new widgets.Widget({ node });
  widget.id = 'podium-page';
  app.shell.add(widget, 'top', { rank: 910 });
}

function meta(name, content) {
  document.head.append(Object.assign(document.createElement('meta'), { name, content }));
}

export async function start(parts, told) {
  const { Notification, showDialog, Dialog } = parts.apputils;
  meta('xsrf', told.xsrf);
  document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href: told.style }));
  const [{ face, view }, { api, follow, leaveWithSession }] = await Promise.all([
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
  const go = (where) => () => { location.assign(where); };

  const message = single(Notification, (key) => sessionStorage.setItem(READ, key));
  const end = single(Notification);
  const showHand = told.inClass ? handButton(parts, raise) : () => {};
  pageLink(parts, page);

  function show() {
    const shown = view(workspace, now());
    showHand(shown.hand);
    if (shown.phase === 'Stopping') {
      end.show('stopping', 'error', `This workspace is being stopped. ${shown.text.message}`);
    } else if (shown.warn) {
      const { cause, urgent } = shown.warn;
      const actions = told.mayExtend ? [{ label: 'Extend', displayType: 'accent', callback: extend }] : [];
      end.show(`${cause} ${urgent}`, urgent ? 'error' : 'warning', shown.text['warning.soon'] || shown.text['warning.urgent'], { actions });
    } else {
      end.show(null);
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
      message.show(null);
    } else if (sessionStorage.getItem(READ) !== news.at) {
      const title = news.by || 'The instructor';
      const [text, isLong] = [`${title}: ${news.text}`, news.text.length > LONGEST_TOAST];
      const actions = isLong ? [{ label: 'Read it all', callback: read(title, news.text) }] : [];
      message.show(news.at, 'info', text, { actions });
    }
  }

  function gone() {
    const actions = [{ label: 'Go to Podium', displayType: 'accent', callback: go('/') }];
    end.show('gone', 'error', 'This workspace has ended. Podium says what is kept of your files.', { actions });
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
