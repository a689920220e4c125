// What is said about a chosen destination: the way there, and why.

import { el } from "./dom.mjs";
import { pathSentence } from "./graph.mjs";
import { costText, spanText, tame } from "./words.mjs";

const LISTED = 12; // prefixes of one node, and details of a kind
const CANDIDATES = 8;

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
    const words = step.cost === null ? "unknown how" : step.inferred ? `cost about ${costText(step.cost)}, inferred` : `cost ${costText(step.cost)}, measured`;
    return el("li", { class: step.inferred ? "inferred" : null }, el("span", {}, ends), el("span", { class: "quiet" }, words));
  });
  return el("ol", { class: "steps", "aria-label": "The way, link by link" }, ...items);
}

function chip(prefix, explain) {
  return el("li", {}, el("button", { type: "button", onclick: () => explain(prefix) }, tame(prefix, 100)));
}

/** Return the parts that tell what `route explain` answers. */
export function tellExplanation(asked, data) {
  const parts = [el("h3", { class: "mono" }, tame(data.prefix ?? asked, 100)), el("p", { class: "lead" }, tame(data.answer, 600))];
  const candidates = data.candidates ?? [];
  if (candidates.length > 0) {
    const items = candidates.slice(0, CANDIDATES).map((one) => candidate(one, data.route));
    parts.push(el("ul", { class: "candidates", "aria-label": "Candidates" }, ...items));
  }
  const details = detailsOf(data);
  if (details.length > 0) parts.push(el("dl", {}, ...details.flatMap(([term, text]) => [el("dt", {}, term), el("dd", {}, tame(text, 300))])));
  return parts;
}

function candidate(one, route) {
  const isBest = route !== null && route !== undefined && one.interface === route.interface && one.neighbour === route.neighbour;
  const via = tame(one.via ?? one.peer ?? one.neighbour, 60);
  return el("li", { class: isBest ? "best" : null },
    el("p", { class: "pair" }, el("b", {}, via), el("span", {}, `metric ${costText(one.metric)}`)),
    one.parts ? el("p", { class: "quiet" }, sumText(one, via)) : null,
    el("p", {}, tame(one.words ?? one.state, 300)),
    ...(one.filters ?? []).map((line) => el("p", { class: "quiet mono" }, tame(`${line.line} ${line.place ?? ""}`, 200))));
}

/** Return the metric of a candidate as a sum. */
export function sumText({ parts, metric }, via) {
  const links = ["nominal", "loss", "delay", "configured", "filter"];
  const names = { nominal: "link" };
  const said = links.filter((name) => parts[name] || name === "nominal").map((name) => `${costText(parts[name])} ${names[name] ?? name}`);
  return `${costText(metric)} = ${[...said, `${costText(parts.refmetric)} at ${via}`].join(" + ")}`;
}

function detailsOf(data) {
  const found = [];
  if (data.next) found.push(["otherwise", `${data.next.via}, metric ${costText(data.next.metric)}`]);
  if (data.waiting) found.push(["waiting", `${data.waiting.via}, metric ${costText(data.waiting.metric)}: ${data.waiting.words}`]);
  for (const request of data.requests ?? []) found.push(["asked", `seqno ${request.seqno} of ${(request.targets ?? []).join(", ")}, ${spanText(request.sent_s)} ago`]);
  if (data.held) found.push(["held", `unreachable for ${spanText(data.held.age_s)}`]);
  for (const refused of (data.refused ?? []).slice(0, LISTED)) found.push(["refused", `from ${refused.via}: ${refused.words}`]);
  if (data.kernel_words) found.push(["kernel", data.kernel_words.replace(/^the kernel /, "")]);
  for (const taker of (data.takers ?? []).slice(0, LISTED)) found.push(["not here", `${taker.prefix}${taker.sources ? ` from ${taker.sources}` : ""}`]);
  if (!data.route) for (const session of (data.sessions ?? []).slice(0, LISTED)) found.push(["session", `${session.peer}: ${session.state}, ${session.reason ?? "no reason given"}`]);
  return found;
}

/** Return the parts that tell why there is no answer. */
export function tellRefusal(title, sentence) {
  return [el("h3", {}, tame(title, 100)), el("p", { class: "lead" }, tame(sentence, 400))];
}
