/** Shows what the run that has ended left, as the server renders it in this page. */
export async function refresh({ target, detail: { id } }) {
	const answer = await fetch(location).catch(() => null);
	const page = new DOMParser().parseFromString((await answer?.text()) ?? "", "text/html");
	const fresh = page.querySelector(`[data-files="${CSS.escape(id)}"]`);
	const tab = fresh?.childElementCount && target.querySelector("[name=tab][value=files]");
	if (tab) tab.checked = true;
	if (fresh) target.querySelector("[data-files]")?.replaceWith(fresh);
}
