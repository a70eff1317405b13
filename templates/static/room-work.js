/* What is done to many workspaces at once: some at a time, with an answer for each, and a way back. Requests are made
   by what is handed in. Nothing here may touch the page. */

const AT_ONCE = 4; // a browser holds six connections to a host, of which event streams need some
const MOST_TRIES = 8;
const AGAIN = [0, 429, 502, 503, 504]; // in the middle of a bulk these mean: in a moment

/** What an action asks of a workspace: a merge patch of its spec, or null where there is nothing to do. `back` is the
    patch that undoes it, made before. */
export const ACTIONS = {
  scale: ({ framework, workers }) => ({
    ask: ({ spec }) => {
      const most = Math.min(workers, spec.settings.maxWorkers);
      const own = spec.clusters[framework];
      return own && (own.workers ?? spec.workers) !== most ? { clusters: { [framework]: { workers: most } } } : null;
    },
    back: ({ spec }) => ({ clusters: { [framework]: { workers: spec.clusters[framework].workers } } }),
  }),
  add: ({ framework }) => ({
    ask: ({ spec }) => (!spec.clusters[framework] && spec.settings.frameworks.includes(framework)
      ? { clusters: { [framework]: {} } } : null),
    back: () => ({ clusters: { [framework]: null } }),
  }),
  extend: ({ seconds, now }) => {
    const end = ({ spec }) => Math.min(
      Math.max(Date.parse(spec.expires), now) + seconds * 1000, now + spec.settings.wallTime * 1000,
    );
    return {
      ask: (one) => (end(one) - Date.parse(one.spec.expires) > 1000 ? { expires: new Date(end(one)).toISOString() } : null),
      back: ({ spec }) => ({ expires: spec.expires }),
    };
  },
  restart: ({ now }) => ({
    ask: ({ status }) => (status.phase === 'Ready' || status.phase === 'Starting'
      ? { restartedAt: new Date(now).toISOString() } : null),
  }),
  lower: () => ({ ask: ({ spec }) => (spec.helpWanted ? { helpWanted: null } : null) }),
  first: ({ before, line }) => ({
    ask: ({ metadata, status }) => {
      const place = line.indexOf(metadata.name); // those who move up together keep their order
      return status.phase === 'Queued' && place >= 0
        ? { queuedAt: new Date(before - 1000 * (line.length - place)).toISOString() } : null;
    },
    back: ({ spec }) => ({ queuedAt: spec.queuedAt ?? null }),
  }),
};

const QUIET = ['lower'];

/** Whether an action can be asked of a workspace at all. */
export function open(action, { metadata, status }) {
  return !metadata.deletionTimestamp && (status.phase !== 'Failed' || QUIET.includes(action));
}

/** The requests that an action comes to: `{name, who, spec, back}`, for those it has something to ask of. */
export function requests(action, choice, workspaces) {
  const { ask, back } = ACTIONS[action](choice);
  return workspaces.filter((one) => open(action, one)).map((one) => ({ one, spec: ask(one) }))
    .filter(({ spec }) => spec)
    .map(({ one, spec }) => ({
      name: one.metadata.name, uid: one.metadata.uid, who: one.spec.displayName || one.spec.owner, spec, back: back?.(one),
    }));
}

/** What of a spec a merge patch is about, as text. */
const touched = (spec, patch) => JSON.stringify(Object.keys(patch).map((field) => (
  field === 'clusters' ? Object.keys(patch.clusters).map((name) => spec.clusters[name]) : spec[field]
)));

/** The requests that take others back, for those that were done and that nobody changed since; `now` gives a
    workspace by its name. */
export function reversed(done, now) {
  return done.filter(({ name, uid, spec, back, answer }) => {
    const one = now(name);
    return back && one?.metadata.uid === uid && !one.metadata.deletionTimestamp
      && touched(one.spec, spec) === touched(answer.spec, spec);
  }).map(({ name, uid, who, back }) => ({ name, uid, who, spec: back }));
}

/** Send requests, some at a time; `told` hears of each end. Resolves with `{done, failed}`.

    Args: `send(request)` makes one; `pause(milliseconds)` waits; `wanted()` says whether to go on. */
export async function work(all, send, pause, told = () => {}, wanted = () => true) {
  const [waiting, done, failed] = [[...all], [], []];
  const one = async (request) => {
    for (let tries = 1; ; tries += 1) {
      try {
        return await send(request);
      } catch (error) {
        if (!AGAIN.includes(error.status) || tries === MOST_TRIES) throw error;
        await pause(Math.min(250 * 2 ** tries, 4000));
      }
    }
  };
  const hand = async () => {
    while (waiting.length && wanted()) {
      const request = waiting.shift();
      try {
        const answer = await one(request);
        done.push({ ...request, answer });
      } catch (error) {
        failed.push({ ...request, reason: [error.message, error.hint].filter(Boolean).join(' ') });
      }
      told({ done, failed });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, hand));
  return { done, failed };
}
