import { announcement } from "../progress/part-texts.js";

/** Tells the end of a task to somebody who looks elsewhere, where they allowed it. */
export function notify(task) {
	if (globalThis.Notification?.permission === "granted") new Notification(announcement(task), { tag: task.id });
}
