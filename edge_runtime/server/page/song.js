/* A song that is dropped onto the page: its genres along its time line as the windows arrive, and the whole answer. */

import { classify, getJson } from "./api.js";
import { coalesced, colourClass, fillLane, fillShares, make, nameGenres } from "./genres.js";
import { duration, genreName, percent, position, shareOf, t } from "./text.js";

const SCALES = [10, 30, 60, 120, 180, 240, 300, 420, 600, 900, 1800, 3600]; // ends of the time line, seconds

const element = (id) => document.getElementById(id);

export class Song {
  #state = null; // a function that tells how far it is, in the present language
  #stretches = [];
  #summary = null;
  #end = 0;
  #lines = [];
  #cancel = () => {};
  #address = null;
  #render = coalesced(() => this.#draw());

  constructor() {
    const drop = element("drop");
    element("file").addEventListener("change", ({ target }) => target.files[0] && this.try(target.files[0]));
    element("song-cancel").addEventListener("click", () => this.#cancel());
    for (const kind of ["dragover", "dragenter"]) {
      document.addEventListener(kind, (event) => {
        event.preventDefault();
        drop.classList.add("over");
      });
    }
    document.addEventListener("dragleave", (event) => event.relatedTarget || drop.classList.remove("over"));
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      if (event.dataTransfer.files[0] && !element("song").hidden) this.try(event.dataTransfer.files[0]);
    });
  }

  /** Offer the models that the server answers with. */
  async offer() {
    const { models } = await getJson("v1/models");
    nameGenres(models[0].genres);
    element("song").hidden = false;
    element("model-choice").hidden = models.length < 2;
    element("model").replaceChildren(...models.map(({ id }) => new Option(id, id)));
  }

  try(file) {
    this.#cancel();
    this.#stretches = [];
    this.#lines = [];
    this.#summary = null;
    this.#end = 0;
    element("song-name").textContent = file.name;
    element("song-announcement").textContent = "";
    element("song-result").hidden = false;
    element("song-json").hidden = true;
    element("song-cancel").hidden = false;
    let current = true;
    let stop = () => {};
    this.#cancel = () => {
      current = false;
      stop();
    };
    this.#say(() => t("sending", { percent: percent(0) }));
    stop = classify(file, element("model").value, {
      onSent: (share) => current && !this.#lines.length && this.#say(() => t("sending", { percent: percent(share) })),
      onLine: (line, text) => current && this.#take(line, text),
      onEnd: (how, reason) => {
        if (how === "cancelled" && current) current = false;
        if (how === "lost" && current) this.#say(() => t("song_failed", { reason: t("song_lost") }));
        if (how === "failed" && current) this.#say(() => t("song_failed", { reason }));
        if (current) this.#finish();
      },
    });
    const abort = this.#cancel;
    this.#cancel = () => {
      const running = current;
      abort();
      if (running) this.#say(() => t("cancelled"));
      element("song-cancel").hidden = true;
    };
  }

  #take(line, text) {
    this.#lines.push(text);
    if (line.type === "window") {
      const { smoothed, start_s: start, end_s: end } = line;
      const before = this.#stretches.at(-1);
      const from = before ? Math.max(start, before.to) : start;
      if (before?.genre === smoothed.genre && from === before.to) before.to = end;
      else this.#stretches.push({ genre: smoothed.genre, from, to: end });
      this.#end = end;
      this.#say(() => t("classifying", { time: position(this.#end) }));
    } else if (line.type === "summary") {
      this.#summary = line;
      const { confidence, seconds } = line;
      this.#say(() => t("song_done", { percent: percent(confidence), duration: duration(seconds) }));
    } else {
      this.#say(() => t("song_failed", { reason: `${line.rule}: ${line.found}` }));
    }
  }

  #finish() {
    this.#cancel = () => {};
    element("song-cancel").hidden = true;
    const genre = this.#summary ? `${genreName(this.#summary.genre)}. ` : "";
    element("song-announcement").textContent = genre + this.#state(); // the end alone, not each window
    element("file").value = ""; // so that the same file may be chosen again
    if (!this.#summary) return;
    if (this.#address) URL.revokeObjectURL(this.#address);
    this.#address = URL.createObjectURL(new Blob([`${this.#lines.join("\n")}\n`], { type: "application/x-ndjson" }));
    element("song-json").href = this.#address;
    element("song-json").download = `${element("song-name").textContent}.ndjson`;
    element("song-json").hidden = false;
  }

  #say(state) {
    this.#state = state;
    this.#render();
  }

  render() {
    this.#render();
  }

  #draw() {
    if (!this.#state) return;
    const text = this.#state();
    if (element("song-state").textContent !== text) element("song-state").textContent = text;
    const genre = this.#summary?.genre ?? this.#stretches.at(-1)?.genre;
    element("song-genre").textContent = genre ? genreName(genre) : "…";
    element("song-genre").className = `genre song-genre ${genre ? colourClass(genre) : ""}`;
    const scale = this.#summary ? this.#end : SCALES.find((seconds) => seconds >= this.#end) ?? this.#end;
    fillLane(element("song-lane"), this.#stretches, 0, scale);
    element("song-end").textContent = position(scale);
    const seconds = new Map();
    for (const { genre: name, from, to } of this.#stretches) seconds.set(name, (seconds.get(name) ?? 0) + to - from);
    const words = [...seconds].map(([name, length]) => `${genreName(name)} ${duration(length)}`).join(", ");
    element("song-lane").setAttribute("aria-label", t("song_lane", { genres: words || t("no_hour") }));
    fillShares(null, element("song-shares"), seconds, (name, length, total) => [
      make("span", "detail", duration(length)),
      make("span", "value", name === "silence" ? "" : shareOf(length, total)),
    ]);
    const best = Object.entries(this.#summary?.probabilities ?? {}).sort((one, other) => other[1] - one[1])[0];
    if (genre === "unknown" && best) {
      element("song-state").textContent = `${text}. ${t("most_probable", { genre: best[0] })}`;
    }
  }
}
