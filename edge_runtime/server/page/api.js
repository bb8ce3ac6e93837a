/* Requests to the server, by relative addresses, so that the page works behind any prefix. */

/** A refusal of the server: its status and its words. */
export class Refusal extends Error {
  constructor(status, text, ours = false) {
    super(text);
    this.status = status;
    this.ours = ours; // and not of a proxy
  }
}

async function refusalOf(response) {
  try {
    const { rule, found } = JSON.parse((await response.text()).trim().split("\n").at(-1));
    return new Refusal(response.status, `${rule}: ${found}`, Boolean(rule));
  } catch {
    return new Refusal(response.status, named(response));
  }
}

/** The status of an answer that is not the server's, but a proxy's. */
function named({ status, statusText }) {
  return `${status} ${statusText}`.trim();
}

async function asked(path, options) {
  const response = await fetch(path, { credentials: "same-origin", cache: "no-store", ...options });
  if (!response.ok) throw await refusalOf(response);
  return response;
}

export async function getJson(path, patienceMs = 60_000) {
  return (await asked(path, { signal: AbortSignal.timeout?.(patienceMs) })).json();
}

export async function postJson(path, fields) {
  const headers = { "Content-Type": "application/json" };
  return (await asked(path, { method: "POST", headers, body: JSON.stringify(fields) })).json();
}

/** Exchange a token for a cookie; the token is not kept. */
export async function openSession(token) {
  await asked("v1/session", { method: "POST", headers: { Authorization: `Bearer ${token}` } });
}

/** Take the token out of the page's address, if it bears one. */
export function tokenOfAddress() {
  const found = /^#(?:token=)?([A-Za-z0-9._~-]{16,200})$/.exec(location.hash);
  if (found) history.replaceState(null, "", location.pathname + location.search);
  return found?.[1];
}

const SILENT_MS = 40_000; // the server sends a heartbeat after 15 s

/**
 * Read Server-Sent Events until the connection ends. `fetch` tells why a stream is refused, which EventSource does not.
 */
export async function readStream(lastId, onMessage, signal) {
  const gone = new AbortController();
  const abort = () => gone.abort();
  signal.addEventListener("abort", abort);
  let watchdog = setTimeout(abort, SILENT_MS);
  try {
    const headers = { Accept: "text/event-stream" };
    if (lastId) headers["Last-Event-ID"] = String(lastId);
    const response = await asked("v1/stream", { headers, signal: gone.signal });
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(watchdog);
      watchdog = setTimeout(abort, SILENT_MS);
      const blocks = (text + decoder.decode(value, { stream: true })).split("\n\n");
      text = blocks.pop();
      for (const block of blocks) onMessage(parsed(block));
    }
  } finally {
    clearTimeout(watchdog);
    signal.removeEventListener("abort", abort);
  }
}

function parsed(block) {
  const message = { event: "message", data: "" };
  for (const line of block.split("\n")) {
    const colon = line.indexOf(": ");
    if (colon > 0) message[line.slice(0, colon)] = line.slice(colon + 2);
  }
  return { kind: message.event, id: Number(message.id) || null, data: JSON.parse(message.data) };
}

/**
 * Send a file, and hand over each line of the answer as it arrives. XMLHttpRequest tells how much has been sent.
 * `onEnd` is told how it ended, and of an answer that is none its status.
 */
export function classify(file, model, { onSent, onLine, onEnd }) {
  const request = new XMLHttpRequest();
  let read = 0;
  const take = (last) => {
    const text = request.responseText;
    const end = last ? text.length : text.lastIndexOf("\n") + 1;
    const lines = text.slice(read, end).split("\n");
    read = Math.max(read, end);
    for (const line of lines) if (line) onLine(JSON.parse(line), line);
  };
  request.open("POST", model ? `v1/classify?model=${encodeURIComponent(model)}` : "v1/classify");
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.overrideMimeType("application/x-ndjson; charset=utf-8");
  request.upload.onprogress = (event) => onSent(event.total ? event.loaded / event.total : 0);
  request.onprogress = () => request.status === 200 && take(false);
  request.onload = () => {
    try {
      take(true);
    } catch {
      read = 0;
    }
    if (read) onEnd("done");
    else onEnd("failed", named(request)); // no line of ours: it is the answer of a proxy
  };
  request.onerror = () => onEnd("lost");
  request.onabort = () => onEnd("cancelled");
  request.send(file);
  return () => request.abort();
}
