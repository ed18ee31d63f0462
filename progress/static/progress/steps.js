// The part "steps". A row is made anew only where it says something else.

import { duration } from "./format.js";

export default class Steps {
	#painted = [];

	constructor(list) {
		this.list = list;
	}

	/** Another task's steps are coming. */
	clear() {
		this.paint({ task: {} });
	}

	paint({ task: { steps = [] } }) {
		const said = steps.map((step) => JSON.stringify(step));
		if (!this.#painted.length && said.length) this.list.replaceChildren(); // the page's rows
		said.forEach((text, at) => {
			if (text === this.#painted[at]) return;
			const fresh = row(steps[at]);
			const old = this.list.children[at];
			if (old) old.replaceWith(fresh);
			else this.list.append(fresh);
		});
		while (this.list.childElementCount > said.length) this.list.lastElementChild.remove();
		this.#painted = said;
		(this.list.closest("[data-block]") ?? this.list).hidden = !steps.length;
	}
}

function row({ name, state, seconds, depth = 0, percent = null }) {
	const item = document.createElement("li");
	item.dataset.state = state;
	item.style.setProperty("--depth", depth);
	const bar = document.createElement("progress");
	bar.max = 100;
	bar.setAttribute("aria-label", name);
	if (percent !== null) bar.value = percent;
	else if (state !== "running") bar.value = 0;
	for (const text of [name, duration(seconds)]) {
		const cell = document.createElement("span");
		cell.textContent = text;
		item.append(cell);
	}
	item.firstChild.after(bar);
	return item;
}
