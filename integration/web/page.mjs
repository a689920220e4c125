// Drives a headless Chromium by lines of JSON: one request on standard input, one answer on standard output.
// It knows nothing of the page; what shall be true is told in test_page.py.

import { createRequire } from "node:module";
import { createServer } from "node:http";
import { createInterface } from "node:readline";

const { chromium } = createRequire(`${process.env.PLAYWRIGHT_AT}/`)("playwright-core");
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
  "--disable-sync", "--host-resolver-rules=MAP evil.example 127.0.0.1",
];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, headless: true, args: FLAGS });
let page = null;
let devtools = null;
let complaints = []; // what the browser wrote to its console, and what the page threw

const requests = {
  /** A new tab with its own storage; `answers` replaces what the daemon answers, by path. */
  async open({ url, width = 1280, height = 900, scheme = "light", motion = "reduce", answers = {} }) {
    await page?.context().close();
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, reducedMotion: motion });
    page = await context.newPage();
    devtools = await context.newCDPSession(page);
    complaints = [];
    page.on("console", (message) => { if (message.type() === "error") complaints.push(message.text()); });
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("dialog", (dialog) => { complaints.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
    for (const [path, data] of Object.entries(answers)) {
      const body = JSON.stringify({ schema: "babelwg/1", node: "a", data });
      await page.route((asked) => asked.pathname === path, (route) => route.fulfill({ body, contentType: "application/json" }));
    }
    const response = await page.goto(url);
    return response.status();
  },
  async evaluate({ expression }) {
    const { result, exceptionDetails } = await devtools.send("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  },
  async press({ keys }) {
    for (const key of keys) await page.keyboard.press(key);
  },
  async type({ text }) {
    await page.keyboard.type(text);
  },
  async click({ selector }) {
    await page.click(selector, { timeout: 5000 });
  },
  async shot({ path, full = false }) {
    await page.screenshot({ path, fullPage: full });
  },
  complaints: async () => complaints,
  /** A server of somebody else in the same place: another origin. */
  async serve({ body }) {
    const server = createServer((_, response) => { response.setHeader("Content-Type", "text/html"); response.end(body); });
    await new Promise((go) => { server.listen(0, "127.0.0.1", go); });
    return server.address().port;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { request, ...options } = JSON.parse(line);
  let answer;
  try {
    answer = { value: (await requests[request](options)) ?? null };
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
process.exit(0);
