/* The connection to the listener: it reads the state, follows the stream, and connects again whenever that ends. */

import { getJson, readStream } from "./api.js";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8_000;
const STATE_EVERY_MS = 15_000;
const QUIET_MS = 5_000;
const PATIENCE_MS = 8_000;

/**
 * Dispatches `now` (the document of /v1/now), `message` (one of the stream), `connection` (live or not), `locked`
 * (a token is needed) and `absent` (nothing listens).
 */
export class Live extends EventTarget {
  connected = false;
  lastSeen = null;
  #lastId = null;
  #heardAt = 0;
  #askedAt = 0;
  #asking = false;
  #wake = () => {};
  #ended = null;

  start() {
    addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => document.hidden || this.retry());
    setInterval(() => this.#ask(), 1000);
    this.#run();
  }

  /** Try again now, if a pause is under way. */
  retry() {
    this.#wake();
  }

  async #run() {
    let pause = FIRST_PAUSE_MS;
    for (;;) {
      try {
        await this.#connect();
        pause = FIRST_PAUSE_MS;
      } catch (error) {
        if (error.status === 404 && error.ours) return this.#send("absent");
        if (error.status === 401) this.#send("locked");
        else pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
        if (error.status === 401) pause = LONGEST_PAUSE_MS;
      }
      if (this.connected) pause = FIRST_PAUSE_MS;
      this.#setConnected(false);
      await new Promise((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, pause);
      });
    }
  }

  async #connect() {
    const first = this.#lastId === null;
    const now = await getJson("v1/now", PATIENCE_MS);
    this.#send("now", { ...now, first });
    this.#lastId ??= now.last_event_id;
    this.#ended = new AbortController();
    await readStream(this.#lastId, (message) => this.#take(message), this.#ended.signal);
  }

  #take(message) {
    this.#heardAt = performance.now();
    this.lastSeen = new Date();
    if (message.id) this.#lastId = message.id;
    this.#setConnected(true);
    this.#send("message", message);
  }

  /** Read the state now and then, and at once when nothing has come for some seconds. */
  async #ask() {
    const now = performance.now();
    const quiet = now - this.#heardAt > QUIET_MS && now - this.#askedAt > QUIET_MS;
    if (!this.connected || document.hidden || this.#asking || !(quiet || now - this.#askedAt > STATE_EVERY_MS)) return;
    this.#asking = true;
    this.#askedAt = now;
    try {
      this.#send("now", { ...(await getJson("v1/now", PATIENCE_MS)), first: false });
    } catch (error) {
      if (!(error.status >= 400)) this.#ended?.abort(); // nobody answers: the stream is dead, too
    } finally {
      this.#asking = false;
    }
  }

  #setConnected(connected) {
    if (this.connected === connected) return;
    this.connected = connected;
    this.#send("connection", { connected });
  }

  #send(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }
}
