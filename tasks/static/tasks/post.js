/** {status, body, wait}, body null where it is not JSON. Throws where the server cannot be reached. */
export async function post(url, data, headers = {}) {
	const send = () => fetch(url, { method: "POST", body: data, headers: { Accept: "application/json", ...headers } });
	let response = await send();
	if (response.status === 403 && (await (await import("./expired.js")).renew(data))) response = await send();
	const body = await response.json().catch(() => null);
	return { status: response.status, body, wait: Number(response.headers.get("Retry-After")) };
}

export function sentence(status, body) {
	if (body?.errors) return Object.values(body.errors).flat().join(" ");
	if (status === 403) return "The form has expired. Reload the page and try again.";
	if (status === 404) return "This run is not there any more. Reload the page.";
	return `The server answered with an error (${status}). Try again in a moment; its log says what happened.`;
}
