// What a connection does while its socket is refused: it asks for each task, and for each feed, in turn.

const EVERY = 1_000; // ms between rounds
const NOBODY_THERE = 5_000; // ms until the next round where the server did not answer
const PATIENCE = 5_000; // ms for an answer

/** Until `signal` aborts or nothing of `running()` is left. `take(watched, frame)`, `gone(watched)`, `become(state)`. */
export async function poll({ signal, running, take, gone, become }) {
  for (let all; (all = running()).length && !signal.aborted; ) {
    let reached = true;
    for (const watched of all) reached = (await ask(watched)) && reached;
    if (signal.aborted) return;
    become(reached ? "polling" : "reconnecting");
    const pause = reached ? EVERY * Math.max(1, all.length / 10) : NOBODY_THERE;
    await new Promise((done) => setTimeout(done, pause));
  }

  /** True where the server answered. */
  async function ask(watched) {
    const headers = { Accept: "application/json", ...(watched.etag && { "If-None-Match": watched.etag }) };
    try {
      const wait = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)]);
      const response = await fetch(watched.src, { headers, signal: wait, cache: "no-store" });
      const body = response.ok && (await response.json());
      if (signal.aborted) return false;
      if (body) take(watched, watched.id[0] === "@" ? { data: body } : { type: "snapshot", ...body });
      if (body) watched.etag = response.headers.get("ETag");
      if (response.status === 404) gone(watched);
      return response.ok || response.status === 304 || response.status === 404;
    } catch {
      return false;
    }
  }
}
