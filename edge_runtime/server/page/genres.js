/* The colour of each genre, and small pieces of the page that several parts use. */

import { genreName } from "./text.js";

const COLOURS = 12;

let order = [];

/** Give each genre of a model its colour, by its place in the model card. */
export function nameGenres(genres) {
  order = genres;
}

export function knownGenres() {
  return order;
}

/** The class that sets the colour `--c` of a genre. */
export function colourClass(genre) {
  if (genre === "unknown" || genre === "silence") return `g-${genre}`;
  let index = order.indexOf(genre);
  if (index < 0) index = [...genre].reduce((sum, letter) => sum + letter.codePointAt(0), 0);
  return `g${index % COLOURS}`;
}

/** The colours of canvases, read from the style sheet in the present theme. */
export function colourOf(genre) {
  const probe = document.createElement("i");
  probe.className = `${colourClass(genre)} hidden`;
  document.body.append(probe);
  const colour = getComputedStyle(probe).getPropertyValue("--c").trim();
  probe.remove();
  return colour;
}

/** An element with classes, text or children. */
export function make(tag, classes = "", ...children) {
  const element = document.createElement(tag);
  if (classes) element.className = classes;
  element.append(...children);
  return element;
}

/** A swatch of a genre beside its name, so that no colour stands alone. */
export function named(genre, text = genreName(genre)) {
  return make("span", `named ${colourClass(genre)}`, make("i", "swatch"), text);
}

/** Fill a lane with stretches `{from, to, genre}` between two ends. */
export function fillLane(lane, stretches, begin, end) {
  lane.replaceChildren(
    ...stretches.map(({ from, to, genre }) => {
      const part = make("i", colourClass(genre));
      part.style.left = `${(100 * (from - begin)) / (end - begin)}%`;
      part.style.width = `${(100 * (to - from)) / (end - begin)}%`;
      return part;
    }),
  );
}

/** Seconds by genre as a lane and a list, the largest first; silence is last, and no share of music. */
export function fillShares(lane, list, seconds, detail) {
  const genres = [...seconds.keys()].sort((a, b) => seconds.get(b) - seconds.get(a));
  const music = genres.filter((genre) => genre !== "silence");
  const total = music.reduce((sum, genre) => sum + seconds.get(genre), 0);
  let at = 0;
  if (lane) {
    const stretches = music.map((genre) => ({ genre, from: at, to: (at += seconds.get(genre)) }));
    fillLane(lane, stretches, 0, total || 1);
  }
  const rows = genres.includes("silence") ? [...music, "silence"] : music;
  list.replaceChildren(...rows.map((genre) => make("li", "", named(genre), ...detail(genre, seconds.get(genre), total))));
}

/** Call a function once with the next frame, however often it is asked for. */
export function coalesced(work) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      work();
    });
  };
}
