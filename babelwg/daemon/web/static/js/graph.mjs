// The mesh as a graph: who is linked to whom, the way to a destination, and what changed.

import { INFINITY, costText, tame } from "./words.mjs";

/** Return a graph of an answer to `topology`: nodes by id, links, and the id of this node. */
export function graphOf(topology) {
  const nodes = new Map();
  for (const node of topology.nodes ?? []) nodes.set(node.id, { ...node, label: labelOf(node) });
  const links = new Map();
  for (const link of topology.links ?? []) {
    if (!nodes.has(link.source) || !nodes.has(link.target)) continue;
    const key = `${link.source}|${link.target}`;
    const known = links.get(key);
    // Of several links between two nodes the best is drawn; it says how many there are.
    if (known === undefined) links.set(key, { ...link, key, all: [link] });
    else links.set(key, { ...(link.cost < known.cost ? link : known), key, all: [...known.all, link] });
  }
  const self = [...nodes.values()].find((node) => node.is_self)?.id ?? null;
  return { nodes, links: [...links.values()], self, omitted: topology.omitted ?? 0 };
}

/** Return what to call a node: its name, else its router-id's end, else its id. */
export function labelOf(node) {
  if (node.name) return tame(node.name, 40);
  if (node.addresses?.length) return tame(node.addresses[0], 40);
  return tame(node.router_id ? `…${node.router_id.slice(-8)}` : node.id, 40);
}

/**
 * Return the way from this node to another as steps {from, to, cost, inferred, key}, null when there is none.
 *
 * The first hop is what routing says (`via`, or `next`); what comes after it is the cheapest way along the links known.
 */
export function pathTo(graph, id, next = undefined) {
  const via = next === undefined ? graph.nodes.get(id)?.via ?? null : next;
  if (graph.self === null || id === graph.self || !graph.nodes.has(id) || via === null) return null;
  const first = linkBetween(graph, graph.self, via);
  if (first === null || first.cost >= INFINITY) return null;
  // Where nothing is known of what is behind the first hop, one step without a cost stands for it.
  const rest = cheapest(graph, via, id) ?? [{ from: via, to: id, cost: null, inferred: true, key: null }];
  return [stepOf(first, graph.self, via), ...rest];
}

/** Return the steps of the cheapest way between two nodes that does not pass this node. */
export function cheapest(graph, from, to) {
  const around = neighbourhood(graph);
  const best = new Map([[from, { cost: 0, steps: [] }]]);
  const open = new Set([from]);
  while (open.size > 0) {
    let here = null;
    for (const id of open) if (here === null || best.get(id).cost < best.get(here).cost) here = id;
    if (here === to) return best.get(here).steps;
    open.delete(here);
    for (const link of around.get(here) ?? []) {
      const next = link.source === here ? link.target : link.source;
      if (next === graph.self || link.cost >= INFINITY) continue;
      const cost = best.get(here).cost + link.cost;
      if (best.has(next) && best.get(next).cost <= cost) continue;
      best.set(next, { cost, steps: [...best.get(here).steps, stepOf(link, here, next)] });
      open.add(next);
    }
  }
  return null;
}

/** Return the neighbour that a route leads to, as a node's id. */
export function nextHopOf(graph, route) {
  const place = `${route.neighbour}%${route.interface}`;
  for (const node of graph.nodes.values()) if (node.addresses?.includes(place)) return node.id;
  const link = graph.links.find((one) => one.all.some((each) => each.interface === route.interface));
  if (link === undefined) return null;
  return link.source === graph.self ? link.target : link.source;
}

/** Return the node that a text names: by name, router-id, address or prefix; null for none. */
export function findNode(graph, text) {
  const wanted = text.trim().toLowerCase();
  const nodes = [...graph.nodes.values()];
  const named = (node) => [node.name, node.label, node.router_id, node.id].some((word) => word?.toLowerCase() === wanted);
  const has = (node) => node.addresses?.includes(wanted) || node.prefixes?.includes(wanted);
  return (nodes.find(named) ?? nodes.find(has))?.id ?? null;
}

/** Return a sentence about the way to a node, for eyes and for screen readers. */
export function pathSentence(graph, id, steps) {
  const name = graph.nodes.get(id)?.label ?? id;
  if (id === graph.self) return `${name} is this node.`;
  if (steps === null) return `No way to ${name} is known.`;
  const metric = graph.nodes.get(id).metric;
  const words = metric === null || metric === undefined ? "" : `, metric ${costText(metric)}`;
  if (steps.length === 1) return `${name} is reached directly${words}.`;
  const vias = steps.slice(0, -1).map((step) => graph.nodes.get(step.to).label);
  return `${name} is reached via ${vias.join(", then ")}${words}.`;
}

/** Return whether two graphs have the same nodes and links, so that no place has to change. */
export function sameShape(a, b) {
  if (a === null || a.nodes.size !== b.nodes.size || a.links.length !== b.links.length) return false;
  const keys = new Set(a.links.map((link) => link.key));
  return b.links.every((link) => keys.has(link.key)) && [...b.nodes.keys()].every((id) => a.nodes.has(id));
}

/** Return the links at each node. */
export function neighbourhood(graph) {
  const around = new Map();
  for (const link of graph.links) {
    for (const id of [link.source, link.target]) {
      if (!around.has(id)) around.set(id, []);
      around.get(id).push(link);
    }
  }
  return around;
}

function linkBetween(graph, a, b) {
  const ends = ({ source, target }) => (source === a && target === b) || (source === b && target === a);
  return graph.links.find(ends) ?? null;
}

function stepOf(link, from, to) {
  return { from, to, cost: link.cost, inferred: Boolean(link.inferred), key: link.key };
}
