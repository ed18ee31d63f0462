// The part "axis": a run on one line of time: waits, attempts, steps, and elements of the page with data-bar (a name), -from,
// -to, -state, -kind. Rows are made of the <template> beside it. A chosen one is told by "span".

import { clock, duration } from "./format.js";
import { WORDS } from "./part-texts.js";
import { isFinal } from "./view-state.js";

const ms = (time) => (time ? +new Date(time) : null);
const keyOf = ({ name, from }) => `${name} ${from}`;

// times in ms; `to` is null while it goes on
function rowsOf({ state, accepted_at, started_at, finished_at, attempt, ts, steps = [] }) {
	const rows = [...document.querySelectorAll("[data-bar]")].map(({ dataset: { bar: name, from, to, state, kind = "part" } }) => ({ name, state, from: ms(from), to: ms(to), kind }));
	const past = rows.filter(({ kind }) => kind === "attempt");
	const last = past.at(-1);
	const name = `attempt ${attempt}`;
	const isPast = last?.name === name;
	const end = isFinal(state) ? (ms(finished_at) ?? ts * 1000) : null;
	// what was heard of a start may be later than the first step
	const begun = state === "PENDING" || state === "RETRY" || isPast || !started_at ? null : Math.min(ms(started_at), 1e3 * (steps[0]?.began ?? Infinity));
	const wait = (name, from, to) => rows.push({ name, state: to ? "SUCCESS" : state, from, to });
	wait("queue", ms(accepted_at), past[0]?.from ?? begun ?? end);
	if (last && (!isPast || (end ?? Infinity) - last.to > 1e3)) wait("wait", last.to, begun ?? end);
	if (begun) rows.push({ name, state, from: begun, to: end });
	for (const { name, state, seconds, depth, began } of steps)
		if (began)
			rows.push({ name, state, from: began * 1000, to: seconds === null ? end : (began + seconds) * 1000, depth: depth + 1 });
	const isPart = ({ kind }) => kind === "part";
	return rows.filter(({ from }) => from).sort((a, b) => isPart(a) - isPart(b) || a.from - b.from);
}

export default class Axis {
	#said = "";
	#chosen = "";
	#span;
	#at;

	constructor(list) {
		this.list = list;
		const element = list.closest("task-progress");
		element.addEventListener("parts", () => this.view && this.paint(this.view));
		for (const kind of ["pointerover", "focusin", "click"]) element.addEventListener(kind, ({ target }) => this.#point(target.closest("[data-level]")?.at ?? null));
		this.row = list.parentElement.querySelector("template").content.firstElementChild;
		list.addEventListener("click", ({ target }) => {
			const { value } = target.closest("button") ?? {};
			if (!value) return;
			this.#chosen = this.#chosen === value ? "" : value;
			this.paint(this.view);
		});
	}

	clear() {
		this.#said = this.#chosen = "";
		this.list.replaceChildren();
	}

	paint(view) {
		this.view = view;
		const { list } = this;
		const rows = rowsOf(view.task);
		const now = Math.ceil(Date.now() / 1000) * 1000;
		this.from = Math.min(...rows.map(({ from }) => from));
		this.to = Math.max(this.from + 1, ...rows.map(({ to }) => to ?? now));
		const marks = view.log.filter(({ level }) => level === "warning" || level === "error").slice(-50);
		const said = JSON.stringify([rows, this.to, marks.length, this.#chosen]);
		if (said === this.#said) return;
		if (!this.#said) list.replaceChildren(); // the page's rows
		this.#said = said;
		while (list.childElementCount > rows.length) list.lastElementChild.remove();
		while (list.childElementCount < rows.length) list.append(this.row.cloneNode(true));
		rows.forEach((row, at) => this.#fill(list.children[at], row, marks));
		this.#point();
		const chosen = rows.find((row) => keyOf(row) === this.#chosen);
		const span = chosen && { from: chosen.from, to: chosen.to ?? Infinity };
		if (span?.from !== this.#span?.from || span?.to !== this.#span?.to)
			list.dispatchEvent(new CustomEvent("span", { bubbles: true, detail: (this.#span = span) }));
	}

	#fill(item, row, marks) {
		const { name, state, from, to, depth, kind } = row;
		const button = item.firstElementChild;
		const [title, svg, when] = button.children;
		button.value = keyOf(row);
		button.setAttribute("aria-pressed", this.#chosen === button.value);
		const word = WORDS[state] ?? state;
		item.dataset.state = word;
		title.textContent = name;
		title.style.setProperty("--depth", depth ?? 0);
		const end = to ?? this.to;
		when.textContent = `${word} · ${clock(from)}${to ? `–${clock(to)}` : ""} · ${duration((end - from) / 1000)}`;
		const inside = marks.filter(({ ts }) => !depth && kind !== "part" && ts * 1000 >= from && ts * 1000 <= end);
		const [bar] = svg.children;
		svg.replaceChildren(bar);
		this.#place(bar, from, `${Math.max(0.4, this.#share(end) - this.#share(from))}%`);
		for (const { ts, level } of inside) {
			const mark = bar.cloneNode();
			mark.setAttribute("class", level);
			svg.append(this.#place(mark, ts * 1000, 3));
		}
	}

	/** A log line's moment. */
	#point(at = this.#at) {
		this.#at = at;
		this.list.style.setProperty("--at", at ? `${this.#share(at)}%` : "");
	}

	#share = (time) => ((time - this.from) / (this.to - this.from)) * 100;

	#place(rect, from, width) {
		rect.setAttribute("x", `${this.#share(from).toFixed(2)}%`);
		rect.setAttribute("width", width);
		return rect;
	}
}
