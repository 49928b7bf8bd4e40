// The dashboard: shows what /events tells. Whatever comes from requests becomes text, never markup.
"use strict";

const CLASSES = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"];
const POINTS = 180;
// How frames of a flame graph are coloured, by what most of their samples did.
const KINDS = { cpu: "cpu", waiting: "waiting", lock: "held" };
// Without anything for so long, the connection is lost, whatever the browser thinks.
const PATIENCE_MS = 6000;

const at = (id) => document.getElementById(id);
const state = { bounds: [], points: [], snapshot: null, isPaused: false, isLost: true, heardAt: 0, source: null };

// --- Words

const number = (value, digits = 0) =>
  value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

function rate(value) {
  return number(value, value >= 100 ? 0 : 1);
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0.001) return `${number(seconds * 1e6)} µs`;
  if (seconds < 1) return `${number(seconds * 1000, seconds < 0.1 ? 1 : 0)} ms`;
  if (seconds < 100) return `${number(seconds, 1)} s`;
  if (seconds < 7200) return `${number(seconds / 60)} min`;
  if (seconds < 172800) return `${number(seconds / 3600)} h`;
  return `${number(seconds / 86400)} d`;
}

function size(bytes) {
  return bytes < 1e6 ? `${number(bytes / 1024)} KiB` : `${number(bytes / 1048576, 1)} MiB`;
}

function routeOf(row) {
  const route = row.route || (row.application ? "(no route told)" : "(no application called)");
  const pool = row.pool ? ` in ${row.pool}` : "";
  return `${row.method} ${route}${row.application ? `  ${row.application}` : ""}${pool}`;
}

// --- Elements: kept where they are, so that focus and selection stay

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function resize(parent, count, make) {
  while (parent.children.length > count) parent.lastElementChild.remove();
  while (parent.children.length < count) parent.append(make());
}

function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** Have `table` show `rows`, each a list of cells: a text, or an object with text, className or share. */
function fill(id, rows, none = "") {
  const table = at(id);
  table.parentElement.hidden = rows.length === 0;
  if (none) at(none).hidden = rows.length > 0;
  const body = table.tBodies[0];
  resize(body, rows.length, () => element("tr"));
  rows.forEach((cells, index) => {
    const row = body.children[index];
    resize(row, cells.length, () => element("td"));
    cells.forEach((cell, column) => {
      const shown = row.children[column];
      const given = typeof cell === "object" ? cell : { text: cell };
      shown.className = given.className || "";
      if (given.share === undefined) {
        setText(shown, given.text);
      } else {
        shown.className = "meter";
        // One bar, or one for each part of it, one after the other.
        const parts = Object.entries(given.parts || { "": 1 }).filter(([, amount]) => amount > 0);
        const whole = parts.reduce((sum, [, amount]) => sum + amount, 0) || 1;
        resize(shown, parts.length, () => element("i"));
        parts.forEach(([name, amount], index) => {
          const part = shown.children[index];
          part.className = name;
          part.style.width = `${((100 * given.share * amount) / whole).toFixed(2)}%`;
        });
        const said = parts.map(([name, amount]) => `${name} ${number((100 * amount) / whole)} %`).join(", ");
        if (given.parts) {
          shown.title = said;
          shown.setAttribute("aria-label", said);
        }
      }
    });
  });
}

function list(id, pairs) {
  const target = at(id);
  resize(target, pairs.length, () => {
    const box = element("div");
    box.append(element("dt"), element("dd"));
    return box;
  });
  pairs.forEach(([name, value], index) => {
    setText(target.children[index].children[0], name);
    setText(target.children[index].children[1], value);
  });
}

// --- Charts

function canvas(id) {
  const element = at(id);
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [element.clientWidth, element.clientHeight];
  if (element.width !== Math.round(width * ratio) || element.height !== Math.round(height * ratio)) {
    element.width = Math.round(width * ratio);
    element.height = Math.round(height * ratio);
  }
  const context = element.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = "12px system-ui, sans-serif";
  return { element, context, width, height, column: width / POINTS };
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(`--${name}`).trim();
}

/** The place of each point: the latest at the right. */
const place = (chart, index) => chart.width - (state.points.length - index) * chart.column;

function label(chart, colour, text, y) {
  chart.context.fillStyle = colour("text");
  chart.context.globalAlpha = 0.8;
  chart.context.fillText(text, 4, y);
  chart.context.globalAlpha = 1;
}

