/** Results go to stdout; what goes on meanwhile goes to stderr, so that `--json` and pipes stay clean. */

/** What is written to: process.stdout and process.stderr, or a test's own. */
export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export interface Terminal {
  /** A result. */
  print(text: string): void;
  /** Something that has happened. */
  say(line: string): void;
  /** Where something stands: on a terminal the next line takes its place, elsewhere one such line in five seconds is said. */
  passing(line: string): void;
}

const passingInterval = 5_000;
/** Below two seconds nobody wonders whether anything is happening. */
const usualPace = { quietFor: 2_000, every: 1_000 };

export function terminal(stdout: Output, stderr: Output, now: () => number = Date.now): Terminal {
  let unfinished = false;
  let lastPassing = Number.NEGATIVE_INFINITY;
  // CSI K clears what a longer line before has left.
  const clear = () => {
    if (unfinished) stderr.write("\r\u001b[K");
    unfinished = false;
  };
  return {
    print(text) {
      clear();
      stdout.write(`${text}\n`);
    },
    say(line) {
      clear();
      stderr.write(`${line}\n`);
    },
    passing(line) {
      if (stderr.isTTY !== true) {
        if (now() - lastPassing < passingInterval) return;
        lastPassing = now();
        stderr.write(`${line}\n`);
        return;
      }
      clear();
      stderr.write(line.slice(0, (stderr.columns ?? 80) - 1));
      unfinished = true;
    },
  };
}

/** Waits for `work`, and once that takes over two seconds says every second what is going on and for how long. */
export async function busy<T>(
  { passing }: Terminal,
  what: () => string,
  work: Promise<T>,
  { quietFor, every } = usualPace,
): Promise<T> {
  const begun = Date.now();
  let ticker: NodeJS.Timeout | undefined;
  const tell = () => passing(`${what()} (${Math.round((Date.now() - begun) / 1_000)} s)`);
  const quiet = setTimeout(() => {
    tell();
    ticker = setInterval(tell, every);
  }, quietFor);
  try {
    return await work;
  } finally {
    clearTimeout(quiet);
    clearInterval(ticker);
  }
}
