// The picture of the mesh: nodes and links as SVG, by mouse, touch and keyboard.

import { el, setText, svg } from "./dom.mjs";
import { sameShape } from "./graph.mjs";
import { Layout, fit } from "./layout.mjs";
import { INFINITY, LEGEND, band, costText, lossText, rttText } from "./words.mjs";

const FRAME = 7; // milliseconds of layout in one frame
const AT_ONCE = 250; // milliseconds of layout before the first drawing
const CLEAR = 26; // between a node and a link that is not its own
const LABELLED = 60; // nodes up to which all names are shown
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Picture {
  /** Draw into an element; `onChoose` is called with a node's id, or null. */
  constructor(frame, onChoose) {
    this.onChoose = onChoose;
    this.layout = new Layout();
    this.graph = null;
    this.nodes = new Map();
    this.links = new Map();
    this.zoom = { factor: 1, x: 0, y: 0 };
    this.active = null; // the node that has the place in the tab order
    this.path = [];
    this.chosen = null;
    this.linkLayer = svg("g");
    this.nodeLayer = svg("g");
    this.svg = svg("svg", { role: "group", "aria-label": "Picture of the mesh", "aria-describedby": "picture-help" });
    this.svg.append(this.linkLayer, this.nodeLayer);
    this.svg.addEventListener("keydown", (event) => this.handleKey(event));
    this.svg.addEventListener("pointerdown", (event) => this.drag(event));
    frame.append(this.svg);
    new ResizeObserver(() => this.place()).observe(frame);
  }

  /** Show a graph. */
  update(graph) {
    const isSame = sameShape(this.graph, graph);
    this.graph = graph;
    if (!isSame) this.layout.set(graph);
    this.drawLinks();
    this.drawNodes();
    if (isSame) return;
    this.layout.settle(matchMedia("(prefers-reduced-motion: reduce)").matches ? 4 * AT_ONCE : AT_ONCE);
    this.place();
    this.animate();
  }

  /** Mark the way to a node; `steps` as from pathTo. */
  choose(id, steps) {
    this.chosen = id;
    this.path = steps ?? [];
    if (id !== null && this.nodes.has(id)) this.activate(id, false);
    this.drawLinks();
    this.drawNodes();
  }

  /** Show more or less of the picture: "in", "out" or "fit". */
  zoomTo(how) {
    const factor = { in: this.zoom.factor * 1.4, out: this.zoom.factor / 1.4, fit: 1 }[how];
    this.zoom.factor = Math.min(12, Math.max(1, factor));
    if (this.zoom.factor === 1) Object.assign(this.zoom, { x: 0, y: 0 });
    this.svg.classList.toggle("movable", this.zoom.factor > 1);
    this.place();
  }

  animate() {
    if (this.layout.isStill || this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      this.layout.settle(FRAME);
      // Who wants no motion sees the places only when they are found.
      if (this.layout.isStill || !matchMedia("(prefers-reduced-motion: reduce)").matches) this.place();
      this.animate();
    });
  }

  drawLinks() {
    const onPath = new Set(this.path.map((step) => step.key));
    const wanted = new Set(this.graph.links.map((link) => link.key));
    for (const [key, drawn] of this.links) if (!wanted.has(key)) { drawn.group.remove(); this.links.delete(key); }
    for (const link of this.graph.links) {
      const drawn = this.links.get(link.key) ?? this.newLink(link);
      const classes = ["link", band(link.cost), link.inferred ? "inferred" : "", onPath.has(link.key) ? "on-path" : ""];
      drawn.group.setAttribute("class", classes.filter(Boolean).join(" "));
      setText(drawn.title, linkText(this.graph, link));
      setText(drawn.cost, this.costLabel(link));
    }
  }

  costLabel(link) {
    if (this.graph.links.length > LABELLED) return "";
    if (link.cost >= INFINITY) return "down";
    return link.inferred ? `≈ ${costText(link.cost)}` : costText(link.cost);
  }

  newLink(link) {
    const drawn = { wide: svg("path", { class: "wide" }), thin: svg("path", { class: "thin" }), title: svg("title"), cost: svg("text", { dy: "4" }) };
    drawn.group = svg("g", { "aria-hidden": "true" }, drawn.title, drawn.wide, drawn.thin, drawn.cost);
    this.linkLayer.append(drawn.group);
    this.links.set(link.key, drawn);
    return drawn;
  }

  drawNodes() {
    const onPath = new Set(this.path.flatMap((step) => [step.from, step.to]));
    for (const [id, drawn] of this.nodes) if (!this.graph.nodes.has(id)) { drawn.group.remove(); this.nodes.delete(id); }
    if (!this.graph.nodes.has(this.active)) this.active = this.graph.self;
    for (const node of this.graph.nodes.values()) {
      const drawn = this.nodes.get(node.id) ?? this.newNode(node.id);
      const isLost = !node.is_self && (node.via ?? null) === null;
      const isMinor = this.graph.nodes.size > LABELLED && node.kind === "far";
      const classes = ["node", node.kind, node.id === this.chosen ? "chosen" : "", onPath.has(node.id) ? "on-path" : "", isLost ? "unreachable" : "", isMinor ? "minor-label" : ""];
      drawn.group.setAttribute("class", classes.filter(Boolean).join(" "));
      drawn.group.setAttribute("aria-label", nodeText(this.graph, node));
      drawn.group.setAttribute("aria-pressed", String(node.id === this.chosen));
      drawn.group.setAttribute("tabindex", node.id === this.active ? "0" : "-1");
      drawn.dot.setAttribute("r", radiusOf(node, this.graph.nodes.size));
      setText(drawn.label, node.label.length > 24 ? `${node.label.slice(0, 23)}…` : node.label);
      setText(drawn.title, nodeText(this.graph, node));
    }
  }

  newNode(id) {
    const drawn = { dot: svg("circle", { class: "dot" }), label: svg("text", { y: "25", "aria-hidden": "true" }), title: svg("title") };
    const target = svg("circle", { class: "ring", r: "16" });
    drawn.group = svg("g", { role: "button", "data-node": id }, drawn.title, target, drawn.dot, drawn.label);
    drawn.group.addEventListener("click", () => this.onChoose(id === this.chosen ? null : id));
    drawn.group.addEventListener("focus", () => this.activate(id, false));
    this.nodeLayer.append(drawn.group);
    this.nodes.set(id, drawn);
    return drawn;
  }

  place() {
    if (this.graph === null) return;
    const { clientWidth: width, clientHeight: height } = this.svg;
    if (width === 0 || height === 0) return;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const base = fit(this.layout.places.values(), width, height);
    const { factor, x, y } = this.zoom;
    const at = (place) => [
      (base.scale * place.x + base.x - width / 2) * factor + width / 2 + x,
      (base.scale * place.y + base.y - height / 2) * factor + height / 2 + y,
    ];
    this.spots = new Map([...this.layout.places].map(([id, place]) => [id, at(place)]));
    for (const [id, drawn] of this.nodes) {
      const [left, top] = this.spots.get(id);
      drawn.group.setAttribute("transform", `translate(${left.toFixed(1)} ${top.toFixed(1)})`);
    }
    for (const link of this.graph.links) this.placeLink(link);
  }

  placeLink(link) {
    const [[x1, y1], [x2, y2]] = [this.spots.get(link.source), this.spots.get(link.target)];
    const drawn = this.links.get(link.key);
    const bend = this.graph.nodes.size > LABELLED ? 0 : bendOf(this.spots, link);
    const [x, y] = [(x1 + x2) / 2 - (y2 - y1) * bend, (y1 + y2) / 2 + (x2 - x1) * bend];
    const shape = [x1, y1, x, y, x2, y2].map((value) => value.toFixed(1));
    const path = `M${shape[0]} ${shape[1]}Q${shape[2]} ${shape[3]} ${shape[4]} ${shape[5]}`;
    drawn.wide.setAttribute("d", path);
    drawn.thin.setAttribute("d", path);
    drawn.cost.setAttribute("x", ((x1 + 2 * x + x2) / 4).toFixed(1));
    drawn.cost.setAttribute("y", ((y1 + 2 * y + y2) / 4).toFixed(1));
  }

  activate(id, takesFocus) {
    this.nodes.get(this.active)?.group.setAttribute("tabindex", "-1");
    this.active = id;
    const group = this.nodes.get(id)?.group;
    group?.setAttribute("tabindex", "0");
    if (takesFocus) group?.focus();
  }

  handleKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || this.active === null) return;
    const arrow = ARROWS[event.key];
    if (arrow !== undefined) {
      const next = nearestTowards(this.spots, this.active, arrow);
      if (next !== null) this.activate(next, true);
    } else if (event.key === "Home") this.activate(this.graph.self, true);
    else if (event.key === "Enter" || event.key === " ") this.onChoose(this.active);
    else if (event.key === "+" || event.key === "-") this.zoomTo(event.key === "+" ? "in" : "out");
    else return;
    event.preventDefault();
  }

  drag(event) {
    if (this.zoom.factor === 1 || event.target.closest(".node")) return;
    const start = { left: event.clientX - this.zoom.x, top: event.clientY - this.zoom.y };
    this.svg.setPointerCapture(event.pointerId);
    const move = (moved) => {
      this.zoom.x = moved.clientX - start.left;
      this.zoom.y = moved.clientY - start.top;
      this.place();
    };
    this.svg.addEventListener("pointermove", move);
    const end = () => this.svg.removeEventListener("pointermove", move);
    this.svg.addEventListener("pointerup", end, { once: true });
    this.svg.addEventListener("pointercancel", end, { once: true });
  }
}

