// Numbers and texts as people read them, tables, and the stream of events.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Splitter } from "../../babelwg/daemon/web/static/js/api.mjs";
import { ROUTE_COLUMNS } from "../../babelwg/daemon/web/static/js/columns.mjs";
import { arrange, seen } from "../../babelwg/daemon/web/static/js/table.mjs";
import { band, costText, lossText, rttText, spanText, tame } from "../../babelwg/daemon/web/static/js/words.mjs";

test("costs have bands and words", () => {
  assert.deepEqual([96, 160, 161, 400, 401, 65534, 65535, null].map(band), ["good", "good", "fair", "fair", "poor", "poor", "down", "down"]);
  assert.deepEqual([96, 65535, null].map(costText), ["96", "∞", "–"]);
});

test("spans, round trips and losses are short", () => {
  assert.deepEqual([0, 59.9, 60, 3700, 90000, null].map(spanText), ["0 s", "59 s", "1 min", "1 h 1 min", "1 d 1 h", "–"]);
  assert.deepEqual([0.0012, 0.0345, null].map(rttText), ["1.2 ms", "35 ms", "–"]);
  assert.deepEqual([0, 0.015, 0.5, null].map(lossText), ["0 %", "1.5 %", "50 %", "–"]);
});

test("what could hide or turn a text around is made visible, and markup stays what it is", () => {
  assert.equal(tame("a\u0007b\u202ec\u200bd"), "a\ufffdb\ufffdc\ufffdd");
  assert.equal(tame("a\u061cb\u00adc\u180ed"), "a\ufffdb\ufffdc\ufffdd");
  assert.equal(tame("<img src=x onerror=alert(1)>"), "<img src=x onerror=alert(1)>");
  assert.equal(tame("x".repeat(300)).length, 200);
  assert.equal(tame(null), "");
});

const route = (prefix, metric, state = "selected") => ({ prefix, metric, state, interface: "bw-b", neighbour: "fe80::1", peer: "bravo", seqno: 1, age_s: 1, installed: true, origin: null, router_id: "0a" });

test("rows are sorted by number where they are numbers, and without a metric last", () => {
  const rows = [route("10.0.10.0/24", 200), route("10.0.9.0/24", 65535), route("10.0.2.0/24", 96)];
  const prefixes = (sort, filter = "") => arrange(rows, ROUTE_COLUMNS, sort, filter).map((row) => row.prefix);
  assert.deepEqual(prefixes({ column: "prefix", descending: false }), ["10.0.2.0/24", "10.0.9.0/24", "10.0.10.0/24"]);
  assert.deepEqual(prefixes({ column: "metric", descending: true }), ["10.0.9.0/24", "10.0.10.0/24", "10.0.2.0/24"]);
  assert.deepEqual(prefixes({ column: "prefix", descending: false }, "BRAVO 10.0.9"), ["10.0.9.0/24"]);
  assert.deepEqual(prefixes({ column: "prefix", descending: false }, "charlie"), []);
});

test("ten thousand rows are sorted in a moment and only those in sight are drawn", () => {
  const rows = Array.from({ length: 10000 }, (_, n) => route(`10.${n >> 8}.${n & 255}.0/24`, n));
  const start = performance.now();
  assert.equal(arrange(rows, ROUTE_COLUMNS, { column: "prefix", descending: true }, "10.").length, 10000);
  assert.ok(performance.now() - start < 1500);
  assert.deepEqual(seen(10000, 30, 0, 440), [0, 23]);
  assert.deepEqual(seen(10000, 30, 150000, 440), [4992, 5023]);
  assert.deepEqual(seen(10000, 30, 300000, 440), [9992, 10000]);
  assert.deepEqual(seen(3, 30, 0, 440), [0, 3]);
  assert.deepEqual(seen(0, 30, 900, 440), [0, 0]);
});

test("events come out whole, however the stream is cut", () => {
  const line = 'data: {"jsonrpc":"2.0","method":"event","params":{"text":"a"}}\n\n';
  const text = `retry: 2000\n\n${line}: still here\n\n${line}data: {broken\n\nevent: cut\ndata: too slow\n\n`;
  for (const size of [1, 7, 1000]) {
    const split = new Splitter();
    const found = [];
    for (let at = 0; at < text.length; at += size) found.push(...split.add(text.slice(at, at + size)));
    assert.deepEqual(found, [{ text: "a" }, { text: "a" }]);
  }
});
