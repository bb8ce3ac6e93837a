/* The history: the hours of today by genre, the windows of one hour, and the shares of a day, a week and a month. */

import { answerRow, Runs } from "./answers.js";
import { getJson } from "./api.js";
import { colourClass, fillLane, fillShares, knownGenres, make } from "./genres.js";
import { duration, genreName, shareOf, t } from "./text.js";

const EVERY_MS = 60_000;
const FEWEST_HOURS = 8;
const PART_MINUTES = 15; // the server answers with 4000 windows at most
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const element = (id) => document.getElementById(id);
const pad = (value) => String(value).padStart(2, "0");

export class Today {
  #available = false;
  #failure = "";
  #hours = new Map(); // seconds by genre, by the start of the hour in ISO 8601
  #days = new Map(); // the same by date: a day that is over does not change
  #date = ""; // the board's, to which the hours belong
  #period = 1;
  #loading = false;
  #open = null; // start of the hour whose windows are shown
  #rows = [];
  #offsetMs = -60_000 * new Date().getTimezoneOffset(); // of the board's time from UTC: as here, until it tells

  constructor() {
    element("hour-close").addEventListener("click", () => this.#close());
    for (const button of document.querySelectorAll("[data-days]")) {
      button.addEventListener("click", () => {
        this.#period = Number(button.dataset.days);
        this.#loadDays();
      });
    }
    setInterval(() => document.hidden || this.#load(), EVERY_MS);
  }

  show(now) {
    element("today").hidden = false;
    const before = this.#available;
    this.#available = now.history;
    if (now.history && (now.first || !before)) this.#load();
    else if (!now.history) this.render();
  }

  /** Read the hours of today: all of them once, and then those that may have changed. */
  async #load() {
    if (!this.#available) return;
    try {
      const newest = [...this.#hours.keys()].at(-1);
      const same = newest && this.#date === this.#dateOf(0);
      const since = same ? new Date(newest).toISOString() : this.#dateOf(0);
      const { rows } = await getJson(`v1/history?bucket=hour&since=${since}`);
      if (rows.length) this.#offsetMs = offsetOf(rows.at(-1).start);
      this.#date = this.#dateOf(0);
      if (!same) this.#hours.clear();
      for (const [start, seconds] of byStart(rows)) {
        if (start.startsWith(this.#date)) this.#hours.set(start, seconds);
      }
      this.#failure = "";
    } catch (error) {
      this.#failure = error.message;
    }
    this.render();
  }

  /** Read the days of the period that are not known yet, one after another: each may take a small board a second. */
  async #loadDays() {
    this.render();
    if (this.#loading) return;
    this.#loading = true;
    try {
      for (let ago = 1; ago < this.#period; ago += 1) {
        const [since, until] = [this.#dateOf(ago), this.#dateOf(ago - 1)];
        if (this.#days.has(since)) continue;
        const { rows } = await getJson(`v1/history?bucket=day&since=${since}&until=${until}`);
        this.#days.set(since, summed(byStart(rows).values()));
        this.#drawShares();
      }
    } catch (error) {
      this.#failure = error.message;
    } finally {
      this.#loading = false;
    }
    this.render();
  }

  /** The board's date of so many days ago. */
  #dateOf(daysAgo) {
    return new Date(Date.now() + this.#offsetMs - daysAgo * DAY_MS).toISOString().slice(0, 10);
  }

  render() {
    const none = element("no-history");
    none.hidden = this.#available && !this.#failure;
    none.textContent = this.#failure ? t("history_failed", { reason: this.#failure }) : t("no_history");
    element("today-content").hidden = !this.#available || Boolean(this.#failure);
    this.#drawHours();
    this.#drawShares();
    if (this.#open) this.#drawHour();
  }

  #drawHours() {
    const now = new Date(Date.now() + this.#offsetMs).getUTCHours();
    const heard = [...this.#hours.keys()].map((start) => Number(start.slice(11, 13)));
    const first = Math.max(0, Math.min(...heard, now - FEWEST_HOURS + 1));
    const starts = new Map([...this.#hours.keys()].map((start) => [Number(start.slice(11, 13)), start]));
    const columns = [];
    for (let hour = first; hour <= Math.max(now, first + FEWEST_HOURS - 1, ...heard); hour += 1) {
      columns.push(this.#column(hour, starts.get(hour)));
    }
    const focused = element("hours").querySelector(":focus")?.dataset.hour;
    element("hours").replaceChildren(...columns);
    if (focused) element("hours").querySelector(`[data-hour="${focused}"]`)?.focus();
  }

  #column(hour, start) {
    const seconds = this.#hours.get(start) ?? new Map();
    const parts = [...seconds].filter(([genre]) => genre !== "silence").sort(([one], [other]) => place(one) - place(other));
    const stack = make("span", "stack", ...parts.map(([genre, length]) => {
      const part = make("i", colourClass(genre));
      part.style.height = `${(100 * length) / 3600}%`;
      return part;
    }));
    const column = make("button", "column", stack, make("span", "", pad(hour)));
    const genres = [...seconds].map(([genre, length]) => `${genreName(genre)} ${duration(length)}`).join(", ");
    column.type = "button";
    column.dataset.hour = hour;
    column.disabled = !seconds.size;
    column.setAttribute("aria-label", t("hour", { hour: `${pad(hour)}:00`, genres: genres || t("no_hour") }));
    column.setAttribute("aria-pressed", Boolean(start) && this.#open === start);
    column.addEventListener("click", () => (this.#open === start ? this.#close() : this.#show(start)));
    return column;
  }

  async #show(start) {
    this.#open = start;
    this.#rows = [];
    this.render();
    element("hour-title").focus();
    const begin = new Date(start).getTime();
    try {
      for (let minute = 0; minute < 60; minute += PART_MINUTES) {
        const [since, until] = [minute, minute + PART_MINUTES].map((at) => new Date(begin + at * 60_000).toISOString());
        const { rows } = await getJson(`v1/history?bucket=window&since=${since}&until=${until}`);
        if (this.#open !== start) return; // another hour was pressed meanwhile
        this.#rows.push(...rows);
        this.#drawHour();
      }
    } catch (error) {
      element("hour-title").textContent = t("history_failed", { reason: error.message });
    }
  }

  #close() {
    const { hour } = element("hours").querySelector('[aria-pressed="true"]')?.dataset ?? {};
    this.#open = null;
    this.render();
    element("hours").querySelector(`[data-hour="${hour}"]`)?.focus();
    element("hour").hidden = true;
  }

  #drawHour() {
    element("hour").hidden = false;
    const begin = new Date(this.#open).getTime();
    const hour = this.#open.slice(11, 13);
    element("hour-title").textContent = `${hour}:00–${pad((Number(hour) + 1) % 24)}:00`;
    const runs = new Runs(3600);
    this.#rows.forEach((row) => runs.window(row));
    const entries = [...runs.entries].reverse();
    const stretches = entries.map(({ genre, from, to }) => ({
      genre, from: new Date(from).getTime(), to: new Date(to).getTime() + 1000,
    }));
    fillLane(element("hour-lane"), stretches, begin, begin + HOUR_MS);
    element("hour-list").replaceChildren(...entries.map((entry) => answerRow(entry, null)));
  }

  #drawShares() {
    for (const button of document.querySelectorAll("[data-days]")) {
      button.setAttribute("aria-pressed", Number(button.dataset.days) === this.#period);
    }
    const days = Array.from({ length: this.#period - 1 }, (_, index) => this.#days.get(this.#dateOf(index + 1)));
    const seconds = summed([...this.#hours.values(), ...days]);
    fillShares(element("share-lane"), element("shares"), seconds, (genre, length, total) => [
      make("span", "detail", duration(length)),
      make("span", "value", genre === "silence" ? "" : shareOf(length, total)),
    ]);
    const hint = this.#loading ? t("loading") : seconds.size ? "" : t("empty_history");
    if (hint) element("shares").append(make("li", "hint", hint));
  }
}

/** Where a genre stands in a column: as in the model card, the unknown on top. */
function place(genre) {
  const index = knownGenres().indexOf(genre);
  return index < 0 ? Infinity : index;
}

/** Seconds by genre of several hours or days, of which some may be unknown. */
function summed(parts) {
  const seconds = new Map();
  for (const part of parts) {
    for (const [genre, length] of part ?? []) seconds.set(genre, (seconds.get(genre) ?? 0) + length);
  }
  return seconds;
}

/** Seconds by genre, by the start of an hour or a day, in their order. */
function byStart(rows) {
  const hours = new Map();
  for (const { start, genre, seconds } of rows) {
    if (!hours.has(start)) hours.set(start, new Map());
    hours.get(start).set(genre, seconds);
  }
  return hours;
}

/** The offset from UTC of a time such as 2026-11-26T20:00+03:00, milliseconds. */
function offsetOf(start) {
  const [, sign, hours, minutes] = /([+-])(\d\d):(\d\d)$/.exec(start) ?? [null, "+", 0, 0];
  return (sign === "-" ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000;
}
