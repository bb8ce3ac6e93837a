/* The line about the device: sound, dropped windows, delay, temperature, throttling, clock. */

import { make } from "./genres.js";
import { number, t } from "./text.js";

const HOT_C = 80; // a Raspberry Pi slows down from here on

export class Health {
  #now = null;

  show(now) {
    this.#now = now;
    this.render();
  }

  render() {
    if (!this.#now) return;
    document.getElementById("health").hidden = false;
    const items = [...this.#items(this.#now)].map(([label, value, bad]) => {
      const text = make("span", bad ? "bad" : "", value);
      return make("li", "", make("span", "hint", t(label)), " ", text);
    });
    document.getElementById("health-list").replaceChildren(...items);
  }

  *#items({ source, state, health }) {
    const problem = { "device lost": "device_lost", hung: "hung", ended: "ended", starting: "starting" }[state];
    const device = source ? `${source.split("/").at(-1)}: ` : "";
    yield ["microphone", `${device}${t(problem ?? "well")}`, state === "hung" || state === "device lost"];
    yield ["dropped_windows", number(health.dropped_windows), health.dropped_windows > 0];
    if (health.delay_ms.p99 !== undefined) yield ["delay_p99", `${number(health.delay_ms.p99)} ms`, false];
    if (health.temperature_c !== null) {
      yield ["temperature", `${number(health.temperature_c)} °C`, health.temperature_c >= HOT_C];
    }
    if (health.throttled) yield ["throttling", health.throttled.join(", ") || t("none"), health.throttled.length > 0];
    if (health.clock_synchronised !== null) {
      yield ["clock", t(health.clock_synchronised ? "synchronised" : "not_synchronised"), !health.clock_synchronised];
    }
  }
}