function drawTraffic(colour) {
  const chart = canvas("traffic");
  const totals = state.points.map((point) => CLASSES.reduce((sum, each) => sum + (point.rates[each] || 0), 0));
  const most = Math.max(1, ...totals);
  state.points.forEach((point, index) => {
    let y = chart.height;
    for (const each of CLASSES) {
      const height = ((point.rates[each] || 0) / most) * (chart.height - 16);
      chart.context.fillStyle = colour(each === "none" ? "none" : `c${each[0]}`);
      chart.context.fillRect(place(chart, index), y - height, Math.max(1, chart.column - 0.5), height);
      y -= height;
    }
  });
  label(chart, colour, `${rate(most)} requests/s`, 12);
  chart.element.setAttribute(
    "aria-label",
    `Requests per second by status class over ${state.points.length} seconds, at most ${rate(most)}`,
  );
}

function drawLatency(colour) {
  const chart = canvas("latency");
  const rows = state.bounds.length + 1;
  const height = chart.height / rows;
  const most = Math.max(1, ...state.points.flatMap((point) => point.counts));
  state.points.forEach((point, index) => {
    point.counts.forEach((count, bucket) => {
      if (!count) return;
      const strength = 0.15 + 0.85 * (Math.log1p(count) / Math.log1p(most));
      chart.context.fillStyle = `rgba(${colour("heat")}, ${strength.toFixed(3)})`;
      chart.context.fillRect(
        place(chart, index), chart.height - (bucket + 1) * height, Math.max(1, chart.column), height - 0.5);
    });
  });
  state.bounds.forEach((bound, bucket) => {
    if (bucket % 2 === 0) label(chart, colour, `≤ ${duration(bound)}`, chart.height - bucket * height - 3);
  });
  const total = state.points.reduce((sum, point) => sum + point.counts.reduce((one, other) => one + other, 0), 0);
  chart.element.setAttribute(
    "aria-label", `How many requests took how long: ${number(total)} in ${state.points.length} seconds`);
}

function drawBusy(colour) {
  const chart = canvas("busy");
  const most = Math.max(1, ...state.points.map((point) => point.threads));
  state.points.forEach((point, index) => {
    const height = (point.busy / most) * chart.height;
    chart.context.fillStyle = colour("rest");
    chart.context.fillRect(place(chart, index), chart.height - height, Math.max(1, chart.column - 0.5), height);
  });
  label(chart, colour, `${number(most)} threads`, 12);
  const last = state.points[state.points.length - 1];
  chart.element.setAttribute(
    "aria-label", last ? `Busy threads: ${last.busy} of ${last.threads} now` : "Busy threads: nothing yet");
}

function draw() {
  const colour = colours();
  drawTraffic(colour);
  drawLatency(colour);
  drawBusy(colour);
  const from = state.points.length ? `${POINTS} s ago` : "";
  for (const id of ["traffic-from", "latency-from", "busy-from"]) setText(at(id), from);
}

// --- Panels

/** Where the time of a call goes, in the order in which it does. */
const PARTS = [
  ["queue", "waiting for a thread"], ["lock", "waiting for the interpreter"], ["cpu", "computing"],
  ["waiting", "waiting in the application"], ["application", "in the application, computing or waiting"],
  ["client", "waiting for the client"],
];

function showHead({ server, running }) {
  document.title = `${server.name} - portico`;
  setText(at("name"), server.name);
  const words = [
    `portico ${server.version}`, `Python ${server.python}`, `pid ${server.pid}`, `up ${duration(server.uptime_s)}`,
    `${server.stage}${server.reloading ? ", reloading" : ""}`, `generation ${server.generation}`,
  ];
  setText(at("server"), words.join(" · "));
  at("requests-title").textContent = `Requests in flight: ${running}`;
}

function showPoint(point, { server }) {
  const rates = CLASSES.filter((each) => each !== "none" || point.rates.none);
  list("traffic-now", [
    ["requests/s", rate(CLASSES.reduce((sum, each) => sum + (point.rates[each] || 0), 0))],
    ...rates.map((each) => [each, rate(point.rates[each] || 0)]),
    ["requests", number(server.total.requests)],
  ]);
  list("saturation", [
    ["saturation", point.saturation === null ? "–" : `${number(100 * point.saturation)} %`],
    ["busy threads", `${point.busy} of ${point.threads}`],
    ["requests in the server", number(point.active)],
    ["backlog", number(point.backlog)],
    ["wait for a thread", duration(point.queue_s)],
    ["wait for the interpreter", duration(point.lock_s)],
  ]);
}

