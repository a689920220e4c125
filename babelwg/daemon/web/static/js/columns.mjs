// The columns of the tables of peers and routes.

import { band, costText, lossText, rttText, spanText, tame } from "./words.mjs";

const PEER_BAND = { up: "good", connecting: "fair", disabled: "idle" };
const infinite = (metric) => (metric === null || metric === undefined ? Infinity : metric);

/** Return the columns of peers; `acts` draws what can be done with one, null for nothing. */
export function peerColumns(acts) {
  const columns = [
    { name: "name", title: "Name", text: (peer) => tame(peer.name, 63) },
    { name: "state", title: "State", text: (peer) => tame(peer.state), classes: (peer) => `word ${PEER_BAND[peer.state] ?? "down"}` },
    { name: "path", title: "Path", text: (peer) => pathText(peer) },
    { name: "cost", title: "Cost", number: true, text: (peer) => costText(peer.cost), key: (peer) => infinite(peer.cost), classes: (peer) => band(peer.cost) },
    { name: "rtt", title: "RTT", number: true, minor: true, text: (peer) => rttText(peer.rtt_s), key: (peer) => peer.rtt_s },
    { name: "loss", title: "Loss", number: true, minor: true, text: (peer) => lossText(peer.loss), key: (peer) => peer.loss },
    { name: "routes", title: "Routes", number: true, minor: true, text: (peer) => String(peer.routes ?? 0), key: (peer) => peer.routes },
    { name: "heard", title: "Heard", number: true, minor: true, text: (peer) => agoText(peer.last_heard_s), key: (peer) => peer.last_heard_s },
    { name: "reason", title: "Why", minor: true, text: (peer) => tame(peer.reason ?? "") },
  ];
  return acts === null ? columns : [...columns, { name: "acts", title: "", draw: acts, classes: () => "acts" }];
}

/** The columns of routes. */
export const ROUTE_COLUMNS = [
  { name: "prefix", title: "Prefix", text: (route) => tame(route.prefix, 100), key: (route) => route.prefix, classes: () => "mono" },
  { name: "state", title: "State", text: stateText, classes: (route) => `word ${routeBand(route)}` },
  { name: "via", title: "Via", text: (route) => tame(route.peer ?? route.neighbour, 63) },
  { name: "metric", title: "Metric", number: true, text: (route) => costText(route.metric), key: (route) => infinite(route.metric) },
  { name: "origin", title: "Origin", minor: true, text: (route) => tame(route.origin ?? route.router_id, 63) },
  { name: "seqno", title: "Seqno", number: true, minor: true, text: (route) => String(route.seqno ?? "–"), key: (route) => route.seqno },
  { name: "age", title: "Age", number: true, minor: true, text: (route) => spanText(route.age_s), key: (route) => route.age_s },
];

/** Return one key for each candidate. */
export function routeKey(route) {
  return `${route.prefix} ${route.interface} ${route.neighbour}`;
}

function routeBand(route) {
  if (route.state !== "selected") return "idle"; // a candidate that is not used is nothing to worry about
  return route.installed === false ? "down" : "good";
}

function stateText(route) {
  if (route.state === "selected") return route.installed === false ? "not installed" : "installed";
  return route.state === "feasible" ? "feasible, not best" : tame(route.state);
}

function pathText(peer) {
  const path = peer.path ?? "none";
  return tame(path === "direct" && peer.endpoint ? `direct ${peer.endpoint}` : path, 80);
}

function agoText(seconds) {
  if (seconds === null || seconds === undefined) return "never";
  return seconds < 1 ? "now" : `${spanText(seconds)} ago`;
}
