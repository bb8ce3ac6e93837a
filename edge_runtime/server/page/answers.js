/* The last answers: windows with the same smoothed genre in a row are one, and disturbances stand between them. */

import { coalesced, make, named } from "./genres.js";
import { clock, duration, genreName, percent, t } from "./text.js";

const KEPT = 60;
const SHOWN = 12;
const LONGEST_GAP_MS = 60_000; // a longer pause begins another answer

/** Windows, oldest first, as runs `{genre, from, to, windows, confidence}` with times. */
export class Runs {
  entries = []; // newest first
  #kept;

  constructor(kept = KEPT) {
    this.#kept = kept;
  }

  window({ time, genre, confidence, smoothed, dropped_windows: dropped, source }) {
    const before = this.entries.find((entry) => entry.genre);
    const answer = smoothed ?? { genre, confidence };
    if (before && dropped > before.dropped && source === before.source) this.#drop(time, dropped - before.dropped);
    const same = before && before.genre === answer.genre && before.source === source;
    if (same && this.entries[0] === before && new Date(time) - new Date(before.to) < LONGEST_GAP_MS) {
      before.to = time;
      before.windows += 1;
      before.confidence += (answer.confidence - before.confidence) / before.windows;
      before.dropped = dropped;
      return;
    }
    this.#add({ genre: answer.genre, from: time, to: time, windows: 1, confidence: answer.confidence, dropped, source });
  }

  event({ time, event, reason }) {
    this.#add({ event, reason, from: time });
  }

  #drop(time, count) {
    const newest = this.entries[0];
    if (newest?.event !== "dropped") return this.#add({ event: "dropped", count, from: time });
    newest.count += count;
    return undefined;
  }

  #add(entry) {
    this.entries.unshift(entry);
    this.entries.length = Math.min(this.entries.length, this.#kept);
  }
}

/** A row of the list for a run or an event; `press` makes it a button. */
export function answerRow(entry, press) {
  const time = make("time", "", clock(entry.from, true));
  time.dateTime = entry.from;
  if (!entry.genre) {
    const words = entry.event === "dropped" ? t("dropped", entry) : t(`${entry.event.replaceAll(" ", "_")}_event`);
    const detail = make("span", "detail", entry.reason ?? "");
    detail.lang = "en";
    return make("li", "event", make("span", "answer-row", time, make("span", "", words), detail));
  }
  const seconds = (new Date(entry.to) - new Date(entry.from)) / 1000 + 1;
  const facts = [entry.genre === "silence" ? "" : percent(entry.confidence), duration(seconds)];
  if (entry.corrected) facts.unshift(t("corrected", { genre: entry.corrected }));
  const row = make(press ? "button" : "span", "answer-row", time, named(entry.genre));
  row.append(make("span", "detail", facts.filter(Boolean).join(" · ")));
  if (press) {
    row.type = "button";
    row.title = t("wrong", { answer: genreName(entry.genre) });
    row.addEventListener("click", () => press(entry));
  }
  return make("li", "", row);
}

export class Answers {
  #runs = new Runs();
  #correct = null;
  #render = coalesced(() => this.#draw());

  /** Let answers be corrected by a function that takes one. */
  allow(correct) {
    this.#correct = correct;
    this.#render();
  }

  show(now) {
    document.getElementById("answers").hidden = false;
    if (now.first) now.recent.forEach((window) => this.#runs.window(window));
    this.#render();
  }

  take({ kind, data }) {
    if (kind === "window") this.#runs.window(data);
    else if (kind === "event") this.#runs.event(data);
    else if (kind === "past") {
      const all = [...data.windows, ...data.events].sort((one, other) => new Date(one.time) - new Date(other.time));
      for (const entry of all) {
        if (entry.event) this.#runs.event(entry);
        else this.#runs.window(entry);
      }
    } else return;
    this.#render();
  }

  render() {
    this.#render();
  }

  #draw() {
    const list = document.getElementById("answer-list");
    const focused = [...list.children].findIndex((row) => row.contains(document.activeElement));
    const entries = this.#runs.entries.slice(0, SHOWN);
    list.replaceChildren(...entries.map((entry) => answerRow(entry, this.#correct)));
    if (focused >= 0) list.children[focused]?.querySelector("button")?.focus();
    document.getElementById("no-answers").hidden = entries.length > 0;
    document.getElementById("answers-hint").hidden = !this.#correct;
  }
}
