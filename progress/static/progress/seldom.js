// What an element needs seldom: a result that was too large for a frame, and where to log in.

/** The task's public state over HTTP, or null. */
export async function fetchTask(src) {
	const answer = await fetch(src, { headers: { Accept: "application/json" } }).catch(() => null);
	return (answer?.ok && (await answer.json().catch(() => null))?.task) || null;
}

export function offerLogin(part, login) {
	if (!part || part.querySelector("a")) return;
	const link = Object.assign(document.createElement("a"), { textContent: "Log in" });
	const to = new URL(login || location.href, location.href);
	if (login) to.searchParams.set("next", location.pathname + location.search);
	if (to.protocol.startsWith("http")) link.href = to.href;
	part.replaceChildren("You are signed out. ", link);
}
