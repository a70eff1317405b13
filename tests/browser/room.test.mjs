// What the room page shows and does, by tables; run by test_view.py with Node's own test runner.

import assert from 'node:assert';
import { readFileSync } from 'node:fs';
import test from 'node:test';

const load = (name) => {
  const source = readFileSync(new URL(`../../templates/static/${name}.js`, import.meta.url)).toString('base64');
  return import(`data:text/javascript;base64,${source}`);
};
const { counts, found, ordinal, roughly, seats, sorted, tile } = await load('room-view');
const { requests, reversed, work } = await load('room-work');

const START = 1e12;
const at = (seconds) => new Date(START + seconds * 1000).toISOString();

function workspace(name, { metadata = {}, spec = {}, status = {} } = {}) {
  return {
    metadata: { name, uid: name, resourceVersion: '1', creationTimestamp: at(-600), deletionTimestamp: null, ...metadata },
    spec: {
      owner: `id-${name}`, displayName: name, profile: 'workshop', workers: 2, clusters: { dask: { workers: 4 } },
      expires: at(3600), helpWanted: null, queuedAt: null,
      settings: { frameworks: ['dask', 'spark'], maxWorkers: 8, wallTime: 7200 }, ...spec,
    },
    status: {
      phase: 'Ready', reason: '', message: '', log: [], clusters: { dask: { ready: 3, busy: 1 } }, queue: null,
      history: [{ phase: 'Ready', at: at(-500) }], lastActivity: at(-30), idleDeadline: null, ...status,
    },
  };
}
const shown = (more) => tile(workspace('ada', more), START);

test('a time is as rough as it may be', () => {
  const table = [[-5, '0 s'], [47, '40 s'], [60, '1 min'], [3540, '59 min'], [3900, '1 h 05'], [90000, '1 d 1 h']];
  for (const [seconds, text] of table) assert.equal(roughly(seconds), text);
});

test('a place in line is an ordinal', () => {
  const table = [[1, '1st'], [2, '2nd'], [3, '3rd'], [4, '4th'], [11, '11th'], [13, '13th'], [22, '22nd'], [111, '111th']];
  for (const [number, text] of table) assert.equal(ordinal(number), text);
});

test('a face is what an instructor has to know', () => {
  const starting = (reason, seconds) => ({ status: { phase: 'Starting', reason, history: [{ phase: 'Starting', at: at(-seconds) }] } });
  const table = [
    [{}, 'ready'],
    [starting('StartingNotebook', 5), 'starting'],
    [starting('StartingNotebook', 65), 'trouble'],
    [starting('ImageMissing', 5), 'trouble'],
    [{ status: { phase: 'Failed' } }, 'trouble'],
    [{ status: { phase: 'Queued' } }, 'queued'],
    [{ metadata: { deletionTimestamp: at(0) }, status: { phase: 'Failed' } }, 'stopping'],
  ];
  for (const [more, face] of table) assert.equal(shown(more).face, face);
});

test('who waits is told where and for how long', () => {
  const queued = (queue) => {
    const { says, activity, time } = shown({ status: { phase: 'Queued', queue } });
    return [says, activity, time];
  };
  assert.deepEqual(queued({ position: 3, eta: at(130) }), ['3rd in line', 'waits 10 min', 'about 2 min']);
  assert.deepEqual(queued({ position: 1, eta: null }), ['1st in line', 'waits 10 min', '']);
  assert.deepEqual(queued(null), ['In line', 'waits 10 min', '']);
});

test('work is told from rest', () => {
  assert.equal(shown().activity, 'at work');
  const idle = { status: { lastActivity: at(-1500), idleDeadline: at(2000) } };
  assert.equal(shown(idle).activity, 'idle 25 min');
  assert.ok(shown(idle).resting);
  assert.equal(shown({ status: { lastActivity: at(-1500), idleDeadline: null } }).activity, 'at work');
});

test('a meter shows what is there of what is wanted', () => {
  assert.deepEqual(shown().meters, [{ framework: 'dask', wanted: 4, ready: 3, full: 0.75, busy: 0.25 }]);
  const none = shown({ spec: { clusters: { spark: { workers: null } } } }).meters;
  assert.deepEqual(none, [{ framework: 'spark', wanted: 2, ready: 0, full: 0, busy: 0 }]);
});

const CLASS = [
  workspace('zoe'),
  workspace('bob', { spec: { helpWanted: at(-60) } }),
  workspace('ann', { spec: { helpWanted: at(-300) } }),
  workspace('eve', { status: { phase: 'Failed', message: 'No quota.' } }),
  workspace('dan', { status: { phase: 'Queued', queue: { position: 2 } } }),
  workspace('cat', { status: { phase: 'Queued', queue: { position: 1 } }, spec: { expires: at(60) } }),
];
const TILES = CLASS.map((one) => tile(one, START));
const names = (tiles) => tiles.map(({ name }) => name).join(' ');

