// Places for the nodes of a graph: linked ones attract each other, all others keep their distance.
// No chance is involved, so the same mesh looks the same at every visit.

const GAP = 95; // wanted between linked nodes
const REACH = 5 * GAP; // beyond this, nodes of a large mesh do not feel each other
const LARGE = 400; // nodes from which on only those within reach are looked at
const PUSH = 2000; // how strongly nodes keep their distance
const STILL = 0.004;

export class Layout {
  constructor() {
    this.places = new Map();
    this.links = [];
    this.heat = 0;
  }

  /** Take a graph; nodes that were there keep their place, new ones begin beside what they are linked to. */
  set(graph) {
    const known = this.places;
    this.places = new Map();
    for (const id of graph.nodes.keys()) if (known.has(id)) this.places.set(id, known.get(id));
    const isNew = this.places.size === 0;
    this.begin(graph);
    this.links = graph.links.map(({ source, target }) => [this.places.get(source), this.places.get(target)]);
    for (const place of this.places.values()) place.degree = 0;
    for (const [a, b] of this.links) {
      a.degree += 1;
      b.degree += 1;
    }
    this.heat = isNew ? 1 : 0.12;
  }

  /** Put each node that has no place yet on a ring around the node from which it was found, in steps outwards. */
  begin(graph) {
    const around = new Map();
    for (const { source, target } of graph.links) {
      for (const [a, b] of [[source, target], [target, source]]) {
        if (!around.has(a)) around.set(a, []);
        around.get(a).push(b);
      }
    }
    const queue = graph.self === null ? [] : [graph.self];
    const seen = new Set(queue);
    const start = (id, x, y) => this.places.has(id) || this.places.set(id, { x, y, vx: 0, vy: 0, degree: 0 });
    if (graph.self !== null) start(graph.self, 0, 0);
    for (const id of [...queue, ...graph.nodes.keys()]) {
      if (!seen.has(id)) { seen.add(id); queue.push(id); }
      while (queue.length > 0) {
        const here = queue.shift();
        const turn = this.places.size * 2.399963; // the golden angle never puts two in one line
        start(here, Math.cos(turn) * GAP * 3, Math.sin(turn) * GAP * 3);
        const { x, y } = this.places.get(here);
        const found = (around.get(here) ?? []).filter((next) => !seen.has(next)).sort();
        const outwards = x === 0 && y === 0 ? 0 : Math.atan2(y, x);
        const spread = x === 0 && y === 0 ? 2 * Math.PI : Math.PI * 0.9;
        found.forEach((next, index) => {
          const angle = outwards + spread * ((index + 0.5) / found.length - 0.5) + 0.01;
          start(next, x + Math.cos(angle) * GAP, y + Math.sin(angle) * GAP);
          seen.add(next);
          queue.push(next);
        });
      }
    }
  }

  get isStill() {
    return this.heat < STILL;
  }

  /** Move everything one step. */
  step() {
    this.pullLinks();
    if (this.places.size > LARGE) this.pushWithinReach();
    else this.pushAll();
    const calm = 0.014 * this.heat;
    for (const place of this.places.values()) {
      place.vx = (place.vx - place.x * calm) * 0.62;
      place.vy = (place.vy - place.y * calm) * 0.62;
      place.x += place.vx;
      place.y += place.vy;
    }
    this.heat *= 0.977;
  }

  /** Move until everything is still, or for so many milliseconds. */
  settle(milliseconds, now = () => performance.now()) {
    const end = now() + milliseconds;
    while (!this.isStill && now() < end) this.step();
  }

  pullLinks() {
    for (const [a, b] of this.links) {
      const dx = b.x + b.vx - a.x - a.vx || 0.01;
      const dy = b.y + b.vy - a.y - a.vy || 0.01;
      const distance = Math.hypot(dx, dy);
      const pull = ((distance - GAP) / distance) * this.heat * 0.9 / Math.min(a.degree, b.degree);
      const share = a.degree / (a.degree + b.degree); // who has few links moves more
      b.vx -= dx * pull * share;
      b.vy -= dy * pull * share;
      a.vx += dx * pull * (1 - share);
      a.vy += dy * pull * (1 - share);
    }
  }

  pushAll() {
    const all = [...this.places.values()];
    for (let i = 0; i < all.length; i += 1) for (let j = i + 1; j < all.length; j += 1) this.push(all[i], all[j]);
  }

  pushWithinReach() {
    const cells = new Map();
    const cellOf = (x, y) => `${Math.floor(x / REACH)},${Math.floor(y / REACH)}`;
    const all = [...this.places.values()];
    all.forEach((place, index) => {
      place.index = index;
      const cell = cellOf(place.x, place.y);
      if (!cells.has(cell)) cells.set(cell, []);
      cells.get(cell).push(place);
    });
    for (const place of all) {
      for (const dx of [-REACH, 0, REACH]) {
        for (const dy of [-REACH, 0, REACH]) {
          for (const other of cells.get(cellOf(place.x + dx, place.y + dy)) ?? []) {
            if (other.index > place.index) this.push(place, other, REACH);
          }
        }
      }
    }
  }

  push(a, b, reach = Infinity) {
    const dx = b.x - a.x || 0.1;
    const dy = b.y - a.y || 0.1;
    const square = Math.max(dx * dx + dy * dy, 100);
    // The force fades out towards its reach: where it broke off, nodes would gather along the break.
    const fading = Math.max(0, 1 - square / (reach * reach)) ** 2;
    const force = (PUSH * fading * this.heat) / square;
    a.vx -= dx * force;
    a.vy -= dy * force;
    b.vx += dx * force;
    b.vy += dy * force;
  }
}

/** Return scale and shift that put all places into a picture of this size, with room for labels at its edges. */
export function fit(places, width, height, margin = { x: 70, top: 28, bottom: 40 }, most = 1.7) {
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const { x, y } of places) {
    left = Math.min(left, x); right = Math.max(right, x);
    top = Math.min(top, y); bottom = Math.max(bottom, y);
  }
  if (left > right) return { scale: 1, x: width / 2, y: height / 2 };
  const sx = (width - 2 * margin.x) / Math.max(right - left, 1);
  const sy = (height - margin.top - margin.bottom) / Math.max(bottom - top, 1);
  const scale = Math.max(0.02, Math.min(sx, sy, most));
  const middle = margin.top + (height - margin.top - margin.bottom) / 2;
  return { scale, x: width / 2 - (scale * (left + right)) / 2, y: middle - (scale * (top + bottom)) / 2 };
}
