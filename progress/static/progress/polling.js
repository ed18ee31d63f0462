// What a connection does while its socket is refused: it asks for each task, and for each feed, in turn.

const EVERY = 1_000; // ms between rounds
const NOBODY_THERE = 5_000; // ms until the next round where the server did not answer
const PATIENCE = 5_000; // ms for an answer

/**
 * Until `signal` aborts or nothing of `running()` is left. `take(watched, frame)`, `gone(watched)`, `signedOut(login)`,
 * `become(state)`.
 */
export async function poll({ signal, running, take, gone, signedOut, become }) {
	for (let all; (all = running()).length && !signal.aborted; ) {
		let reached = true;
		for (const watched of all) {
			if (watched.status) continue; // the socket has come back meanwhile, or it was told of another one's answer
			const said = await ask(watched, signal);
			if (signal.aborted) return;
			reached &&= Boolean(said);
			if (said?.status === "signed-out") return signedOut(said.login);
			if (said?.status === "gone") gone(watched);
			if (!said?.body) continue;
			take(watched, watched.id[0] === "@" ? { data: said.body } : { type: "snapshot", ...said.body });
			watched.etag = said.etag;
		}
		become(reached ? "polling" : "reconnecting");
		const pause = reached ? EVERY * Math.max(1, all.length / 10) : NOBODY_THERE;
		await new Promise((done) => setTimeout(done, pause));
	}
}

/**
 * What the server says of one: {body, etag}, {} where nothing is new, {status: "gone"}, {status: "signed-out", login},
 * null where it did not answer.
 */
export async function ask({ src, etag, signedIn }, signal) {
	const headers = { Accept: "application/json", ...(etag && { "If-None-Match": etag }) };
	try {
		const wait = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)]);
		const response = await fetch(src, { headers, signal: wait, cache: "no-store" });
		if (response.status === 304) return {};
		if (response.redirected && !isJson(response)) return { status: "signed-out", login: response.url }; // a page to log in
		if (response.ok) return { body: await response.json(), etag: response.headers.get("ETag") };
		const { login = "" } = isJson(response) ? await response.json() : {};
		if (response.status === 401 || (response.status === 404 && login && signedIn)) return { status: "signed-out", login };
		return [403, 404, 410].includes(response.status) ? { status: "gone" } : null;
	} catch {
		return null;
	}
}

const isJson = (response) => response.headers.get("Content-Type")?.startsWith("application/json");
