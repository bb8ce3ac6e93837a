/* Starts the page: language, token, the live connection, and each part of the view. */

import { Answers } from "./answers.js";
import { getJson, openSession, tokenOfAddress } from "./api.js";
import { Correction } from "./correction.js";
import { nameGenres } from "./genres.js";
import { Health } from "./health.js";
import { Live } from "./live.js";
import { Now } from "./now.js";
import { Song } from "./song.js";
import { chooseLanguage, clock, t, translate } from "./text.js";
import { Today } from "./today.js";

const element = (id) => document.getElementById(id);

const live = new Live();
const now = new Now();
const answers = new Answers();
const song = new Song();
const correction = new Correction(() => answers.refresh());
const parts = [now, answers, new Today(), new Health(), song, correction];

let connection = "connecting";

function showConnection(state) {
  connection = state;
  const words = {
    connecting: () => t("connecting"),
    live: () => t("live"),
    lost: () => t("not_live", { time: clock(live.lastSeen) }),
    locked: () => t("locked"),
    absent: () => t("uploads_only"),
  };
  element("connection").dataset.state = state;
  const text = words[state]();
  if (element("connection").textContent !== text) element("connection").textContent = text;
}

function useLanguage() {
  translate();
  showConnection(connection);
  for (const part of parts) part.render();
}

function listen() {
  live.addEventListener("now", ({ detail }) => {
    nameGenres(detail.genres);
    element("lock").hidden = true;
    for (const part of parts) part.show?.(detail);
  });
  live.addEventListener("message", ({ detail }) => {
    for (const part of parts) part.take?.(detail);
  });
  live.addEventListener("connection", ({ detail }) => {
    showConnection(detail.connected ? "live" : "lost");
    if (detail.connected) describe().catch(() => {});
    now.live = detail.connected;
  });
  live.addEventListener("locked", () => {
    element("lock").hidden = false;
    showConnection("locked");
  });
  live.addEventListener("absent", () => {
    element("lock").hidden = true;
    showConnection("absent");
    describe().catch(() => {});
  });
  live.start();
}

/** What does not change while the server runs; asked for again when it may have become readable. */
async function describe() {
  await song.offer();
  const { warning } = await getJson("v1/model");
  element("warning").textContent = warning ?? "";
  element("warning").hidden = !warning;
  if (connection === "live" && (await correction.allowed())) answers.allow((entry) => correction.open(entry));
}

async function start() {
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => {
      chooseLanguage(button.dataset.language);
      useLanguage();
    });
  }
  element("lock").addEventListener("submit", async (event) => {
    event.preventDefault();
    element("lock-error").textContent = "";
    try {
      await openSession(element("token").value.trim());
      live.retry();
    } catch (error) {
      element("lock-error").textContent = error.status === 401 ? t("wrong_token") : error.message;
    }
  });
  useLanguage();
  const token = tokenOfAddress();
  if (token) await openSession(token).catch(() => {}); // a wrong one is asked for
  listen();
  describe().catch(() => {});
}

start();
