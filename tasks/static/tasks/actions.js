// Cancel and Run again without leaving the page; a new run is handed to `onnew`.

// browsers remember what could not be loaded
const load = () => import("./post.js").catch(() => import(`./post.js?${Date.now()}`));
const busy = new WeakSet(); // not `disabled`: that takes the keyboard's place away

export function enhanceActions(onnew) {
	document.addEventListener("submit", async (event) => {
		const form = event.target.closest("form[data-action]");
		if (!form) return;
		event.preventDefault();
		if (busy.has(form)) return;
		mark(form, true);
		let failed = "";
		try {
			const { post, sentence } = await load();
			const { status, body } = await post(form.action, new FormData(form));
			const id = body?.task_id ?? body?.id;
			if (status >= 400) failed = sentence(status, body);
			else if (form.dataset.action === "retry" && id) onnew(id, body.url);
		} catch {
			failed = "The server cannot be reached. Try again.";
		}
		say(form, failed);
		mark(form, false);
	});
}

/** A second click is no second start. */
export function mark(form, sending) {
	busy[sending ? "add" : "delete"](form);
	form.querySelector("button").setAttribute("aria-disabled", sending);
}

export const isBusy = (form) => busy.has(form);

function say(form, text) {
	form.querySelector("[role=alert]")?.remove();
	if (!text) return;
	const note = Object.assign(document.createElement("p"), { role: "alert", className: "field-error", textContent: text });
	form.append(note);
}

// Cancel goes away with the end: the keyboard moves on.
document.addEventListener("end", ({ target }) => {
	if (!document.activeElement?.closest(".when-running") || !target.contains(document.activeElement)) return;
	requestAnimationFrame(() => target.querySelector(".when-ended:not([hidden]) button")?.focus());
});

document.addEventListener("end", async (event) => {
	if (event.target.querySelector("[data-files]")?.dataset.of === event.detail.name) (await import("./files.js")).refresh(event);
});

// there is no clipboard without https, except on localhost
for (const button of navigator.clipboard ? document.querySelectorAll("[data-copy]") : []) {
	button.hidden = false;
	button.addEventListener("click", async () => {
		await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
		button.textContent = "Copied";
	});
}
