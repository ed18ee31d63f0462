// The parts of a run, folded under its row.

export function toggle(fold) {
	const open = fold.getAttribute("aria-expanded") !== "true";
	fold.setAttribute("aria-expanded", open);
	if (open) unfold(fold);
	else fold.closest("[data-run]").querySelector(".children")?.remove();
}

/** As the run's own page lists them. */
export async function unfold(fold) {
	const row = fold.closest("[data-run]");
	const answer = await fetch(row.querySelector(".run-name").href).catch(() => null);
	const list = answer?.ok && new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("parts");
	if (!list || fold.getAttribute("aria-expanded") !== "true") return;
	list.removeAttribute("id");
	list.className = "children";
	row.querySelector(".children")?.remove();
	row.append(list);
}
