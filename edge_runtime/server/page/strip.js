/* The strip: the mel bands of the last seconds, which scroll, and beneath them the colour of the answered genre. */

import { colourOf } from "./genres.js";

const SECONDS = 30;
const LANE = 10; // CSS pixels
const GAP = 4;
const QUIET = 90; // bytes of the stream that are white and black: below is the noise of a room
const LOUD = 250;
const FRAME_MS = 33;
const LATEST = 0.6; // seconds that the picture is behind at most, so that it moves evenly between two messages

export class Strip {
  #canvas;
  #pen;
  #bands = null; // a canvas with one column for each column of the stream, used as a ring
  #columns = 0; // in the ring
  #written = 0;
  #rate = 0;
  #end = 0; // where the last column ends in the source, seconds
  #shown = 0;
  #answers = []; // stretches of the source {from, to, genre}
  #paused = false;
  #still = matchMedia("(prefers-reduced-motion: reduce)");
  #drawnAt = 0;
  #colours = new Map();

  constructor(canvas) {
    this.#canvas = canvas;
    this.#pen = canvas.getContext("2d");
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#restyle());
    requestAnimationFrame((at) => this.#frame(at));
  }

  set paused(paused) {
    this.#paused = paused;
  }

  /** The columns of a `levels` message. */
  levels({ end_s: end, columns_per_s: rate, bands, columns }) {
    if (!this.#bands || this.#bands.height !== bands || rate !== this.#rate) this.#begin(bands, rate);
    if (end < this.#end - 1 || end > this.#end + 5) this.#clear(end);
    const bytes = Uint8Array.from(atob(columns), (letter) => letter.charCodeAt(0));
    for (let first = 0; first < bytes.length; first += bands) this.#column(bytes.subarray(first, first + bands));
    this.#end = end;
  }

  /** The answer of a window, which holds from the end of the window before. */
  answer({ start_s: start, end_s: end, smoothed }) {
    const before = this.#answers.at(-1);
    if (before && end <= before.to) this.#answers = []; // another source
    const from = this.#answers.length ? Math.max(start, before.to) : start;
    this.#answers.push({ from, to: end, genre: smoothed.genre });
    while (this.#answers[0].to < end - 2 * SECONDS) this.#answers.shift();
  }

  #begin(bands, rate) {
    this.#rate = rate;
    this.#columns = Math.ceil(SECONDS * rate) + 12;
    this.#bands = document.createElement("canvas");
    this.#bands.width = this.#columns;
    this.#bands.height = bands;
    this.#written = 0;
  }

  #clear(end) {
    this.#bands.getContext("2d").clearRect(0, 0, this.#columns, this.#bands.height);
    this.#written = 0;
    this.#shown = end;
  }

  #column(levels) {
    const pen = this.#bands.getContext("2d");
    const image = pen.createImageData(1, levels.length);
    const [red, green, blue] = this.#ink();
    levels.forEach((level, band) => {
      const at = 4 * (levels.length - 1 - band);
      const loud = Math.max(0, (level - QUIET) / (LOUD - QUIET));
      image.data.set([red, green, blue, 255 * Math.min(1, loud ** 1.6)], at);
    });
    pen.putImageData(image, this.#written++ % this.#columns, 0);
  }

  #ink() {
    if (!this.#colours.has("ink")) {
      const [, ...rgb] = /rgba?\((\d+), ?(\d+), ?(\d+)/.exec(getComputedStyle(this.#canvas).color);
      this.#colours.set("ink", rgb.map(Number));
    }
    return this.#colours.get("ink");
  }

  #colour(genre) {
    if (!this.#colours.has(genre)) this.#colours.set(genre, colourOf(genre));
    return this.#colours.get(genre);
  }

  /** Take over the colours of another theme: the columns that are there keep their shape. */
  #restyle() {
    this.#colours.clear();
    if (!this.#bands) return;
    const pen = this.#bands.getContext("2d");
    pen.globalCompositeOperation = "source-in";
    pen.fillStyle = `rgb(${this.#ink().join(" ")})`;
    pen.fillRect(0, 0, this.#columns, this.#bands.height);
    pen.globalCompositeOperation = "source-over";
  }

  #frame(at) {
    requestAnimationFrame((next) => this.#frame(next));
    const passed = at - this.#drawnAt;
    if (passed < FRAME_MS || this.#paused || !this.#bands) return;
    this.#drawnAt = at;
    const steady = this.#still.matches ? this.#end : this.#shown + Math.min(passed, 1000) / 1000;
    this.#shown = Math.min(this.#end, Math.max(this.#end - LATEST, steady));
    this.#draw();
  }

  #draw() {
    const canvas = this.#canvas;
    const scale = Math.min(2, devicePixelRatio || 1);
    const width = Math.round(canvas.clientWidth * scale);
    const height = Math.round(canvas.clientHeight * scale);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    this.#pen.clearRect(0, 0, width, height);
    const strip = height - (LANE + GAP) * scale;
    const perSecond = width / SECONDS;
    this.#drawBands(width, strip, perSecond / this.#rate);
    for (const { from, to, genre } of this.#answers) {
      const left = width - (this.#shown - from) * perSecond;
      const right = Math.min(width, width - (this.#shown - to) * perSecond);
      if (right < 0 || left > width) continue;
      this.#pen.fillStyle = this.#colour(genre);
      this.#pen.fillRect(Math.round(left), height - LANE * scale, Math.round(right) - Math.round(left), LANE * scale);
    }
  }

  #drawBands(width, height, columnWidth) {
    const kept = Math.min(this.#written, this.#columns);
    const right = width + (this.#end - this.#shown) * this.#rate * columnWidth;
    const first = this.#written - kept;
    const split = kept < this.#columns ? kept : this.#columns - (first % this.#columns);
    const draw = (source, count, offset) =>
      count &&
      this.#pen.drawImage(
        this.#bands, source, 0, count, this.#bands.height,
        right - (kept - offset) * columnWidth, 0, count * columnWidth, height,
      );
    draw(first % this.#columns, split, 0);
    draw(0, kept - split, split);
  }
}
