// What is to be done to many is asked with their number: the server's own question, over the list.

/** Where it cannot be asked like that, its page comes. */
export async function ask(form, submitter) {
	const data = new FormData(form, submitter);
	const answer = await fetch(location.href, { method: "POST", body: data }).catch(() => null);
	const page = answer?.ok && !answer.redirected ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
	const question = page?.querySelector("[aria-labelledby=question]");
	if (!question) {
		form.append(Object.assign(document.createElement("input"), { type: "hidden", name: submitter.name, value: submitter.value }));
		return form.submit();
	}
	const dialog = document.createElement("dialog");
	dialog.setAttribute("aria-labelledby", "question");
	dialog.append(...question.childNodes);
	const back = dialog.querySelector("a");
	back.addEventListener("click", (event) => (event.preventDefault(), dialog.close()));
	dialog.addEventListener("close", () => (dialog.remove(), submitter.focus()));
	document.body.append(dialog);
	dialog.showModal();
}