/** Return the radius of a node's dot; many are small. */
function radiusOf(node, size) {
  if (node.is_self) return "10";
  if (node.kind !== "far") return "8";
  return size > 150 ? "4" : size > LABELLED ? "5.5" : "7";
}

/** Return how far a link has to bend, in parts of its length, to pass beside nodes that are not its own. */
export function bendOf(spots, { source, target }) {
  const [[x1, y1], [x2, y2]] = [spots.get(source), spots.get(target)];
  const square = (x2 - x1) ** 2 + (y2 - y1) ** 2;
  for (const [id, [x, y]] of spots) {
    if (id === source || id === target) continue;
    const along = ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / square;
    const aside = ((x - x1) * (y2 - y1) - (y - y1) * (x2 - x1)) / Math.sqrt(square);
    if (along > 0.05 && along < 0.95 && Math.abs(aside) < CLEAR) return aside > 0 ? 0.24 : -0.24;
  }
  return 0;
}

/** Return the nearest spot that lies in a direction, within 60 degrees of it; null when there is none. */
export function nearestTowards(spots, from, [dx, dy]) {
  const [x, y] = spots.get(from);
  let [best, least] = [null, Infinity];
  for (const [id, [left, top]] of spots) {
    const along = (left - x) * dx + (top - y) * dy;
    const aside = Math.abs((left - x) * dy) + Math.abs((top - y) * dx);
    if (id === from || along <= 0 || aside > along * 1.75) continue;
    const distance = along + 2 * aside;
    if (distance < least) [best, least] = [id, distance];
  }
  return best;
}

