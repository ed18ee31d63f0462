// Full jitter: after a restart a thousand browsers spread by themselves.

const FLOOR = 100; // ms: never a busy loop
const CEILING = 5_000; // ms: nobody looks at a frozen bar for longer

export function backoff(failures, random = Math.random()) {
	return FLOOR + random * (Math.min(CEILING, 500 * 2 ** Math.min(failures, 10)) - FLOOR);
}
