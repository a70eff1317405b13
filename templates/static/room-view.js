/* What the room page shows of many workspaces: pure functions of the objects and the time. Nothing here may touch
   the page or read the clock. */

const STEPS = ['', 'Preparing', 'StartingNotebook', 'FetchingContent', 'OpeningRoute'];
const SLOW = 60; // seconds: who waits longer for a start has reason to look up
const SOON = 10 * 60;
const RESTING = 10 * 60;
const LIVELY = 2 * 60;

/** What a face is told by, besides its colour. */
export const WORDS = {
  trouble: 'Trouble', queued: 'In line', starting: 'Starting', ready: 'Ready', stopping: 'Stopping',
};
/** The chips above the tiles, by name. */
export const KINDS = {
  all: () => true,
  help: (tile) => tile.raised > 0,
  trouble: (tile) => tile.face === 'trouble' || tile.troubled,
  queued: (tile) => tile.face === 'queued',
  starting: (tile) => tile.face === 'starting',
  ready: (tile) => tile.face === 'ready',
  idle: (tile) => tile.resting,
  soon: (tile) => tile.ending,
};

/** Seconds in the fewest words that an instructor needs: 40 s, 5 min, 1 h 05, 2 d 3 h. */
export function roughly(seconds) {
  const left = Math.max(0, Math.round(seconds));
  if (left < 60) return `${left - (left % 10)} s`;
  const minutes = Math.floor(left / 60);
  if (minutes < 60) return `${minutes} min`;
  const [hours, rest] = [Math.floor(minutes / 60), minutes % 60];
  if (hours < 24) return `${hours} h ${String(rest).padStart(2, '0')}`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A place in line: 1st, 2nd, 3rd, 11th. */
export function ordinal(number) {
  const tail = number % 100 > 10 && number % 100 < 14 ? 'th' : ['th', 'st', 'nd', 'rd'][number % 10] ?? 'th';
  return `${number}${tail}`;
}

export const who = ({ spec }) => spec.displayName || spec.owner;

function faceOf({ metadata, status: { phase, reason, history } }, now) {
  if (metadata.deletionTimestamp) return 'stopping';
  if (phase === 'Failed') return 'trouble';
  if (phase !== 'Starting') return phase.toLowerCase();
  const began = history.length ? Date.parse(history.at(-1).at) : now;
  return STEPS.includes(reason) && (now - began) / 1000 < SLOW ? 'starting' : 'trouble';
}

function sentence(face, { status }) {
  if (face === 'queued') return status.queue ? `${ordinal(status.queue.position)} in line` : 'In line';
  if (face === 'ready') return Object.values(status.clusters).find((cluster) => cluster.message)?.message ?? status.message;
  if (face === 'stopping') return status.phase === 'Stopping' ? status.message : 'The programs are being ended.';
  return status.message || 'Waiting to be started.';
}

/** What somebody is at: work, rest, or waiting. */
function activity(face, still, waited) {
  if (face === 'queued') return `waits ${roughly(waited)}`;
  if (face !== 'ready') return WORDS[face];
  return still < LIVELY ? 'at work' : `idle ${roughly(still)}`;
}

/** One framework's numbers: ready of wanted, and how much of that is filled and busy, from 0 to 1. */
function meter(framework, { spec, status }) {
  const wanted = spec.clusters[framework].workers ?? spec.workers;
  const { ready = 0, busy = 0 } = status.clusters[framework] ?? {};
  const most = Math.max(wanted, ready, 1);
  return { framework, wanted, ready, full: ready / most, busy: busy / most };
}

/** Everything that a tile shows, and what it is sorted and found by; `now` in milliseconds. */
export function tile(workspace, now) {
  const { metadata, spec, status } = workspace;
  const face = faceOf(workspace, now);
  const live = face === 'ready' || face === 'starting' || face === 'trouble';
  const since = (moment) => (now - Date.parse(moment)) / 1000;
  const left = (Date.parse(spec.expires) - now) / 1000;
  const still = status.idleDeadline && status.lastActivity ? Math.max(0, since(status.lastActivity)) : 0;
  const raised = spec.helpWanted ? Date.parse(spec.helpWanted) : 0;
  const meters = Object.keys(spec.clusters).sort().map((framework) => meter(framework, workspace));
  return {
    name: metadata.name, who: who(workspace), face, raised, left, still, meters,
    hand: raised ? roughly(Math.max(0, since(spec.helpWanted))) : '',
    troubled: face === 'ready' && Object.values(status.clusters).some((cluster) => cluster.message),
    says: sentence(face, workspace),
    resting: face === 'ready' && still >= RESTING,
    activity: activity(face, still, since(metadata.creationTimestamp)),
    ending: live && left < SOON,
    time: live ? roughly(left) : status.queue?.eta ? `about ${roughly((Date.parse(status.queue.eta) - now) / 1000)}` : '',
    place: status.queue?.position ?? Infinity,
    workers: meters.reduce((sum, { ready }) => sum + ready, 0),
    made: Date.parse(metadata.creationTimestamp) || 0,
    text: `${who(workspace)} ${spec.owner} ${metadata.name} ${spec.profile} ${status.message}`.toLocaleLowerCase(),
  };
}

/** Who needs a look first: hands by how long they are up, then trouble, then the line, then the others. */
function urgency(one) {
  if (one.raised) return 0;
  if (one.face === 'trouble') return 1;
  if (one.troubled) return 2;
  return one.face === 'queued' ? 3 : 4;
}

const byName = (a, b) => a.who.localeCompare(b.who) || (a.name < b.name ? -1 : 1);
const ORDERS = {
  name: byName,
  attention: (a, b) => urgency(a) - urgency(b) || a.raised - b.raised || (a.place < b.place ? -1 : a.place > b.place ? 1 : 0),
  left: (a, b) => a.left - b.left,
  idle: (a, b) => b.still - a.still,
  workers: (a, b) => b.workers - a.workers,
  newest: (a, b) => b.made - a.made,
};

/** The tiles in an order, and among equals by name. */
export const sorted = (tiles, order) => [...tiles].sort((a, b) => ORDERS[order](a, b) || byName(a, b));

/** Those that are of a kind and hold every word that is looked for. */
export function found(tiles, kind, search) {
  const words = search.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  return tiles.filter((one) => KINDS[kind](one) && words.every((word) => one.text.includes(word)));
}

/** How many there are of each kind. */
export function counts(tiles) {
  return Object.fromEntries(Object.entries(KINDS).map(([kind, is]) => [kind, tiles.filter(is).length]));
}

/** How many are in, for everybody to see. */
export function seats(workspaces) {
  const here = workspaces.filter(({ metadata, status }) => !metadata.deletionTimestamp && status.phase !== 'Failed');
  const ready = here.filter(({ status }) => status.phase === 'Ready').length;
  const queued = here.filter(({ status }) => status.phase === 'Queued').length;
  const rest = [
    here.length - ready - queued ? `${here.length - ready - queued} starting` : '', queued ? `${queued} in line` : '',
  ].filter(Boolean);
  return [`${ready} ${ready === 1 ? 'notebook is' : 'notebooks are'} ready`, ...rest].join(', ');
}
