// The rows of the list of all runs: each stays the one it is, so ticks and the keyboard's place stay. What runs tells its
// numbers over the page's one socket; the list is asked for anew when the socket says that it is another one.

import { sharedConnection } from "../progress/connection.js";
import { TEXT, isPartial } from "../progress/part-texts.js";
import { change, follow, localTimes, soon } from "./live.js";

// ms: the last hour moves on though nothing happens; who falls silent does nothing to be heard
const SELDOM = 30_000;
const OFTEN = 3_000;
const body = document.querySelector("tbody");
const all = document.getElementById("all");

function take(page) {
	const held = new Map([...body.rows].map((row) => [row.dataset.run, row]));
	let place = body.firstElementChild;
	for (const fresh of [...page.querySelector("tbody").rows]) {
		const row = held.get(fresh.dataset.run) ?? fresh;
		held.delete(fresh.dataset.run);
		if (row !== fresh) [...row.cells].slice(1).forEach((cell, i) => renew(cell, fresh.cells[i + 1]));
		else localTimes(row);
		row.setAttribute("state", fresh.getAttribute("state"));
		row.toggleAttribute("missing", fresh.hasAttribute("missing"));
		if (row === place) place = place.nextElementSibling;
		else body.insertBefore(row, place);
	}
	held.forEach((row) => row.remove());
}

/** One that is told over the socket knows more than this page. */
function renew(cell, fresh) {
	const [live, made] = [cell, fresh].map((one) => one.querySelector("task-progress"));
	if (!live || !made) return change(cell, fresh);
	while (live.nextSibling) live.nextSibling.remove();
	while (made.nextSibling) cell.append(made.nextSibling);
}

document.addEventListener("progress", ({ target, detail: task }) => {
	const row = target.closest("[data-run]");
	if (row.getAttribute("state") !== task.state) soon();
	row.setAttribute("state", task.state);
	row.toggleAttribute("missing", isPartial(task));
	const say = (where, text) => row.querySelector(where).textContent !== text && (row.querySelector(where).textContent = text);
	say(".state", TEXT.state(task));
	say("[data-cell=tries]", TEXT.attempt(task));
	say("[data-cell=took]", TEXT.elapsed(task, Date.now()));
});

let said = "";
sharedConnection().watch("@newest", body.dataset.src, (newest, state) => {
	const before = said;
	said = JSON.stringify(newest);
	if ((before && before !== said) || state === "signed-out") soon();
});

all.hidden = false;
all.setAttribute("aria-label", "All on this page");
all.addEventListener("change", () => body.querySelectorAll("[name=run]").forEach((box) => (box.checked = all.checked)));
follow(take, () => (new URLSearchParams(location.search).get("quiet") ? OFTEN : SELDOM));

document.querySelector("form.list").addEventListener("submit", (event) => {
	event.preventDefault();
	import("./question.js").then(({ ask }) => ask(event.target, event.submitter));
});
