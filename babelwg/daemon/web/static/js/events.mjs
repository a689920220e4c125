// The list of events: newest first, bounded, with a filter, and a pause that loses nothing of what it keeps.

import { byId, el, setText } from "./dom.mjs";
import { clockText, tame } from "./words.mjs";

const KEPT = 400;
const DRAWN = 120;
const BAD = /lost|retracted|flushed|refused|dropped|failed|down|gone|overrun|withdrawn/;

export class EventList {
  constructor() {
    this.list = byId("events");
    this.filter = byId("events-filter");
    this.button = byId("pause");
    this.kept = [];
    this.waiting = []; // what came during a pause
    this.isPaused = false;
    this.isDue = false;
    this.button.addEventListener("click", () => this.pause(!this.isPaused));
    this.filter.addEventListener("input", () => this.redraw());
  }

  /** Take one event. */
  add(event) {
    const into = this.isPaused ? this.waiting : this.kept;
    into.push(event);
    if (into.length > KEPT) into.splice(0, into.length - KEPT);
    if (this.isPaused) setText(this.button, `Go on (${this.waiting.length})`);
    else this.drawSoon();
  }

  /** Take the events of the time before this page was opened; those that are here already are not taken twice. */
  addPast(events) {
    // A daemon that was started anew counts from the beginning, so the time belongs to the number.
    const keyOf = (event) => `${event.time} ${event.seq}`;
    const known = new Set(this.kept.map(keyOf));
    const past = events.filter((event) => !known.has(keyOf(event)));
    this.kept = [...past, ...this.kept].sort((a, b) => (String(a.time) < String(b.time) ? -1 : 1)).slice(-KEPT);
    this.redraw();
  }

  pause(isPaused) {
    this.isPaused = isPaused;
    this.button.setAttribute("aria-pressed", String(isPaused));
    setText(this.button, isPaused ? "Go on" : "Pause");
    if (isPaused) return;
    this.kept = [...this.kept, ...this.waiting].slice(-KEPT);
    this.waiting = [];
    this.redraw();
  }

  // A burst of events is drawn once.
  drawSoon() {
    if (this.isDue) return;
    this.isDue = true;
    setTimeout(() => { this.isDue = false; this.redraw(); }, 100);
  }

  redraw() {
    const words = this.filter.value.toLowerCase();
    const chosen = this.kept.filter((event) => textOf(event).toLowerCase().includes(words)).slice(-DRAWN).reverse();
    const top = this.list.scrollTop;
    this.list.replaceChildren(...chosen.map(item));
    this.list.scrollTop = top;
    if (chosen.length === 0) this.list.append(el("li", { class: "quiet" }, "", "nothing yet"));
  }
}

/** Return an event in words. */
export function textOf(event) {
  const cause = event.cause && !String(event.text ?? "").includes(event.cause) ? ` (${event.cause})` : "";
  return tame(`${event.text ?? event.event ?? ""}${cause}`, 400);
}

function item(event) {
  const time = el("time", { datetime: tame(event.time, 40) }, clockText(event.time));
  return el("li", { class: BAD.test(event.event ?? "") ? "bad" : null }, time, el("span", {}, textOf(event)));
}
