// How the parts of runs stand, asked for anew as long as some have not ended: their parent may have, long before.

const EVERY = 3_000; // ms
export const SOON = 500; // ms: runs that end together are one question
let timer = 0;

async function refresh() {
	timer = 0;
	const answer = document.hidden ? null : await fetch(location).catch(() => null);
	if (answer?.ok && !answer.redirected) take(new DOMParser().parseFromString(await answer.text(), "text/html"));
	later();
}

function take(page) {
	for (const fresh of page.querySelectorAll("[data-parts]")) {
		const old = document.querySelector(`[data-parts="${CSS.escape(fresh.dataset.parts)}"]`);
		if (!old || old.outerHTML === fresh.outerHTML) continue;
		old.replaceWith(fresh);
		fresh.dispatchEvent(new Event("parts", { bubbles: true }));
	}
}

export function later(ms = EVERY) {
	clearTimeout(timer);
	const open = ms === SOON || document.querySelector("[data-parts][data-open]");
	timer = open ? setTimeout(refresh, ms) : 0;
}

export const soon = () => later(SOON);

document.addEventListener("end", soon);
later();
