// A table that is sorted, filtered, and drawn only where it is seen, so that ten thousand rows cost as little as ten.

import { el, setText } from "./dom.mjs";
import { count } from "./words.mjs";

const SPARE = 8; // rows drawn above and below what is seen

/** Return rows whose words contain all of a filter's, in the order of a column. */
export function arrange(rows, columns, sort, filter) {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const chosen = words.length === 0 ? [...rows] : rows.filter((row) => {
    const text = textOf(row, columns);
    return words.every((word) => text.includes(word));
  });
  const column = columns.find((one) => one.name === sort.column) ?? columns[0];
  const key = column.key ?? column.text;
  const order = sort.descending ? -1 : 1;
  const keyed = chosen.map((row, index) => [key(row), index, row]);
  keyed.sort(([a, i, x], [b, j, y]) => order * compare(a, b) || rankOf(x) - rankOf(y) || i - j);
  return keyed.map(([, , row]) => row);
}

/** Return which rows to draw for a window of a list. */
export function seen(total, rowHeight, top, height) {
  const first = Math.max(0, Math.floor(top / rowHeight) - SPARE);
  const last = Math.min(total, Math.ceil((top + height) / rowHeight) + SPARE);
  return [Math.min(first, last), last];
}

// Of candidates for one prefix, the one that is used comes first.
function rankOf(row) {
  return row.state === "selected" ? 0 : 1;
}

function compare(a, b) {
  // What has no value comes last, whatever the order of its kind.
  if (a === null || a === undefined) return b === null || b === undefined ? 0 : 1;
  if (b === null || b === undefined) return -1;
  if (typeof a === "number" && typeof b === "number") return a - b;
  return collator.compare(String(a), String(b));
}

const collator = new Intl.Collator(undefined, { numeric: true });
const texts = new WeakMap();

function textOf(row, columns) {
  if (!texts.has(row)) texts.set(row, columns.map((column) => column.text?.(row) ?? "").join(" ").toLowerCase());
  return texts.get(row);
}

