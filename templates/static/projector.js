/* What the class sees on the wall: the way in, how many are there, and what the instructor says. It never shows who. */

const module = (name) => import(document.querySelector(`link[data-module=${name}]`).href);
const { api, find, follow, live, write, writeNote } = await module('wire');
const { seats } = await module('room-view');
const { showInvitation } = await module('room-dialogs');

const workspaces = new Map();

function show() {
  write(find('#seats'), seats([...workspaces.values()]));
}

const listeners = {
  workspaces({ items }) {
    workspaces.clear();
    for (const one of items) workspaces.set(one.metadata.name, one);
    show();
  },
  changes({ items, gone }) {
    for (const one of items) workspaces.set(one.metadata.name, one);
    for (const name of gone) workspaces.delete(name);
    show();
  },
  room(news) {
    showInvitation(find('#main'), news);
    find('#closed').hidden = !news.invitation || news.room.spec.open;
    writeNote(find('#aloud'), news.room.spec.message?.text ?? '');
  },
};

find('#full').hidden = !document.fullscreenEnabled;
find('#full').addEventListener('click', () => document.documentElement.requestFullscreen());
live();
const look = () => api('GET', '/api/room').catch(() => {}).then(() => true); // leads to the sign-in page, if need be
follow('/api/room/events', listeners, look, () => false);
