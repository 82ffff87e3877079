/** Tells a person what is going on. Library code takes a `Report`; command lines make one with `reportTo`. */

/** One line. `passing`: the next line says the same, only later; on a terminal it is written over. */
export type Report = (line: string, passing?: boolean) => void;

/** What a `Report` writes to: process.stderr, mostly, so that results on stdout stay clean. */
export interface ReportStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Off a terminal, in a CI log, a passing line this often says enough. */
const passingMilliseconds = 5_000;

/** Writes lines to a stream: over one another on a terminal, one below the other elsewhere. */
export function reportTo(stream: ReportStream, now: () => number = Date.now): Report {
  let unfinished = false;
  let lastPassing = Number.NEGATIVE_INFINITY;
  return (line, passing = false) => {
    if (stream.isTTY !== true) {
      if (passing && now() - lastPassing < passingMilliseconds) return;
      if (passing) lastPassing = now();
      stream.write(`${line}\n`);
      return;
    }
    // CSI K clears what a longer line before has left.
    const start = unfinished ? "\r\u001b[K" : "";
    const width = (stream.columns ?? 80) - 1;
    stream.write(passing ? `${start}${line.slice(0, width)}` : `${start}${line}\n`);
    unfinished = passing;
  };
}
