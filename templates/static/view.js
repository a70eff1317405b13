/* What Podium's pages show of a workspace: pure functions of the Workspace object and the time. Nothing here may
   touch the page or read the clock. */

const STEPS = ['', 'Preparing', 'StartingNotebook', 'FetchingContent', 'OpeningRoute'];
const HEADLINES = {
  Queued: 'Starting your workspace', Starting: 'Starting your workspace', Ready: 'Your workspace is ready',
  Restarting: 'The notebook is restarting', Stopping: 'Stopping your workspace', Failed: 'The launch failed',
};
const WELCOME = 'Open the notebook: your clusters are found there without any configuration.';
const MOST_CELLS = 40;
const SOON = 10 * 60;
const URGENT = 2 * 60;

const two = (number) => String(Math.floor(number)).padStart(2, '0');

const shortTime = (moment) => new Date(moment).toLocaleTimeString([], { timeStyle: 'short' });

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

/** The phase as people see it: Stopping from the click on, Restarting when a notebook that was ready starts again. */
export function face({ metadata, status: { phase, history } }) {
  if (metadata.deletionTimestamp) return 'Stopping';
  return phase === 'Starting' && history.some((entry) => entry.phase === 'Ready') ? 'Restarting' : phase;
}

/** The step that a reason belongs to: what keeps a notebook from starting is part of its start. */
const step = (reason) => (STEPS.includes(reason) ? reason : 'StartingNotebook');

/** The launch: each step with its state and seconds, whether it is over, and the seconds in all. */
export function launch(history, now) {
  const end = history.findIndex((entry) => entry.phase === 'Ready' || entry.phase === 'Failed');
  const path = end < 0 ? history : history.slice(0, end);
  const at = (index) => (index < history.length ? Date.parse(history[index].at) : now);
  const seconds = {};
  path.forEach(({ reason }, index) => {
    const name = step(reason);
    seconds[name] = (seconds[name] ?? 0) + (at(index + 1) - at(index)) / 1000;
  });
  const current = STEPS.indexOf(step(path.at(-1)?.reason ?? ''));
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

/** How long something will take, as one would say it. */
export function roughly(seconds) {
  if (seconds < 20) return 'any moment now';
  if (seconds < 90) return 'in about a minute';
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `in about ${minutes} minutes` : `in about ${Math.round(minutes / 60)} hours`;
}

/** The place in line: its number, what that means, and when it will be one's turn; null for who is not in line. */
export function line(phase, { queue }, now) {
  if (phase !== 'Queued' || !queue) return null;
  const { position, eta, message } = queue;
  const left = (Date.parse(eta) - now) / 1000;
  const clock = left > 90 ? `, at ${shortTime(eta)}` : '';
  return {
    position,
    headline: position === 1 ? 'You are next' : `You are number ${position} in line`,
    wait: eta ? `Your notebook should open ${roughly(left)}${clock}.` : 'Nobody can tell yet how long it takes.',
    message,
  };
}

/** What to warn of when the end is near: the cause, the seconds left and whether it is urgent; else null. */
export function warning(phase, wall, idle, idleTime) {
  if (phase !== 'Ready' && phase !== 'Restarting') return null;
  const idleSoon = Math.min(SOON, idleTime / 2); // a short idle time would else be warned of all the time
  if (idle < wall && idle < idleSoon) return { cause: 'Nothing runs here', left: idle, urgent: idle < URGENT };
  return wall < SOON ? { cause: 'Time is almost up', left: wall, urgent: wall < URGENT } : null;
}

/** The sentence below the headline. */
function message(phase, status, own) {
  if (phase === 'Ready') return status.message || (own ? WELCOME : '');
  if (phase === 'Queued') return status.message || 'Waiting to be started.';
  return phase === status.phase || phase === 'Restarting' ? status.message : 'The programs are being ended.';
}

/** Everything that the page shows of a workspace; `now` in milliseconds, `own` unless somebody else looks at it. */
export function view(workspace, now, own = true) {
  const { spec, status } = workspace;
  const phase = face(workspace);
  const until = (moment) => (moment ? (Date.parse(moment) - now) / 1000 : Infinity);
  const [wall, idle] = [until(spec.expires), until(status.idleDeadline)];
  const warn = warning(phase, wall, idle, spec.settings.idleTime);
  const threat = warn && `${warn.cause}: this workspace stops in less than ${warn.urgent ? 2 : 10} minutes, and what is in memory is lost.`;
  const started = launch(status.history, now);
  const waiting = line(phase, status, now);
  const clock = wall > 72000 ? { dateStyle: 'medium', timeStyle: 'short' } : { timeStyle: 'short' };
  return {
    phase, warn, waiting, launch: started, warnings: status.warnings, log: status.log,
    hand: Boolean(spec.helpWanted),
    clusters: Object.fromEntries(spec.settings.frameworks.map((name) => [name, cluster(spec, status, name)])),
    text: {
      phase,
      headline: own ? waiting?.headline ?? HEADLINES[phase] : HEADLINES[phase].replace(/\byour\b/i, 'the').replace(/^t/, 'T'),
      message: waiting ? waiting.wait : message(phase, status, own),
      'line.position': waiting ? String(waiting.position) : '',
      'line.message': waiting?.message ?? '',
      hand: spec.helpWanted ? 'Lower my hand' : 'Raise my hand',
      handSince: spec.helpWanted ? `Your hand is up since ${shortTime(spec.helpWanted)}. The instructor sees it.` : '',
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