function showWindow(window) {
  at("split").hidden = at("split-text").hidden = !window;
  const name = window && window.seconds === null ? "since the start" : "in the last minute";
  list("latency-now", window ? Object.entries(window.quantiles_s).map(([share, s]) => [share, duration(s)]) : []);
  if (!window) {
    fill("routes", [], "routes-none");
    fill("errors", [], "errors-none");
    return;
  }
  const { parts_s: partsOfAll } = window;
  const told = PARTS.filter(([kind]) => kind in partsOfAll);
  const parts = told.map(([kind, words]) => [kind, partsOfAll[kind], words]);
  const isKnown = !("application" in partsOfAll);
  at("legend-cpu").hidden = at("legend-waiting").hidden = !isKnown;
  at("legend-application").hidden = isKnown;
  const whole = parts.reduce((sum, [, seconds]) => sum + seconds, 0);
  const said = parts.map(([, seconds, words]) => `${number((100 * seconds) / whole, 1)} % ${words}`).join(", ");
  at("split").hidden = !whole;
  setText(at("split-text"), whole ? `Of all time of calls ${name}: ${said}.` :
    `No call of the application has ended ${name}.`);
  const bar = at("split");
  resize(bar, parts.length, () => element("i"));
  parts.forEach(([kind, seconds], index) => {
    bar.children[index].className = kind;
    bar.children[index].style.width = whole ? `${(100 * seconds) / whole}%` : "0";
  });
  const longest = Math.max(0.000001, ...window.routes.map((row) => row.total_s));
  fill("routes", window.routes.map((row) => [
    { text: routeOf(row), className: "wide" },
    duration(row.mean_s), duration(row.p95_s), number(row.requests),
    { text: number(row.errors), className: row.errors ? "bad" : "" },
    { share: row.total_s / longest, parts: row.parts_s },
  ]), "routes-none");
  fill("errors", window.failing.map((row) => [
    { text: routeOf(row), className: "wide" }, { text: number(row.errors), className: "bad" }, number(row.requests),
  ]), "errors-none");
}

function showWorkers({ workers, server }) {
  const restarts = Object.entries(server.restarts).filter(([, count]) => count);
  setText(
    at("restarts"),
    `${server.workers_wanted} wanted, supervisor ${size(server.rss_bytes)}. Restarts: ` +
      (restarts.length ? restarts.map(([reason, count]) => `${count} ${reason}`).join(", ") : "none") + ".",
  );
  const largest = Math.max(1, ...workers.map((worker) => worker.rss_bytes));
  fill("workers", workers.map((worker) => [
    { text: workerOf(worker, worker.slot), className: "text" }, String(worker.pid), { text: worker.state, className: "text" },
    `${worker.running}/${worker.threads}`, number(worker.requests),
    { text: number(worker.errors), className: worker.errors ? "bad" : "" },
    number(worker.connections), number(worker.workers_before), duration(worker.age_s), size(worker.rss_bytes),
    { share: worker.rss_bytes / largest },
  ]));
}

function showRequests({ requests }) {
  fill("requests", requests.map((call) => [
    duration(call.seconds), workerOf(call, call.slot), duration(call.silent_s),
    { text: `${call.method} ${call.path}`, className: "wide" },
  ]), "requests-none");
}

function showSlow({ slow }) {
  at("slow-section").hidden = !slow;
  if (!slow) return;
  setText(at("slow-not"), slow.not_recorded ? `Not recorded: ${slow.not_recorded}.` : "");
  const [lines, recent] = [slow.lines || [], slow.recent || []];
  fill("lines", lines.map((line) => [
    { text: `${line.file}:${line.line} ${line.function}${line.pool ? ` in ${line.pool}` : ""}`, className: "wide" },
    number(line.seconds, 1), number(line.requests), { text: line.source || "", className: "wide" },
  ]));
  showDetails("recent", recent.map((each) => ({
    key: `${each.at} ${each.request_id}`,
    summary: `${clock(each.at)}  ${duration(each.seconds)}  ${requestOf(each)}, ` +
      `worker ${workerOf(each, each.worker)}, ${each.request_id || "no request id"}`,
    text: each.stack.join("\n"),
  })), "recent-none");
}

