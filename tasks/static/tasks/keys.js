// Keys, beside what Tab and Enter do by themselves; ? says which. The runs of a page are one stop of Tab: j and k go through.

const HELP = [
	["j k", "the next run, the one before"],
	["Enter", "open it"],
	["x", "show its parts"],
	["c r", "cancel it, run it again"],
	["n", "start a task"],
	["f", "only the failed, or all; of a log: follow it"],
	["/", "find a task, or in the log"],
	["[ ]", "of a run: the bar before, the next, with its log lines alone"],
	["← →", "newer runs, older runs"],
	["?", "these keys"],
];

const isShown = (element) => element.checkVisibility();
const rows = () => [...document.querySelectorAll("#runs [data-run]")].filter(isShown);
const current = () => document.activeElement?.closest("[data-run]") ?? document.querySelector(".run-page");
const clickIn = (within, selector) => [...(within?.querySelectorAll(selector) ?? [])].find(isShown)?.click();
const go = (selector) => clickIn(document, selector);

function step(by) {
	const all = rows();
	const at = all.indexOf(current());
	all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + by))]?.querySelector(".run-name").focus();
}

/** Choose the bar beside the one that is chosen; beyond the ends none is. */
function choose(by) {
	const bars = [...document.querySelectorAll(".axis button")];
	const at = bars.findIndex(({ ariaPressed }) => ariaPressed === "true");
	(bars[at < 0 && by < 0 ? bars.length - 1 : at + by] ?? bars[at])?.click();
}

const DOES = {
	j: () => step(1),
	k: () => step(-1),
	x: () => clickIn(current(), ".fold"),
	c: () => clickIn(current(), "[data-action=cancel] button"),
	r: () => clickIn(current(), "[data-action=retry] button"),
	n: () => go("[data-dialog=start]"),
	f: () => go("#runs nav a:not([aria-current]), [data-log=follow]"),
	"/": () => {
		go("[data-dialog=start]");
		const field = document.querySelector("#find-task, [data-log=find]");
		const focus = () => (field.hidden ? requestAnimationFrame(focus) : field.focus()); // it comes with its script
		if (field) focus();
	},
	"[": () => choose(-1),
	"]": () => choose(1),
	ArrowLeft: () => go("a[rel=prev]"),
	ArrowRight: () => go("a[rel=next]"),
	"?": help,
};

export function press(event) {
	const { key, target } = event;
	if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input, select, textarea, dialog[open]")) return;
	if (!DOES[key]) return;
	DOES[key]();
}

function help() {
	const dialog = document.createElement("dialog");
	dialog.setAttribute("aria-label", "Keys");
	const list = document.createElement("dl");
	for (const [keys, does] of HELP) {
		const [term, said] = [document.createElement("dt"), document.createElement("dd")];
		term.textContent = keys;
		said.textContent = does;
		list.append(term, said);
	}
	const close = document.createElement("button");
	close.textContent = "Close";
	close.onclick = () => dialog.close();
	dialog.append(list, close);
	dialog.addEventListener("close", () => dialog.remove());
	document.body.append(dialog);
	dialog.showModal();
}
