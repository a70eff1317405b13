/* JupyterLab's side of Podium's extension. JupyterLab loads it as a container of webpack's module federation, which
   is no more than two functions, so it is written by hand. What it does in JupyterLab comes from the hub, so that it
   fits the hub that runs and not the image; this file only hands over JupyterLab's own parts. */

(() => {
  const PACKAGES = ['@jupyterlab/apputils', '@lumino/widgets'];
  const WAIT = 5000;
  let shared;

  /** One of the packages that JupyterLab shares: the copy that it uses itself. */
  const use = async (name) => {
    const copies = Object.values(shared[name]);
    const make = await (copies.find((copy) => copy.loaded) ?? copies[0]).get();
    return make();
  };

  /** Ask the hub what to do, for as long as it is away. */
  const ask = async (address) => {
    for (;;) {
      const answer = await fetch(address).catch(() => null);
      if (answer?.ok) return answer.json();
      if (answer && answer.status < 500) throw new Error(`Podium answers ${answer.status} at ${address}.`);
      await new Promise((resolve) => { setTimeout(resolve, WAIT * (0.5 + Math.random())); });
    }
  };

  const activate = async (app) => {
    const [apputils, widgets] = await Promise.all(PACKAGES.map(use));
    await app.restored;
    const { name } = /^\/(?<name>[^/]+)\//.exec(location.pathname).groups;
    const told = await ask(`/workspaces/${name}/lab`);
    const { start } = await import(told.modules.lab);
    await start({ app, apputils, widgets }, told);
  };

  const plugin = {
    id: 'podium-workspace:plugin',
    autoStart: true,
    activate: (app) => { activate(app).catch((error) => { console.error('Podium:', error); }); },
  };

  (window._JUPYTERLAB ??= {})['podium-workspace'] = {
    init(scope) { shared = scope; },
    async get() { return () => ({ __esModule: true, default: plugin }); },
  };
})();