/** What stands for the kind of an error stays the same while more of it come. */
const errorKey = (each) =>
  [each.pool, each.method, each.route || (each.file ? "" : each.path), each.error, each.status, each.file, each.line]
    .join(" ");

function showErrors({ errors }) {
  showDetails("failed", errors.map((each) => ({
    key: errorKey(each),
    summary: `${clock(each.at)}  ${number(each.count)} ×  ${each.error || `status ${each.status}`}  ${requestOf(each)}`,
    text: [
      each.file ? `${each.file}:${each.line} ${each.function}` : "no line of the application is known",
      ...(each.source ? [`    ${each.source}`] : []),
      `worker ${workerOf(each, each.worker)}, ${each.request_id ? `request id ${each.request_id}` : "no request id"}`,
      ...(each.count > 1 ? [`${number(each.count)} alike, the first at ${clock(each.first_at)}`] : []),
    ].join("\n"),
  })), "failed-none");
}

const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString("en-GB");
const requestOf = (each) => `${each.method} ${each.path}${each.route ? ` (${each.route})` : ""}`;
const workerOf = (each, slot) => (each.pool ? `${slot} ${each.pool}` : String(slot));

/** Have the element show `items`, each with a key, a summary and a text; those that are open stay so. */
function showDetails(id, items, none) {
  at(none).hidden = items.length > 0;
  const target = at(id);
  const shown = JSON.stringify(items);
  if (target.dataset.shown === shown) return;
  target.dataset.shown = shown;
  const open = new Set([...target.querySelectorAll("details[open]")].map((each) => each.dataset.key));
  const focused = target.contains(document.activeElement) ? document.activeElement.parentElement.dataset.key : null;
  target.replaceChildren(...items.map(({ key, summary, text }) => {
    const details = element("details");
    details.dataset.key = key;
    details.open = open.has(key);
    details.append(element("summary", "", summary), element("pre", "", text));
    return details;
  }));
  for (const each of target.children) if (each.dataset.key === focused) each.firstElementChild.focus();
}

function showPools({ pools, workers }) {
  at("pools-section").hidden = at("flame-elsewhere").hidden = pools.length === 0;
  fill("pools", pools.map((pool) => [
    { text: pool.name, className: "text" },
    {
      text: [pool.state, pool.why, pool.age_s > 3 ? `heard of ${duration(pool.age_s)} ago` : ""].filter(Boolean).join(", "),
      className: pool.state === "failing" ? "text bad" : "text",
    },
    pool.pid ? String(pool.pid) : "–",
    pool.pid ? `${pool.workers} of ${pool.workers_wanted}` : "–",
    number(workers.filter((each) => each.pool === pool.name).reduce((sum, each) => sum + each.running, 0)),
    { text: (pool.apps || []).join(", "), className: "wide" },
  ]));
}

function show() {
  const { snapshot } = state;
  if (!snapshot) return;
  showHead(snapshot);
  if (snapshot.point) showPoint(snapshot.point, snapshot);
  const chosen = document.querySelector("input[name=window]:checked").value;
  showWindow(snapshot[chosen]);
  showWorkers(snapshot);
  showRequests(snapshot);
  showSlow(snapshot);
  showErrors(snapshot);
  showPools(snapshot);
  at("flame-section").hidden = !snapshot.has_profile;
  draw();
}

// --- The flame graph: only where the server can make profiles

/** Put samples together: each frame with all that it has called, the root first. */
function flameTree(samples) {
  const root = { name: "all", count: 0, kinds: {}, children: new Map() };
  for (const { stack, kind, count } of samples) {
    let node = root;
    for (const name of [null, ...stack]) {
      if (name !== null) {
        if (!node.children.has(name)) node.children.set(name, { name, count: 0, kinds: {}, children: new Map() });
        node = node.children.get(name);
      }
      node.count += count;
      node.kinds[kind] = (node.kinds[kind] || 0) + count;
    }
  }
  return root;
}

