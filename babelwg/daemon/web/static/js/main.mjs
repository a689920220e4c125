// The page: asks the daemon, shows what it answers, and says when it does not answer.

import { tellExplanation, tellNode, tellRefusal } from "./answer.mjs";
import { Refused, ask, change, follow, hasToken, keepToken, takeToken } from "./api.mjs";
import { ROUTE_COLUMNS, peerColumns, routeKey } from "./columns.mjs";
import { byId, el, say, setText } from "./dom.mjs";
import { EventList } from "./events.mjs";
import { findNode, graphOf, nextHopOf, pathSentence, pathTo } from "./graph.mjs";
import { Picture, drawLegend } from "./picture.mjs";
import { Table } from "./table.mjs";
import { count, spanText, tame } from "./words.mjs";

const POLL = 5000; // milliseconds between two looks when nothing happens
const LEAST = 800; // milliseconds between two looks when much happens
const ROUTES_POLL = 15000;
const ROUTES_LEAST = 2000; // milliseconds; more where the answer is long
const ROUTES_SHARE = 20; // times as long as a look at the routes takes is the pause after it
const LONGEST_WAIT = 15000; // milliseconds between two tries while the daemon is away
const SURE = 4000; // milliseconds in which a change may be confirmed
const STALE = 20000; // milliseconds after which the picture is called old

const state = { abilities: null, graph: null, status: null, routes: [], chosen: null, seen: null, failures: 0, routesAt: 0, routesPause: ROUTES_LEAST, areRoutesOld: true };
const events = new EventList();
const picture = new Picture(byId("picture"), (id) => chooseNode(id));
const routes = new Table(byId("routes"), {
  columns: ROUTE_COLUMNS, label: "Routes", noun: "route", keyOf: routeKey, sort: "prefix", filter: byId("routes-filter"),
  total: byId("routes-count"), none: "No route has been learned.", onChoose: (route) => chooseRoute(route),
});
let peers = null;
let due = null;
let lastLook = 0;
let took = 0; // milliseconds of the last look; a large mesh is looked at less often
let acts = null; // what can be done with a peer, as the table was built for
let wake = () => {}; // ends the wait before the events are asked for again

function start() {
  takeToken();
  drawLegend(byId("legend"));
  for (const button of document.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => picture.zoomTo(button.dataset.zoom));
  byId("clear").addEventListener("click", () => choose(null));
  byId("choose").addEventListener("submit", (event) => { event.preventDefault(); find(byId("destination").value); });
  byId("login").addEventListener("submit", (event) => { event.preventDefault(); keepToken(byId("token").value); byId("token").value = ""; lookSoon(0); wake(); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && state.chosen !== null) choose(null); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) lookSoon(0); });
  setInterval(tellAge, 1000);
  showAnswer();
  look();
  listen();
}

// One look at the daemon.

function lookSoon(wait) {
  const at = Math.max(Date.now() + wait, lastLook + Math.max(LEAST, 4 * took));
  if (due !== null && due.at <= at) return;
  clearTimeout(due?.timer);
  due = { at, timer: setTimeout(look, at - Date.now()) };
}

async function look() {
  clearTimeout(due?.timer);
  due = null;
  lastLook = Date.now();
  if (document.hidden && state.seen !== null) return; // comes back with the reader
  try {
    if (state.abilities === null) await begin();
    const [topology, status] = await Promise.all([ask("topology"), ask("status")]);
    const pause = state.areRoutesOld ? state.routesPause : Math.max(ROUTES_POLL, state.routesPause);
    if (Date.now() - state.routesAt > pause) await lookAtRoutes();
    state.failures = 0;
    state.seen = Date.now();
    show(topology.data, status.data);
    took = Date.now() - lastLook;
    lookSoon(Math.max(POLL, 10 * took));
  } catch (error) {
    handleFailure(error);
  }
  tellAge();
}

async function begin() {
  const abilities = (await ask("")).data;
  makePeers(hasToken() ? abilities.changes.filter((name) => name !== "reload") : []);
  state.abilities = abilities;
  byId("login").hidden = true;
  const past = await ask("history", { limit: 100 });
  events.addPast(past.data.records);
}

function makePeers(wanted) {
  if (acts !== null && acts.join() === wanted.join()) return;
  acts = wanted;
  byId("peers").replaceChildren();
  peers = new Table(byId("peers"), {
    columns: peerColumns(acts.length > 0 ? drawActs : null), label: "Peers", noun: "peer",
    keyOf: (peer) => peer.name, sort: "name", filter: byId("peers-filter"), total: byId("peers-count"),
    none: "No peer is configured.", onChoose: (peer) => choosePeer(peer),
  });
}

