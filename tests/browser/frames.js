// Measures frames: from when one begins until it is laid out and painted, and whether any came late.
(() => {
  const [work, gaps, long] = [[], [], []];
  let last = 0;
  const { port1, port2 } = new MessageChannel();
  let began = 0;
  port1.onmessage = () => work.push(performance.now() - began);
  new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => long.push(duration)))
    .observe({ type: 'longtask' });
  const frame = (at) => {
    began = performance.now();
    if (last) gaps.push(at - last);
    last = at;
    // Later frame callbacks, styles, layout and painting come before the message.
    port2.postMessage(null);
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  const at = (list, part) => [...list].sort((a, b) => a - b)[Math.floor((list.length - 1) * part)] ?? 0;
  const round = (number) => Math.round(number * 100) / 100;
  window.frames_ = () => ({
    frames: work.length,
    work_ms: { median: round(at(work, 0.5)), p95: round(at(work, 0.95)), p99: round(at(work, 0.99)), most: round(at(work, 1)) },
    gap_ms: { median: round(at(gaps, 0.5)), p95: round(at(gaps, 0.95)), most: round(at(gaps, 1)) },
    long_tasks: long.length,
  });
})();
