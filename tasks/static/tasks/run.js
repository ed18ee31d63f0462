// One run's end: in the title, the icon and a notification; its buttons without a reload.

import { TEXT, announcement, isPartial } from "../progress/part-texts.js";
import { enhanceActions } from "./actions.js";
import { SOON, later } from "./parts.js";

const run = document.querySelector("task-progress");
const icon = document.querySelector("link[rel=icon]");
const bell = document.getElementById("notify");
const site = document.title.split("·").pop();

function show(task) {
  const mark = isPartial(task) ? "⚠" : ({ SUCCESS: "✓", FAILURE: "✗", REVOKED: "■" }[task.state] ?? TEXT.percent(task));
  document.title = `${mark} ${TEXT.name(task)} ·${site}`;
  icon.href = icon.dataset[isPartial(task) ? "missing" : task.state.toLowerCase()] ?? icon.href;
}

let before;
run.addEventListener("progress", ({ detail: task }) => {
  show(task);
  if (before < (before = task.attempt + (task.state === "RETRY") / 2)) later(SOON); // a line more in the table
});
if (run.task) show(run.task); // the next news may be far away

run.addEventListener("end", ({ detail: task }) => {
  bell.hidden = true;
  if (document.hidden && globalThis.Notification?.permission === "granted") new Notification(announcement(task), { tag: task.id });
});

bell.hidden = run.hasAttribute("ended") || globalThis.Notification?.permission !== "default";
bell.addEventListener("click", async () => (bell.hidden = (await Notification.requestPermission()) !== "default"));

// there is no clipboard without https, except on localhost
for (const button of navigator.clipboard ? document.querySelectorAll("[data-copy]") : []) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  });
}

// a number in the title would say that it goes on
run.addEventListener("connection", ({ target, detail }) => {
  if (detail === "gone" && target.task) document.title = `– ${TEXT.name(target.task)} ·${site}`;
  bell.hidden ||= detail === "gone" || detail === "signed-out";
});

enhanceActions((_, url) => location.assign(url));