function drawFlame(root, whole, top = root) {
  const levels = [];
  const add = (node, depth, left) => {
    const width = node.count / top.count;
    if (width < 0.002 || depth > 100) return;
    (levels[depth] = levels[depth] || []).push({ node, left, width });
    let x = left;
    for (const child of node.children.values()) {
      add(child, depth + 1, x);
      x += child.count / top.count;
    }
  };
  add(top, 0, 0);
  at("flame").replaceChildren(...levels.map((level) => {
    const row = element("div", "level");
    row.append(...level.map(({ node, left, width }) => {
      const [kind] = Object.entries(node.kinds).sort((one, other) => other[1] - one[1])[0];
      const share = `${node.name}: ${number((100 * node.count) / whole, 1)} %, mostly ${kind}`;
      const button = element("button", KINDS[kind] || "cpu", node.name);
      button.type = "button";
      button.title = share;
      button.setAttribute("aria-label", share);
      button.style.left = `${100 * left}%`;
      button.style.width = `${100 * width}%`;
      // A frame fills the width; the lowest one leads back.
      button.addEventListener("click", () => drawFlame(root, whole, node === top ? root : node));
      return button;
    }));
    return row;
  }));
}

async function profile(event) {
  event.preventDefault();
  const form = event.target;
  const words = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
  form.querySelector("button").disabled = true;
  setText(at("flame-state"), `Sampling for ${words.get("seconds")} s …`);
  try {
    const response = await fetch(`profile?${words}`, { method: "POST", headers: { "Portico-Dashboard": "1" } });
    if (!response.ok) throw new Error((await response.text()).trim());
    const { samples, seconds, hz } = await response.json();
    const root = flameTree(samples);
    setText(at("flame-state"), root.count
      ? `${number(root.count)} samples in ${duration(seconds)}, ${number(hz)} a second. Choose a frame to look closer.`
      : "Nothing ran in this time.");
    if (root.count) drawFlame(root, root.count);
    else at("flame").replaceChildren();
  } catch (error) {
    setText(at("flame-state"), `No profile: ${error.message}`);
  } finally {
    form.querySelector("button").disabled = false;
  }
}

// --- The connection

function standing(name, text) {
  at("connection").dataset.state = name;
  setText(at("connection"), text);
}

function heard() {
  state.heardAt = Date.now();
}

function connect() {
  if (state.source) state.source.close();
  const source = (state.source = new EventSource("events"));
  heard();
  source.addEventListener("history", (event) => {
    heard();
    const { bounds_s: bounds, points } = JSON.parse(event.data);
    state.bounds = bounds;
    // The process behind may be another one than before, which knows nothing of what it was like.
    const first = points.length ? points[0].at : Infinity;
    state.points = [...state.points.filter((point) => point.at < first), ...points].slice(-POINTS);
  });
  source.addEventListener("snapshot", (event) => {
    heard();
    const snapshot = JSON.parse(event.data);
    if (snapshot.silent) {
      standing("silent", "the supervisor does not respond");
      return;
    }
    standing("connected", state.isPaused ? "connected, paused" : "connected");
    const last = state.points[state.points.length - 1];
    if (snapshot.point && !(last && last.at >= snapshot.point.at)) {
      state.points = [...state.points, snapshot.point].slice(-POINTS);
    }
    state.snapshot = snapshot;
    if (!state.isPaused) show();
  });
  source.addEventListener("end", () => standing("lost", "not connected, trying again"));
  source.addEventListener("error", () => {
    standing("lost", "not connected, trying again");
    // After a status such as 503 or 401 a browser does not come again by itself.
    if (source.readyState === EventSource.CLOSED && state.source === source) setTimeout(connect, 3000);
  });
}

function look() {
  if (Date.now() - state.heardAt > PATIENCE_MS) {
    standing("lost", "not connected, trying again");
    connect();
  }
}

function main() {
  resize(at("traffic-key"), CLASSES.length, () => element("li"));
  CLASSES.forEach((each, index) => {
    at("traffic-key").children[index].append(
      element("i", `c${each}`), each === "none" ? " no status sent" : ` ${each}`);
  });
  at("pause").addEventListener("click", () => {
    state.isPaused = !state.isPaused;
    at("pause").setAttribute("aria-pressed", String(state.isPaused));
    if (!state.isPaused) show();
  });
  for (const each of document.querySelectorAll("input[name=window]")) each.addEventListener("change", show);
  at("flame-form").addEventListener("submit", profile);
  window.addEventListener("resize", draw);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  for (const id of ["requests", "routes", "errors", "lines", "pools"]) at(id).parentElement.hidden = true;
  connect();
  setInterval(look, 1000);
}

main();
