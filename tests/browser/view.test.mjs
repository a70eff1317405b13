// What the pages show of a workspace, by tables; run by test_view.py with Node's own test runner.

import assert from 'node:assert';
import { readFileSync } from 'node:fs';
import test from 'node:test';

const source = readFileSync(new URL('../../templates/static/view.js', import.meta.url)).toString('base64');
const view = await import(`data:text/javascript;base64,${source}`);

const START = 1e12;
const at = (seconds) => new Date(START + seconds * 1000).toISOString();
const LAUNCH = [
  { phase: 'Queued', reason: '', at: at(0) },
  { phase: 'Starting', reason: 'Preparing', at: at(1) },
  { phase: 'Starting', reason: 'StartingNotebook', at: at(3) },
];
const seen = (steps) => steps.map((step) => [step.state, step.seconds]);

test('a countdown is as long as it has to be', () => {
  const table = [[3661, '1:01:01'], [65.9, '1:05'], [-3, '0:00'], [90000, '1 d 1 h']];
  for (const [seconds, text] of table) assert.equal(view.countdown(seconds), text);
});

test('a stretch of time has a unit', () => {
  assert.equal(view.stretch(59.96), '60.0 s');
  assert.equal(view.stretch(65), '1 min 05 s');
});

test('a launch shows each step with its seconds', () => {
  const going = view.launch(LAUNCH, START + 10_000);
  const todo = ['todo', undefined];
  assert.deepEqual(seen(going.steps), [['done', 1], ['done', 2], ['now', 7], todo, todo]);
  assert.equal(going.total, 10);
});

test('a launch is over at the first Ready, whatever restarts later', () => {
  const later = { phase: 'Starting', reason: 'RestartingNotebook', at: at(50) };
  const over = view.launch([...LAUNCH, { phase: 'Ready', reason: '', at: at(5) }, later], START + 60_000);
  assert.equal(over.total, 5);
  assert.ok(over.ready);
});

test('a launch that failed shows where', () => {
  const failed = view.launch([...LAUNCH, { phase: 'Failed', reason: 'NotebookCrashed', at: at(5) }], START + 60_000);
  assert.equal(failed.steps[2].state, 'failed');
  assert.equal(failed.total, 5);
  assert.equal(view.launch([], START).total, 0);
});

test('a cluster is one sentence and a cell for each worker', () => {
  const spec = { workers: 2, clusters: { dask: { workers: null } } };
  assert.equal(view.cluster(spec, { clusters: {} }, 'dask').sentence, '0 of 2 workers ready');
  assert.equal(view.cluster(spec, { clusters: {} }, 'spark').running, false);
  const none = { workers: 2, clusters: { dask: { workers: 0 } } };
  assert.equal(view.cluster(none, { clusters: {} }, 'dask').sentence, 'No workers');
  const shrinking = { workers: 2, clusters: { dask: { workers: 1 } } };
  const status = { clusters: { dask: { ready: 2, busy: 1 } } };
  assert.deepEqual(view.cluster(shrinking, status, 'dask').cells, ['busy', 'leaving']);
});

test('a warning comes in time, and not for a short idle time all along', () => {
  assert.equal(view.warning('Ready', 599, 500, 3600).cause, 'Nothing runs here');
  assert.equal(view.warning('Ready', 119, 500, 3600).urgent, true);
  assert.equal(view.warning('Ready', 400, 350, 600).left, 400);
  assert.equal(view.warning('Ready', 9999, 550, 600), null);
  assert.equal(view.warning('Stopping', 1, 1, 600), null);
});

test('a wait is said as people say it', () => {
  const table = [[0, 'any moment now'], [-60, 'any moment now'], [19, 'any moment now'], [20, 'in about a minute'],
    [89, 'in about a minute'], [100, 'in about 2 minutes'], [3600, 'in about 60 minutes'], [7300, 'in about 2 hours']];
  for (const [seconds, text] of table) assert.equal(view.roughly(seconds), text);
});

test('a place in line is told only while it is one', () => {
  const queue = { position: 4, eta: at(120), message: 'All seats are taken.' };
  const told = view.line('Queued', { queue }, START);
  assert.equal(told.headline, 'You are number 4 in line');
  assert.match(told.wait, /^Your notebook should open in about 2 minutes, at \S/);
  assert.equal(view.line('Queued', { queue: { ...queue, position: 1 } }, START).headline, 'You are next');
  assert.match(view.line('Queued', { queue: { ...queue, eta: null } }, START).wait, /^Nobody can tell/);
  assert.equal(view.line('Queued', { queue: null }, START), null);
  assert.equal(view.line('Starting', { queue }, START), null);
});

test('the network check names what is wrong, and nothing else', async () => {
  const text = readFileSync(new URL('../../templates/static/check.js', import.meta.url)).toString('base64');
  const { judge } = await import(`data:text/javascript;base64,${text}`);
  const good = { cookies: true, socket: true, events: true, spread: 400, clock: 1.5 };
  const table = [
    [{}, []], [{ socket: false }, [/WebSockets/]], [{ events: false, spread: null }, [/do not get through/]],
    [{ spread: 3 }, [/holds live updates back/]], [{ clock: -600 }, [/10 minutes behind/]],
    [{ clock: 300, socket: false }, [/WebSockets/, /5 minutes ahead/]], [{ cookies: false }, [/cookies/]],
  ];
  for (const [differs, wanted] of table) {
    const found = judge({ ...good, ...differs });
    assert.equal(found.length, wanted.length, JSON.stringify(differs));
    wanted.forEach((pattern, index) => assert.match(found[index][0], pattern));
    for (const [, advice] of found) assert.ok(advice.length > 20);
  }
});

test('pages that lost the same program come back soon, but not as one, and not for ever faster than it can bear', async () => {
  const wire = readFileSync(new URL('../../templates/static/wire.js', import.meta.url)).toString('base64');
  const { patience } = await import(`data:text/javascript;base64,${wire}`);
  const waits = (attempts) => Array.from({ length: 1000 }, () => patience(attempts)).sort((one, other) => one - other);
  for (const [attempts, middle] of [[0, 500], [1, 1000], [3, 4000], [5, 8000], [50, 8000]]) {
    const drawn = waits(attempts);
    assert.ok(drawn[0] >= middle / 2 && drawn[999] <= middle * 1.5, `${drawn[0]} to ${drawn[999]}`);
    for (const tenth of [100, 300, 500, 700, 900]) {
      assert.ok(drawn[tenth] - drawn[tenth - 100] < middle / 4, 'they are spread evenly');
      assert.ok(drawn[tenth] > drawn[tenth - 100]);
    }
  }
});
