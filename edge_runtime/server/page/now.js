/* The view of what is heard now. */

import { coalesced, colourClass, knownGenres, make, named } from "./genres.js";
import { Strip } from "./strip.js";
import { clock, duration, genreName, number, percent, t } from "./text.js";

const ANNOUNCE_AFTER_MS = 4_000; // a genre that lasts is announced to screen readers, a flicker is not
const MESSAGE_OF_STATE = { starting: "starting", "device lost": "device_lost", hung: "hung", ended: "ended" };
const QUIETEST_DBFS = -60;

const element = (id) => document.getElementById(id);

export class Now {
  #strip = new Strip(element("strip"));
  #window = null;
  #since = null;
  #state = "starting";
  #reason = "";
  #live = false;
  #announced = "";
  #rows = new Map();
  #render = coalesced(() => this.#draw());

  constructor() {
    element("pause").addEventListener("click", ({ currentTarget: button }) => {
      const paused = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", paused);
      this.#strip.paused = paused;
    });
    setInterval(() => this.#announce(), 1000);
    setInterval(this.#render, 5000); // for how long it has been playing
  }

  /** The document of /v1/now. */
  show(now) {
    element("now").hidden = false;
    this.#state = now.state;
    this.#reason = now.reason;
    if (now.window) this.#window = now.window;
    if (now.since) this.#since = now.since;
    if (now.first) now.recent.forEach((window) => this.#strip.answer(window));
    this.#render();
  }

  take({ kind, data }) {
    if (kind === "levels") return this.#strip.levels(data);
    if (kind === "window") this.#take(data);
    else if (kind === "heartbeat") [this.#state, this.#reason] = [data.state, data.reason];
    else if (kind === "summary") this.#state = "ended";
    else if (kind === "event" && data.event === "device lost") [this.#state, this.#reason] = ["device lost", data.reason];
    this.#render();
  }

  set live(live) {
    this.#live = live;
    this.#render();
  }

  render() {
    this.#rows.clear();
    this.#render();
  }

  #take(window) {
    if (this.#window?.smoothed.genre !== window.smoothed.genre || this.#window.source !== window.source) {
      this.#since = window.time;
    }
    this.#window = window;
    this.#state = "listening";
    this.#reason = "";
    this.#strip.answer(window);
  }

  #draw() {
    const problem = MESSAGE_OF_STATE[this.#state];
    element("now").classList.toggle("stale", !this.#live || Boolean(problem));
    element("problem").hidden = !problem;
    if (problem) {
      const detail = make("span", "", this.#reason);
      detail.lang = "en";
      element("problem").replaceChildren(make("strong", "", t(problem)), " ", ...(this.#state === "starting" ? [] : [detail]));
    }
    if (this.#window) this.#drawWindow(this.#window);
  }

  #drawWindow({ smoothed, probabilities, level_dbfs: level, latency_ms: latency, delay_ms: delay }) {
    const { genre } = smoothed;
    element("genre").textContent = genreName(genre);
    element("genre").className = `genre ${colourClass(genre)}`;
    const longest = Math.max(...genreName(genre).split(/\s+/).map((word) => word.length));
    element("genre").style.setProperty("--letters", longest);
    document.title = `${genreName(genre)} · tmgc`;
    const seconds = (Date.now() - new Date(this.#since)) / 1000;
    const since = t("since", { time: clock(this.#since), duration: duration(seconds) });
    const confidence = t("confidence", { percent: percent(smoothed.confidence) });
    element("facts").textContent = genre === "silence" ? since : `${confidence}, ${since}`;
    this.#drawBars(probabilities);
    element("level").textContent = `${number(level).replace("-", "−")} dBFS`;
    element("level-bar").firstElementChild.style.width = `${100 * Math.min(1, Math.max(0, 1 - level / QUIETEST_DBFS))}%`;
    element("latency").textContent = `${number(latency.total, 1)} ms`;
    element("delay").textContent = `${number(delay, 1)} ms`;
  }

  #drawBars(probabilities) {
    if (!this.#rows.size) {
      const rows = knownGenres().map((genre) => {
        const bar = make("i", colourClass(genre));
        const value = make("span", "value");
        this.#rows.set(genre, { bar, value });
        const track = make("span", "track", bar);
        track.setAttribute("aria-hidden", "true");
        return make("li", "", named(genre), track, value);
      });
      element("bars").replaceChildren(...rows);
    }
    for (const [genre, { bar, value }] of this.#rows) {
      const share = probabilities[genre] ?? 0;
      bar.style.width = `${100 * share}%`;
      value.textContent = percent(share);
    }
  }

  #announce() {
    const genre = this.#window?.smoothed.genre;
    if (!genre || !this.#live || genre === this.#announced) return;
    if (Date.now() - new Date(this.#since) < ANNOUNCE_AFTER_MS) return;
    this.#announced = genre;
    element("announcement").textContent = t("announcement", { genre: genreName(genre) });
  }
}
