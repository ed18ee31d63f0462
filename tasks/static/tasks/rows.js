// Rows of runs, in the group of their state: what runs, what waits, what has ended; with one banner for those that wait
// for a command, and what a run has started folded under it.

import { isFinal } from "../progress/view-state.js";

const BLANK = "00000000-0000-0000-0000-000000000000"; // the id in <template id="new-run">
const [running, waiting, ended] = ["running", "waiting", "ended"].map((id) => document.getElementById(id));
const banner = document.getElementById("banner");
const due = new Set();
const painted = new WeakMap(); // element: what its place depends on
let frame = 0;

export const rows = () => document.querySelectorAll("#runs [data-run]");
export const rowOf = (id) => document.querySelector(`#runs [data-run="${CSS.escape(id)}"]`);

/** A new run of which nothing is known yet. */
export function arrive(id) {
	const row = document.getElementById("new-run").content.cloneNode(true).firstElementChild;
	for (const element of [row, ...row.querySelectorAll("*")])
		for (const { name, value } of element.attributes)
			if (value.includes(BLANK)) element.setAttribute(name, value.replaceAll(BLANK, id));
	waiting.prepend(row);
}

// All rows are one stop of Tab: only what is in one of them is reached by it, the one that was visited last.
let visited = null;

function rove() {
	if (!visited?.isConnected) visited = rows()[0];
	for (const row of rows())
		for (const element of row.querySelectorAll("a, button")) element.tabIndex = row === visited ? 0 : -1;
}

document.addEventListener("focusin", ({ target }) => {
	const row = target.closest("#runs [data-run]");
	if (row && row !== visited) (visited = row), rove();
});
const moves = new MutationObserver(rove);
for (const list of [running, waiting, ended]) moves.observe(list, { childList: true });
rove();

/** One whose parts have not all ended still runs. */
function listOf(row, { state }) {
	if (state === "STARTED" || row.querySelector("[data-open]")) return running;
	return isFinal(state) ? ended : waiting;
}

function place(element) {
	const row = element.closest("[data-run]");
	if (!row?.isConnected || !element.task) return;
	const list = listOf(row, element.task);
	if (row.parentElement === list) return;
	const held = row.contains(document.activeElement) ? document.activeElement : null;
	if (list.moveBefore) list.moveBefore(row, list.firstChild);
	else list.prepend(row);
	if (held && held !== document.activeElement) held.focus({ preventScroll: true });
}

function paintBanner() {
	const told = new Map();
	for (const { task } of waiting.querySelectorAll("task-progress"))
		if (task?.waiting?.command) told.set(task.waiting.hint, [(told.get(task.waiting.hint)?.[0] ?? 0) + 1, task.waiting]);
	const [, most] = [...told.values()].sort(([a], [b]) => b - a)[0] ?? [];
	banner.hidden = !most;
	banner.firstElementChild.textContent = most ? most.hint.replace(most.command, "") : "";
	document.getElementById("banner-command").textContent = most?.command ?? "";
	for (const element of waiting.querySelectorAll("task-progress"))
		element.closest("[data-run]").toggleAttribute("data-told", Boolean(most) && element.task?.waiting?.command === most.command);
}

function soon(element) {
	due.add(element);
	frame ||= requestAnimationFrame(() => {
		frame = 0;
		due.forEach(place);
		due.clear();
		paintBanner();
	});
}

document.addEventListener("progress", ({ target, detail: { state, waiting: why } }) => {
	const said = `${state} ${why?.hint ?? ""}`;
	if (painted.get(target) === said) return; // numbers move no row
	painted.set(target, said);
	soon(target);
});

// how the parts stand is told beside the runs
document.addEventListener("parts", ({ target }) => {
	const element = target.closest("task-progress");
	soon(element);
	rove();
	const fold = element.querySelector(".fold[aria-expanded=true]");
	if (fold) import("./fold.js").then(({ unfold }) => unfold(fold));
});

document.addEventListener("click", ({ target }) => {
	const fold = target.closest(".fold");
	if (fold) import("./fold.js").then(({ toggle }) => toggle(fold));
});