test('tiles are in the order that is asked for', () => {
  assert.equal(names(sorted(TILES, 'name')), 'ann bob cat dan eve zoe');
  assert.equal(names(sorted(TILES, 'attention')), 'ann bob eve cat dan zoe');
  assert.equal(names(sorted(TILES, 'left')).split(' ')[0], 'cat');
});

test('tiles are found by kind and by words', () => {
  assert.equal(names(found(TILES, 'help', '')), 'bob ann');
  assert.equal(names(found(TILES, 'all', 'QUOTA no')), 'eve');
  assert.equal(names(found(TILES, 'queued', 'zoe')), '');
  const numbers = counts(TILES);
  assert.deepEqual([numbers.all, numbers.help, numbers.trouble, numbers.queued, numbers.ready], [6, 2, 1, 2, 3]);
});

test('the wall shows how many, and not who', () => {
  assert.equal(seats(CLASS), '3 notebooks are ready, 2 in line');
  assert.equal(seats([CLASS[0]]), '1 notebook is ready');
});

test('an action asks only of those it changes anything for', () => {
  const asked = (action, choice, some = CLASS) => requests(action, choice, some).map(({ name, spec }) => [name, spec]);
  assert.deepEqual(asked('scale', { framework: 'dask', workers: 4 }), []);
  const most = asked('scale', { framework: 'dask', workers: 99 });
  assert.deepEqual([most.length, most[0]], [5, ['zoe', { clusters: { dask: { workers: 8 } } }]]); // not the one that failed
  assert.equal(asked('add', { framework: 'dask' }).length, 0);
  assert.equal(asked('add', { framework: 'ipyparallel' }).length, 0); // the profile has none
  assert.equal(asked('add', { framework: 'spark' }).length, 5);
  assert.deepEqual(asked('lower', {}).map(([name]) => name), ['bob', 'ann']);
  assert.deepEqual(asked('restart', { now: START }).map(([name]) => name), ['zoe', 'bob', 'ann']);
});

test('time is added to what is left, and never beyond what is allowed', () => {
  const until = (seconds, expires) => requests('extend', { seconds, now: START }, [workspace('ada', { spec: { expires } })])[0]?.spec.expires;
  assert.equal(until(900, at(3600)), at(4500));
  assert.equal(until(86400, at(3600)), at(7200));
  assert.equal(until(900, at(-50)), at(900));
  assert.equal(until(900, at(7200)), undefined);
});

test('those who move up keep their order, before everybody else', () => {
  const [dan, cat] = [CLASS[4], CLASS[5]];
  const moved = requests('first', { before: START - 900_000, line: ['cat', 'dan'] }, [dan, cat, CLASS[0]]);
  assert.deepEqual(moved.map(({ name, spec }) => [name, spec.queuedAt]), [['dan', at(-901)], ['cat', at(-902)]]);
});

test('what nobody changed since is taken back', () => {
  const all = requests('scale', { framework: 'dask', workers: 6 }, [CLASS[0], CLASS[1], CLASS[2]]);
  const answers = all.map(({ name, spec }) => workspace(name, { spec: { clusters: spec.clusters } }));
  const done = all.map((request, index) => ({ ...request, answer: answers[index] }));
  const now = { zoe: answers[0], bob: workspace('bob', { spec: { clusters: { dask: { workers: 1 } } } }) }; // ann is gone
  assert.deepEqual(reversed(done, (name) => now[name]).map(({ name, spec }) => [name, spec]), [
    ['zoe', { clusters: { dask: { workers: 4 } } }],
  ]);
});

test('work is done some at a time, with an end for each', async () => {
  const all = Array.from({ length: 50 }, (_, index) => ({ name: String(index), who: String(index) }));
  let [now, most, told] = [0, 0, 0];
  const send = async ({ name }) => {
    now += 1;
    most = Math.max(most, now);
    await null;
    now -= 1;
    if (name === '7') throw { status: 409, message: 'It is ending.', hint: 'Wait.' };
    return name;
  };
  const { done, failed } = await work(all, send, async () => {}, () => { told += 1; });
  assert.deepEqual([done.length, failed.length, told, most], [49, 1, 50, 4]);
  assert.equal(failed[0].reason, 'It is ending. Wait.');
});

test('what is refused for a moment is tried again, longer and longer', async () => {
  const pauses = [];
  let left = 3;
  const send = async () => {
    left -= 1;
    if (left >= 0) throw { status: [429, 503, 0][left] };
    return 'answer';
  };
  const { done } = await work([{ name: 'ada' }], send, async (milliseconds) => pauses.push(milliseconds));
  assert.equal(done[0].answer, 'answer');
  assert.deepEqual(pauses, [500, 1000, 2000]);
});
