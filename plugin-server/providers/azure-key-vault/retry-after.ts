/** How long a service asks to be left alone, from the headers of its answer. */
import type { AnswerHeaders } from "./connections";

/** Milliseconds, or undefined when the answer does not say. A date counts from the service's own clock, not from this host's. */
export function retryAfterMs(headers: AnswerHeaders): number | undefined {
  for (const name of ["retry-after-ms", "x-ms-retry-after-ms"]) {
    const milliseconds = wholeNumber(headers.get(name));
    if (milliseconds !== undefined) return milliseconds;
  }
  const text = headers.get("retry-after");
  const seconds = wholeNumber(text);
  if (seconds !== undefined) return seconds * 1_000;
  // Date.parse takes much for a date that is none: "-1" is a day in 2001.
  const until = /^[A-Z][a-z]{2}, /.test(text ?? "") ? Date.parse(text ?? "") : Number.NaN;
  const serviceNow = Date.parse(headers.get("date") ?? "");
  return Number.isNaN(until) ? undefined : Math.max(0, until - (Number.isNaN(serviceNow) ? Date.now() : serviceNow));
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text.trim()) ? Number(text) : undefined;
}
