// A form whose key has expired gets the key of today, and keeps what was typed.

const KEY = "csrfmiddlewaretoken";

/** True if the page has another key now; it is in all its forms then, and in `data`. */
export async function renew(data) {
	const answer = await fetch(location.pathname).catch(() => null);
	const page = new DOMParser().parseFromString((await answer?.text()) ?? "", "text/html");
	const key = page.querySelector(`[name=${KEY}]`)?.value;
	if (!key || answer.redirected) return false;
	for (const input of document.querySelectorAll(`[name=${KEY}]`)) input.value = key;
	data.set(KEY, key);
	return true;
}
