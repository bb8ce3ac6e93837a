/* The dialog that names the right genre of an answer. */

import { getJson, postJson } from "./api.js";
import { colourClass, make } from "./genres.js";
import { clock, genreName, t } from "./text.js";

const element = (id) => document.getElementById(id);

export class Correction {
  #genres = [];
  #entry = null;
  #onCorrected;
  #pressed = null;
  #said = null;

  constructor(onCorrected) {
    this.#onCorrected = onCorrected;
    element("correction").addEventListener("close", () => {
      if (!this.#pressed?.isConnected) element("answers-title").focus();
    });
  }

  /** Whether this server keeps corrections, and of this user. */
  async allowed() {
    this.#genres = (await getJson("v1/corrections")).genres;
    return this.#genres.length > 0;
  }

  open(entry) {
    this.#entry = entry;
    this.#said = null;
    this.#pressed = document.activeElement;
    this.render();
    element("correction").showModal();
  }

  render() {
    if (!this.#entry) return;
    const { genre, from, to, corrected } = this.#entry;
    const when = [...new Set([clock(from, true), clock(to, true)])].join("–");
    element("correction-what").textContent = t("correction_what", { when, genre: genreName(genre) });
    element("correction-state").textContent = this.#said?.() ?? "";
    element("correction-genres").replaceChildren(
      ...this.#genres.map((name) => {
        const button = make("button", `named ${colourClass(name)}`, make("i", "swatch"), name);
        button.type = "button";
        button.setAttribute("aria-pressed", name === corrected);
        button.addEventListener("click", () => this.#correct(name, from, to));
        return button;
      }),
    );
  }

  async #correct(genre, from, until) {
    const entry = this.#entry;
    try {
      const { images } = await postJson("v1/corrections", { from, until, genre });
      entry.corrected = genre;
      this.#said = () => t("correction_done", { count: images, genre });
      this.#onCorrected();
    } catch (error) {
      const key = error.status === 410 ? "correction_too_old" : "correction_failed";
      this.#said = () => t(key, { reason: error.message });
    }
    if (this.#entry === entry) this.render();
    element("correction").querySelector(`[aria-pressed="true"]`)?.focus();
  }
}
