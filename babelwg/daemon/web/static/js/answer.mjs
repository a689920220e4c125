// What is said about a chosen destination: the way there, and why.

import { el } from "./dom.mjs";
import { pathSentence } from "./graph.mjs";
import { costText, tame } from "./words.mjs";

const LISTED = 12; // prefixes of one node

/** Return the parts that tell the way to a node. */
export function tellNode(graph, id, steps, explain) {
  const node = graph.nodes.get(id);
  const parts = [el("h3", {}, node.label), el("p", { class: "lead" }, pathSentence(graph, id, steps))];
  if (steps !== null) parts.push(tellSteps(graph, steps));
  const prefixes = node.prefixes ?? [];
  if (prefixes.length > 0) {
    const chips = prefixes.slice(0, LISTED).map((prefix) => chip(prefix, explain));
    const rest = (node.prefix_count ?? prefixes.length) - chips.length;
    parts.push(el("p", { class: "quiet" }, node.is_self ? "It announces" : "It announces; choose one to see why its route is what it is"));
    parts.push(el("ul", { class: "chips", "aria-label": "Prefixes" }, ...chips, rest > 0 ? el("li", { class: "quiet" }, `and ${rest} more`) : null));
  }
  if (node.router_id) parts.push(el("p", { class: "quiet mono" }, `router-id ${tame(node.router_id)}`));
  return parts;
}

function tellSteps(graph, steps) {
  const items = steps.map((step) => {
    const ends = `${graph.nodes.get(step.from).label} → ${graph.nodes.get(step.to).label}`;
    const words = step.inferred ? `cost about ${costText(step.cost)}, inferred` : `cost ${costText(step.cost)}, measured`;
    return el("li", { class: step.inferred ? "inferred" : null }, el("span", {}, ends), el("span", { class: "quiet" }, words));
  });
  return el("ol", { class: "steps", "aria-label": "The way, link by link" }, ...items);
}

function chip(prefix, explain) {
  return el("li", {}, el("button", { type: "button", onclick: () => explain(prefix) }, tame(prefix, 100)));
}

/** Return the parts that tell what `route explain` answers. */
export function tellExplanation(prefix, data) {
  const title = tame(data.prefix ?? prefix, 100);
  const parts = [el("h3", { class: "mono" }, title)];
  const sentence = data.summary ?? data.answer ?? data.sentence ?? data.verdict ?? data.text ?? data.why;
  if (typeof sentence === "string") parts.push(el("p", { class: "lead" }, tame(sentence, 600)));
  const candidates = Array.isArray(data.candidates) ? data.candidates : [];
  if (candidates.length > 0) parts.push(el("ul", { class: "candidates", "aria-label": "Candidates" }, ...candidates.map(candidate)));
  parts.push(whole(data));
  return parts;
}

function candidate(one) {
  const name = one.peer ?? one.origin ?? one.neighbour ?? "?";
  const head = `via ${tame(name, 60)}, metric ${costText(one.metric)}`;
  const words = [one.state, one.verdict, one.feasibility, one.why, one.reason].filter((word) => typeof word === "string");
  return el("li", {}, el("b", {}, head), words.length > 0 ? ` — ${tame([...new Set(words)].join("; "), 400)}` : null);
}

function whole(data) {
  const text = tame(JSON.stringify(data, null, 1).replaceAll("\n", "\u0001"), 20000).replaceAll("\ufffd", "\n");
  return el("details", {}, el("summary", {}, "All of the answer"), el("pre", { tabindex: "0" }, text));
}

/** Return the parts that tell candidates where the daemon explains none. */
export function tellRoutes(prefix, routes) {
  const own = routes.filter((route) => route.prefix === prefix);
  return [el("h3", { class: "mono" }, tame(prefix, 100)), el("ul", { class: "candidates" }, ...own.map(candidate))];
}

/** Return the parts that tell why there is no answer. */
export function tellRefusal(title, sentence) {
  return [el("h3", {}, tame(title, 100)), el("p", { class: "lead" }, tame(sentence, 400))];
}
