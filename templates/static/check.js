/* Whether this browser and the network between let a notebook work, tried before anybody clicks: WebSockets, event
   streams that are not held back, cookies, and the clock. Nothing here may change anything. */

const PATIENCE = 6000;
const DRIPS = 5;
const LEAST_SPREAD = 150; // milliseconds between the first drip and the last, which are sent within 400
const CLOCK_OFF = 120;

const ELSEWHERE = 'Try another network, such as a phone’s hotspot, or tell the organisers.';
const ADVICE = {
  cookies: ['This browser refuses cookies, so nobody can be signed in.',
    'Allow cookies for this site, leave the private window, or use another browser.'],
  socket: ['WebSockets do not get through, and notebooks need them to run code.',
    `Switch off a VPN, a proxy or an antivirus’s web shield if you can. ${ELSEWHERE}`],
  events: ['Live updates do not get through.',
    `Something between here and Podium blocks them; pages must be reloaded by hand. ${ELSEWHERE}`],
  buffered: ['Something between here and Podium holds live updates back.',
    'Pages may show things late; notebooks work all the same. An antivirus’s web shield or a proxy often does this.'],
};

/** What is wrong, as [sentence, advice], from what was measured; `clock` is in seconds, positive when it runs ahead. */
export function judge({ cookies, socket, events, spread, clock }) {
  if (!cookies) return [ADVICE.cookies]; // nothing else was let in
  const found = [];
  if (!socket) found.push(ADVICE.socket);
  if (!events) found.push(ADVICE.events);
  else if (spread < LEAST_SPREAD) found.push(ADVICE.buffered);
  if (Math.abs(clock) > CLOCK_OFF) {
    const minutes = Math.round(Math.abs(clock) / 60);
    found.push([`The clock of this computer is ${minutes} minutes ${clock > 0 ? 'ahead' : 'behind'}.`,
      'Podium goes by its own, but other sites may refuse you: let the computer set its clock by itself.']);
  }
  return found;
}

/** Whether a promise comes true in time. */
const inTime = (promise) => Promise.race([
  promise, new Promise((_, reject) => { setTimeout(() => reject(new Error('too late')), PATIENCE); }),
]);

function echo() {
  const socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/check/socket`);
  const said = String(performance.now());
  return inTime(new Promise((resolve, reject) => {
    socket.onopen = () => socket.send(said);
    socket.onmessage = ({ data }) => (data === said ? resolve(true) : reject(new Error('another echo')));
    socket.onerror = socket.onclose = () => reject(new Error('closed'));
  })).catch(() => false).finally(() => socket.close());
}

/** Milliseconds between the first drip and the last; null when they do not come. */
function drips() {
  const source = new EventSource('/check/events');
  const came = [];
  return inTime(new Promise((resolve, reject) => {
    source.addEventListener('drip', () => {
      if (came.push(performance.now()) === DRIPS) resolve(came.at(-1) - came[0]);
    });
    source.onerror = () => reject(new Error('refused'));
  })).catch(() => null).finally(() => source.close());
}

/** Ask what time it is, and whether our cookie came: only who is signed in has this page. */
export async function greet() {
  const asked = Date.now();
  const answer = await fetch('/check', { signal: AbortSignal.timeout(PATIENCE) });
  const { now, signedIn } = await answer.json();
  return { cookies: signedIn, clock: ((asked + Date.now()) / 2 - Date.parse(now)) / 1000 };
}

/** Try the rest; returns what `judge` wants. */
export async function measure(greeting) {
  if (!greeting.cookies) return greeting;
  let [socket, spread] = await Promise.all([echo(), drips()]);
  if (!socket) socket = await echo(); // one packet may get lost on any network
  if (spread === null || spread < LEAST_SPREAD) spread = await drips();
  return { ...greeting, socket, events: spread !== null, spread };
}