/** Return a node in words. */
export function nodeText(graph, node) {
  const kind = { self: "this node", peer: "peer", neighbour: "neighbour", far: "far node" }[node.kind] ?? node.kind;
  if (node.is_self) return `${node.label}, ${kind}`;
  const via = graph.nodes.get(node.via)?.label;
  if (via === undefined) return `${node.label}, ${kind}, no way there`;
  const way = node.via === node.id ? "direct" : `via ${via}`;
  return `${node.label}, ${kind}, ${way}, metric ${costText(node.metric)}`;
}

/** Return a link in words; what is inferred is said to be. */
export function linkText(graph, link) {
  const ends = `${graph.nodes.get(link.source).label} – ${graph.nodes.get(link.target).label}`;
  if (link.inferred) return `${ends}: cost about ${costText(link.cost)}, inferred from what neighbours announce`;
  if (link.cost >= INFINITY) return `${ends}: down`;
  const parts = [`cost ${costText(link.cost)}`];
  if (link.rtt_s !== null && link.rtt_s !== undefined) parts.push(`RTT ${rttText(link.rtt_s)}`);
  if (link.loss) parts.push(`loss ${lossText(link.loss)}`);
  if (link.all.length > 1) parts.push(`the best of ${link.all.length} links`);
  return `${ends}: ${parts.join(", ")}`;
}

/** Put what lines and dots mean into a list. */
export function drawLegend(list) {
  const line = (classes) => {
    const drawn = svg("path", { class: "thin", d: "M2 7H28" });
    return svg("svg", { viewBox: "0 0 30 14", "aria-hidden": "true" }, svg("g", { class: `link ${classes}` }, drawn));
  };
  const dot = (classes) => {
    const drawn = svg("circle", { class: "dot", cx: "15", cy: "7", r: "5.5" });
    return svg("svg", { viewBox: "0 0 30 14", "aria-hidden": "true" }, svg("g", { class: `node ${classes}` }, drawn));
  };
  list.replaceChildren(
    el("li", {}, dot("self"), "this node"),
    el("li", {}, dot("peer"), "peer"),
    el("li", {}, dot("far"), "far node"),
    ...LEGEND.map(({ name, words }) => el("li", {}, line(name), words)),
    el("li", {}, line("inferred good"), "dashed: inferred from what neighbours announce, not measured"),
  );
}
