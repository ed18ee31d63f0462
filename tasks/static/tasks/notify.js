import { announcement } from "../progress/part-texts.js";

/** Tells the end of a task to somebody who looks elsewhere, where they allowed it. */
export function notify(task) {
	if (globalThis.Notification?.permission === "granted") new Notification(announcement(task), { tag: task.id });
}

/** A button, as long as there is something to wait for, asks whether that is wanted. */
export function offer(run) {
	const bell = document.getElementById("notify");
	bell.hidden = false;
	bell.onclick = async () => (bell.hidden = (await Notification.requestPermission()) !== "default");
	run.addEventListener("end", () => (bell.hidden = true));
	run.addEventListener("connection", ({ detail }) => (bell.hidden ||= detail === "gone" || detail === "signed-out"));
}
