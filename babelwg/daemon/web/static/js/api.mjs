// Questions to the daemon. The token comes in the link's fragment, which no server sees, and stays in this tab.

const KEY = "babelwg-token";
const TIMEOUT = 15000; // milliseconds
const SILENCE = 40000; // milliseconds without a sign of life after which a stream counts as dead

export class Refused extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

/** Take the token out of the address bar, so that it is in no bookmark and in no picture of the screen. */
export function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token === null) return;
  keepToken(token);
  history.replaceState(null, "", location.pathname);
}

/** Keep a token for as long as this tab is open. */
export function keepToken(token) {
  sessionStorage.setItem(KEY, token.trim());
}

/** Return whether this tab has a token. */
export function hasToken() {
  return Boolean(sessionStorage.getItem(KEY));
}

function headers(more = {}) {
  const token = sessionStorage.getItem(KEY);
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

/** Return what the daemon answers; Refused tells its sentence, TypeError that nobody answers. */
export async function ask(name, parameters = {}) {
  const query = new URLSearchParams(parameters).toString();
  return answerOf(await send(`/api/${name}${query ? `?${query}` : ""}`, {}));
}

/** Have the daemon change something. */
export async function change(name, parameters) {
  const options = { method: "POST", body: JSON.stringify(parameters), headers: { "Content-Type": "application/json" } };
  return answerOf(await send(`/api/${name}`, options));
}

async function send(path, options) {
  const signal = AbortSignal.timeout(TIMEOUT);
  return fetch(path, { ...options, headers: headers(options.headers), signal, cache: "no-store", redirect: "error" });
}

async function answerOf(response) {
  const document = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, document.error ?? `the daemon answered ${response.status}`);
  return document;
}

/** Call `onEvent` with each event of the daemon until the stream ends; throws when it breaks. */
export async function follow(onEvent, onOpen) {
  const abort = new AbortController();
  let timer = setTimeout(() => abort.abort(), SILENCE);
  try {
    const response = await fetch("/api/events", { headers: headers(), signal: abort.signal, cache: "no-store" });
    if (!response.ok) await answerOf(response);
    onOpen();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const split = new Splitter();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => abort.abort(), SILENCE);
      for (const message of split.add(value)) onEvent(message);
    }
  } finally {
    clearTimeout(timer);
    abort.abort();
  }
}

/** Cuts a stream of server-sent events into the objects that its messages carry. */
export class Splitter {
  constructor() {
    this.rest = "";
  }

  add(text) {
    const parts = (this.rest + text).split("\n\n");
    this.rest = parts.pop();
    return parts.map(messageOf).filter((message) => message !== null);
  }
}

function messageOf(part) {
  const lines = part.split("\n").filter((line) => line.startsWith("data: "));
  if (lines.length === 0 || part.startsWith("event: cut")) return null;
  try {
    return JSON.parse(lines.map((line) => line.slice(6)).join("\n")).params ?? null;
  } catch {
    return null;
  }
}
