/* The page that asks who somebody is. Who sees it is not signed in, and neither are this browser's other pages. */

const others = new BroadcastChannel('podium');
others.postMessage({ type: 'signed-out' });
others.close();

/* The invitation's secret comes after the # of the link, which no server and no log sees. */
const form = document.querySelector('#join');

function invited() {
  const secret = location.hash.slice(1);
  if (!form || !/^[a-z2-9]{16}$/.test(secret)) return;
  form.action = `/join#${secret}`;
  const refused = 'refused' in form.dataset; // perhaps the code has changed: then the new one can be typed
  form.querySelector('#typed').hidden = !refused;
  if (!refused) form.elements.code.value = secret;
}

invited();
addEventListener('hashchange', invited);