async function lookAtRoutes() {
  const start = Date.now();
  state.areRoutesOld = false;
  state.routes = (await ask("routes")).data;
  state.routesAt = Date.now();
  state.routesPause = Math.max(ROUTES_LEAST, ROUTES_SHARE * (state.routesAt - start));
  routes.set(state.routes);
}

function handleFailure(error) {
  if (error instanceof Refused && error.status === 401) {
    state.abilities = null;
    byId("login").hidden = false;
    setText(byId("age"), "locked");
    return;
  }
  state.failures += 1;
  // A daemon that comes back may be another one: what it can do is asked anew.
  state.abilities = null;
  lookSoon(Math.min(LONGEST_WAIT, 500 * 2 ** state.failures));
}

async function listen() {
  for (let tries = 0; ; tries += 1) {
    try {
      await follow(handleEvent, () => { tries = 0; lookSoon(0); });
    } catch {
      // The next look tells whether the daemon is away.
    }
    lookSoon(0);
    await new Promise((go) => { wake = go; setTimeout(go, Math.min(LONGEST_WAIT, 1000 * 2 ** tries)); });
  }
}

function handleEvent(event) {
  events.add(event);
  state.areRoutesOld = true;
  lookSoon(250);
}

// What is shown.

function show(topology, status) {
  const before = wayOf(state.chosen);
  state.graph = graphOf(topology);
  state.status = status;
  document.title = `${status.name} – babelwg`;
  setText(byId("node"), tame(status.name, 63));
  const up = status.peers.filter((peer) => peer.state === "up").length;
  const selected = count(status.routes.selected, "route");
  setText(byId("summary"), `${up} of ${count(status.peers.length, "peer")} up · ${selected} · up ${spanText(status.uptime_s)}`);
  const omitted = state.graph.omitted ? `, ${state.graph.omitted} more not drawn` : "";
  setText(byId("mesh-count"), `${count(state.graph.nodes.size, "node")}, ${count(state.graph.links.length, "link")}${omitted}`);
  setText(byId("foot"), `babelwg ${status.version} · ${status.mode} · tunnels: ${status.backend} · table ${status.table}`);
  showProblems(status.problems ?? []);
  peers.set(status.peers);
  picture.update(state.graph);
  suggest();
  refreshChoice(before);
}

function showProblems(problems) {
  const list = byId("problems");
  const text = JSON.stringify(problems);
  if (list.dataset.text === text) return;
  list.dataset.text = text;
  list.hidden = problems.length === 0;
  const item = ({ subject, reason, hint }) => el("li", {}, `${tame(subject, 80)}: ${tame(reason, 300)} `, el("code", {}, `babelwg ${tame(hint, 80)}`));
  list.replaceChildren(...problems.slice(0, 8).map(item));
}

function suggest() {
  const names = [...state.graph.nodes.values()].filter((node) => !node.is_self).map((node) => node.label).sort();
  const list = byId("destinations");
  if (list.dataset.names === names.join()) return;
  list.dataset.names = names.join();
  list.replaceChildren(...names.slice(0, 500).map((value) => el("option", { value })));
}

function tellAge() {
  const line = byId("age");
  const away = byId("away");
  if (state.seen === null) {
    if (state.failures > 0) setText(line, "no answer yet; trying again");
    return;
  }
  const age = Date.now() - state.seen;
  const isAway = state.failures > 0;
  line.dataset.state = isAway ? "away" : age > STALE ? "old" : "live";
  setText(line, isAway ? "away" : age > STALE ? `${spanText(age / 1000)} old` : "live");
  const since = new Date(state.seen).toLocaleTimeString();
  away.hidden = !isAway;
  if (isAway) setText(away, `The daemon does not answer. This is the picture of ${since}, ${spanText(age / 1000)} ago; trying again.`);
}

// The destination that was chosen: {node} or {prefix, next}.

function wayOf(chosen) {
  if (chosen === null || state.graph === null) return null;
  const steps = pathOf(chosen);
  return steps === null ? "none" : steps.map((step) => step.to).join(" ");
}

function pathOf(chosen) {
  if (!state.graph.nodes.has(chosen.node)) return null;
  return pathTo(state.graph, chosen.node, chosen.next);
}

function choose(chosen) {
  state.chosen = chosen;
  byId("clear").hidden = chosen === null;
  refreshChoice(null);
  if (chosen === null) byId("destination").value = "";
}

function chooseNode(id) {
  choose(id === null ? null : { node: id });
  if (id !== null) say(pathSentence(state.graph, id, pathOf(state.chosen)));
}

