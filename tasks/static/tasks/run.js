// One run's end: in the title, the icon and a notification; its buttons without a reload.

import { TEXT, isPartial } from "../progress/part-texts.js";
import { enhanceActions } from "./actions.js";

const run = document.querySelector("task-progress");
const icon = document.querySelector("link[rel=icon]");
const site = document.title.split("·").pop();

function show(task) {
	const mark = isPartial(task) ? "⚠" : ({ SUCCESS: "✓", FAILURE: "✗", REVOKED: "■" }[task.state] ?? TEXT.percent(task));
	document.title = `${mark} ${TEXT.name(task)} ·${site}`;
	icon.href = icon.dataset[isPartial(task) ? "missing" : task.state.toLowerCase()] ?? icon.href;
}

const refresh = () => import("./parts.js");
let before;
run.addEventListener("progress", async ({ detail: task }) => {
	show(task);
	if (before < (before = task.attempt + (task.state === "RETRY") / 2)) (await refresh()).soon(); // a line more in the table
});
if (run.task) show(run.task); // the next news may be far away

run.addEventListener("end", ({ detail: task }) => {
	if (task.state === "SUCCESS") document.querySelector("[name=tab][value=result]").checked = true;
	if (document.hidden) import("./notify.js").then(({ notify }) => notify(task));
});

if (!run.hasAttribute("ended") && globalThis.Notification?.permission === "default") import("./notify.js").then(({ offer }) => offer(run));

// a number in the title would say that it goes on
run.addEventListener("connection", ({ target, detail }) => {
	if (detail === "gone" && target.task) document.title = `– ${TEXT.name(target.task)} ·${site}`;
});

if (document.querySelector("[data-open]")) refresh();
run.addEventListener("end", async () => (await refresh()).soon());

enhanceActions((_, url) => location.assign(url));
addEventListener("keydown", (event) => import("./keys.js").then(({ press }) => press(event)));
