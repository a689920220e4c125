// Numbers as people read them, and links in words.

export const INFINITY = 65535;
// A link without loss and delay costs 96.
const BANDS = [
  { name: "good", upTo: 160, words: "good, cost up to 160" },
  { name: "fair", upTo: 400, words: "fair, up to 400" },
  { name: "poor", upTo: INFINITY - 1, words: "poor, more than 400" },
  { name: "down", upTo: Infinity, words: "down" },
];
export const LEGEND = BANDS.map(({ name, words }) => ({ name, words }));

/** Return good, fair, poor or down for the cost of a link. */
export function band(cost) {
  if (cost === null || cost === undefined) return "down";
  return BANDS.find((one) => cost <= one.upTo).name;
}

/** Return a cost or metric in words. */
export function costText(cost) {
  if (cost === null || cost === undefined) return "–";
  return cost >= INFINITY ? "∞" : String(cost);
}

/** Return a span of time in one or two units. */
export function spanText(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

/** Return a round-trip time. */
export function rttText(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const ms = seconds * 1000;
  return `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
}

/** Return a share of packets lost. */
export function lossText(share) {
  if (share === null || share === undefined) return "–";
  const percent = share * 100;
  return `${percent === 0 || percent >= 10 ? percent.toFixed(0) : percent.toFixed(1)} %`;
}

/** Return the time of day of an RFC 3339 text. */
export function clockText(text) {
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) return "";
  const two = (number) => String(number).padStart(2, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** Return `1 route`, `2 routes`. */
export function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** Return a text with what could turn it around or hide in it made visible, and shortened. */
export function tame(text, most = 200) {
  const visible = String(text ?? "").replace(/[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, "\ufffd");
  return visible.length > most ? `${visible.slice(0, most - 1)}…` : visible;
}
