// Places of nodes: always the same, apart from each other, inside the picture.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Layout, fit } from "../../babelwg/daemon/web/static/js/layout.mjs";
import { bendOf, nearestTowards } from "../../babelwg/daemon/web/static/js/picture.mjs";

function graphOfSize(size, linksOf) {
  const nodes = new Map(Array.from({ length: size }, (_, number) => [`n${number}`, {}]));
  return { nodes, links: linksOf(size).map(([a, b]) => ({ source: `n${a}`, target: `n${b}` })), self: "n0" };
}

const star = (size) => Array.from({ length: size - 1 }, (_, number) => [0, number + 1]);
const ring = (size) => Array.from({ length: size }, (_, number) => [number, (number + 1) % size]);
const tree = (size) => Array.from({ length: size - 1 }, (_, number) => [Math.floor(number / 3), number + 1]);
const alone = () => [];

function settled(graph) {
  const layout = new Layout();
  layout.set(graph);
  while (!layout.isStill) layout.step();
  return layout;
}

for (const [name, size, links] of [["a star", 9, star], ["a ring", 12, ring], ["a tree", 60, tree], ["nodes without links", 5, alone], ["one node", 1, alone], ["a large tree", 600, tree]]) {
  test(`${name}: all nodes have a place of their own`, () => {
    const places = [...settled(graphOfSize(size, links)).places.values()];
    assert.equal(places.length, size);
    for (const { x, y } of places) assert.ok(Number.isFinite(x) && Number.isFinite(y));
    let least = Infinity;
    places.forEach((a, i) => places.slice(i + 1).forEach((b) => { least = Math.min(least, Math.hypot(a.x - b.x, a.y - b.y)); }));
    assert.ok(least > (size > 100 ? 5 : 25), `two nodes are ${least} apart`);
  });
}

test("the same mesh looks the same again", () => {
  const places = () => JSON.stringify([...settled(graphOfSize(20, tree)).places]);
  assert.equal(places(), places());
});

test("what was there stays about where it was when a node comes", () => {
  const layout = settled(graphOfSize(10, tree));
  const before = new Map([...layout.places].map(([id, { x, y }]) => [id, [x, y]]));
  layout.set(graphOfSize(11, tree));
  while (!layout.isStill) layout.step();
  for (const [id, [x, y]] of before) {
    const place = layout.places.get(id);
    assert.ok(Math.hypot(place.x - x, place.y - y) < 80, `${id} moved`);
  }
});

test("every place is inside the picture, on a phone, too", () => {
  for (const [width, height] of [[1200, 600], [336, 330], [10, 10]]) {
    const places = [...settled(graphOfSize(30, tree)).places.values()];
    const { scale, x, y } = fit(places, width, height);
    if (width < 200) continue; // too small for anything, but it must not fail
    for (const place of places) {
      const [left, top] = [scale * place.x + x, scale * place.y + y];
      assert.ok(left >= 0 && left <= width && top >= 0 && top <= height);
    }
  }
  assert.deepEqual(fit([], 100, 50), { scale: 1, x: 50, y: 25 });
});

test("an arrow key leads to the nearest node in its direction", () => {
  const spots = new Map([["a", [0, 0]], ["right", [100, 20]], ["far", [300, 0]], ["below", [10, 90]]]);
  assert.equal(nearestTowards(spots, "a", [1, 0]), "right");
  assert.equal(nearestTowards(spots, "a", [0, 1]), "below");
  assert.equal(nearestTowards(spots, "a", [-1, 0]), null);
  assert.equal(nearestTowards(spots, "far", [-1, 0]), "right");
});

test("a link bends around a node that is not its own", () => {
  const link = { source: "a", target: "b" };
  const bend = (middle) => bendOf(new Map([["a", [0, 0]], ["b", [0, 200]], ["c", middle]]), link);
  assert.equal(bend([100, 100]), 0);
  assert.equal(bend([0, 300]), 0);
  assert.notEqual(bend([5, 100]), 0);
  // It bends to the side on which the node is not.
  const side = (middle) => Math.sign(-(200 - 0) * bend(middle));
  assert.equal(side([5, 100]), -1);
  assert.equal(side([-5, 100]), 1);
});
