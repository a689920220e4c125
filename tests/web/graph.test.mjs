// The mesh as a graph: ways, names, and what changed.

import assert from "node:assert/strict";
import { test } from "node:test";

import { findNode, graphOf, labelOf, nextHopOf, pathSentence, pathTo, sameShape } from "../../babelwg/daemon/web/static/js/graph.mjs";

//   a ---96--- b
//    \        / \
//   200     96?  96?     ? is inferred
//      \    /      \
//        c ---96?-- d ...... e is not reached
const node = (id, more = {}) => ({ id, name: id, router_id: `00:00:00:00:00:00:00:0${id}`, is_self: id === "a", kind: "peer", via: null, metric: null, addresses: [], prefixes: [], ...more });
const link = (source, target, cost, inferred = false, more = {}) => ({ source, target, cost, inferred, interface: inferred ? null : `bw-${target}`, ...more });
const MESH = {
  nodes: [
    node("a"),
    node("b", { via: "b", metric: 96, addresses: ["fe80::b%bw-b", "10.23.0.2"] }),
    node("c", { via: "b", metric: 192, prefixes: ["10.23.0.3/32"] }),
    node("d", { via: "b", metric: 192, kind: "far" }),
    node("e", { kind: "far" }),
  ],
  links: [link("a", "b", 96), link("a", "c", 200), link("b", "c", 96, true), link("b", "d", 96, true), link("c", "d", 96, true)],
};

test("the first hop is what routing says, not what is cheapest", () => {
  const graph = graphOf(MESH);
  const hops = (id, via = undefined) => pathTo(graph, id, via)?.map((step) => `${step.from}${step.to}${step.inferred ? "?" : ""}`);
  assert.deepEqual(hops("b"), ["ab"]);
  assert.deepEqual(hops("c"), ["ab", "bc?"]);
  assert.deepEqual(hops("d"), ["ab", "bd?"]);
  assert.deepEqual(hops("d", "c"), ["ac", "cd?"]);
  assert.equal(hops("e"), undefined);
  assert.equal(pathTo(graph, "a"), null);
  assert.equal(pathTo(graph, "d", null), null); // a route that is not used has no way
  assert.equal(pathTo(graph, "nobody"), null);
});

test("no way leads back through this node, nor over a link that is down", () => {
  const graph = graphOf({ nodes: MESH.nodes, links: [link("a", "b", 96), link("a", "c", 96), link("c", "d", 96, true)] });
  const steps = pathTo(graph, "d", "b"); // nothing is known of what is behind b
  assert.deepEqual(steps.map(({ from, to, cost }) => [from, to, cost]), [["a", "b", 96], ["b", "d", null]]);
  const down = graphOf({ nodes: MESH.nodes, links: [link("a", "b", 65535)] });
  assert.equal(pathTo(down, "b"), null);
});

test("of several links between two nodes the best is drawn", () => {
  const graph = graphOf({ nodes: MESH.nodes, links: [link("a", "b", 300), link("a", "b", 96), link("a", "b", 200)] });
  assert.equal(graph.links.length, 1);
  assert.equal(graph.links[0].cost, 96);
  assert.equal(graph.links[0].all.length, 3);
});

test("links to what is not there, and no answer at all, harm nothing", () => {
  assert.equal(graphOf({ nodes: MESH.nodes, links: [link("a", "z", 1)] }).links.length, 0);
  const empty = graphOf({});
  assert.equal(empty.self, null);
  assert.equal(pathTo(empty, "a"), null);
});

test("nodes are found by name, router-id, address and prefix", () => {
  const graph = graphOf(MESH);
  assert.equal(findNode(graph, " B "), "b");
  assert.equal(findNode(graph, "00:00:00:00:00:00:00:0c"), "c");
  assert.equal(findNode(graph, "10.23.0.2"), "b");
  assert.equal(findNode(graph, "10.23.0.3/32"), "c");
  assert.equal(findNode(graph, "nobody"), null);
});

test("a route's next hop is found by its neighbour's address, else by the interface", () => {
  const graph = graphOf(MESH);
  assert.equal(nextHopOf(graph, { neighbour: "fe80::b", interface: "bw-b" }), "b");
  assert.equal(nextHopOf(graph, { neighbour: "fe80::c", interface: "bw-c" }), "c");
  assert.equal(nextHopOf(graph, { neighbour: "fe80::c", interface: "eth9" }), null);
});

test("a way is told in a sentence", () => {
  const graph = graphOf(MESH);
  const tell = (id) => pathSentence(graph, id, pathTo(graph, id));
  assert.equal(tell("a"), "a is this node.");
  assert.equal(tell("b"), "b is reached directly, metric 96.");
  assert.equal(tell("c"), "c is reached via b, metric 192.");
  assert.equal(tell("e"), "No way to e is known.");
});

test("a changed cost moves no node, a new link does", () => {
  const graph = graphOf(MESH);
  const dearer = graphOf({ ...MESH, links: MESH.links.map((one) => ({ ...one, cost: one.cost + 1 })) });
  assert.equal(sameShape(graph, dearer), true);
  assert.equal(sameShape(graph, graphOf({ ...MESH, links: MESH.links.slice(1) })), false);
  assert.equal(sameShape(null, graph), false);
});

test("a node without a name is called by its address, then by its router-id", () => {
  assert.equal(labelOf({ name: "bravo", addresses: ["10.0.0.1"] }), "bravo");
  assert.equal(labelOf({ name: null, addresses: ["10.0.0.1"] }), "10.0.0.1");
  assert.equal(labelOf({ name: null, addresses: [], router_id: "02:aa:bb:cc:dd:ee:ff:01" }), "…ee:ff:01");
  assert.equal(labelOf({ name: "a\u202eb\nc", addresses: [] }), "a\ufffdb\ufffdc");
});
