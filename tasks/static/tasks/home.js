// Start without a reload: send the form, and put the new run at the top of the list.

import { sharedConnection } from "../progress/connection.js";
import { enhanceActions, isBusy, mark } from "./actions.js";
import { post, sentence } from "./post.js";
import { arrive, rowOf, rows } from "./rows.js";

const runs = document.getElementById("runs");
const older = document.getElementById("older");
const isOlderPage = !older; // it stays as it is
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const unheard = new Set(); // started here, not in the news yet

document.querySelectorAll("form.start").forEach((form) => {
	const button = form.querySelector("button");
	const problem = form.querySelector("[role=alert]");
	// one key for one filling-in: sent again after a lost answer, it is the same start
	let key = newKey();
	form.addEventListener("input", () => ((key = newKey()), (form.typed = true)));
	(form.closest("dialog") ?? form).addEventListener("keydown", (event) => {
		if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
	});
	form.addEventListener("submit", async (event) => {
		event.preventDefault();
		if (isBusy(form)) return;
		mark(form, true);
		problem.textContent = "";
		problem.hidden = true;
		try {
			const { status, body, wait } = await post(form.action, new FormData(form), { "Idempotency-Key": key });
			const { show } = await import("./start.js");
			if (status === 400 && body?.errors) show(form, problem, body.errors);
			else if (body?.task_id) {
				key = newKey();
				show(form, problem, {});
				form.dispatchEvent(new Event("started"));
				form.closest("dialog")?.close();
				if (form.elements.open) location.assign(body.url);
				else add(body.task_id);
			} else problem.textContent = sentence(status, body);
			if (status === 429 && wait) {
				const place = document.createElement("b");
				problem.append(" ", place);
				(await import("./wait.js")).countDown(place, wait);
			}
		} catch {
			problem.textContent = `The server cannot be reached. Check that it runs, then press ${button.textContent} again: it starts once only.`;
		}
		problem.hidden = !problem.textContent;
		mark(form, false);
	});
});

for (const button of document.querySelectorAll("[data-dialog]")) {
	const dialog = document.getElementById(button.dataset.dialog);
	const open = async () => {
		dialog.close(); // what was opened without script is not over the page
		dialog.showModal();
		(await import("./start.js")).prepare(dialog);
	};
	button.form.addEventListener("submit", (event) => (event.preventDefault(), open()));
	if (dialog.open) open();
}

// crypto.randomUUID exists on https and localhost only
function newKey() {
	return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A run that was started here comes into view. */
function add(id) {
	if (isOlderPage) return location.assign(location.pathname);
	if (rowOf(id) || unheard.has(id)) return rowOf(id)?.scrollIntoView({ block: "nearest" });
	unheard.add(id);
	const come = () => rowOf(id) ?? arrive(id);
	if (!document.startViewTransition || calm.matches) return come();
	const transition = document.startViewTransition(come);
	transition.ready.catch(() => {}); // a hidden page has none
}

enhanceActions(add);
addEventListener("keydown", (event) => import("./keys.js").then(({ press }) => press(event)));

// what was started elsewhere
let before = null; // what the news said first: of a page of failed runs, those that it does not show
if (!isOlderPage) sharedConnection().watch("@mine", runs.dataset.src, (mine) => {
	if (!mine) return;
	if (!runs.dataset.show) older.hidden = !mine.more;
	before ??= new Set(runs.dataset.show ? mine.task_ids : []);
	const wanted = new Set(mine.task_ids);
	mine.task_ids.toReversed().forEach((id) => rowOf(id) || unheard.has(id) || before.has(id) || arrive(id));
	// too old; what has not ended says itself that it is gone
	if (!runs.dataset.show) for (const row of rows()) if (!wanted.has(row.dataset.run) && !unheard.has(row.dataset.run) && row.closest("#ended")) row.remove();
	for (const id of wanted) unheard.delete(id);
});
