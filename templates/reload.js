/* Part of every page, because it is for when nothing else came: a page whose scripts or styles were refused, as while
   a proxy is restarted, loads itself again; a few times, and not once somebody has sent something. */
(() => {
  const [key, most] = ['podium-reloads', 4];
  const reloads = Number(sessionStorage.getItem(key));
  let timer = null;
  addEventListener('error', ({ target }) => {
    if (timer || reloads >= most || !(target instanceof HTMLLinkElement || target instanceof HTMLScriptElement)) return;
    timer = setTimeout(() => {
      sessionStorage.setItem(key, reloads + 1);
      location.reload();
    }, 500 * 2 ** reloads);
  }, true); // these events do not bubble
  addEventListener('submit', () => clearTimeout(timer));
  addEventListener('load', () => { if (!timer) sessionStorage.removeItem(key); });
})();
