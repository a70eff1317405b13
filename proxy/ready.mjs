// Whether this proxy has every route: the controller puts this one last. What the chart's startupProbe runs.
try {
  const answer = await fetch("http://127.0.0.1:8001/api/routes/podium-sentinel", {
    headers: { Authorization: `token ${process.env.CONFIGPROXY_AUTH_TOKEN}` },
    signal: AbortSignal.timeout(2000),
  });
  if (answer.status === 200) process.exit(0);
  console.error(answer.status === 404 ? "routes are missing" : `the API answers ${answer.status}`);
} catch (error) {
  console.error(error.cause?.code ?? error.name);
}
process.exit(1);
