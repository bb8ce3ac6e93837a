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

function wordsOf(entry) {
  return entry.event === "dropped" ? t("dropped", entry) : t(`${entry.event.replaceAll(" ", "_")}_event`);
}

function detailOf(entry) {
  if (!entry.genre) return entry.reason ?? "";
  const seconds = (new Date(entry.to) - new Date(entry.from)) / 1000 + 1;
  const facts = [entry.genre === "silence" ? "" : percent(entry.confidence), duration(seconds)];
  if (entry.corrected) facts.unshift(t("corrected", { genre: entry.corrected }));
  return facts.filter(Boolean).join(" · ");
}

/** A row of the list for a run or an event; `press` makes it a button. */
export function answerRow(entry, press) {
  const time = make("time", "", clock(entry.from, true));
  time.dateTime = entry.from;
  const words = entry.genre ? named(entry.genre) : make("span", "words", wordsOf(entry));
  const detail = make("span", "detail", detailOf(entry));
  if (!entry.genre) detail.lang = "en";
  const pressed = press && entry.genre;
  const row = make(pressed ? "button" : "span", "answer-row", time, words, detail);
  if (pressed) {
    row.type = "button";
    row.title = t("wrong", { answer: genreName(entry.genre) });
    row.addEventListener("click", () => press(entry));
  }
  return make("li", entry.genre ? "" : "event", row);
}

/** Set what changes in a row while its answer lasts; the row stays, so that a press or the focus is not lost. */
function refresh(row, entry) {
  const texts = [[".detail", detailOf(entry)], ...(entry.genre ? [] : [[".words", wordsOf(entry)]])];
  for (const [selector, text] of texts) {
    const part = row.querySelector(selector);
    if (part.textContent !== text) part.textContent = text;
  }
}

export class Answers {
  #runs = new Runs();
  #correct = null;
  #rows = new Map(); // by entry
  #render = coalesced(() => this.#draw());

  /** Let answers be corrected by a function that takes one. */
  allow(correct) {
    if (this.#correct) return;
    this.#correct = correct;
    this.render();
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

  /** Draw every row anew, as in another language. */
  render() {
    this.#rows.clear();
    this.#render();
  }

  /** Tell of an answer that was corrected. */
  refresh() {
    this.#render();
  }

  #draw() {
    const list = document.getElementById("answer-list");
    const entries = this.#runs.entries.slice(0, SHOWN);
    const rows = new Map(entries.map((entry) => [entry, this.#rows.get(entry) ?? answerRow(entry, this.#correct)]));
    this.#rows = rows;
    [...rows].forEach(([entry, row], index) => {
      refresh(row, entry);
      if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
    });
    while (list.children.length > rows.size) list.lastElementChild.remove();
    document.getElementById("no-answers").hidden = entries.length > 0;
    document.getElementById("answers-hint").hidden = !this.#correct;
  }
}
