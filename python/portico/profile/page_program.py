"""The program in the page of a profile: it draws the boxes, and shows texts as text only."""

PROGRAM = r"""
"use strict";
const result = JSON.parse(document.getElementById("result").textContent);
const graph = document.getElementById("graph"), detail = document.getElementById("detail");
const routes = document.getElementById("route"), search = document.getElementById("search");
const found = document.getElementById("found");
const kinds = [...document.querySelectorAll("input[name=kind]")];
const HEIGHT = 22, LEAST = 0.0008;
let root, zoomed, current, shown = [];

function newNode(name, parent) {
  return {name, parent, total: 0, own: 0, of: {cpu: 0, waiting: 0, lock: 0}, children: new Map()};
}
function isWanted(sample) {
  return (!routes.value || "=" + sample.route === routes.value)
    && kinds.some(kind => kind.checked && kind.value === sample.kind);
}
function build() {
  root = newNode("all", null);
  for (const sample of result.samples) {
    if (!isWanted(sample)) continue;
    const names = routes.value ? sample.stack : [sample.route, ...sample.stack];
    let node = root;
    const count = () => { node.total += sample.count; node.of[sample.kind] += sample.count; };
    count();
    for (const name of names) {
      let next = node.children.get(name);
      if (!next) node.children.set(name, next = newNode(name, node));
      node = next;
      count();
    }
    node.own += sample.count;
  }
  zoomed = current = root;
}
function matcher() {
  const text = search.value;
  if (!text) return null;
  try {
    const expression = new RegExp(text, "i");
    return name => expression.test(name);
  } catch (error) {
    return name => name.toLowerCase().includes(text.toLowerCase());
  }
}
function paint(node) {
  const cpu = node.total ? node.of.cpu / node.total * 100 : 0;
  const others = node.total ? cpu + node.of.waiting / node.total * 100 : 0;
  return `linear-gradient(to right, var(--cpu) ${cpu}%, var(--waiting) ${cpu}% ${others}%, `
    + `var(--lock) ${others}%)`;
}
function draw() {
  const matches = matcher();
  const boxes = document.createDocumentFragment();
  let deepest = 0, hits = 0;
  shown = [];
  function put(node, left, width, depth, isAbove) {
    const box = document.createElement("div");
    box.className = "box" + (isAbove ? " above" : "") + (node === current ? " at" : "");
    if (matches && matches(node.name)) box.classList.add("found");
    box.style.background = paint(node);
    box.style.left = left * 100 + "%";
    box.style.width = width * 100 + "%";
    box.style.top = depth * HEIGHT + "px";
    box.textContent = node.name;
    box.title = node.name;
    box.setAttribute("role", "treeitem");
    box.setAttribute("aria-level", depth + 1);
    box.addEventListener("click", () => { current = zoomed = node; draw(); });
    box.addEventListener("mouseenter", () => tell(node));
    boxes.append(box);
    shown.push(node);
    deepest = Math.max(deepest, depth);
  }
  const above = [];
  for (let node = zoomed.parent; node; node = node.parent) above.unshift(node);
  above.forEach((node, depth) => put(node, 0, 1, depth, true));
  const waiting = [[zoomed, 0, 1, above.length]];
  while (waiting.length) {
    const [node, left, width, depth] = waiting.pop();
    put(node, left, width, depth, false);
    let at = left;
    for (const child of ordered(node)) {
      const share = zoomed.total ? child.total / zoomed.total : 0;
      if (share >= LEAST) waiting.push([child, at, share, depth + 1]);
      at += share;
    }
  }
  if (matches) {
    const looking = [root];
    while (looking.length) {
      const node = looking.pop();
      if (node !== root && matches(node.name)) hits += node.total;
      else looking.push(...node.children.values());
    }
  }
  graph.replaceChildren(boxes);
  graph.style.height = (deepest + 1) * HEIGHT + "px";
  found.textContent = matches ? percent(hits) + " of the time" : "";
  tell(current);
}
function ordered(node) {
  return [...node.children.values()].sort((one, other) => other.total - one.total);
}
function percent(count) {
  return root.total ? (count / root.total * 100).toFixed(1) + " %" : "0 %";
}
function seconds(count) { return (count / result.hz).toFixed(2) + " s"; }
function tell(node) {
  const parts = ["cpu", "waiting", "lock"].map(kind => kind + " " + seconds(node.of[kind])).join(", ");
  detail.textContent = node.name + ": " + seconds(node.total) + ", " + percent(node.total)
    + " (" + parts + "; in itself " + seconds(node.own) + ")";
}
function renew() { build(); draw(); }
function whole() { search.value = ""; zoomed = current = root; draw(); }
function move(key) {
  const siblings = current.parent ? ordered(current.parent) : [current];
  const at = siblings.indexOf(current);
  const next = {
    ArrowUp: current.parent, ArrowDown: ordered(current)[0],
    ArrowLeft: siblings[at - 1], ArrowRight: siblings[at + 1],
  }[key];
  if (next) {
    current = next;
    if (!shown.includes(current)) zoomed = current;
    draw();
  }
}
document.addEventListener("keydown", event => {
  const isTyping = event.target.closest("select, input[type=search]");
  if (event.key === "Escape") { if (zoomed === root) search.value = ""; zoomed = current = root; draw();
    graph.focus(); }
  else if (isTyping || event.ctrlKey || event.altKey || event.metaKey) return;
  else if (event.key === "/") { event.preventDefault(); search.focus(); }
  else if (event.key === "Enter" && event.target === graph) { zoomed = current; draw(); }
  else if (event.key.startsWith("Arrow")) { event.preventDefault(); move(event.key); }
});
document.querySelector("form").addEventListener("submit", event => event.preventDefault());
document.getElementById("reset").addEventListener("click", whole);
search.addEventListener("input", draw);
routes.addEventListener("change", renew);
kinds.forEach(kind => kind.addEventListener("change", renew));

const totals = new Map(), ofKinds = {cpu: 0, waiting: 0, lock: 0};
let all = 0;
for (const sample of result.samples) {
  totals.set(sample.route, (totals.get(sample.route) || 0) + sample.count);
  ofKinds[sample.kind] += sample.count;
  all += sample.count;
}
routes.append(new Option("all routes", ""));
for (const [route, total] of [...totals].sort((one, other) => other[1] - one[1])) {
  routes.append(new Option(route + " (" + seconds(total) + ")", "=" + route));
}
for (const kind of Object.keys(ofKinds)) {
  const share = all ? Math.round(ofKinds[kind] / all * 100) + " %" : "";
  document.getElementById("share-" + kind).textContent = share;
}
renew();
"""