function choosePeer(peer) {
  const node = findNode(state.graph, peer.name);
  if (node !== null) chooseNode(node);
}

function chooseRoute(route) {
  // Whichever candidate was chosen: what is shown is the way that packets take.
  const used = state.routes.find((one) => one.prefix === route.prefix && one.state === "selected") ?? null;
  const node = findNode(state.graph, (used ?? route).router_id ?? "");
  choose({ node, next: used && nextHopOf(state.graph, used), prefix: route.prefix, key: routeKey(route) });
  explain(route.prefix);
}

function refreshChoice(before) {
  const chosen = state.chosen;
  if (state.graph === null) return;
  const steps = chosen === null ? null : pathOf(chosen);
  picture.choose(chosen?.node ?? null, steps);
  routes.mark(chosen?.key ?? null);
  peers?.mark(state.graph.nodes.get(chosen?.node)?.name ?? null);
  if (chosen?.prefix === undefined) showAnswer();
  if (before !== null && before !== wayOf(chosen) && state.graph.nodes.has(chosen?.node)) {
    say(`The way has changed. ${pathSentence(state.graph, chosen.node, steps)}`);
    if (chosen.prefix !== undefined) explain(chosen.prefix);
  }
}

let answered = null; // what the answer was made from, so that a look that changes nothing moves nothing

function showAnswer() {
  const chosen = state.chosen;
  const node = chosen === null ? null : state.graph.nodes.get(chosen.node);
  const made = JSON.stringify([chosen, node ?? null, node ? pathOf(chosen) : null]);
  if (made === answered) return;
  answered = made;
  if (chosen === null) setAnswer([el("p", { class: "quiet" }, "Choose a node in the picture, a row in a table, or type where you want to go.")]);
  else if (node === undefined) setAnswer(tellRefusal("Gone", "This node is not known any more."));
  else setAnswer(tellNode(state.graph, chosen.node, pathOf(chosen), explainPrefix));
}

function setAnswer(parts) {
  byId("answer").replaceChildren(...parts);
}

function explainPrefix(prefix) {
  const best = state.routes.find((route) => route.prefix === prefix && route.state === "selected") ?? state.routes.find((route) => route.prefix === prefix);
  if (best !== undefined) chooseRoute(best);
  else { choose({ ...state.chosen, prefix }); explain(prefix); }
}

async function explain(prefix) {
  answered = null;
  try {
    const { data } = await ask("route_explain", { prefix });
    if (state.chosen?.prefix !== prefix) return; // somebody chose something else meanwhile
    tell(tellExplanation(prefix, data));
  } catch (error) {
    tell(tellRefusal(prefix, error.message));
  }
}

function tell(parts) {
  setAnswer(parts);
  say(parts[1].textContent);
}

async function find(text) {
  const wanted = text.trim();
  if (wanted === "" || state.graph === null) return;
  const node = findNode(state.graph, wanted);
  if (node !== null) { chooseNode(node); return; }
  try {
    const { data } = await ask("route_explain", { prefix: wanted });
    const { route } = data;
    const way = route ? { node: findNode(state.graph, route.router_id), next: nextHopOf(state.graph, route), key: routeKey(route) } : { node: null };
    choose({ ...way, prefix: data.prefix });
    tell(tellExplanation(wanted, data));
  } catch (error) {
    choose({ node: null, prefix: wanted });
    tell(tellRefusal(wanted, error.message));
  }
}

// Changes, for who has the token.

function drawActs(peer, cell) {
  const key = `${peer.name} ${peer.state}`;
  if (cell.dataset.for === key) return;
  cell.dataset.for = key;
  const fitting = acts.filter((name) => (name === "up") === (peer.state === "disabled"));
  cell.replaceChildren(...fitting.map((name) => actButton(name, peer.name)));
}

function actButton(name, peer) {
  const button = el("button", { type: "button", "aria-label": `${name} ${tame(peer, 63)}` }, name);
  button.addEventListener("click", async (event) => {
    event.stopPropagation();
    // Who takes a tunnel down may cut himself off, so it takes two clicks.
    if (!button.dataset.sure) {
      button.dataset.sure = "1";
      setText(button, `${name}?`);
      setTimeout(() => { delete button.dataset.sure; setText(button, name); }, SURE);
      return;
    }
    try {
      await change(name, { peer });
      say(`${name} ${peer}: done`);
    } catch (error) {
      events.add({ time: new Date().toISOString(), event: "refused", text: `${name} ${peer}: ${error.message}` });
    }
    lookSoon(0);
  });
  return button;
}

start();
