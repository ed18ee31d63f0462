// The rows of the list of all runs: each stays the one it is, so ticks and the keyboard's place stay.

import { change, follow, localTimes } from "./live.js";

const EVERY = 3_000; // ms
const body = document.querySelector("tbody");
const all = document.getElementById("all");

function take(page) {
	const held = new Map([...body.rows].map((row) => [row.dataset.run, row]));
	let place = body.firstElementChild;
	for (const fresh of [...page.querySelector("tbody").rows]) {
		const row = held.get(fresh.dataset.run) ?? fresh;
		held.delete(fresh.dataset.run);
		if (row !== fresh) [...row.cells].slice(1).forEach((cell, i) => change(cell, fresh.cells[i + 1]));
		else localTimes(row);
		row.setAttribute("state", fresh.getAttribute("state"));
		row.toggleAttribute("missing", fresh.hasAttribute("missing"));
		if (row === place) place = place.nextElementSibling;
		else body.insertBefore(row, place);
	}
	held.forEach((row) => row.remove());
}

all.hidden = false;
all.setAttribute("aria-label", "All on this page");
all.addEventListener("change", () => body.querySelectorAll("[name=run]").forEach((box) => (box.checked = all.checked)));
follow(take, EVERY);
