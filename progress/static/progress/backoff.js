// How long to wait before the next try. Full jitter: after a server restart a thousand browsers spread by themselves.

const FLOOR = 100; // ms: never a busy loop
const FIRST = 500; // ms: the ceiling of the first wait, doubled with every failure
const CEILING = 5_000; // ms: nobody looks at a frozen bar for longer

export function backoff(failures, random = Math.random()) {
  const ceiling = Math.min(CEILING, FIRST * 2 ** Math.min(failures, 10));
  return FLOOR + random * (ceiling - FLOOR);
}
