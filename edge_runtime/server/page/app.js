const genre = document.getElementById("genre");
const state = document.getElementById("state");
const source = new EventSource("v1/stream");
source.addEventListener("window", (message) => {
  const { smoothed } = JSON.parse(message.data);
  genre.textContent = `${smoothed.genre} ${Math.round(100 * smoothed.confidence)} %`;
});
source.addEventListener("heartbeat", (message) => {
  state.textContent = JSON.parse(message.data).state;
});
source.addEventListener("error", () => {
  state.textContent = "not live";
});