export class Table {
  /**
   * `columns` are {name, title, text(row), key(row), classes(row), number, minor, draw(row, cell)};
   * `keyOf` names a row, `onChoose` gets the row that was chosen.
   */
  constructor(frame, { columns, label, noun, keyOf, onChoose, sort, filter, total, none }) {
    Object.assign(this, { columns, noun, keyOf, onChoose, none, total, sort: { column: sort, descending: false } });
    this.rows = [];
    this.shown = [];
    this.chosen = null;
    this.active = 0;
    this.filter = filter;
    this.body = el("tbody");
    this.above = padding(columns.length);
    this.below = padding(columns.length);
    this.slots = [];
    this.headings = columns.map((column) => this.heading(column));
    this.table = el("table", { role: "grid", "aria-label": label }, el("thead", {}, el("tr", {}, ...this.headings)), this.body);
    this.empty = el("p", { class: "none", hidden: true });
    this.box = el("div", { class: "table" }, this.table, this.empty);
    this.body.append(this.above, this.below);
    this.body.addEventListener("keydown", (event) => this.handleKey(event));
    this.box.addEventListener("scroll", () => this.draw(), { passive: true });
    let timer = null;
    filter.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => this.change(true), 120); });
    new ResizeObserver(() => this.draw()).observe(this.box);
    frame.append(this.box);
  }

  /** Show these rows. */
  set(rows) {
    this.rows = rows;
    this.change(false);
  }

  /** Mark the row with this key. */
  mark(key) {
    this.chosen = key;
    this.draw();
  }

  heading(column) {
    const classes = [column.number ? "number" : "", column.minor ? "minor" : ""].filter(Boolean).join(" ");
    if (column.text === undefined) return el("th", { scope: "col", class: classes }, el("span", {}, column.title));
    const button = el("button", { type: "button", onclick: () => this.sortBy(column.name) }, column.title);
    return el("th", { scope: "col", class: classes, "data-column": column.name }, button);
  }

  sortBy(name) {
    this.sort = { column: name, descending: this.sort.column === name && !this.sort.descending };
    this.change(true);
  }

  change(fromTop) {
    const active = this.shown[this.active];
    const key = active === undefined ? null : this.keyOf(active);
    this.shown = arrange(this.rows, this.columns, this.sort, this.filter.value);
    this.active = Math.max(0, this.shown.findIndex((row) => this.keyOf(row) === key));
    if (fromTop) { this.box.scrollTop = 0; this.active = 0; }
    for (const heading of this.headings) {
      const isSorted = heading.dataset.column === this.sort.column;
      if (isSorted) heading.setAttribute("aria-sort", this.sort.descending ? "descending" : "ascending");
      else heading.removeAttribute("aria-sort");
    }
    this.table.setAttribute("aria-rowcount", String(this.shown.length + 1));
    const all = count(this.rows.length, this.noun);
    setText(this.total, this.shown.length === this.rows.length ? all : `${this.shown.length} of ${all}`);
    this.empty.hidden = this.shown.length > 0;
    setText(this.empty, this.rows.length === 0 ? this.none : "Nothing matches the filter.");
    this.draw();
  }

  get rowHeight() {
    return matchMedia("(max-width: 640px)").matches ? 37 : 30;
  }

  draw() {
    const height = this.rowHeight;
    const [first, last] = seen(this.shown.length, height, this.box.scrollTop, this.box.clientHeight || 440);
    while (this.slots.length < last - first) this.addSlot();
    while (this.slots.length > last - first) this.slots.pop().row.remove();
    const hadFocus = this.slots.some(({ row }) => row === document.activeElement);
    this.slots.forEach((slot, index) => this.fillSlot(slot, first + index));
    this.above.firstChild.style.height = `${first * height}px`;
    this.below.firstChild.style.height = `${(this.shown.length - last) * height}px`;
    if (hadFocus) this.slots[this.active - first]?.row.focus({ preventScroll: true });
  }

  addSlot() {
    const cells = this.columns.map(() => el("td"));
    const slot = { row: el("tr", {}, ...cells), cells, index: 0 };
    slot.row.addEventListener("click", () => { this.active = slot.index; this.choose(); });
    this.below.before(slot.row);
    this.slots.push(slot);
  }

  fillSlot(slot, index) {
    const row = this.shown[index];
    slot.index = index;
    slot.row.setAttribute("aria-rowindex", String(index + 2));
    slot.row.setAttribute("aria-selected", String(this.keyOf(row) === this.chosen));
    slot.row.setAttribute("tabindex", index === this.active ? "0" : "-1");
    this.columns.forEach((column, number) => {
      const cell = slot.cells[number];
      const classes = [column.classes?.(row) ?? "", column.number ? "number" : "", column.minor ? "minor" : ""];
      cell.setAttribute("class", classes.filter(Boolean).join(" "));
      if (column.draw) column.draw(row, cell);
      else {
        setText(cell, column.text(row));
        cell.title = cell.textContent.length > 30 ? cell.textContent : "";
      }
    });
  }

  choose() {
    const row = this.shown[this.active];
    if (row !== undefined) this.onChoose(row);
    this.draw();
  }

  handleKey(event) {
    if (event.target.tagName !== "TR" || event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(this.box.clientHeight / this.rowHeight) - 2);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in moves) this.moveTo(Math.min(this.shown.length - 1, Math.max(0, this.active + moves[event.key])));
    else if (event.key === "Enter" || event.key === " ") this.choose();
    else return;
    event.preventDefault();
  }

  moveTo(index) {
    this.active = index;
    const [top, height] = [index * this.rowHeight, this.rowHeight];
    const [low, high] = [this.box.scrollTop, this.box.scrollTop + this.box.clientHeight - 2 * height];
    if (top < low) this.box.scrollTop = top;
    else if (top > high) this.box.scrollTop = top - this.box.clientHeight + 2 * height;
    this.draw();
    this.slots.find((slot) => slot.index === index)?.row.focus({ preventScroll: true });
  }
}

function padding(columns) {
  return el("tr", { class: "pad", "aria-hidden": "true" }, el("td", { colspan: columns }));
}
